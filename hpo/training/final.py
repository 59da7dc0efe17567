"""The network that a user takes home: a trial trained again, on everything that it may be trained on."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from hpo.objective import Step
from hpo.torch_mode import own_mode
from hpo.training.data import Data
from hpo.training.hyperparameters import Settings
from hpo.training.model import SimpleNN
from hpo.training.population.machine import choose_device
from hpo.training.population.member import member_of
from hpo.training.population.retrain import retrain, retrain_all
from hpo.training.preparation import Transform
from hpo.trial import Job

if TYPE_CHECKING:
    from hpo.training.objective import SimpleNNObjective

_ROWS_AT_ONCE = 2**14


@dataclass(frozen=True)
class FinalModel:
    """A trained network with what belongs to it.

    Attributes:
        model: for evaluation, on the CPU.
        settings: its hyperparameters.
        transform: turns inputs into what it sees.
        data: what it was trained on.
        epochs: how many it was trained for.
    """

    model: SimpleNN
    settings: Settings
    transform: Transform
    data: Data
    epochs: int

    def outputs(self, x: Tensor) -> Tensor:
        """Prepared inputs (n, d) -> outputs (n, C)."""
        return outputs_of(self.model, x)


@own_mode()
@torch.no_grad()
def outputs_of(model: SimpleNN, x: Tensor) -> Tensor:
    """What a network for evaluation gives, block by block: prepared inputs (n, d) -> outputs (n, C)."""
    return torch.cat([model(block) for block in torch.split(x, _ROWS_AT_ONCE)])


def train_final(objective: SimpleNNObjective, job: Job, everything: bool = False) -> FinalModel | None:
    """Train a trial from its seed on to `job.target` of at most `job.epochs`.

    With one validation part it is the very network that had the trial's value. Cross-validation has k networks, so
    one more is trained on training and validation rows together; `everything` takes the test rows, too. Then
    nothing is left to stop early by: training takes as many epochs as were best before, in the mean over folds.

    Args:
        objective: whose trial it is.
        job: the trial.
        everything: whether to train on all rows.

    Returns:
        None if training diverges.
    """
    if objective.folds == 1 and not everything:
        return train_finals(objective, [job])[0]
    metric, device = objective.scoring(), choose_device(objective.device)
    settings, dataset = objective.settings(job.params), objective.dataset
    rows = "all" if everything else "development"
    epochs = job.target
    if settings.early_stopping:
        members = objective.members(job)
        if not all(map(_converged, retrain_all(dict.fromkeys(members, epochs), metric, device))):
            return None
        epochs = max(1, round(sum(member.history.best_epoch for member in members) / len(members)))
    data = dataset.prepared(settings.preparation, rows)
    member = member_of(
        replace(settings, early_stopping=False), data, job.seed, job.epochs, objective.first_network(settings, rows)
    )
    if not _converged(retrain(member, epochs, metric, device)):
        return None
    return FinalModel(member.model(), settings, dataset.transform(settings.preparation, rows), data, epochs)


def train_finals(objective: SimpleNNObjective, jobs: Sequence[Job]) -> list[FinalModel | None]:
    """`train_final` of many trials; with one validation part they train together."""
    if objective.folds > 1:
        return [train_final(objective, job) for job in jobs]
    members = [objective.members(job)[0] for job in jobs]
    epochs = {member: job.target for member, job in zip(members, jobs, strict=True)}
    trained = retrain_all(epochs, objective.scoring(), choose_device(objective.device))
    return [
        FinalModel(
            member.model(),
            member.settings,
            objective.dataset.transform(member.settings.preparation),
            member.data,
            member.epoch,
        )
        if _converged(steps)
        else None
        for member, steps in zip(members, trained, strict=True)
    ]


def _converged(steps: Sequence[Step]) -> bool:
    return all(math.isfinite(step.value) for step in steps)
