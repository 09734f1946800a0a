"""jarvis: published lists through jarvis-tools' table, GMTNet's files through the closed-list reader."""

import io
import json
import pickle
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from jarvis.db.figshare import get_db_info

from gmt_tasks.labels.readers.jarvis import open_labels
from gmt_tasks.labels.readers.open import open_label_source
from gmt_tasks.labels.readers.source import LabelRow, RefusedLabel
from gmt_tasks.labels.reasons import LabelReason
from gmt_tasks.sources.open import open_source
from gmt_tasks.sources.remote.http_client import UnreachableError
from gmt_tasks.sources.remote.jarvis import open_crystals
from gmt_tasks.sources.remote.streamed_json import list_items
from models.errors import SourceError
from tests.gmt_tasks.sources.remote.local_server import BAD_GATEWAY, BUSY, Answer, LocalServer, Request, serving

MEMBER = get_db_info()["dft_3d"][1]
VASP_ORDER = [0, 1, 2, 5, 3, 4]
"""Position in our order (11, 22, 33, 23, 13, 12) of each index of VASP's (11, 22, 33, 12, 23, 31)."""


def wurtzite_stiffness() -> Any:
    """C of a hexagonal crystal with c along z, GPa, our order: C44 = C55 differ from C66."""
    c = np.zeros((6, 6))
    c[:3, :3] = [[400, 140, 110], [140, 400, 110], [110, 110, 390]]
    c[[3, 4, 5], [3, 4, 5]] = [120, 120, 130]
    return c


def record(number: int, **changes: Any) -> dict[str, Any]:
    """As dft_3d has them: numbers that are not known are "na"."""
    ours = wurtzite_stiffness()
    vasp = np.array([[ours[VASP_ORDER[i], VASP_ORDER[j]] for j in range(6)] for i in range(6)])
    a = 3.1 + 0.01 * number
    atoms = {
        "lattice_mat": [[a, 0, 0], [-a / 2, a * 3**0.5 / 2, 0], [0, 0, 1.6 * a]],
        "coords": [[1 / 3, 2 / 3, 0], [2 / 3, 1 / 3, 0.5], [1 / 3, 2 / 3, 0.38], [2 / 3, 1 / 3, 0.88]],
        "elements": ["Al", "Al", "N", "N"],
        "abc": [a, a, 1.6 * a],
        "angles": [90, 90, 120],
        "cartesian": False,
        "props": ["", "", "", ""],
    }
    return {
        "jid": f"JVASP-{number}",
        "atoms": atoms,
        "formula": "AlN",
        "func": "OptB88vdW",
        "optb88vdw_bandgap": 4.5,
        "mbj_bandgap": "na",
        "ehull": 0.0,
        "elastic_tensor": vasp.tolist(),
        "bulk_modulus_kv": float(ours[:3, :3].mean()),
        "epsx": 4.0,
        "epsy": 4.0,
        "epsz": 4.6,
        "dfpt_piezo_max_eij": 1.5,
        "efg": [["na"]],
        "modes": "na",
        "xml_data_link": "x" * 100,
    } | changes


class Figshare:
    """A host of files with etags, ranges and a redirect, as figshare has them."""

    def __init__(self, records: list[Any]) -> None:
        self.version = 0
        self.put(records)

    def put(self, records: list[Any]) -> None:
        """A new version of the file."""
        self.put_text(json.dumps(records))

    def put_text(self, text: str, member: str = MEMBER) -> None:
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr(member, text)
        self.content = packed.getvalue()
        self.version += 1

    def __call__(self, request: Request) -> Answer:
        etag = {"ETag": f'"v{self.version}"'}
        if request.path.startswith("/files/"):
            return Answer(b"", 302, headers={"Location": f"/storage{request.path}"})
        if request.headers.get("if-none-match") == etag["ETag"]:
            return Answer(b"", 304, headers=etag)
        if "range" in request.headers and request.headers.get("if-range", etag["ETag"]) == etag["ETag"]:
            start = int(request.headers["range"].removeprefix("bytes=").rstrip("-"))
            return Answer(self.content[start:], 206, "application/zip", etag)
        return Answer(self.content, 200, "application/zip", etag)


