"""What the tests of learning and assessment share: the label files, read once."""

from pathlib import Path

import pytest

from gmt_tasks.labels.files import LabelledCrystals, read_labels

DATA = Path("../shared/data")


@pytest.fixture(scope="session")
def real_labels() -> LabelledCrystals:
    """Every label file; reading them takes a quarter of a minute. Tests that take it skip where there are none."""
    return read_labels(DATA)
