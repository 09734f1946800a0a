"""The flow `retrain` as a worker loads it from a file, with a network and a gate for toy labels (see `tiny_gate`)."""

import pytest

from flows.retrain import retrain
from tests.gmt_tasks.retraining.tiny import tiny_gate

__all__ = ["retrain"]

tiny_gate(pytest.MonkeyPatch())