@pytest.fixture
def figshare() -> Figshare:
    return Figshare([record(k) for k in range(5)])


@pytest.fixture
def server(figshare: Figshare, cache: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LocalServer]:
    with serving(figshare) as local:
        monkeypatch.setenv("GMTSCREEN_JARVIS_ENDPOINT", local.url)
        yield local


def ids() -> list[str]:
    return [each for block in open_crystals("jarvis:dft_3d").blocks() for each in block.source_ids]


def label_rows(text: str = "jarvis:dft_3d") -> list[LabelRow | RefusedLabel]:
    return list(open_labels(text).rows())


def row_of(figshare: Figshare, **changes: Any) -> dict[str, Any]:
    figshare.put([record(1, **changes)])
    first = label_rows()[0]
    assert isinstance(first, LabelRow), first
    return first.row


# Published lists.


def test_a_published_list_is_found_in_the_table_of_jarvis_tools(server: LocalServer, cache: Path) -> None:
    source = open_source("jarvis:dft_3d")
    (block,) = source.blocks()
    assert block.source_ids == [f"JVASP-{k}" for k in range(5)]
    assert server.requests[0].path.startswith("/files/") and server.requests[1].path.startswith("/storage/files/")
    assert '"ehull": 0.0' in str(block.metadata[0]) and "xml_data_link" not in str(block.metadata[0])
    assert '"na"' not in str(block.metadata[0])
    assert list(cache.rglob("*.zip")) == [], "what is in the mirror is not kept twice"


def test_a_list_that_did_not_change_is_not_fetched_again(server: LocalServer, figshare: Figshare) -> None:
    first = open_crystals("jarvis:dft_3d").fingerprint()
    n_before = len(server.requests)
    assert open_crystals("jarvis:dft_3d").fingerprint() == first
    assert [request.headers.get("if-none-match") for request in server.requests[n_before:]] == ['"v1"'] * 2
    figshare.put([record(k) for k in range(5)])  # another file that says the same
    assert open_crystals("jarvis:dft_3d").fingerprint() == first
    figshare.put([record(k, ehull=0.1 if k == 2 else 0.0) for k in range(1, 7)])
    assert open_crystals("jarvis:dft_3d").fingerprint() != first
    assert ids() == [f"JVASP-{k}" for k in range(1, 7)]


@pytest.mark.parametrize("fault", [BUSY, BAD_GATEWAY, Answer(b"x" * 100, 200, "application/zip", cut_at=10)])
def test_faults_that_pass_lose_nothing(server: LocalServer, fault: Answer) -> None:
    server.faults = [fault, fault]
    assert len(ids()) == 5


def test_an_interrupted_transfer_goes_on(
    server: LocalServer, figshare: Figshare, monkeypatch: pytest.MonkeyPatch
) -> None:
    figshare.put([record(k, xml_data_link=np.random.default_rng(k).bytes(4000).hex()) for k in range(50)])
    monkeypatch.setattr("gmt_tasks.sources.remote.resumable_download.CHUNK", 1000)
    respond = server.respond
    cut = Answer(figshare.content, 200, "application/zip", {"ETag": '"v2"'}, cut_at=60_000)
    server.respond = lambda r: cut if r.path.startswith("/storage") else respond(r)
    with pytest.raises(UnreachableError, match="60,000 bytes are kept"):
        ids()
    server.respond = respond
    assert len(ids()) == 50
    assert server.requests[-1].headers["range"] == "bytes=60000-"


