"""Modules of one structure as one: their parameters and buffers stacked, their forward passes vectorised by vmap."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from hpo.training.modules.dropout import Words, layers_of
from hpo.training.modules.scoring import Scoring


class Layout:
    """Where the tensors of a module are: those that are trained in one row, all others one by one.

    Args:
        module: any of those of the structure.

    Attributes:
        trained: names of the parameters in the row, in order.
        fixed: names of frozen parameters and of buffers.
        size: numbers in a row, P.
    """

    def __init__(self, module: nn.Module) -> None:
        parameters = dict(module.named_parameters())
        self.trained = [name for name, each in parameters.items() if each.requires_grad]
        self.fixed = [name for name in parameters if name not in self.trained]
        self.fixed += [name for name, _ in module.named_buffers()]
        self._shapes = [parameters[name].shape for name in self.trained]
        self.size = sum(shape.numel() for shape in self._shapes)

    def tensors(self, module: nn.Module) -> tuple[Tensor, ...]:
        """A module's row, (P,), and its fixed tensors: copies."""
        parameters, buffers = dict(module.named_parameters()), dict(module.named_buffers())
        row = torch.cat([parameters[name].detach().flatten() for name in self.trained])
        return row, *((parameters | buffers)[name].detach().clone() for name in self.fixed)

    def views(self, rows: Tensor) -> dict[str, Tensor]:
        """Rows (K, P) by name, (K, ...) each."""
        parts = torch.split(rows, [shape.numel() for shape in self._shapes], dim=1)
        return {
            name: part.view(len(rows), *shape)
            for name, part, shape in zip(self.trained, parts, self._shapes, strict=True)
        }

    def weights(self) -> Tensor:
        """1 for what penalties are for: parameters of two dimensions or more, else 0; (P,)."""
        return torch.cat([torch.full((shape.numel(),), float(len(shape) > 1)) for shape in self._shapes])


class Stacked:
    """K modules of one structure.

    Args:
        module: one of them; it is copied.
        layout: theirs.
        rows: their trained parameters, (K, P); read, and written by the optimizers.
        fixed: their fixed tensors, (K, ...) each; buffers are written in training.
        scoring: checks the outputs.
    """

    def __init__(
        self, module: nn.Module, layout: Layout, rows: Tensor, fixed: Sequence[Tensor], scoring: Scoring
    ) -> None:
        self._module = copy.deepcopy(module)
        layers = layers_of(self._module)
        self._masks = layers[0].masks if layers else None
        self._scoring = scoring
        self._trained = {name: view.detach().requires_grad_() for name, view in layout.views(rows).items()}
        self._fixed = dict(zip(layout.fixed, fixed, strict=True))
        self._alone = len(rows) == 1

    def forward(self, x: Tensor, shared: bool, words: Sequence[Words] | None) -> Tensor:
        """Outputs in training, (K, B, ...), with a graph.

        Args:
            x: inputs, (K, B, ...), or (B, ...) that all share.
            shared: which of the two.
            words: of dropout's masks, for each of its calls, K in front; None: nothing is dropped.
        """
        self._module.train()
        return self._call(self._trained, x, shared, words)

    @torch.no_grad()
    def evaluate(self, x: Tensor) -> Tensor:
        """Outputs in evaluation of inputs that all share, (K, B, ...)."""
        self._module.eval()
        return self._call({name: each.detach() for name, each in self._trained.items()}, x, True, None)

    def _call(self, trained: dict[str, Tensor], x: Tensor, shared: bool, words: Sequence[Words] | None) -> Tensor:
        if self._alone:
            first = [Words(*(part[0] for part in each)) for each in words] if words is not None else None
            tensors = {name: each[0] for name, each in (trained | self._fixed).items()}
            return self._one(tensors, first, x if shared else x[0])[None]
        in_dims = (0, None if words is None else 0, None if shared else 0)
        found: Tensor = torch.vmap(self._one, in_dims, randomness="error")(trained | self._fixed, words, x)
        return found

    def _one(self, tensors: dict[str, Tensor], words: Any, x: Tensor) -> Tensor:
        if self._masks is not None:
            self._masks.feed(words)
        return self._scoring.outputs(functional_call(self._module, tensors, (x,)), len(x))

    def gradients(self, outputs: Tensor, gradient: Tensor, into: dict[str, Tensor]) -> None:
        """Write the gradients of the trained parameters.

        Args:
            outputs: of `forward`.
            gradient: of the outputs.
            into: by name, (K, ...) each.
        """
        found = torch.autograd.grad(outputs, list(self._trained.values()), gradient, allow_unused=True)
        for name, each in zip(self._trained, found, strict=True):
            if each is None:
                into[name].zero_()
            else:
                into[name].copy_(each)
