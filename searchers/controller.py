"""The recurrent controller of `searchers.nas`: an LSTM that writes a configuration token by token.

Zoph and Le, "Neural Architecture Search with Reinforcement Learning", ICLR 2017,
https://arxiv.org/abs/1611.01578, section 3.1 and figure 2; the LSTM is Hochreiter and Schmidhuber's,
"Long Short-Term Memory", Neural Computation 9 (1997), https://doi.org/10.1162/neco.1997.9.8.1735

Hyperparameters come in a fixed order. All rows of a batch are at the same one at the same time, each with
a softmax layer of its own; a row where it is inactive emits nothing (token -1): it keeps its state, its
log-probability and its entropy, exactly as if that step did not exist. Every evaluation has `ROWS` rows,
since a matrix product may give other bits at another batch size; within one size, rows do not meet.

NOTE: the paper has two layers of 35 units; one of 64 is enough for some ten tokens. It feeds the LSTM its last
token only, as its steps always come in the same sequence. Here steps may be left out, so the network is also
told which hyperparameter it is about to emit.
"""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

HIDDEN = 64  # H
ROWS = 16  # B, of every evaluation

Choose = Callable[[int, Tensor], Tensor]  # step t, (B, n) log-probabilities -> (B,) tokens, -1: inactive


class Weights(NamedTuple):
    """The parameters theta, all float64; V counts the tokens of all hyperparameters, T the hyperparameters."""

    token: Tensor  # (V, H) what was emitted last
    name: Tensor  # (T, H) what is to be emitted next
    input: Tensor  # (4H, H)
    hidden: Tensor  # (4H, H)
    bias: Tensor  # (4H,)
    output: Tensor  # (V, H)
    offset: Tensor  # (V,)


class Emitted(NamedTuple):
    """What a batch emitted: tokens (B, T), and per row log P(tokens; theta) and the sum of step entropies, in nats."""

    tokens: Tensor
    log_probability: Tensor
    entropy: Tensor


def initial_weights(sizes: Sequence[int], rng: np.random.Generator) -> Weights:
    """Weights under which every token is equally likely: the output layer is zero.

    NOTE: the paper draws every weight from U(-0.08, 0.08) (section 4.1). The output layer is zero here, so that
    a search begins exactly as random search does. The rest is greater, inputs of variance 1 and matrices of
    1 / sqrt(fan-in): with the paper's, the states after different tokens are nearly the same, so each
    hyperparameter settles by itself before interactions are seen.
    """

    def draw(rows: int, columns: int, scale: float) -> Tensor:
        return torch.from_numpy(rng.uniform(-scale, scale, (rows, columns)))

    V, T, H = sum(sizes), len(sizes), HIDDEN
    unit, fan = math.sqrt(3.0), 1 / math.sqrt(H)  # a uniform draw from (-sqrt 3, sqrt 3) has variance 1
    return Weights(
        token=draw(V, H, unit),
        name=draw(T, H, unit),
        input=draw(4 * H, H, fan),
        hidden=draw(4 * H, H, fan),
        bias=_zeros(4 * H),
        output=_zeros(V, H),
        offset=_zeros(V),
    )


