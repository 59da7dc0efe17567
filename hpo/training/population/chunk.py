"""A chunk: trials of one shape that train together as stacked tensors.

What is summed is summed within a trial, what differs between trials is a column or a run of neighbours: nothing
that one trial computes reaches another, not even a NaN.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from hpo.objective import Step
from hpo.training import draws
from hpo.training.data import Data
from hpo.training.draws import padded
from hpo.training.hyperparameters import Settings
from hpo.training.losses import stacked_cross_entropy
from hpo.training.metrics import step_of
from hpo.training.optimizers import OPTIMIZERS, Columns, setting_columns, stacked_step, step_columns
from hpo.training.population.inputs import VALIDATION_ROWS, Inputs
from hpo.training.population.layout import Layout, layout_of
from hpo.training.population.network import Network, Workspace, runs

_MASK_BLOCK = 2**19  # mask elements drawn at once: they stay in a core's cache


@dataclass(eq=False)
class Member:
    """A trial in the population, between two epochs.

    Attributes:
        settings: its hyperparameters.
        key: of its draws, (1,) int64.
        tensors: its parameters and its optimizer's slots, (P,) each; empty before it is in a chunk.
        last: the step of its last epoch; None before the first.
    """

    settings: Settings
    key: Tensor
    tensors: tuple[Tensor, ...] = ()
    last: Step | None = None

    @property
    def epoch(self) -> int:
        """Epochs trained."""
        return self.last.epoch if self.last is not None else 0

    def reset(self) -> None:
        """Forget all training."""
        self.tensors, self.last = (), None


def shape_of(settings: Settings, data: Data) -> tuple[int, int]:
    """Trials of one shape can train together: padded width, rows of a batch."""
    return settings.padded_width, min(settings.batch_size, len(data.train.y))


def nbytes_of(settings: Settings, data: Data) -> int:
    """About how many bytes a trial's training works on.

    Parameters, gradients and slots; the buffers of a batch and of a block of validation rows; the epoch's inputs.
    """
    layout = layout_of(settings, data)
    depth, n = len(settings.widths), len(data.train.y)
    rows = padded(min(settings.batch_size, n)) + 2 * VALIDATION_ROWS
    hidden = depth * layout.width * 3  # y, what dropout leaves of it, masks
    ends = padded(data.n_inputs) + 4 * padded(data.n_outputs)  # logits, probabilities and their gradients
    floats = layout.size(depth) * (2 + OPTIMIZERS[settings.optimizer].slots) + rows * (hidden + ends)
    return (floats + n * padded(data.n_inputs)) * data.train.x.element_size()


class Chunk:
    """Trials that train together from now on: their tensors become views of the chunk's.

    Args:
        members: trials of the same padded width and batch size, in any order and at any epochs.
        inputs: what they train on.

    Attributes:
        members: sorted so that those with something in common are neighbours.
    """

    def __init__(self, members: Sequence[Member], inputs: Inputs) -> None:
        self.members = sorted(members, key=lambda member: _order(member.settings))
        self._inputs = inputs
        self._batches = inputs.batches(self.members[0].settings.batch_size)
        like = inputs.x
        self._keys = torch.cat([member.key for member in self.members]).to(like.device)
        layout = layout_of(self.members[0].settings, inputs.data)
        assert len({shape_of(member.settings, inputs.data) for member in members}) == 1
        self._rows = like.new_zeros(len(self.members), layout.size(len(self.members[0].settings.widths)))
        self._grads = torch.zeros_like(self._rows)
        settings = [member.settings for member in self.members]
        self._network = Network(layout, settings, self._rows, self._grads)
        self._workspaces: dict[tuple[int, bool], Workspace] = {}
        self._x: Tensor | None = None  # memory for an epoch's inputs
        self._mask_memory: list[Tensor] = []  # a block of each hidden layer, and one to work in
        self._width = layout.width
        dropout = setting_columns(settings)["dropout"]  # (K, 1)
        self._dropout = dropout[:, 0].to(like.device, torch.float32)
        self._scale = (1 / (1 - dropout)).to(like)[:, None]  # (K, 1, 1)
        new = [k for k, member in enumerate(self.members) if not member.tensors]
        if new:
            first = layout.initial(
                [settings[k] for k in new], torch.cat([self.members[k].key for k in new]), like.dtype
            )
            self._rows[new, : first.shape[1]] = first.to(like.device)
        self._families = [
            _Family(self.members[start:end], layout, self._rows[start:end], self._grads[start:end])
            for start, end in runs([_family(each) for each in settings])
        ]
        for family in self._families:  # only now that nothing can fail any more
            family.take_over()

    @property
    def steps(self) -> int:
        """Steps of an epoch."""
        return len(self._batches.rows)

    def train_epoch(self, stopped: Callable[[], bool]) -> list[Step] | None:
        """One pass over the training rows, then over the validation rows.

        Args:
            stopped: asked before every step; if so, the members are left amid an epoch and must be given up.

        Returns:
            The step of every member; None if it was stopped.
        """
        inputs, batches = self._inputs, self._batches
        epochs = torch.tensor([member.epoch for member in self.members], device=self._keys.device)  # (K,)
        order = draws.order(self._keys, epochs, len(inputs.y) - 1)  # (K, n)
        if batches.places is not None:
            order = functional.pad(order, (0, 1), value=order.shape[1])[:, batches.places]
        rows = order.flatten()  # selecting along one dimension is faster than indexing by (K, n)
        if self._x is None:
            self._x = inputs.x.new_empty(len(rows), inputs.x.shape[1])
        x_all = torch.index_select(inputs.x, 0, rows, out=self._x).view(*order.shape, -1)  # (K, n, d)
        xs = torch.split(x_all, list(batches.padded), dim=1)  # (K, R, d) each
        ys = torch.split(inputs.y[rows].view_as(order)[:, None], list(batches.padded), dim=2)  # (K, 1, R) each
        columns = [family.columns(self.steps) for family in self._families]
        losses = []
        for step, (x, y, masks) in enumerate(zip(xs, ys, self._masks(epochs), strict=True)):
            if stopped():
                return None
            workspace = self._workspace(x.shape[1], dropout=masks is not None)
            workspace.forward(x, masks)
            losses.append(workspace.backward(x, y, batches.weights[step], masks))
            for family, column in zip(self._families, columns, strict=True):
                family.step(column[step])
        train = torch.cat(losses, dim=2)[:, 0]  # (K, n)
        train = (train if batches.unpadded is None else train[:, batches.unpadded]).cpu().double().mean(1)
        loss, accuracy = self._validate()
        steps = []
        for member, *numbers in zip(self.members, train.tolist(), loss.tolist(), accuracy.tolist(), strict=True):
            member.last = step_of(member.epoch + 1, *numbers)
            steps.append(member.last)
        return steps

    def _workspace(self, rows: int, dropout: bool) -> Workspace:
        key = rows, dropout
        if key not in self._workspaces:
            self._workspaces[key] = Workspace(self._network, rows, dropout)
        return self._workspaces[key]

    def _validate(self) -> tuple[Tensor, Tensor]:
        """Loss and accuracy of every member on validation data, (K,) each, float64."""
        y, k = self._inputs.validation_y, len(self.members)
        blocks = [
            self._workspace(x.shape[1], dropout=False).forward(x.expand(k, -1, -1)).clone()
            for x in self._inputs.validation
        ]
        logits = torch.cat(blocks, dim=2)[..., : y.shape[2]]  # (K, C, m)
        wanted = y.expand(k, -1, -1)  # (K, 1, m)
        loss = stacked_cross_entropy(logits, wanted)[0][:, 0]
        right = logits.max(dim=1).indices == wanted[:, 0]  # (K, m); argmax is much slower
        return loss.cpu().double().mean(1), right.cpu().double().mean(1)

    def _masks(self, epochs: Tensor) -> Iterator[list[Tensor] | None]:
        """For each step, dropout's masks of all hidden layers, (K, R, width)."""
        if not self._dropout.any():
            yield from [None] * self.steps
            return
        rows, size, width, dtype = self._batches.rows, self._batches.size, self._width, self._rows.dtype
        layers = [layer.size for layer in self._network.layers]
        together = min(self.steps, max(1, _MASK_BLOCK // (len(self.members) * size * width)))  # steps
        if not self._mask_memory:
            most = together * size * width
            self._mask_memory = [self._keys.new_empty(k * most, dtype=torch.int32) for k in (*layers, layers[0])]
        words = draws.dropout_words(self._keys, epochs, len(layers), sum(rows), width)
        *memories, scratch = self._mask_memory
        for first in range(0, self.steps, together):
            some = range(first, min(first + together, self.steps))
            counts = [rows[step] for step in some]
            places = slice(first * size, first * size + sum(counts))
            drawn = []
            for k, (of_rows, of_units), memory in zip(layers, words, memories, strict=True):
                here, there = (each[: k * sum(counts) * width].view(k, -1, width) for each in (memory, scratch))
                kept = draws.kept(of_rows[:k, places], of_units[:k], self._dropout[:k], (here, there))
                masks = torch.split(kept.to(dtype).mul_(self._scale[:k]), counts, dim=1)
                drawn.append([self._batches.pad(step, mask) for step, mask in zip(some, masks, strict=True)])
            yield from (list(masks) for masks in zip(*drawn, strict=True))


def _family(settings: Settings) -> tuple[int, str, bool]:
    """What the members of a family have in common; without decay, a step is one operation shorter."""
    return -len(settings.widths), settings.optimizer, settings.weight_decay > 0


def _order(settings: Settings) -> tuple[object, ...]:
    """Sorts the deepest first, then by family, then by activations."""
    return *_family(settings), settings.activations


class _Family:
    """Neighbouring members of one depth and one optimizer.

    Args:
        members: k of them.
        layout: of their rows.
        rows: their parameters, (k, at least P).
        grads: their gradients, (k, at least P).
    """

    def __init__(self, members: Sequence[Member], layout: Layout, rows: Tensor, grads: Tensor) -> None:
        first = members[0].settings
        size = layout.size(len(first.widths))
        self._members = members
        self._optimizer = OPTIMIZERS[first.optimizer]
        self._rows, self._grads = rows[:, :size], grads[:, :size]
        slots = [rows.new_zeros(len(members), size) for _ in range(self._optimizer.slots)]
        self._tensors = (self._rows, *slots)
        for k, member in enumerate(members):
            if member.tensors:
                for mine, own in zip(self._tensors, member.tensors, strict=True):
                    mine[k] = own
        self._settings = setting_columns([member.settings for member in members])

    def take_over(self) -> None:
        """Make the members' tensors views of these."""
        for k, member in enumerate(self._members):
            member.tensors = tuple(mine[k] for mine in self._tensors)

    def columns(self, steps: int) -> list[Columns]:
        """The coefficients of every step of the epoch to come, (k, 1) each."""
        trained = torch.tensor([member.epoch * steps for member in self._members], device="cpu")  # (k,)
        t = torch.arange(1, steps + 1, device="cpu")[:, None, None] + trained[:, None]  # (S, k, 1)
        found = {name: c.to(self._rows) for name, c in step_columns(self._optimizer, self._settings, t).items()}
        changing = {name: c.unbind() for name, c in found.items() if c.dim() == 3}
        return [found | {name: each[step] for name, each in changing.items()} for step in range(steps)]

    def step(self, columns: Columns) -> None:
        """One step of the optimizer."""
        stacked_step(self._optimizer, self._rows, self._grads, self._tensors[1:], columns)
