"""The network that is trained."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional

from hpo.training import draws
from hpo.training.activations import ACTIVATIONS, FIRST_SLOPE, rrelu
from hpo.training.hyperparameters import Settings
from hpo.training.initialization import first_weights

RESPONSE_SIZE: Final = 5  # neighbours of local_response
RESPONSE_ALPHA: Final = 1.0  # so that it acts on activations of size 1
RESPONSE_BETA: Final = 0.75


def projected(settings: Settings, n_inputs: int) -> tuple[int, ...]:
    """The numbers of the hidden layers whose skip is a projection: those that are as wide as their input have none."""
    if not settings.residual:
        return ()
    pairs = itertools.pairwise((n_inputs, *settings.widths))
    return tuple(number for number, (before, width) in enumerate(pairs, start=1) if before != width)


@dataclass(frozen=True)
class StepDraws:
    """What is random in a step of training.

    Attributes:
        masks: what the outputs of each hidden layer are multiplied by, (B, width) each, 0 or 1 / (1 - dropout);
            None without dropout.
        slopes: of rrelu below zero, (B, width) for each hidden layer; None without rrelu.
    """

    masks: Sequence[Tensor] | None = None
    slopes: Sequence[Tensor] | None = None


class BatchNorm(nn.BatchNorm1d):
    """`nn.BatchNorm1d` that takes a batch of one row, too: its variance is 0, and it changes no running statistics."""

    def __init__(self, width: int, dtype: torch.dtype) -> None:
        super().__init__(width, device="cpu", dtype=dtype)
        self.num_batches_tracked = None  # only an average without momentum counts batches

    def forward(self, x: Tensor) -> Tensor:
        """(B, width) -> (B, width)."""
        if self.training and len(x) == 1:
            return (x - x.mean(dim=0)) * self.weight + self.bias
        return super().forward(x)


class LocalResponse(nn.Module):
    """Local response normalization over neighbouring units, see `torch.nn.functional.local_response_norm`."""

    def forward(self, x: Tensor) -> Tensor:
        """(B, width) -> (B, width)."""
        channels = x[..., None]  # torch's own wants a dimension after that of the units
        return functional.local_response_norm(channels, RESPONSE_SIZE, RESPONSE_ALPHA, RESPONSE_BETA)[..., 0]


class Hidden(nn.Module):
    """`Linear -> [norm] -> activation -> [dropout]`, and a skip around it.

    Args:
        fan_in: width of the input.
        width: of the output.
        number: of the layer, from 1.
        settings: what it is made of.
        weights: first weights, (width, fan_in).
        projection: first weights of the skip's projection, (width, fan_in); None without.

    Attributes:
        name: of the activation.
        activated: what it gave in the last pass, (B, width).
    """

    def __init__(
        self, fan_in: int, width: int, number: int, settings: Settings, weights: Tensor, projection: Tensor | None
    ) -> None:
        super().__init__()
        dtype = weights.dtype
        self.linear = _linear(weights)
        self.norm: nn.Module = nn.Identity()
        if settings.normalization == "weight":
            nn.utils.parametrizations.weight_norm(self.linear)
        elif settings.normalization == "batch":
            self.norm = BatchNorm(width, dtype)
        elif settings.normalization == "layer":
            self.norm = nn.LayerNorm(width, device="cpu", dtype=dtype)
        elif settings.normalization == "local_response":
            self.norm = LocalResponse()
        self.name = settings.activations[number - 1]
        if self.name == "prelu":
            self.activation = nn.PReLU(init=FIRST_SLOPE, device="cpu", dtype=dtype)
        self.residual = settings.residual
        self.projection = None if projection is None else _linear(projection, bias=False)

    def forward(self, x: Tensor, mask: Tensor | None, slopes: Tensor | None) -> Tensor:
        """(B, fan_in) -> (B, width); see `StepDraws`."""
        z = self.norm(self.linear(x))
        if self.name == "prelu":
            y: Tensor = self.activation(z)
        elif self.name == "rrelu":
            y = rrelu(z, slopes)
        else:
            y = ACTIVATIONS[self.name].function(z)
        self.activated = y.detach()
        if mask is not None:
            y = y * mask
        if self.residual:
            y = y + (x if self.projection is None else self.projection(x))
        return y


def _linear(weights: Tensor, bias: bool = True) -> nn.Linear:
    fan_out, fan_in = weights.shape
    layer = nn.Linear(fan_in, fan_out, bias, device="meta", dtype=weights.dtype)  # without torch's own draws
    # contiguous, or torch's fused optimizers would pair weights with the wrong gradients
    layer.weight = nn.Parameter(weights.contiguous())
    if bias:
        layer.bias = nn.Parameter(weights.new_zeros(fan_out))
    return layer


class SimpleNN(nn.Module):
    """Hidden blocks `Linear -> [norm] -> activation -> [dropout]`, then `Linear` to logits.

    There is no softmax at the end: cross-entropy applies its own, and a second one would flatten the gradient.

    Args:
        n_inputs: d.
        n_outputs: C; 1 for a regression.
        settings: what it is made of.
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
        needed = projected(settings, n_inputs)

        def first(name: int | str, number: int) -> Tensor:
            """First weights (fan_out, fan_in) of layer `number`, or of a projection beside it."""
            is_last = number == len(sizes) - 1
            fan_in, fan_out = sizes[number - 1], sizes[number]
            drawn = draws.initial(keys, name, outer[0] if number == 1 else width, outer[1] if is_last else width)
            weights = first_weights([settings.initialization], [settings.init_scale], drawn, [fan_in], [fan_out])[0]
            return weights[:fan_in, :fan_out].T.to(dtype)

        self.hidden = nn.ModuleList(
            Hidden(
                fan_in,
                fan_out,
                number,
                settings,
                first(number, number),
                first(f"projection {number}", number) if number in needed else None,
            )
            for number, (fan_in, fan_out) in enumerate(itertools.pairwise(sizes[:-1]), start=1)
        )
        self.output = _linear(first(0, len(sizes) - 1))

    def forward(self, x: Tensor, drawn: StepDraws | None = None) -> Tensor:
        """Logits: (B, d) -> (B, C).

        Args:
            x: inputs, (B, d).
            drawn: what is random in training; None in evaluation.
        """
        drawn = drawn or StepDraws()
        for index, hidden in enumerate(self.hidden):
            mask = None if drawn.masks is None else drawn.masks[index]
            x = hidden(x, mask, None if drawn.slopes is None else drawn.slopes[index])  # (B, width)
        logits: Tensor = self.output(x)  # (B, C)
        return logits

    def blocks(self) -> list[Hidden]:
        """The hidden blocks, first to last."""
        return [hidden for hidden in self.hidden if isinstance(hidden, Hidden)]

    def weights(self) -> list[nn.Parameter]:
        """What l1 and l2 penalize: the matrices, of weight normalization the directions."""
        ends = ("linear.weight", "linear.parametrizations.weight.original1", "projection.weight", "output.weight")
        return [parameter for name, parameter in self.named_parameters() if name.endswith(ends)]

    @torch.no_grad()
    def predict_proba(self, x: Tensor) -> Tensor:
        """Probabilities of the classes, in evaluation: (B, d) -> (B, C)."""
        return self.eval()(x).softmax(dim=1)  # type: ignore[no-any-return]
