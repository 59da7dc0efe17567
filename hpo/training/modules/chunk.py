"""A chunk: modules of one structure that train together, whole, from one epoch to another.

Nothing that one trial computes reaches another, not even a NaN. Its last bits may depend on its company all the
same: some functions round otherwise in the last places of a long row of numbers, and a product of matrices may be
computed otherwise where there are more of them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn

from hpo.objective import Step
from hpo.training import draws
from hpo.training.gradients import clip, gradient_columns, penalize
from hpo.training.hyperparameters import Settings
from hpo.training.metrics import step_of
from hpo.training.modules.dropout import Call, probabilities, words_of_steps
from hpo.training.modules.feeds import Feed
from hpo.training.modules.member import Member
from hpo.training.modules.scoring import Scoring
from hpo.training.modules.stacked import Layout, Stacked
from hpo.training.optimizers import OPTIMIZERS, Columns, setting_columns, stacked_step
from hpo.training.population.families import epoch_columns
from hpo.training.population.network import runs


class Chunk:
    """Trials that train together: their tensors become views of the chunk's.

    Args:
        members: trials of one structure, batch size and epoch, in any order.
        module: of any of them.
        feed: what they train on.
        scoring: loss and metric.
        calls: of dropout, in a forward pass with a full batch.

    Attributes:
        members: sorted so that those with an optimizer in common are neighbours. One whose training is over stays
            and is computed, but nothing of it is noted any more.
        epoch: epochs trained.
    """

    def __init__(
        self, members: Sequence[Member], module: nn.Module, feed: Feed, scoring: Scoring, calls: Sequence[Call]
    ) -> None:
        self.members = sorted(members, key=lambda member: _family_of(member.settings))
        self.epoch = members[0].epoch
        self._feed, self._scoring, self._calls = feed, scoring, calls
        layout = Layout(module)
        count = 1 + len(layout.fixed)
        like = next(module.parameters())
        rows, *fixed = (torch.stack([each.tensors[i].to(like.device) for each in self.members]) for i in range(count))
        grads = torch.zeros_like(rows)
        self._grads = layout.views(grads)
        self._stacked = Stacked(module, layout, rows, fixed, scoring)
        self._families = [
            _Family(self.members[some], rows[some], grads[some], layout.weights().to(rows))
            for some in (slice(*ends) for ends in runs([_family_of(each.settings) for each in self.members]))
        ]
        slots = [slots for family in self._families for slots in family.slots()]
        for k, member in enumerate(self.members):
            member.tensors = rows[k], *(each[k] for each in fixed), *slots[k]
        self._keys = draws.trial_keys([member.seed for member in self.members]).to(rows.device)
        self._p = probabilities([member.p for member in self.members], rows)
        smoothing = torch.tensor([member.settings.label_smoothing for member in self.members], dtype=torch.float64)
        self._smoothing = smoothing.to(rows)[:, None, None] if smoothing.any() else None

    def train_epoch(self, stopped: Callable[[], bool]) -> dict[Member, Step] | None:
        """One pass over the training rows, then over the validation rows.

        Args:
            stopped: asked before every step; if so, the members are left amid an epoch and must be given up.

        Returns:
            The step of every member that was not over before; None if it was stopped.
        """
        batch_size, epoch = self.members[0].settings.batch_size, self.epoch
        steps = self._feed.steps(batch_size)
        columns = [family.columns(steps) for family in self._families]
        words = words_of_steps(self._keys, epoch, self._calls, self._p)
        losses, rows = [], 0
        for step, (x, y, shared) in enumerate(self._feed.epoch(self._keys, epoch, batch_size)):
            if stopped():
                return None
            outputs = self._stacked.forward(x, shared, next(words) if self._calls else None)
            targets = y.expand(len(self.members), *y.shape) if shared else y
            loss, gradient = self._scoring.stacked(outputs.detach(), targets, self._smoothing)
            self._stacked.gradients(outputs, gradient, self._grads)
            for family, column in zip(self._families, columns, strict=True):
                family.step(column[step])
            losses.append(loss * targets.shape[1])
            rows += targets.shape[1]
        train = torch.stack(losses).double().sum(0) / rows  # (K,)
        return self._end_epoch(train.tolist())

    def _end_epoch(self, train: list[float]) -> dict[Member, Step]:
        self.epoch += 1
        parts = [(self._stacked.evaluate(x), y) for x, y, _ in self._feed.validation()]
        outputs, y = torch.cat([z for z, _ in parts], dim=1), torch.cat([y for _, y in parts])
        losses, values = self._scoring.values(outputs, y)
        found = {}
        for member, *numbers in zip(self.members, train, losses, values, strict=True):
            if member.over:
                continue
            step = step_of(self.epoch, numbers[0], numbers[1], self._scoring.metric_name, numbers[2])
            is_best = member.history.observe(member.settings, step.epoch, numbers[1])
            if member.settings.early_stopping:
                step = self._best_so_far(member, step, is_best)
            member.last = found[member] = step
        return found

    def _best_so_far(self, member: Member, step: Step, is_best: bool) -> Step:
        """The step of an epoch with early stopping: its value is that of the best epoch."""
        step = replace(step, ended=member.history.stopped)
        if is_best or member.last is None or math.isnan(step.value):
            return step
        return replace(step, value=member.last.value)


def _family_of(settings: Settings) -> tuple[str, bool, bool, bool]:
    """What the members of a family have in common: to have no decay or penalty is not to have 0 times one."""
    return settings.optimizer, settings.weight_decay > 0, settings.l1 > 0, settings.l2 > 0


class _Family:
    """Neighbouring members of one optimizer.

    Args:
        members: k of them.
        rows: their parameters, (k, P).
        grads: their gradients, (k, P).
        weights: 1 for what penalties are for, else 0; (P,).
    """

    def __init__(self, members: Sequence[Member], rows: Tensor, grads: Tensor, weights: Tensor) -> None:
        self._members, self._rows, self._grads, self._weights = members, rows, grads, weights
        self._optimizer = OPTIMIZERS[members[0].settings.optimizer]
        self._slots = [torch.zeros_like(rows) for _ in range(self._optimizer.slots)]
        for k, member in enumerate(members):
            if member.last is not None:
                kept = member.tensors[len(member.tensors) - len(self._slots) :]
                for mine, own in zip(self._slots, kept, strict=True):
                    mine[k].copy_(own)
        self._settings = setting_columns([member.settings for member in members])
        self._limits = {name: column.to(rows) for name, column in gradient_columns(self._settings).items()}

    def slots(self) -> list[tuple[Tensor, ...]]:
        """Those of each member, (P,) each."""
        return [tuple(slot[k] for slot in self._slots) for k in range(len(self._members))]

    def columns(self, steps: int) -> list[Columns]:
        """The coefficients of every step of the epoch to come, (k, 1) each."""
        return epoch_columns(self._optimizer, self._settings, self._members, steps, self._rows)

    def step(self, columns: Columns) -> None:
        """One step of the optimizer."""
        limits = self._limits
        penalize(self._grads, self._rows, self._weights, limits.get("l1"), limits.get("l2"))
        clip(self._grads, limits.get("clip_norm"), limits.get("clip_value"))
        stacked_step(self._optimizer, self._rows, self._grads, self._slots, columns)
