"""One trial trained again: a population of one, or by itself if it cannot be trained in company."""

from __future__ import annotations

import math

import torch

from hpo.objective import Step
from hpo.torch_mode import own_mode
from hpo.training.metrics import Metric
from hpo.training.optimizers import unfused
from hpo.training.population.chunk import Chunk
from hpo.training.population.inputs import Inputs
from hpo.training.population.member import Member
from hpo.training.solo import SoloRun


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
    if unfused(member.settings):
        return _alone(member, epochs, metric)
    inputs = Inputs.of(member.data, device)
    chunk = Chunk([member], lambda _: inputs, metric)
    found: list[Step] = []
    while member.epoch < epochs and not (found and (math.isnan(found[-1].value) or found[-1].ended)):
        steps = chunk.train_epoch(lambda: False, lambda each: each.epoch == epochs)
        assert steps is not None  # nobody stopped it
        found += steps
    return found


def _alone(member: Member, epochs: int, metric: Metric) -> list[Step]:
    run = SoloRun(member.settings, member.data, int(member.key), member.epochs, metric, member.start)
    steps = list(run.advance(epochs))
    last, best = (
        member.layout.from_model(member.settings, model, member.data.train.x.dtype)
        for model in (run.model, run.best_model())
    )
    member.tensors, member.last, member.history = last, steps[-1] if steps else None, run.history
    if member.settings.early_stopping:
        member.best = best
    return steps
