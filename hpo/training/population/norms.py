"""Norms of stacked trials, with the way back in closed form: that of autograd moves more memory."""

from __future__ import annotations

from typing import Any, Final

import torch
from torch import Tensor

from hpo.training.model import RESPONSE_ALPHA, RESPONSE_SIZE

EPS: Final = 1e-5  # of batch and layer normalization, torch's default


class _OverRows(torch.autograd.Function):
    """(z - mean) / sqrt(variance + EPS) of each unit over the true rows of a batch.

    With y the outcome and means over the true rows: dz = (dy - mean(dy) - y mean(dy y)) / sqrt(variance + EPS).
    """

    @staticmethod
    def forward(ctx: Any, z: Tensor, rows: int) -> tuple[Tensor, Tensor, Tensor]:
        mean = z[:, :rows].sum(dim=1, keepdim=True).div_(rows)  # (k, 1, n)
        y = z - mean
        variance = torch.linalg.vector_norm(y[:, :rows], dim=1, keepdim=True).square_().div_(rows)
        scale = (variance + EPS).rsqrt_()
        y.mul_(scale)
        ctx.save_for_backward(y, scale)
        ctx.mark_non_differentiable(mean, variance)
        ctx.rows = rows
        return y, mean, variance

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        (y, scale), rows, dy = ctx.saved_tensors, ctx.rows, gradients[0]
        product = dy * y
        dz = torch.addcmul(dy, y, product[:, :rows].sum(dim=1, keepdim=True).div_(-rows))
        dz.sub_(dy[:, :rows].sum(dim=1, keepdim=True).div_(rows)).mul_(scale)
        dz[:, rows:] = 0  # padded rows are no rows
        return dz, None


class _OverUnits(torch.autograd.Function):
    """(z - mean) / sqrt(variance + EPS) of each row over the true units of a layer; padded ones are 0 and stay 0."""

    @staticmethod
    def forward(ctx: Any, z: Tensor, mask: Tensor, widths: Tensor) -> Tensor:
        y = (z - z.sum(dim=2, keepdim=True).div_(widths)).mul_(mask)
        variance = torch.linalg.vector_norm(y, dim=2, keepdim=True).square_().div_(widths)
        scale = variance.add_(EPS).rsqrt_()
        y.mul_(scale)
        ctx.save_for_backward(y, scale, mask, widths)
        return y

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        y, scale, mask, widths = ctx.saved_tensors
        dy = gradients[0] * mask
        product = dy * y
        dz = torch.addcmul(dy, y, product.sum(dim=2, keepdim=True).div_(-widths))
        return dz.sub_(dy.sum(dim=2, keepdim=True).div_(widths)).mul_(scale).mul_(mask), None, None


def over_rows(z: Tensor, rows: int) -> tuple[Tensor, Tensor, Tensor]:
    """Batch normalization before gain and shift.

    Args:
        z: (k, R, n).
        rows: true rows, the first of R.

    Returns:
        The normalized z, and mean and variance of each unit, (k, 1, n), which carry no gradient.
    """
    return _OverRows.apply(z, rows)  # type: ignore[no-any-return, no-untyped-call]


def over_units(z: Tensor, mask: Tensor, widths: Tensor) -> Tensor:
    """Layer normalization before gain and shift.

    Args:
        z: (k, R, n), 0 for padded units.
        mask: 1 for true units and 0 for padded ones, (k, 1, n).
        widths: true units, (k, 1, 1).
    """
    return _OverUnits.apply(z, mask, widths)  # type: ignore[no-any-return, no-untyped-call]


def neighbours(width: int) -> Tensor:
    """What each unit counts in the mean over another one's window: 1 / RESPONSE_SIZE or 0, (width, width) float64."""
    units = torch.arange(width, device="cpu")
    distance = units[:, None] - units
    before = RESPONSE_SIZE // 2
    return ((distance >= -before) & (distance < RESPONSE_SIZE - before)).double() / RESPONSE_SIZE


def local_response(z: Tensor, window: Tensor) -> Tensor:
    """Divide by (1 + alpha * mean of the squares of the neighbours)^0.75, zeros beyond the ends, as torch's own.

    Args:
        z: (k, R, n).
        window: `neighbours`, (k, n, n); as a product of matrices the sums are faster than by torch's pooling.
    """
    root = (1 + RESPONSE_ALPHA * torch.bmm(z.square(), window)).rsqrt()
    return z * root * root.sqrt()
