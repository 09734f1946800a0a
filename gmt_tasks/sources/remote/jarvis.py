"""JARVIS-DFT: `jarvis:dft_3d` and the other published lists, and `jarvis:FILE.pkl`, the files released with GMTNet.

Which file a list is in, is looked up in jarvis-tools. The transfer is ours: that of jarvis-tools knows neither timeout
nor repetition, keeps a file that was cut short for ever, and reads the whole list at once, which takes gigabytes.

A published file never changes (a new version has a new address), so that "changed" means: jarvis-tools names another
file, or the server another etag. The records are then compared one by one, and those that say the same are the same.

Source: jarvis-tools, `jarvis/db/figshare.py`; Choudhary et al., npj Comput. Mater. 6, 173 (2020).
"""

import io
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from gmt_tasks.settings import RemoteSettings, load_remote_settings
from gmt_tasks.sources.remote.http_client import HttpClient, RateLimits
from gmt_tasks.sources.remote.jarvis_tensor_source import TensorFileSource
from gmt_tasks.sources.remote.jarvis_tensors import SUFFIXES
from gmt_tasks.sources.remote.mirror import Mirror, MirrorRecord
from gmt_tasks.sources.remote.mirrored_source import COMPLETE, MirroredSource, refuse_changed_schema
from gmt_tasks.sources.remote.resumable_download import download
from gmt_tasks.sources.remote.streamed_json import list_items
from gmt_tasks.sources.source import Source
from gmt_tasks.telemetry import event
from models.errors import SourceError

RECORDS_PER_WRITE = 1000
KEPT = (
    "atoms", "formula", "func", "typ", "dimensionality", "reference", "ehull", "formation_energy_peratom",
    "optb88vdw_bandgap", "mbj_bandgap", "elastic_tensor", "bulk_modulus_kv", "shear_modulus_gv", "epsx", "epsy", "epsz",
    "dfpt_piezo_max_eij", "dfpt_piezo_max_dielectric_electronic", "dfpt_piezo_max_dielectric_ionic",
)  # fmt: skip
"""What is kept of a record beside its id."""

_NAME = "jarvis"
_UNKNOWN = "na"
"""What the lists hold where a number is not known."""
_ETAG, _FETCHED, _WALK = "etag", "fetched", "listing_number"


def open_crystals(text: str) -> Source:
    """Crystals of a published list, or of a file or folder of those released with GMTNet.

    Raises:
        SourceError: no such list or file.
    """
    local = local_files(text)
    if local is not None:
        return TensorFileSource(text, local)
    settings = load_remote_settings()
    published = PublishedList(text, settings)
    return MirroredSource(text, published.mirror, published.refresh, settings)


def local_files(text: str) -> Path | None:
    """The file or folder that is meant, if one is."""
    name = text.partition(":")[2]
    path = Path(name).expanduser()
    if name and (name.endswith(SUFFIXES) or "/" in name or path.is_dir()):
        if not path.exists():
            raise SourceError(f"{text!r}: there is no {name}. Give a file or folder released with GMTNet, or dft_3d.")
        return path
    return None


class PublishedList:
    """One published list and its mirror.

    Args:
        name: the source as the user wrote it, `jarvis:dft_3d`.
        settings: how it is fetched.
    """

    def __init__(self, name: str, settings: RemoteSettings) -> None:
        self.name = name
        self.settings = settings
        self.list_name = name.partition(":")[2]
        if not self.list_name.replace("_", "").isalnum():
            raise SourceError(f"{name[:60]!r} names no published list. Give jarvis:dft_3d, or a file or folder.")
        question = {"list": self.list_name, "endpoint": settings.jarvis_endpoint}
        self.mirror = Mirror.of(settings.cache_folder, _NAME, question)

    def refresh(self, mirror: Mirror) -> None:
        """Fetches the file when it is another one than last time, and takes its records into the mirror."""
        url, member = self._published()
        path = mirror.path.with_name(f"{mirror.path.stem}.zip")
        fetched = mirror.mark(_FETCHED)
        if not (path.exists() and fetched and fetched["url"] == url):  # else an earlier call was stopped while reading
            is_same_url = mirror.mark(COMPLETE) and fetched and fetched["url"] == url
            known_etag = mirror.mark(_ETAG) if is_same_url else None
            etag = download(HttpClient(url, RateLimits.of(self.settings)), url, path, known_etag or None)
            if etag is None:
                event("jarvis.unchanged", source=self.name, file=member)
                return
            mirror.write((), {_FETCHED: {"url": url, "etag": etag}})
        self._take(mirror, path, member)

    def _published(self) -> tuple[str, str]:
        """Address of the zip file and name of the list in it."""
        # Imported here: it loads matplotlib and scipy, and is needed only when something may be fetched.
        from jarvis.db.figshare import get_db_info

        table = get_db_info()
        if self.list_name not in table:
            raise SourceError(
                f"jarvis-tools knows no list {self.list_name!r}. Lists of crystals: "
                f"{', '.join(sorted(name for name in table if name.startswith('dft_')))}."
            )
        url, member = table[self.list_name][:2]
        if self.settings.jarvis_endpoint:
            host = urlsplit(self.settings.jarvis_endpoint)
            url = urlunsplit((host.scheme, host.netloc, *urlsplit(url)[2:]))
        return url, member

    def _take(self, mirror: Mirror, path: Path, member: str) -> None:
        """Takes the records of the file into the mirror, and removes the file."""
        walk = int(mirror.mark(_WALK) or 0) + 1
        n_new = 0
        try:
            with zipfile.ZipFile(path) as archive, archive.open(member) as stream:
                items = list_items(io.TextIOWrapper(stream, encoding="utf-8"), member)
                while records := [self._record(item) for item in islice(items, RECORDS_PER_WRITE)]:
                    refuse_changed_schema(self.name, [record.body for record in records])
                    n_new += mirror.write(records, {}, walk)
        except (zipfile.BadZipFile, zlib.error, EOFError, KeyError, UnicodeDecodeError, SourceError) as error:
            path.unlink(missing_ok=True)  # else the next call would read the same file again
            if isinstance(error, SourceError):
                raise
            raise SourceError(
                f"{self.name}: the file that was fetched is no zip file with {member} in it ({error}). It was removed; "
                "run the same command again, and report it if it stays."
            ) from error
        etag = mirror.mark(_FETCHED)["etag"]
        n_gone = mirror.remove_unmet(walk, {_WALK: walk, COMPLETE: True, _ETAG: etag})
        path.unlink(missing_ok=True)
        event("jarvis.taken", source=self.name, records=len(mirror), new_or_changed=n_new, gone=n_gone)

    def _record(self, item: Any) -> MirrorRecord:
        """What is kept of a record; numbers that are not known are left out."""
        jid = item.get("jid") if isinstance(item, Mapping) else None
        if not isinstance(jid, str) or not jid:
            raise SourceError(f"{self.name}: a record has no `jid`. The format of the list has changed; report it.")
        body: dict[str, Any] = {"id": jid}
        for key in KEPT:
            value = item.get(key)
            is_empty = isinstance(value, Sequence) and len(value) == 0
            if value is not None and value != _UNKNOWN and not is_empty:
                body[key] = value
        return MirrorRecord(jid, body)
