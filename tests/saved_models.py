"""Tables, trials and saved models for the tests of what is taken home."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from hpo.training.objective import SimpleNNObjective
from hpo.training.saved import SavedModel, load_model
from hpo.trial import Job


def table(rows: int = 120, seed: int = 0) -> pd.DataFrame:
    """Numbers with gaps, texts, yes and no; classes with names and a number to predict, each of which they tell."""
    rng = np.random.default_rng(seed)
    size, colour = rng.normal(50, 20, rows), rng.choice(["red", "green", "blue"], rows)
    frame = pd.DataFrame(
        {"size": size, "colour": colour, "old": rng.random(rows) < 0.3, "noise": rng.normal(size=rows)}
    )
    frame["kind"] = np.where(size + 30 * (colour == "red") > 60, "big one", "=small")
    frame["price"] = 1000 + 10 * size + 100 * (colour == "red")
    frame.loc[rng.random(rows) < 0.1, "size"] = np.nan
    frame.loc[rng.random(rows) < 0.1, "colour"] = None
    return frame


def job(params: dict[str, Any], seed: int = 5, target: int = 3) -> Job:
    return Job(study=1, evaluation=0, number=0, params=params, seed=seed, start=0, target=target, epochs=10)


def saved(objective: SimpleNNObjective, trial: Job, path: Path) -> SavedModel:
    """The trial's model, written to a file and read back."""
    content = objective.model_file(trial, study="mine", scores=None)
    assert content is not None
    path.write_bytes(content)
    return load_model(path)
