"""The picture of the distance score is drawn, and what `show` says about reliability."""

from pathlib import Path

from flows.reports.crystal_view import reliability_lines
from flows.reports.plot_applicability import plot_applicability
from gmt_tasks.evaluation.applicability import ErrorByDistance, FamilyDetection
from models.reliability_columns import RELIABILITY

KNOWN = {
    "ood_score": 0.973,
    "ood": True,
    "bond_dimensionality": 2.0,
    "vacuum_angstrom": 11.46,
    "open_framework": False,
    "defect_supercell": False,
    "molecular": False,
    "low_dimensional": True,
    "layered": False,
    "equilibrium_volume_ratio": 0.913,
    "off_equilibrium": True,
    "elastic_stability_probability": None,
    "band_gap_ev": 0.02,
    "metal": True,
    "reliability_dielectric_electronic": 0.0,
    "reliability_dielectric_total": 0.0,
    "reliability_piezoelectric": None,
    "reliability_elastic": 0.874,
}


def test_families_and_errors_become_a_png(tmp_path: Path) -> None:
    families = [FamilyDetection("halides", 600, 990, 0.99, 0.96, 0.05, 1.0)]
    errors = [ErrorByDistance("elastic_voigt", "val", 450, 0.45, 0.1, 0.14, 0.24, 0.36, 7)]
    path = tmp_path / "novelty.png"
    plot_applicability(families, errors, path)
    assert path.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    assert path.stat().st_size > 5000


def test_show_says_what_speaks_against_a_slab_of_metal() -> None:
    assert list(KNOWN) == list(RELIABILITY)
    lines = list(reliability_lines(KNOWN))
    assert lines[0] == "training data: OUT OF DISTRIBUTION; 97.3 % of held-out crystals are nearer to it"
    assert lines[1] == "bonds form layers, in 11.5 angstrom of vacuum"
    assert lines[2] == "OFF EQUILIBRIUM: relaxed, the volume is predicted to change by -8.7 %"
    assert lines[3] == "predicted band gap 0.02 eV; a METAL: dielectric and piezoelectric numbers are left out"
    assert lines[4] == "reliability (1: no large error): ε∞ 0.00, ε0 0.00, C 0.87"


def test_show_is_silent_about_what_is_not_known() -> None:
    assert list(reliability_lines(dict.fromkeys(RELIABILITY))) == []
    crystal = {
        **dict.fromkeys(RELIABILITY),
        "bond_dimensionality": 3.0,
        "vacuum_angstrom": 0.0,
        "low_dimensional": False,
    }
    assert list(reliability_lines(crystal)) == ["bonds form a framework"]
    with_defect = crystal | {"defect_supercell": True}
    assert list(reliability_lines(with_defect)) == [
        "bonds form a framework; many cells of a simpler crystal with a point defect"
    ]
