"""Networks with random weights, each made once: making one takes longer than running it."""

from functools import cache

import torch

from models.gmtnet.config import GMTNetConfig
from models.gmtnet.predictor import GMTNetPredictor


@cache
def untrained(config: GMTNetConfig, dtype: torch.dtype = torch.float32) -> GMTNetPredictor:
    """A network that knows every element; do not change its weights."""
    return GMTNetPredictor.untrained(config, dtype=dtype)
