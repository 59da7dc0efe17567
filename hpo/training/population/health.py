"""The health of a chunk's trials, see `hpo.training.health`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from hpo.training.health import GRADIENT_ROWS, health_of
from hpo.training.metrics import Metric
from hpo.training.population.inputs import BLOCK_ROWS, Tables

if TYPE_CHECKING:
    from hpo.training.population.chunk import Chunk

assert GRADIENT_ROWS == BLOCK_ROWS  # so that the first block is what gradients are of


def health(
    chunk: Chunk, tables: Tables, metric: Metric, scales: Tensor, validation: Tensor
) -> list[Mapping[str, float]]:
    """Health of every member.

    Args:
        chunk: after an epoch.
        tables: its data.
        metric: the study's.
        scales: of the targets, (K,) float64.
        validation: the metric on validation rows, (K,).
    """
    y = tables.checked_y()
    logits, dead = [], torch.zeros(0)
    first = last = torch.zeros(0)
    for block, x in enumerate(tables.checked()):
        found = chunk.network.forward(x)
        logits.append(found.clone())
        if block == 0:
            rows = min(GRADIENT_ROWS, y.shape[2])
            dead = _dead(chunk, rows)
            first, last = _gradients(chunk, found, y[..., :rows])
    train = metric.of(torch.cat(logits, dim=2)[..., : y.shape[2]], y, scales)
    columns = (train, validation, first, last, dead)
    return [
        health_of(metric.name, metric.direction, on_train, held, (g_first, g_last), None if share < 0 else share)
        for on_train, held, g_first, g_last, share in zip(*(column.tolist() for column in columns), strict=True)
    ]


def _dead(chunk: Chunk, rows: int) -> Tensor:
    """The share of relu units that are 0 for the first `rows` rows, (K,); -1 without relu."""
    settings = [member.settings for member in chunk.members]
    dead, units = [0] * len(settings), [0] * len(settings)
    for layer, y in enumerate(chunk.network.hidden()):
        zero = (y[:, :rows] == 0).all(dim=1).cpu()  # (k, width)
        for k in range(len(zero)):
            if settings[k].activations[layer] == "relu":
                width = settings[k].widths[layer]
                dead[k] += int(zero[k, :width].sum())
                units[k] += width
    shares = [d / u if u else -1.0 for d, u in zip(dead, units, strict=True)]
    return torch.tensor(shares, dtype=torch.float64, device="cpu")


def _gradients(chunk: Chunk, logits: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Norms of the gradients of the first and the last layer's weights, (K,) each, after a forward pass."""
    rows = y.shape[2]
    some = logits[..., :rows]
    gradient = torch.zeros_like(logits)
    gradient[..., :rows] = chunk.criterion.gradient(some, y)
    weights = (torch.arange(logits.shape[2], device=logits.device) < rows).to(logits) / rows
    chunk.network.backward(gradient, weights)
    layout = chunk.network.layout
    blocks = layout.hidden(1), layout.output
    first, last = (block.weights_of(chunk.grads).flatten(1).double().norm(dim=1).cpu() for block in blocks)
    return first, last
