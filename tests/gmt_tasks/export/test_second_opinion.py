"""Second opinions where people see them: show, comparison, relaxed cells in files, the explorer."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from db.query.request import Request
from db.records import ModelVersion
from db.store import ResultStore
from gmt_tasks.export.comparison import compare_crystals
from gmt_tasks.export.files import ExportFormat, export
from gmt_tasks.export.second_opinion import FERROELECTRIC_CANDIDATE, network_result, opinion_reports
from gmt_tasks.export.structure_text import ExportError
from models.quantities import Tensor
from models.refinement_quantities import REFINED, REFINEMENT
from tests.db import blocks
from tests.db.explorer.served import asking
from tests.db.refinements.opinions import MODES, POTENTIAL, refinement
from tests.flows.cli.results.test_results import run

NETWORK = ModelVersion("toy", "1+local", "a" * 64)
BOTH = ModelVersion.combined(NETWORK, ModelVersion("potential", "2", "b" * 64), "1")
UNSTABLE, STABLE, BARE = map(blocks.crystal_id, (1, 2, 0))
COMMON = {
    "relaxation": "converged",
    "volume_ratio": 1.02,
    "relaxation_energy_ev_per_atom": -0.012,
    "symmetric_spacegroup": 221,
    "potential_k_vrh_gpa": 150.0,
    "given_pressure_gpa": 3.0,
}
UNSTABLE_COLUMNS: dict[str, Any] = {
    "gamma_stable": False,
    "polar_instability": True,
    "refined_spacegroup": 99,
    "symmetry_breaking_energy_ev_per_atom": -0.005,
    "relaxation": "not_converged",
}
STABLE_COLUMNS: dict[str, Any] = {
    "gamma_stable": True,
    "refined_spacegroup": 221,
    "e_above_hull_ev_per_atom": 0.03,
    "e_above_hull_uncertainty_ev_per_atom": 0.05,
    "n_hull_references": 7,
}


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three screened crystals, of which two have a second opinion; combined numbers are 1000 above the network's."""
    path = tmp_path_factory.mktemp("opinions") / "hits.db"
    with ResultStore(path) as store:
        for model in (NETWORK, BOTH):
            opened = store.open_run(blocks.spec(f"by {model}", model=model))
            seeds = range(3) if model is NETWORK else (1, 2)
            store.add_block(opened.id, blocks.block(0, seeds, f"by {model}"), 10**6)
            store.end_ingest(opened.id, f"by {model}")
            lease = store.lease_shard(opened.id, "w")
            assert lease is not None
            opinions = [] if model is NETWORK else [opinion(UNSTABLE), opinion(STABLE)]
            computed = blocks.results(lease, shift=0.0 if model is NETWORK else 1000.0)
            assert store.commit_shard(lease, replace(computed, refinements=opinions))
    return path


def opinion(crystal_id: str) -> Any:
    columns = UNSTABLE_COLUMNS if crystal_id == UNSTABLE else STABLE_COLUMNS
    made = refinement(crystal_id, n_atoms=3, notes=[f"a note about {crystal_id[:6]}"], **COMMON | columns)
    return made if crystal_id == UNSTABLE else replace(made, modes=MODES[1:])


@pytest.fixture(scope="module")
def store(path: Path) -> Iterator[ResultStore]:
    with ResultStore(path) as opened:
        yield opened


def test_show_says_what_the_potential_found_and_nothing_of_a_crystal_without(path: Path) -> None:
    text = run("show", UNSTABLE, "--db", str(path)).stdout.split("Second opinion")[1]
    for part in (
        "NOT CONVERGED",
        "1.0200 times that of the cell as given (+2.00 %)",
        "12.0 meV per atom",
        "it wants to expand",
        f"UNSTABLE: A1 at -1.50 THz (polar, so a {FERROELECTRIC_CANDIDATE})",
        FERROELECTRIC_CANDIDATE.upper(),
        "it goes to space group 99, 5.0 meV per atom lower",
        f"a note about {UNSTABLE[:6]}",
        POTENTIAL,
    ):
        assert part in text, part
    stable = run("show", STABLE, "--db", str(path)).stdout.split("Second opinion")[1]
    assert "+30 ± 50 (90 %) meV per atom, 7 references" in stable
    assert "UNSTABLE" not in stable and FERROELECTRIC_CANDIDATE not in stable
    assert "Second opinion" not in run("show", BARE, "--db", str(path)).stdout


def test_show_as_json_has_every_property_and_moduli_side_by_side(path: Path, store: ResultStore) -> None:
    facts = json.loads(run("show", UNSTABLE, "--db", str(path), "--json").stdout)
    (shown,) = facts["second_opinions"]
    assert set(REFINEMENT) <= shown.keys()
    assert shown["moduli"]["k_vrh_gpa"]["potential"] == 150.0
    assert shown["moduli"]["k_vrh_gpa"]["combined"] == pytest.approx(shown["moduli"]["k_vrh_gpa"]["network"] + 1000)
    assert [mode["ferroelectric_candidate"] for mode in shown["modes"]] == [True, False]
    assert np.shape(shown["relaxed"]["lattice_angstrom"]) == (3, 3)
    assert json.loads(run("show", BARE, "--db", str(path), "--json").stdout)["second_opinions"] == []
    assert opinion_reports(store.show(BARE)) == []


