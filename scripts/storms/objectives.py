"""What the storms search: a Python function that fails now and then. The command line imports it by name."""

import os
import time
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from hpo import Choice, Float, Int

PAUSE = "STORM_PAUSE_SECONDS"  # of each epoch; changes no result
space = {"x": Float(0.0, 1.0), "units": Int(1, 8, log=True), "kind": Choice(("a", "b"))}
grid = {"x": Float(0.0, 1.0, step=0.25), "units": Choice((1, 2, 4)), "kind": Choice(("a", "b"))}


def climb(params: Mapping[str, Any], epochs: int, seed: int) -> Iterator[float]:
    """A value for every epoch; the third raises where x is large, the second is not finite where x is small."""
    noise = float(np.random.default_rng(seed).random())
    for epoch in range(1, epochs + 1):
        time.sleep(float(os.environ.get(PAUSE, "0")))
        if params["x"] > 0.9 and epoch == 3:
            raise ValueError("too large")
        value = -((params["x"] - 0.3) ** 2) / epoch + noise / 10 + seed % 7 / 100 + params["units"] / 50
        yield float("-inf") if params["x"] < 0.1 and epoch == 2 else value


def instant(params: Mapping[str, Any]) -> float:
    """Only the store takes time."""
    return float(params["x"])
