"""The network that is trained."""

import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional

from hpo.training import draws
from hpo.training.hyperparameters import Settings

ACTIVATION_FUNCTIONS: Final[Mapping[str, Callable[[Tensor], Tensor]]] = {
    "relu": torch.relu,
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
    "leaky_relu": functional.leaky_relu,  # slope 0.01 below zero
}


class SimpleNN(nn.Module):
    """`Linear -> activation -> [dropout]` blocks, then `Linear` to logits.

    There is no softmax at the end: cross-entropy applies its own, and a second one would flatten the gradient.

    Args:
        n_inputs: d.
        n_classes: C.
        settings: widths and activations.
        seed: the trial's; first weights are a function of it and the layer.
        dtype: of all weights.
    """

    def __init__(
        self, n_inputs: int, n_classes: int, settings: Settings, seed: int, dtype: torch.dtype = torch.float32
    ) -> None:
        super().__init__()
        keys = draws.trial_keys([seed])
        sizes = (n_inputs, *settings.widths, n_classes)
        self.layers = nn.ModuleList()
        for number, (fan_in, fan_out) in enumerate(itertools.pairwise(sizes), start=1):
            layer = nn.Linear(fan_in, fan_out, device="meta", dtype=dtype)  # without torch's own draws
            weight, bias = draws.initial(keys, number, fan_in, fan_out)  # (1, fan_out, fan_in), (1, fan_out)
            layer.weight = nn.Parameter(weight[0].to(dtype))
            layer.bias = nn.Parameter(bias[0].to(dtype))
            self.layers.append(layer)
        self.activations = [ACTIVATION_FUNCTIONS[name] for name in settings.activations]

    def forward(self, x: Tensor, masks: Sequence[Tensor] | None = None) -> Tensor:
        """Logits: (B, d) -> (B, C).

        Args:
            x: inputs, (B, d).
            masks: in training with dropout, what the outputs of each hidden layer are multiplied by: (B, width),
                0 or 1 / (1 - dropout).
        """
        *hidden, last = self.layers
        for index, (layer, activation) in enumerate(zip(hidden, self.activations, strict=True)):
            x = activation(layer(x))  # (B, width)
            if masks is not None:
                x = x * masks[index]
        logits: Tensor = last(x)  # (B, C)
        return logits

    @torch.no_grad()
    def predict_proba(self, x: Tensor) -> Tensor:
        """Probabilities of the classes, without dropout: (B, d) -> (B, C)."""
        return self(x).softmax(dim=1)  # type: ignore[no-any-return]
