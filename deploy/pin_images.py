"""Names the images of the deployment files by digest: `python deploy/pin_images.py [--check] [--image NAME=REFERENCE]`.

A tag may mean another image tomorrow, a digest cannot. Asks the registry of each image for the digest of its tag and
writes `name:tag@sha256:...` into Dockerfile and compose.yaml, and `digest:` into the kustomizations of
deploy/kubernetes. `--image gmtscreen=registry.example/gmtscreen:cuda` does so for the image that you built and pushed.
`--check` asks nobody, changes nothing and ends with 1 where an image is named by its tag alone. Run it again for
security updates. Anonymous access only; for a registry with a password give the digest yourself.
"""

import argparse
import json
import re
import sys
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

DEPLOY = Path(__file__).parent
KINDS = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
)
REFERENCE = re.compile(
    r"(?P<name>(?:[\w.-]+(?::\d+)?/)?[\w./-]+?):(?P<tag>[\w][\w.-]{0,127})(?:@(?P<digest>sha256:[0-9a-f]{64}))?"
)
_IMAGE = re.compile(r"(?m)^(\s+image: )([\w./-]+:[\w.@:-]+)$")
PLACES = {
    "Dockerfile": re.compile(r"(?m)^(FROM )(\S+:\S+)"),
    "compose.yaml": _IMAGE,
    "kubernetes/base/postgres.yaml": _IMAGE,
    "kubernetes/base/backup.yaml": _IMAGE,
    "kubernetes/restore/job.yaml": _IMAGE,
}
"""Where images of others are named, each behind what stays as it is."""

KUSTOMIZATIONS = ("kubernetes/base/kustomization.yaml", "kubernetes/screen/kustomization.yaml")
OWN = re.compile(
    r"(  - name: (?P<image>\S+)\n    newName: )\S+\n(?:    newTag: \S+\n)?(?:    digest: (?P<digest>\S+)\n)?"
)
HUB = "registry-1.docker.io"


def digest_of(reference: str, scheme: str = "https") -> str:
    """The digest that a registry has for `[host/]name:tag`.

    Raises:
        ValueError: no such reference, or an answer without a digest.
        OSError: the registry does not answer.
    """
    match = REFERENCE.fullmatch(reference)
    if match is None:
        raise ValueError(f"{reference}: no reference of the form [host/]name:tag")
    host, slash, rest = match["name"].partition("/")
    # Docker's own rules: without a host it is Docker Hub's, without a folder an official image.
    if slash and ("." in host or ":" in host or host == "localhost"):
        name = rest
    else:
        host, name = HUB, match["name"] if slash else f"library/{match['name']}"
    url = f"{scheme}://{host}/v2/{name}/manifests/{match['tag']}"
    headers = {"Accept": ", ".join(KINDS)}
    try:
        answer = _head(url, headers)
    except urllib.error.HTTPError as error:
        if error.code != 401:
            raise
        headers["Authorization"] = f"Bearer {_token(error.headers.get('WWW-Authenticate', ''))}"
        answer = _head(url, headers)
    if not re.fullmatch(r"sha256:[0-9a-f]{64}", answer):
        raise ValueError(f"{reference}: the registry names no digest")
    return answer


def _head(url: str, headers: dict[str, str]) -> str:
    request = urllib.request.Request(url, method="HEAD", headers=headers)  # noqa: S310  http or https, see digest_of
    with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310  likewise
        return str(answer.headers.get("Docker-Content-Digest", ""))


def _token(challenge: str) -> str:
    """The token for anonymous reading that a registry's challenge leads to."""
    fields = dict(re.findall(r'(\w+)="([^"]*)"', challenge))
    if not challenge.startswith("Bearer ") or not re.match("https?://", fields.get("realm", "")):
        raise ValueError("the registry wants a password")
    question = urllib.parse.urlencode({key: fields[key] for key in ("service", "scope") if key in fields})
    with urllib.request.urlopen(f"{fields['realm']}?{question}", timeout=30) as answer:  # noqa: S310  checked above
        found = json.load(answer)
    return str(found.get("token") or found["access_token"])


def unpinned(folder: Path) -> list[str]:
    """Every image of the files that is named by its tag alone, with its file."""
    found = []
    for file, pattern in PLACES.items():
        references = [match[2] for match in pattern.finditer((folder / file).read_text(encoding="utf-8"))]
        found += [f"{file}: {reference}" for reference in references if "@sha256:" not in reference]
    for file in KUSTOMIZATIONS:
        matches = OWN.finditer((folder / file).read_text(encoding="utf-8"))
        found += [f"{file}: {match['image']}" for match in matches if match["digest"] is None]
    return found


def pin(folder: Path, own: dict[str, str], scheme: str = "https") -> list[str]:
    """Writes digests into the files; returns what was written, one line each.

    Args:
        folder: of the files.
        own: reference of each image of a kustomization, by the name that the manifests give it.
        scheme: of the registries' addresses.
    """
    known: dict[str, str] = {}
    written = []

    def digest(reference: str) -> str:
        plain = reference.partition("@")[0]
        if plain not in known:
            known[plain] = digest_of(plain, scheme)
            written.append(f"{plain}@{known[plain]}")
        return known[plain]

    texts = {}
    for file, pattern in PLACES.items():
        text = (folder / file).read_text(encoding="utf-8")
        texts[file] = pattern.sub(lambda match: f"{match[1]}{match[2].partition('@')[0]}@{digest(match[2])}", text)
    for file in KUSTOMIZATIONS:
        text = (folder / file).read_text(encoding="utf-8")
        for name, reference in own.items():
            entry = f"{reference.rpartition(':')[0]}\n    digest: {digest(reference)}\n"
            text = OWN.sub(lambda match, n=name, e=entry: f"{match[1]}{e}" if match["image"] == n else match[0], text)
        texts[file] = text
    # Not before all registries have answered: either every image is pinned, or none.
    for file, text in texts.items():
        (folder / file).write_text(text, encoding="utf-8")
    return written


def main() -> int:
    """Pins, or with `--check` looks; the exit status."""
    parser = argparse.ArgumentParser(description="names the images of the deployment files by digest")
    parser.add_argument("--check", action="store_true", help="ask nobody; 1 where an image has no digest")
    parser.add_argument("--image", action="append", default=[], metavar="NAME=REFERENCE", help="an image of your own")
    arguments = parser.parse_args()
    if arguments.check:
        found = unpinned(DEPLOY)
        sys.stdout.write("".join(f"by its tag alone: {line}\n" for line in found))
        return int(bool(found))
    try:
        written = pin(DEPLOY, dict(each.split("=", 1) for each in arguments.image))
    except (OSError, ValueError, KeyError) as error:
        sys.stderr.write(f"nothing was changed: {error}\n")
        return 1
    sys.stdout.write("".join(f"{line}\n" for line in written))
    return 0


if __name__ == "__main__":
    sys.exit(main())
