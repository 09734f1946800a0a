"""Pictures are drawn from plain figures, and the same figures give the same file."""

from pathlib import Path

import numpy as np

from flows.reports.plots import plot_reliability, plot_selective
from gmt_tasks.evaluation.calibration import ReliabilityCurve, SelectiveCurve


def test_pictures_are_written_and_reproducible(tmp_path: Path) -> None:
    kept = np.linspace(0.1, 1.0, 10).tolist()
    curves = [
        SelectiveCurve(name, "test", 10, kept, kept, 0.5, 0.6, 0.3)
        for name in ("k_vrh_gpa", "g_vrh_gpa", "elastic_error_gpa", "eps_total_mean", "poisson_vrh")
    ]
    reliability = [ReliabilityCurve("k_vrh_gpa", 100, [10.0, 50.0, 90.0], [12.0, 49.0, 91.0])]
    first = [plot_selective(curves, tmp_path / "a.png"), plot_reliability(reliability, tmp_path / "b.png")]
    second = [plot_selective(curves, tmp_path / "c.png"), plot_reliability(reliability, tmp_path / "d.png")]
    for one, again in zip(first, second, strict=True):
        assert one.read_bytes().startswith(b"\x89PNG")
        assert one.read_bytes() == again.read_bytes()
    other = plot_selective(curves[:1], tmp_path / "e.png")  # negative control
    assert other.read_bytes() != first[0].read_bytes()
