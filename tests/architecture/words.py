"""Private words and the field's terms for them, and where such a word still stands.

`python -m tests.architecture.words` lists where they stand.

Not every private sense can be told from an honest one by its letters. "Turn" is refused as a name only, "family"
where crystals are compared (crystal families, families of elements and of planes are the field's own), "listing"
where crystals are described (servers list records), "runner" outside of the tests (typer has a CliRunner).
"""

import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.architecture.source_tree import ROOT

EVERYWHERE = re.compile("")
COMPARED = re.compile(r"(tests/)?(db|gmt_tasks/(ingest|runs)|models/fingerprint)/|docs/identity")
DESCRIBED = re.compile(r"(tests/)?(models|db|gmt_tasks/(ingest|labels))/|docs/identity|README|ARCHITECTURE")
ENSEMBLES = re.compile(r"(tests/)?(models|gmt_tasks/(?!sources/)|flows|db)|docs/|README|ARCHITECTURE")
NORMS = re.compile(r"(tests/)?(models/uncertainty|gmt_tasks/screening)/")
LABELS = re.compile(r"(tests/)?gmt_tasks/labels/|docs/labels")
NO_TESTS = re.compile(r"(?!tests/)")

LEFT_OUT = re.compile(
    r"tests/architecture/(words|test_words)\.|db/migrations/versions/|tests/db/first_schema|models/weights/.*json|"
    r"db/explorer/static/vendor/"
)
"""This list itself, released revisions of the database and what they made, cards of models, files of others."""


@dataclass(frozen=True)
class Word:
    """A private word.

    Attributes:
        pattern: the word and its forms, without regard to case, between characters that are no letters.
        term: what the field says.
        honest: phrases in which the same letters are promised names (columns, keys, files) or plain English.
        where: paths in which it is looked for.
    """

    pattern: str
    term: str
    honest: str | None = None
    where: re.Pattern[str] = EVERYWHERE


WORDS = (
    Word(r"retell\w*|retold", "equivalent representation", honest='"retelling"'),  # a printed JSON key
    Word("exactness", "equivariance", honest='["`]exactness["`]'),
    Word("kin|kinship", "structure match"),
    Word("portraits?", "environment fingerprint"),
    Word("sketch(es)?", "prefilter"),
    Word("recognisers?", "deduplicator"),
    Word("adopt(s|ed)?", "backfill", honest=r"ingest\.adopted", where=COMPARED),  # an event by which logs are searched
    # Columns and keys; twin domains and twin laws are crystallography's own.
    Word("twins?", "enantiomorph", honest="(ix_crystals_)?twin_id(?![a-z])|twin_stored|twin[ _](domains?|laws?)"),
    Word(
        "famil(y|ies)",
        "bucket",
        honest=r"font-family|crystal famil\w+|famil\w+ of (elements|planes)|[\"`]family[\"`]|(c|row|columns)\.family|"
        "ix_crystals_family",
        where=COMPARED,
    ),
    Word("novelty", "applicability domain", honest=r"\.novelty\.safetensors|novelty_sha256|\"novelty\"|novelty\.png"),
    Word("trust", "reliability", honest=r"\"trust\"|trust boundar\w+|(can|to|not|may|you) trust|sources? of trust"),
    # Promised: keys and predictors of cards, `start_member` of training configurations, the option `--members` with its
    # field, the folders of a retraining, in which it resumes. Enumerations and archives have members of their own.
    Word(
        "members?",
        "ensemble, its networks",
        honest=r"\"members\"|\"(one member|± of members)\"|start_member|--members|options\.members|members: Annotated|"
        r"members=\d|member-[\d*{]|(archive|tar|zip|ensemble) members?|members? of `[\w ]+`",
        where=ENSEMBLES,
    ),
    Word("stretch", "norm correction", where=NORMS),
    Word("instal+ments?", "label batch", honest='"instalment"'),
    # A column, a JSON key and a field of an event.
    Word("verdicts?", "status", honest=r"[\"`]verdict[\"`]|c\.verdict|row\.verdict|verdict=decision"),
    Word("rulings?", "decision"),
    Word("settlements?", "resolution"),
    Word("teach(es|ing)?", "be accepted for training", honest='"teach"'),
    Word("wish(es)?", "suggestion request", honest='"wish"'),
    Word("told|heard", "given; encode and decode"),
    Word("polite(ly|ness)?|manners", "rate limits and retries"),
    Word("inert", "plain, safe", honest="inert gas"),
    Word("thaw(s|ed)?", "decode"),
    Word("listings?", "order of atoms, representation, entry", where=DESCRIBED),
    Word("closeness", "scaled distance"),
    Word("fade[sd]?", "cutoff envelope"),
    Word(r"turns?_\w+|\w+_turns?", "rotation", honest=r"test_\w+|in_turn|wait_turn"),
    Word("runners?", "forked worker", where=NO_TESTS),
    Word("dismiss(es|ed)?", "kill"),
    Word("judge?ments?", "batch checks", where=LABELS),
    Word(
        r"(?:models|db|gmt_tasks|flows)[./](?:\w+[./])*(?:periodic|identity|listing|learning|assessment|splitting|origin|"
        r"listening|filter_words|polite_http|inert_pickle|label_kinship|label_judgement|label_scale|novelty|trust)",
        "the file's present name",
    ),
)