def test_a_call_that_was_stopped_while_reading_does_not_fetch_again(
    server: LocalServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("gmt_tasks.sources.remote.jarvis.refuse_changed_schema", stopped)
        with pytest.raises(KeyboardInterrupt):
            ids()
    n_before = len(server.requests)
    assert len(ids()) == 5 and len(server.requests) == n_before


@pytest.mark.parametrize(
    ("text", "member", "said"),
    [
        ("[]", "other.json", "no zip file with"),
        ('{"data": []}', MEMBER, "is no JSON list"),
        (json.dumps([record(1)])[:-30], MEMBER, "ends in the middle"),
        ('[{"name": 1}]', MEMBER, "no `jid`"),
        (json.dumps([{"jid": "a", "cell": {}}, {"jid": "b"}]), MEMBER, "none of 2 records.*format of the source"),
    ],
)
def test_a_file_of_another_kind_is_refused_and_fetched_anew(
    server: LocalServer, figshare: Figshare, text: str, member: str, said: str
) -> None:
    figshare.put_text(text, member)
    with pytest.raises(SourceError, match=said):
        ids()
    figshare.put([record(1)])
    assert ids() == ["JVASP-1"]


def test_a_body_that_is_no_zip_file_is_refused(server: LocalServer, figshare: Figshare) -> None:
    figshare.content = b"<html>we moved</html>"
    with pytest.raises(SourceError, match="no zip file.*removed"):
        ids()


@pytest.mark.parametrize("text", ["jarvis:", "jarvis:nonsense", "jarvis:../x", "jarvis:gone.pkl", "jarvis:dft 3d"])
def test_what_is_neither_a_list_nor_a_file_is_refused(server: LocalServer, text: str) -> None:
    for opened in (open_crystals, open_labels):
        with pytest.raises(SourceError, match=r"no list|no published list|there is no"):
            opened(text).fingerprint()
    assert server.requests == []


def test_a_long_list_is_read_item_by_item(monkeypatch: pytest.MonkeyPatch) -> None:
    items = [{"k": k, "text": 'a "quoted" ] } , text' * (k % 7)} for k in range(300)]
    monkeypatch.setattr("gmt_tasks.sources.remote.streamed_json._CHUNK", 37)
    for text in (json.dumps(items), "\n " + json.dumps(items, indent=1) + "\n"):
        assert list(list_items(io.StringIO(text), "f")) == items
    assert list(list_items(io.StringIO(" [ ] "), "f")) == []
    with pytest.raises(SourceError, match="where a record should begin"):
        list(list_items(io.StringIO("[1, 2]"), "f"))
    monkeypatch.setattr("gmt_tasks.sources.remote.streamed_json.MAX_ITEM_CHARS", 100)
    with pytest.raises(SourceError, match="more than 100"):
        list(list_items(io.StringIO(json.dumps([{"a": "b" * 500}])), "f"))


# Labels of lists: Voigt order and unit.


@pytest.mark.parametrize("record", ['{"a": ' + "[" * 100_000 + "]" * 100_000 + "}", '{"a": ' + "9" * 5000 + "}"])
def test_a_record_that_no_reader_takes_stops_the_list_with_a_reason(record: str) -> None:
    items = list_items(io.StringIO(f'[{{"a": 1}}, {record}]'), "f")
    assert next(items) == {"a": 1}
    with pytest.raises(SourceError, match="no JSON which can be read"):
        next(items)


def test_stiffness_comes_in_our_order_and_in_gpa(server: LocalServer, figshare: Figshare) -> None:
    row = row_of(figshare)
    assert np.allclose(row["tensor_voigt"], wurtzite_stiffness())
    assert not np.allclose(record(1)["elastic_tensor"], wurtzite_stiffness()), "the control: VASP's order is another"
    assert (row["kind"], row["unit"], row["licence"]) == ("elastic_stiffness", "GPa", "CC-BY-4.0")
    assert "OptB88vdW" in row["method"] and row["doi"].startswith("10.6084")


def test_kbar_is_recognised_by_the_bulk_modulus_and_divided_by_ten(server: LocalServer, figshare: Figshare) -> None:
    kbar = (10 * np.array(record(1)["elastic_tensor"])).tolist()
    row = row_of(figshare, elastic_tensor=kbar)
    assert np.allclose(row["tensor_voigt"], wurtzite_stiffness())
    assert row["unit_as_published"] == "kbar"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"bulk_modulus_kv": 50.0}, "neither GPa nor kbar"),
        ({"bulk_modulus_kv": "na"}, "unit is not known"),
        ({"elastic_tensor": [[1.0] * 6] * 5}, "no 6x6 matrix"),
        ({"elastic_tensor": [["na"] * 6] * 6}, "no 6x6 matrix"),
        ({"atoms": {"lattice_mat": [[1, 0, 0]]}}, "lattice"),
    ],
)
def test_a_stiffness_that_contradicts_itself_is_refused(
    server: LocalServer, figshare: Figshare, changes: dict[str, Any], said: str
) -> None:
    figshare.put([record(1, **changes), record(2)])
    refused = [each for each in label_rows() if isinstance(each, RefusedLabel)]
    assert [each.source_id for each in refused] == ["JVASP-1"]
    assert said in refused[0].detail


