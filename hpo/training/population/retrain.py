"""One trial trained again: a population of one."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch

from hpo.torch_mode import own_mode
from hpo.training import draws
from hpo.training.data import Data
from hpo.training.hyperparameters import complete
from hpo.training.model import SimpleNN
from hpo.training.optimizers import unfused
from hpo.training.population.chunk import Chunk, Member
from hpo.training.population.inputs import Inputs
from hpo.training.population.layout import layout_of
from hpo.training.solo import train_and_evaluate


@own_mode()
def retrain(params: Mapping[str, Any], data: Data, seed: int, epochs: int, device: torch.device) -> SimpleNN | None:
    """The network that the trial (params, seed) ends with in any population, or in the solo path if it trains there.

    Args:
        params: a configuration, or part of one: defaults fill the rest.
        data: what to train on.
        seed: all randomness of the trial, in [0, 2^63).
        epochs: how many, >= 0.
        device: where to train; the network comes back on the CPU.

    Returns:
        The network, or None if its training diverges.

    Raises:
        SpaceError: an unknown hyperparameter or an illegal value.
    """
    settings = complete(params)
    if unfused(settings):
        model, solo_steps = train_and_evaluate(params, data, seed, epochs)
        return None if any(math.isnan(step.value) for step in solo_steps) else model
    member = Member(settings, draws.trial_keys([seed]))
    chunk = Chunk([member], Inputs.of(data, device))
    for _ in range(epochs):
        steps = chunk.train_epoch(lambda: False)
        assert steps is not None  # nobody stopped it
        if math.isnan(steps[0].value):
            return None
    return layout_of(settings, data).to_model(settings, member.tensors[0])