def test_an_unstable_mode_without_a_dipole_is_no_candidate(store: ResultStore) -> None:
    facts = store.show(UNSTABLE)
    (one,) = facts["second_opinions"]
    plain = one | {"modes": [MODES[0] | {"polar": False}]}
    (report,) = opinion_reports(facts | {"second_opinions": [plain]})
    assert report.modes[0].remark == "unstable"
    assert dict(report.facts)["zone centre"] == "UNSTABLE: A1 at -1.50 THz (not polar)"


def test_the_network_of_a_combined_model_is_found_though_versions_hold_the_same_sign() -> None:
    names = ["toy@1", "toy@1+local", "toy@1+other", "toys@1+local", str(BOTH)]
    result = network_result([{"model": name} for name in names], str(BOTH))
    assert result == {"model": "toy@1+local"}
    assert network_result([{"model": "other@1"}], str(BOTH)) is None


def test_a_comparison_has_rows_of_second_opinions_where_a_crystal_has_one(store: ResultStore) -> None:
    facts = [store.show(crystal) for crystal in (UNSTABLE, BARE, STABLE)]
    rows = {row.name: row for row in compare_crystals(facts).rows}
    assert rows[REFINED].values == [True, False, True]
    assert rows["gamma_stable"].values == [False, None, True]
    assert rows["volume_ratio"].best is None
    combined, network = rows["combined_k_vrh_gpa"].values, rows["k_vrh_gpa"].values
    assert combined[0] == pytest.approx(network[0] + 1000) and combined[1] is None
    assert not {REFINED, "gamma_stable"} & {row.name for row in compare_crystals([store.show(BARE)] * 2).rows}


def test_relaxed_cells_are_exported_with_the_tensors_that_belong_to_them(store: ResultStore, tmp_path: Path) -> None:
    out = tmp_path / "relaxed.extxyz"
    written = export(store, Request("", ("formula",), limit=0), ExportFormat.EXTXYZ, out, relaxed=True)
    assert written.n_hits == 2 and [crystal for _, crystal in written.without] == [BARE]
    from ase.io import read

    frames = {frame.info["id"]: frame for frame in read(out, ":")}
    assert set(frames) == {UNSTABLE, STABLE}
    for crystal, frame in frames.items():
        expected, result = opinion(crystal).relaxed, store.show(crystal)["results"][1]
        assert np.allclose(frame.cell[:], expected.lattice[0]) and np.allclose(
            frame.get_scaled_positions(), expected.frac_coords
        )
        assert frame.info["relaxed_by"] == POTENTIAL and frame.info["model"] == str(BOTH)
        assert np.allclose(frame.info["elastic_voigt"], result["tensors"][Tensor.ELASTIC.value])


@pytest.mark.parametrize("format", [ExportFormat.CIF, ExportFormat.POSCAR])
def test_files_of_relaxed_cells_say_so(store: ResultStore, tmp_path: Path, format: ExportFormat) -> None:
    assert export(store, Request(REFINED, ("id",)), format, tmp_path, relaxed=True).n_hits == 2
    files = sorted(tmp_path.iterdir())
    assert len(files) == 2 and all("relaxed" in file.name for file in files)
    assert all(f"relaxed by {POTENTIAL}" in file.read_text(encoding="utf-8") for file in files)


def test_the_command_names_what_it_leaves_out_and_tables_hold_no_relaxed_cells(path: Path, tmp_path: Path) -> None:
    done = run("export", "", "--relaxed", "--to", str(tmp_path / "cells.extxyz"), "--db", str(path))
    assert done.exit_code == 0
    assert "1 left out, which have no second opinion" in done.stderr and BARE in done.stderr
    table = run("export", "", "--relaxed", "--to", str(tmp_path / "cells.csv"), "--db", str(path))
    assert table.exit_code == 2 and "extxyz" in table.stderr
    with ResultStore(path) as opened, pytest.raises(ExportError):
        export(opened, Request("", ("id",)), ExportFormat.PARQUET, tmp_path / "cells.parquet", relaxed=True)
    asked = run("export", "", "--fields", "id,gamma_stable", "--to", str(tmp_path / "hits.csv"), "--db", str(path))
    assert asked.exit_code == 0 and "gamma_stable" in (tmp_path / "hits.csv").read_text(encoding="utf-8")


def test_the_explorer_says_the_same_and_gives_the_relaxed_cell(path: Path, store: ResultStore) -> None:
    with asking(path) as client:
        (row,) = client.get(f"/api/v1/crystals/{UNSTABLE}/second-opinions").json()["rows"]
        assert row["facts"] == [list(pair) for pair in opinion_reports(store.show(UNSTABLE))[0].facts]
        assert client.get(f"/api/v1/crystals/{BARE}/second-opinions").json() == {"rows": []}
        text = client.get(f"/api/v1/crystals/{STABLE}/structure?format=poscar&relaxed=true").text
        assert f"relaxed by {POTENTIAL}" in text
        assert np.allclose(
            [float(word) for word in text.splitlines()[2].split()], opinion(STABLE).relaxed.lattice[0][0]
        )
        assert client.get(f"/api/v1/crystals/{BARE}/structure?relaxed=true").status_code == 404
        counts = client.get("/api/v1/facets?field=gamma_stable").json()["values"]
        assert {each["value"]: each["n"] for each in counts} == {None: 1, True: 1, False: 1}
        listed = client.get("/optimade/v1/info/structures").json()["data"]["properties"]
        assert {f"_gmt_{name}" for name in (REFINED, *REFINEMENT)} <= listed.keys()
        assert 'id="opinion-panel"' in client.get(f"/crystals/{UNSTABLE}").text