def test_the_mean_permittivity_is_a_label_unless_the_crystal_is_a_metal(
    server: LocalServer, figshare: Figshare
) -> None:
    figshare.put([record(1), record(2, optb88vdw_bandgap=0.0), record(3, epsz="na"), record(4, epsx="na")])
    found = [each for each in label_rows() if not (isinstance(each, LabelRow) and "tensor_voigt" in each.row)]
    first = found[0]
    assert isinstance(first, LabelRow) and np.isclose(first.row["eps_electronic"], 4.2)
    assert first.row["eps_total"] is None and "LOPTICS" in first.row["method"]
    details = [each.detail for each in found[1:] if isinstance(each, RefusedLabel)]
    assert len(details) == 2 and "band gap is 0" in details[0] and "epsz" in details[1]


def test_records_without_labels_give_none(server: LocalServer, figshare: Figshare) -> None:
    figshare.put([record(1, elastic_tensor="na", epsx="na"), record(2)])
    assert {each.source_id for each in label_rows()} == {"JVASP-2"}


# GMTNet's own files.


@pytest.fixture
def released(tmp_path: Path) -> Path:
    """The two files as GMTNet reads them, with a crystal that is in both."""
    folder = tmp_path / "released"
    folder.mkdir()
    atoms = record(7)["atoms"]
    piezo_vasp = np.arange(18.0).reshape(3, 6)
    diele = [
        {"JARVIS_ID": "JVASP-7", "atoms": atoms, "dielectric": np.diag([4.0, 4, 5]), "piezoelectric_C_m2": piezo_vasp}
    ]
    kbar = 10 * np.array(record(7)["elastic_tensor"])
    elastic = [
        {"JARVIS_ID": "JVASP-7", "atoms": atoms, "elastic_total_kbar": kbar},
        {"JARVIS_ID": "JVASP-8", "atoms": record(8)["atoms"], "elastic_total_kbar": kbar},
    ]
    (folder / "jarvis_diele_piezo.pkl").write_bytes(pickle.dumps(diele))
    (folder / "jarvis_elastic.pkl").write_bytes(pickle.dumps(elastic))
    return folder


def test_the_released_files_are_crystals(released: Path) -> None:
    (block,) = open_source(f"jarvis:{released}").blocks()
    assert block.source_ids == ["JVASP-7", "JVASP-8"] and block.crystals.atoms_per_crystal.tolist() == [4, 4]
    (rest,) = open_source(f"jarvis:{released}").blocks(1)
    assert (rest.start, rest.source_ids) == (1, ["JVASP-8"])
    (one,) = open_source(f"jarvis:{released / 'jarvis_diele_piezo.pkl'}").blocks()
    assert one.source_ids == ["JVASP-7"]
    first = open_source(f"jarvis:{released}").fingerprint()
    (released / "jarvis_elastic.pkl").write_bytes(pickle.dumps([]))
    assert open_source(f"jarvis:{released}").fingerprint() != first