@dataclass(frozen=True)
class Found:
    """A private word in a text."""

    line: int
    text: str
    term: str

    def __str__(self) -> str:
        return f"{self.line}: {self.text!r}, say: {self.term}"


_BETWEEN_WORDS = re.compile(r"(?<=[a-z])(?=[A-Z][a-z])")
_PATTERNS = tuple(
    (
        re.compile(rf"(?<![A-Za-z])(?:{word.pattern})(?![A-Za-z])", re.IGNORECASE),
        re.compile(word.honest, re.IGNORECASE) if word.honest else None,
        word,
    )
    for word in WORDS
)


def private_words(path: str, text: str) -> list[Found]:
    """Every private word of a file's text.

    Args:
        path: of the file within the repository; some words are private in some rooms only.
        text: its content.
    """
    whole = _BETWEEN_WORDS.sub(" ", text)  # of names like TrustColumns
    # Most files hold none of the letters at all: their lines need no look.
    searched = [entry for entry in _PATTERNS if entry[2].where.match(path) and entry[0].search(whole)]
    found: list[Found] = []
    if not searched:
        return found
    for number, separated in enumerate(whole.splitlines(), start=1):
        for pattern, honest, word in searched:
            kept = honest.sub(" ", separated) if honest else separated
            found += [Found(number, match.group(), word.term) for match in pattern.finditer(kept)]
    return found


NOT_TEXT = {".safetensors", ".parquet", ".png", ".gz", ".zip", ".npz", ".ico", ".woff2"}
IGNORED = {".git", ".venv", "build", "dist", "runs"}


def repository_files() -> list[Path]:
    """Text files that are tracked or would be; without git, every file outside hidden and build folders."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    try:
        listed = subprocess.run(command, cwd=ROOT, capture_output=True, check=True, text=True).stdout.split("\0")
        files = [ROOT / name for name in listed if name]
    except (OSError, subprocess.CalledProcessError):
        files = [path for path in ROOT.rglob("*") if not _is_ignored(path.relative_to(ROOT))]
    return [path for path in files if path.is_file() and path.suffix not in NOT_TEXT]


def _is_ignored(path: Path) -> bool:
    return path.parts[0] in IGNORED or any(part.endswith(("cache", "cache__")) for part in path.parts)


def words_by_file() -> dict[str, list[Found]]:
    """Private words of the repository by path; files without any are left out."""
    paths = (path.relative_to(ROOT).as_posix() for path in repository_files())
    found = {
        path: private_words(path, (ROOT / path).read_text(encoding="utf-8", errors="replace"))
        for path in sorted(paths)
        if not LEFT_OUT.match(path)
    }
    return {path: words for path, words in found.items() if words}


if __name__ == "__main__":
    for path, words in words_by_file().items():
        print(path, *words, sep="\n  ")  # noqa: T201
