"""JSON files: long documents are read by a child, short ones by the driver, with the same result."""

import json
from pathlib import Path

import numpy as np
import pytest

from gmt_tasks.sources.files.json_texts import SHORT_JSON_BYTES
from gmt_tasks.sources.open import open_source
from tests.gmt_tasks.sources.dumps import WRITERS, sample


@pytest.mark.usefixtures("shared_children")
def test_a_long_document_gives_the_same_inputs_as_a_short_one(tmp_path: Path) -> None:
    samples = [sample(seed, 3) for seed in range(6)]
    for shape, write in WRITERS.items():
        document = write(samples)
        (tmp_path / "x.json").write_text(json.dumps(document))
        (short,) = open_source(str(tmp_path / "x.json")).blocks()
        (tmp_path / "x.json").write_text(json.dumps(document) + " " * (SHORT_JSON_BYTES + 1))
        (long,) = open_source(str(tmp_path / "x.json")).blocks()
        assert short.source_ids == long.source_ids == [s.name for s in samples], shape
        assert np.array_equal(short.crystals.frac_coords, long.crystals.frac_coords)
        assert short.metadata == long.metadata and not short.rejected and not long.rejected