def test_a_record_of_a_released_file_that_cannot_be_read_is_refused_alone(released: Path) -> None:
    """A crystal without its tensor is still one; a tensor without its crystal is nothing."""
    path = released / "jarvis_elastic.pkl"
    good = pickle.loads(path.read_bytes())  # noqa: S301 - written by this test
    path.write_bytes(pickle.dumps([good[0], {**good[0], "JARVIS_ID": "flat", "atoms": {}}, good[1]]))
    (block,) = open_source(f"jarvis:{released}").blocks()
    assert block.source_ids == ["JVASP-7", "JVASP-8"] and [each.source_id for each in block.rejected] == ["flat"]
    assert (block.stop, block.rejected[0].position) == (3, 1)
    refused = [each for each in open_labels(f"jarvis:{released}").rows() if isinstance(each, RefusedLabel)]
    assert [(each.source_id, each.reason) for each in refused] == [("flat", LabelReason.STRUCTURE)]
    path.write_bytes(pickle.dumps([good[0], {**good[1], "elastic_total_kbar": [[1.0], [2.0, 3.0]]}]))
    (block,) = open_source(f"jarvis:{released}").blocks()
    assert block.source_ids == ["JVASP-7", "JVASP-8"] and block.rejected == []
    labels = list(open_labels(f"jarvis:{path}").rows())
    assert [isinstance(each, RefusedLabel) for each in labels] == [False, True]
    assert isinstance(labels[1], RefusedLabel) and labels[1].reason is LabelReason.PARSE


def test_two_records_of_a_file_with_one_id_are_two_inputs(released: Path) -> None:
    path = released / "jarvis_elastic.pkl"
    good = pickle.loads(path.read_bytes())  # noqa: S301 - written by this test
    path.write_bytes(pickle.dumps([{**each, "JARVIS_ID": "same"} for each in good]))
    (block,) = open_source(f"jarvis:{path}").blocks()
    assert block.source_ids == ["same", "same"] and block.positions.tolist() == [0, 1]


def test_the_released_files_are_labels_in_our_order_and_units(released: Path) -> None:
    rows = [each.row for each in open_label_source(f"jarvis:{released}").rows() if isinstance(each, LabelRow)]
    by_kind = {row["kind"]: row for row in rows}
    assert sorted(row["kind"] for row in rows) == [
        "dielectric_total",
        "elastic_stiffness",
        "elastic_stiffness",
        "piezo_e_total",
    ]
    assert np.allclose(by_kind["elastic_stiffness"]["tensor_voigt"], wurtzite_stiffness())
    e = np.array(by_kind["piezo_e_total"]["tensor"])
    assert (e[0, 0, 1], e[0, 1, 2], e[0, 0, 2]) == (3.0, 4.0, 5.0), "VASP lists 11, 22, 33, 12, 23, 31"
    assert np.allclose(by_kind["dielectric_total"]["tensor_electronic"], np.diag([4, 4, 5]))
    assert by_kind["piezo_e_total"]["point_group"] == "6mm"
    renamed = released / "mine.pkl"
    (released / "jarvis_elastic.pkl").rename(renamed)
    assert [each.row["kind"] for each in open_labels(f"jarvis:{renamed}").rows() if isinstance(each, LabelRow)] == [
        "elastic_stiffness"
    ] * 2


class Harmful:
    def __reduce__(self) -> Any:
        return print, ("executed",)


def test_a_pickle_that_wants_to_run_code_is_refused(released: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (released / "jarvis_elastic.pkl").write_bytes(pickle.dumps([Harmful()]))
    for opened in (open_crystals, open_labels):
        with pytest.raises(SourceError, match="was refused"):
            list(opened(f"jarvis:{released}").blocks() if opened is open_crystals else label_rows(f"jarvis:{released}"))
    assert "executed" not in capsys.readouterr().out
