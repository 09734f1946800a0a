"""Stands in for the parser in a child: hangs or dies on the texts that say so, and loads no reader."""

import os
from typing import Any

import numpy as np

from gmt_tasks.sandbox.messages import Message
from gmt_tasks.sources.files.text_jobs import encode_readings
from gmt_tasks.sources.parsed import ParsedCrystal


def answer(content: Any) -> Message:
    """Runs in the child: one atom of lithium for every other text."""
    while "data_hang" in content["text"]:
        pass
    if "data_segfault" in content["text"]:
        os.abort()
    return encode_readings(ParsedCrystal(4 * np.eye(3), np.zeros((1, 3)), np.array([3])))
