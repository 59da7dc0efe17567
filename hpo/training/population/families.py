"""The optimizers of a chunk: a step of all its trials, each with its own coefficients."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor

from hpo.training.gradients import clip, gradient_columns, penalize
from hpo.training.hyperparameters import Settings
from hpo.training.optimizers import OPTIMIZERS, Columns, Optimizer, setting_columns, stacked_step, step_columns
from hpo.training.population.layout import Layout
from hpo.training.population.member import Member
from hpo.training.population.network import runs
from hpo.training.schedules import History


def family_of(settings: Settings) -> tuple[int, str, bool]:
    """What the members of a family have in common; without decay, a step is one operation shorter."""
    return -len(settings.widths), settings.optimizer, settings.weight_decay > 0


class Trained(Protocol):
    """What coefficients need to know of a trial."""

    settings: Settings
    epochs: int
    history: History

    @property
    def epoch(self) -> int:
        """Epochs trained."""
        ...


def epoch_columns(
    optimizer: Optimizer, settings: Columns, members: Sequence[Trained], steps: int, like: Tensor
) -> list[Columns]:
    """The coefficients of every step of the epoch to come, (k, 1) each.

    Args:
        optimizer: of all members.
        settings: their `setting_columns`.
        members: k trials.
        steps: of an epoch.
        like: has the type and device that the coefficients get.
    """
    trained = torch.tensor([member.epoch * steps for member in members], device="cpu")  # (k,)
    t = torch.arange(1, steps + 1, device="cpu")[:, None, None] + trained[:, None]  # (S, k, 1)
    rates = [[each.history.rate(each.settings, each.epoch, each.epochs)] for each in members]
    now = {**settings, "learning_rate": torch.tensor(rates, dtype=torch.float64, device="cpu")}
    found = {name: c.to(like) for name, c in step_columns(optimizer, now, t).items()}
    changing = {name: c.unbind() for name, c in found.items() if c.dim() == 3}
    return [found | {name: each[step] for name, each in changing.items()} for step in range(steps)]


class Family:
    """Neighbouring members of one depth and one optimizer.

    Args:
        members: k of them.
        layout: of their rows.
        rows: their parameters, (k, at least P).
        grads: their gradients, (k, at least P).
        statistics: their running statistics, (k, at least S).
    """

    def __init__(
        self, members: Sequence[Member], layout: Layout, rows: Tensor, grads: Tensor, statistics: Tensor
    ) -> None:
        first = members[0].settings
        size = layout.size(len(first.widths))
        self._members = members
        self._optimizer = OPTIMIZERS[first.optimizer]
        self._rows, self._grads, self._statistics = rows[:, :size], grads[:, :size], statistics
        self._slots = [rows.new_zeros(len(members), size) for _ in range(self._optimizer.slots)]
        for k, member in enumerate(members):
            if member.tensors:
                for mine, own in zip(self._of(k), member.tensors, strict=True):
                    mine.copy_(own)
        self._settings = setting_columns([member.settings for member in members])

    def _of(self, k: int) -> tuple[Tensor, ...]:
        """The tensors of the member number k."""
        settings = self._members[k].settings
        statistics = self._statistics[k, : self._members[k].layout.statistics(settings)]
        return self._rows[k], statistics, *(slot[k] for slot in self._slots)

    def take_over(self) -> None:
        """Make the members' tensors views of these."""
        for k, member in enumerate(self._members):
            member.tensors = self._of(k)

    def columns(self, steps: int) -> list[Columns]:
        """The coefficients of every step of the epoch to come, (k, 1) each."""
        return epoch_columns(self._optimizer, self._settings, self._members, steps, self._rows)

    def step(self, columns: Columns) -> None:
        """One step of the optimizer."""
        stacked_step(self._optimizer, self._rows, self._grads, self._slots, columns)


class Constraints:
    """What happens to gradients before the optimizers see them: l1, l2, clipping.

    Args:
        settings: of K trials, the deepest first.
        layout: of their rows.
        rows: their parameters, (K, P).
        grads: their gradients, (K, P).
    """

    def __init__(self, settings: Sequence[Settings], layout: Layout, rows: Tensor, grads: Tensor) -> None:
        c = {name: column.to(rows) for name, column in setting_columns(settings).items()}
        self._runs = []  # of one depth: the sum over a row must not depend on how deep others are
        for start, end in runs([_constrained(each) for each in settings]):
            depth, some = len(settings[start].widths), slice(start, end)
            p, g = (each[some, : layout.size(depth)] for each in (rows, grads))
            of_run = gradient_columns({name: column[some] for name, column in c.items()})
            if of_run:
                self._runs.append((p, g, layout.penalized(depth).to(rows), of_run))

    def apply(self) -> None:
        """Change the gradients."""
        for p, g, weights, c in self._runs:
            penalize(g, p, weights, c.get("l1"), c.get("l2"))
            clip(g, c.get("clip_norm"), c.get("clip_value"))


def _constrained(settings: Settings) -> tuple[int, bool, bool]:
    """Depth, and which penalties a trial has: to have none is not to have 0 times one, which may be NaN."""
    return len(settings.widths), settings.l1 > 0, settings.l2 > 0
