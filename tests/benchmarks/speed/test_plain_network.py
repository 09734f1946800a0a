"""The plain network and ours, of the same weights, say the same of the same crystals."""

from pathlib import Path

import numpy as np
import pytest

from benchmarks.speed.inputs import write_crystals
from models.quantities import TENSORS
from models.reference.crystals import textbook_crystals


@pytest.mark.slow
def test_tensors_agree_with_those_of_our_network(tmp_path: Path) -> None:
    from benchmarks.speed.plain.line import PlainLine
    from gmt_tasks.screening.screener import Screener

    book = textbook_crystals()
    # two without a centre of inversion, so that no tensor vanishes
    polar = [k for k, name in enumerate(book.classes) if name in {"6mm", "32"}][:2]
    crystals = book.crystals.select(polar)
    write_crystals(tmp_path / "two.parquet", ["a", "b"], crystals)
    line = PlainLine()
    raw = line.screen(tmp_path / "two.parquet", tmp_path / "plain.db")
    ours = Screener.load("gmtnet-paper", device="cpu").model.predict(crystals)
    for tensor, values in ours.items():
        for row, name in enumerate(("a", "b")):
            size = max(np.linalg.norm(values[0, row]), TENSORS[tensor].absolute_below)
            assert np.linalg.norm(raw[name][tensor] - values[0, row]) < 1e-4 * size
    # a network that ignores its crystal would agree too
    first, second = (np.asarray(raw[name][next(iter(ours))]) for name in ("a", "b"))
    assert np.linalg.norm(first - second) > 0.1
    assert set(line.seconds) == {
        "read",
        "structures",
        "symmetry",
        "neighbours",
        "network",
        "symmetrize",
        "derive",
        "store",
    }
