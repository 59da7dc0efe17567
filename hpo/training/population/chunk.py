"""A chunk: trials of one shape that train together as stacked tensors.

What is summed is summed within a trial, what differs between trials is a column or a run of neighbours: nothing
that one trial computes reaches another, not even a NaN.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Final

import torch
from torch import Tensor
from torch.nn import functional

from hpo.objective import Step
from hpo.training import draws
from hpo.training.hyperparameters import Settings
from hpo.training.metrics import Metric, step_of
from hpo.training.population.augmentation import Augmentation, Augmented
from hpo.training.population.criterion import Criterion
from hpo.training.population.extended import ExtendedNetwork
from hpo.training.population.families import Constraints, Family, family_of
from hpo.training.population.health import health
from hpo.training.population.inputs import Inputs, Tables
from hpo.training.population.member import Member, shape_of
from hpo.training.population.network import Network, runs
from hpo.training.population.randomness import Randomness

_INPUT_BLOCK: Final = 2**20  # elements of inputs that are put in order at once


class Chunk:
    """Trials that train together from now on: their tensors become views of the chunk's.

    Args:
        members: trials of the same shape, in any order and at any epochs.
        inputs: the data of a member as chunks read it.
        metric: the study's.

    Attributes:
        members: sorted so that those with something in common are neighbours.
        network: theirs.
        criterion: their losses.
        grads: where the network's backward pass writes, (K, P).
    """

    def __init__(self, members: Sequence[Member], inputs: Callable[[Member], Inputs], metric: Metric) -> None:
        self.members = sorted(members, key=lambda member: _order(member.settings))
        assert len({shape_of(member.settings, member.data) for member in members}) == 1
        settings = [member.settings for member in self.members]
        layout = self.members[0].layout
        self._metric = metric
        self._tables = Tables([inputs(member) for member in self.members])
        self._batches = self._tables.inputs[0].batches(settings[0].batch_size)
        like = self._tables.x
        self._keys = torch.cat([member.key for member in self.members]).to(like.device)
        deepest = len(settings[0].widths)
        self._rows = like.new_zeros(len(self.members), layout.size(deepest))
        self.grads = torch.zeros_like(self._rows)
        statistics = like.new_zeros(len(self.members), max(layout.statistics(each) for each in settings))
        self._start(layout.size, statistics)
        self.network: Network | ExtendedNetwork = (
            ExtendedNetwork(layout, settings, self._rows, self.grads, statistics)
            if layout.extended
            else Network(layout, settings, self._rows, self.grads)
        )
        self.criterion = Criterion(settings, [member.data for member in self.members], like)
        self._randomness = Randomness(settings, self._keys, self._batches, layout.width, like)
        self._augmentation = Augmentation(settings, self._keys, layout.n_inputs, like)
        self._constraints = Constraints(settings, layout, self._rows, self.grads)
        scales = [member.data.target_scale for member in self.members]
        self._scales = torch.tensor(scales, dtype=torch.float64, device="cpu")
        self._families = [
            Family(self.members[start:end], layout, self._rows[start:end], self.grads[start:end], statistics[start:end])
            for start, end in runs([family_of(each) for each in settings])
        ]
        for family in self._families:  # only now that nothing can fail any more
            family.take_over()

    def _start(self, size: Callable[[int], int], statistics: Tensor) -> None:
        """First parameters of new members."""
        drawn = [k for k, member in enumerate(self.members) if not member.tensors and member.start is None]
        if drawn:
            some = [self.members[k] for k in drawn]
            keys = torch.cat([member.key for member in some])
            first = some[0].layout.initial([member.settings for member in some], keys, self._rows.dtype)
            self._rows[drawn, : first.shape[1]] = first.to(self._rows.device)
        for k, member in enumerate(self.members):
            if member.tensors:
                continue
            if member.start is not None:
                row, running = member.first(self._rows.dtype)
                self._rows[k, : len(row)] = row
            else:
                running = member.layout.first_statistics(member.settings, self._rows.dtype)
            statistics[k, : len(running)] = running

    @property
    def steps(self) -> int:
        """Steps of an epoch."""
        return len(self._batches.rows)

    def train_epoch(
        self, stopped: Callable[[], bool], ends: Callable[[Member], bool] = lambda _: False
    ) -> list[Step] | None:
        """One pass over the training rows, then over the validation rows.

        Args:
            stopped: asked before every step; if so, the members are left amid an epoch and must be given up.
            ends: whether a member's training ends with this epoch as far as is known, so that its health is wanted.

        Returns:
            The step of every member; None if it was stopped.
        """
        epochs = torch.tensor([member.epoch for member in self.members], device=self._keys.device)  # (K,)
        columns = [family.columns(self.steps) for family in self._families]
        losses = []
        drawn = self._randomness.epoch(epochs)
        for step, (x, y, mixed) in enumerate(self._batched(epochs)):
            if stopped():
                return None
            logits = self.network.forward(x, next(drawn))
            loss, gradient = self.criterion.rows(logits, y, mixed)
            self.network.backward(gradient, self.criterion.weights(self._batches.weights[step], y, mixed))
            self._constraints.apply()
            for family, column in zip(self._families, columns, strict=True):
                family.step(column[step])
            losses.append(loss)
        train = torch.cat(losses, dim=2)[:, 0]  # (K, n)
        train = (train if self._batches.unpadded is None else train[:, self._batches.unpadded]).cpu().double().mean(1)
        return self._end_epoch(train, ends)

    def _end_epoch(self, train: Tensor, ends: Callable[[Member], bool]) -> list[Step]:
        y = self._tables.validation_y()
        outputs = [self.network.evaluate(x).clone() for x in self._tables.validation()]
        logits = torch.cat(outputs, dim=2)[..., : y.shape[2]]  # (K, C, m)
        loss = self.criterion.plain(logits, y)[:, 0].cpu().double().mean(1)
        value = self._metric.of(logits, y, self._scales)
        wanted = False
        for member, *numbers in zip(self.members, train.tolist(), loss.tolist(), value.tolist(), strict=True):
            step = step_of(member.epoch + 1, numbers[0], numbers[1], self._metric.name, numbers[2])
            is_best = member.history.observe(member.settings, step.epoch, numbers[1])
            if member.settings.early_stopping:
                step = self._best_so_far(member, step, is_best)
            member.last = step
            wanted = wanted or step.ended or ends(member)
        if wanted:
            found = health(self, self._tables, self._metric, self._scales, value)
            for member, of_member in zip(self.members, found, strict=True):
                assert member.last is not None
                if member.last.ended or ends(member):
                    member.last = replace(member.last, health=of_member)
        return [member.last for member in self.members if member.last is not None]

    @staticmethod
    def _best_so_far(member: Member, step: Step, is_best: bool) -> Step:
        """The step of an epoch with early stopping: its value is that of the best epoch, which is kept."""
        if is_best or not member.best:
            member.best = tuple(tensor.clone() for tensor in member.tensors[:2])
            return replace(step, ended=member.history.stopped)
        assert member.last is not None
        value = step.value if math.isnan(step.value) else member.last.value
        return replace(step, value=value, ended=member.history.stopped)

    def _batched(self, epochs: Tensor) -> Iterator[Augmented]:
        """Inputs (K, R, d) and targets (K, 1, R) of each step, and what they are mixed with."""
        batches, tables, k = self._batches, self._tables, len(self.members)
        order = draws.order(self._keys, epochs, tables.n)  # (K, n)
        if batches.places is not None:
            order = functional.pad(order, (0, 1), value=tables.n)[:, batches.places]
        if tables.offsets is not None:
            order = order + tables.offsets
        augment = self._augmentation.epoch(epochs, batches)
        most = max(1, _INPUT_BLOCK // (k * batches.padded[0] * tables.x.shape[1]))  # steps at once
        start = 0
        for first in range(0, self.steps, most):
            counts = list(batches.padded[first : first + most])
            rows = order[:, start : start + sum(counts)]
            start += sum(counts)
            flat = rows.flatten()  # selecting along one dimension is faster than indexing by (K, n)
            x_all = tables.select(flat).view(k, rows.shape[1], -1)
            xs = torch.split(x_all, counts, dim=1)  # (K, R, d) each
            ys = torch.split(tables.y[flat].view_as(rows)[:, None], counts, dim=2)  # (K, 1, R) each
            for i, (x, y) in enumerate(zip(xs, ys, strict=True)):
                yield augment(first + i, x, y)


def _order(settings: Settings) -> tuple[object, ...]:
    """Sorts the deepest first, then so that the dearest kernels have long runs: norms, activations, else families."""
    depth, *family = family_of(settings)
    kinds = settings.normalization, settings.activations
    return (depth, *family, *kinds) if settings.is_plain else (depth, *kinds, *family)
