"""The network that is trained."""

import itertools
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from hpo.training import draws
from hpo.training.activations import ACTIVATIONS
from hpo.training.hyperparameters import Settings


class SimpleNN(nn.Module):
    """`Linear -> activation -> [dropout]` blocks, then `Linear` to logits.

    There is no softmax at the end: cross-entropy applies its own, and a second one would flatten the gradient.

    Args:
        n_inputs: d.
        n_outputs: C.
        settings: widths and activations.
        seed: the trial's; first weights are a function of it, the layer and the padded width.
        dtype: of all weights.
    """

    def __init__(
        self, n_inputs: int, n_outputs: int, settings: Settings, seed: int, dtype: torch.dtype = torch.float32
    ) -> None:
        super().__init__()
        keys = draws.trial_keys([seed])
        sizes = (n_inputs, *settings.widths, n_outputs)
        # drawn as for the padded network, of which this one is the beginning
        width, outer = settings.padded_width, (draws.padded(n_inputs), draws.padded(n_outputs))
        self.layers = nn.ModuleList()
        for number, (fan_in, fan_out) in enumerate(itertools.pairwise(sizes), start=1):
            layer = nn.Linear(fan_in, fan_out, device="meta", dtype=dtype)  # without torch's own draws
            is_last = number == len(sizes) - 1
            drawn = draws.initial(
                keys, 0 if is_last else number, outer[0] if number == 1 else width, outer[1] if is_last else width
            )
            weight, bias = (draw[0] * fan_in**-0.5 for draw in drawn)
            # contiguous, or torch's fused optimizers would pair weights with the wrong gradients
            layer.weight = nn.Parameter(weight[:fan_in, :fan_out].T.contiguous().to(dtype))
            layer.bias = nn.Parameter(bias[:fan_out].to(dtype))
            self.layers.append(layer)
        self.activations = [ACTIVATIONS[name].function for name in settings.activations]

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