def walk(weights: Weights, sizes: Sequence[int], choose: Choose) -> Emitted:
    """Emit tokens step by step, `choose` deciding on them.

    log P(a_1:T; theta) = sum over emitted t of log P(a_t | a_(t-1):1; theta).
    """
    h, c, last = (_zeros(ROWS, HIDDEN) for _ in range(3))
    names = weights.name.unbind()
    own = zip(*(torch.split(w, list(sizes)) for w in (weights.token, weights.output, weights.offset)), strict=True)
    rows = torch.arange(ROWS, device="cpu")
    tokens, log_probabilities, entropies = [], [], []
    for t, (embedding, output, offset) in enumerate(own):  # (n, H), (n, H), (n,)
        h_t, c_t = torch.lstm_cell(last + names[t], (h, c), weights.input, weights.hidden, weights.bias)  # (B, H)
        log_p = torch.log_softmax(h_t @ output.T + offset, dim=1)  # (B, n)
        token = choose(t, log_p)  # (B,)
        emitted = token >= 0
        index = token.clamp(min=0)
        log_probabilities.append(log_p[rows, index] * emitted)
        entropies.append((log_p.exp() * -log_p).sum(1) * emitted)
        tokens.append(token)
        if emitted.all():  # only saves time: the rows below come out the same
            h, c, last = h_t, c_t, embedding[index]
        else:
            keep = emitted[:, None]
            h, c = torch.where(keep, h_t, h), torch.where(keep, c_t, c)
            last = torch.where(keep, embedding[index], last)
    return Emitted(torch.stack(tokens, 1), torch.stack(log_probabilities, 1).sum(1), torch.stack(entropies, 1).sum(1))


def score(weights: Weights, sizes: Sequence[int], tokens: Tensor) -> Emitted:
    """`walk` along given tokens (B, T)."""
    return walk(weights, sizes, lambda t, log_p: tokens[:, t])


def gradient(
    weights: Weights, sizes: Sequence[int], tokens: Tensor, advantages: Tensor, entropy: float
) -> list[Tensor]:
    """The direction of ascent in theta, REINFORCE's and the entropy's.

    (1/m) sum_k [ sum_t grad log P(a_t | a_(t-1):1; theta) A_k + entropy * sum_t grad H_t ] with m = B: section
    3.2's estimate with the advantages A (B,) for R_k - b (Williams 1992, theorem 1, for any b that does not
    depend on the tokens). H_t is the exact entropy of a softmax that child k passed, not its draw of it.

    NOTE: that entropy moves with the tokens before it as well; this part of the gradient is left out, as usual,
    since it needs another reward to go and adds variance.
    """
    leaves = Weights(*(w.detach().requires_grad_() for w in weights))
    emitted = score(leaves, sizes, tokens)
    objective = (emitted.log_probability * advantages + entropy * emitted.entropy).mean()
    return list(torch.autograd.grad(objective, leaves, materialize_grads=True))  # one step alone embeds no token


def clip(gradients: Sequence[Tensor], most: float) -> list[Tensor]:
    """`gradients` scaled down to a joint Euclidean norm of at most `most`."""
    norm = float(torch.stack([g.square().sum() for g in gradients]).sum().sqrt())
    return [g * min(1.0, most / norm) if norm > 0 else g for g in gradients]


class Moments(NamedTuple):
    """Adam's state after `step` steps."""

    step: int
    first: list[Tensor]
    second: list[Tensor]


def adam(
    weights: Sequence[Tensor], gradients: Sequence[Tensor], moments: Moments | None, rate: float
) -> tuple[list[Tensor], Moments]:
    """One ascent step of Adam (Kingma and Ba, https://arxiv.org/abs/1412.6980, algorithm 1).

    Written out because the first step of `torch.optim` loads torch's compiler, which takes seconds.
    """
    beta1, beta2, epsilon = 0.9, 0.999, 1e-8
    zeros = [torch.zeros_like(w) for w in weights]
    t, m, v = moments or Moments(0, zeros, zeros)
    m = [beta1 * m_i + (1 - beta1) * g for m_i, g in zip(m, gradients, strict=True)]
    v = [beta2 * v_i + (1 - beta2) * g.square() for v_i, g in zip(v, gradients, strict=True)]
    t += 1
    scale1, scale2 = 1 - beta1**t, 1 - beta2**t
    moved = [
        w + rate * (m_i / scale1) / ((v_i / scale2).sqrt() + epsilon) for w, m_i, v_i in zip(weights, m, v, strict=True)
    ]
    return moved, Moments(t, m, v)


def _zeros(*shape: int) -> Tensor:
    return torch.zeros(shape, dtype=torch.float64, device="cpu")
