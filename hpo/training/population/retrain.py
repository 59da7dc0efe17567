"""One trial trained again: a population of one."""

from __future__ import annotations

import math

import torch

from hpo.objective import Step
from hpo.torch_mode import own_mode
from hpo.training.metrics import Metric
from hpo.training.population.chunk import Chunk
from hpo.training.population.inputs import Inputs
from hpo.training.population.member import Member


@own_mode()
def retrain(member: Member, epochs: int, metric: Metric, device: torch.device) -> list[Step]:
    """Train a trial as any population would.

    Args:
        member: before its first epoch; `member.model()` is the network afterwards.
        epochs: how many, at most; early stopping may end it sooner.
        metric: the study's.
        device: where to train.

    Returns:
        The step of each epoch; the last has value NaN if training diverged.
    """
    inputs = Inputs.of(member.data, device)
    chunk = Chunk([member], lambda _: inputs, metric)
    found: list[Step] = []
    for epoch in range(1, epochs + 1):
        steps = chunk.train_epoch(lambda: False, lambda _, last=epoch == epochs: last)
        assert steps is not None  # nobody stopped it
        found += steps
        if math.isnan(found[-1].value) or found[-1].ended:
            break
    return found
