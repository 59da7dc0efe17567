"""Neural architecture search by reinforcement learning, for any search space.

Zoph and Le, "Neural Architecture Search with Reinforcement Learning", ICLR 2017, https://arxiv.org/abs/1611.01578
Williams, "Simple Statistical Gradient-Following Algorithms for Connectionist Reinforcement Learning",
Machine Learning 8 (1992), https://doi.org/10.1007/BF00992696

A recurrent controller (`searchers.controller`) writes a child's configuration a_1:T, one token for every active
hyperparameter. The child's value is the reward R of all its tokens; after every 16 children, REINFORCE moves the
controller's weights theta up the gradient of J(theta) = E_P(a_1:T; theta)[R] (section 3.2).

NOTE: the paper trains thousands of children with plain REINFORCE; for studies of a few hundred trials this
one takes greater steps (Adam) and is kept from settling too early by an entropy bonus
(Williams and Peng, "Function Optimization Using Connectionist Reinforcement Learning Algorithms", Connection
Science 3 (1991), https://doi.org/10.1080/09540099108946587), which decays.

NOTE: a round of more than 16 children is sampled under one policy and learned from in several updates, so
that its later ones are a little off-policy, as the paper's asynchronous replicas are. Ask for 16 to avoid it.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from hpo import seeding
from hpo.domains import Choice
from hpo.errors import UsageError
from hpo.searcher import Needs, Result, Searcher
from hpo.space import Space
from hpo.space_limits import check_modelled
from hpo.torch_mode import own_mode
from hpo.trial import Proposal
from searchers import controller
from searchers.controller import Emitted, Moments, Weights

BATCH = controller.ROWS  # children per update
BASELINE_DECAY = 0.9  # per update
ENTROPY_HALF_LIFE = 30.0  # updates
LEAST_UPDATES = 16  # that teach it something: its trials are then better than random ones in 3 of 4 pairs
MAX_NORM = 1.0  # of the gradient, before Adam
MEMORY = 64  # finite rewards among which a failed child finds the worst
MAX_RANGE = 64  # a range of more values is thinned to `points`


class Vocabulary:
    """The tokens of a space: hyperparameters parents first, values numbered from 0, -1 where inactive.

    Args:
        space: any space.
        points: values for each continuum, logarithmic integer range, and range of more than 64 values.

    Raises:
        MismatchError: a Choice of more than 10,000 options, ordered or not; more than 1,000 hyperparameters.
    """

    def __init__(self, space: Space, points: int) -> None:
        check_modelled("nas", space, ordered=True)
        self.space = space
        self.points = points
        self._place = {name: t for t, name in enumerate(space.order)}
        self._values = [self._grid(name) for name in space.order]
        self.sizes = [len(values) for values in self._values]

    def active(self, t: int, tokens: Sequence[int]) -> bool:
        """Whether hyperparameter `t` is active after `tokens`, those of all hyperparameters before it."""
        name = self.space.order[t]
        return self.space.is_active(name, self._chosen(self.space.parents(name), tokens))

    def params(self, tokens: Sequence[int]) -> dict[str, Any]:
        """The configuration that `tokens` describe."""
        return self._chosen(tuple(self.space), tokens)

    def tokens(self, params: Mapping[str, Any]) -> list[int]:
        """The inverse of `params`; the nearest tokens for values off the grid."""
        return [self._token(name, params[name]) if name in params else -1 for name in self.space.order]

    def _chosen(self, names: Sequence[str], tokens: Sequence[int]) -> dict[str, Any]:
        places = [(name, self._place[name]) for name in names]
        return {name: self._values[t][tokens[t]] for name, t in places if tokens[t] >= 0}

    def _grid(self, name: str) -> list[Any]:
        domain = self.space[name]
        size = domain.grid_size(self.points)
        count = self._count(name)
        # token i stands for grid point i (size - 1) / (count - 1), rounded in integers, which may exceed 2^53
        indices = range(size) if count == size else [(2 * i * (size - 1) // (count - 1) + 1) // 2 for i in range(count)]
        return [domain.grid_value(index, self.points) for index in indices]

    def _count(self, name: str) -> int:
        size = self.space[name].grid_size(self.points)
        thinned = not isinstance(self.space[name], Choice) and size > max(MAX_RANGE, self.points)
        return self.points if thinned else size

    def _token(self, name: str, value: Any) -> int:
        size, count = self.space[name].grid_size(self.points), self._count(name)
        index = self.space[name].grid_index(value, self.points)
        return index if count == size else round(index * (count - 1) / (size - 1))


def advantages(rewards: np.ndarray, baseline: float) -> np.ndarray:
    """(R - b) / std(R - b), finite for any finite rewards (B,) up to 1e300; 0 where all rewards are equal.

    Differences are divided by the range first: the squares of great ones would overflow, of small ones vanish.

    NOTE: b is held within the batch's rewards. Otherwise one diverged child with a loss of 1e12 would put it
    so far away that for hundreds of updates whatever is sampled would look good.
    """
    low, high = float(rewards.min()), float(rewards.max())
    if low == high:
        return np.zeros_like(rewards)
    scaled = (rewards - min(max(baseline, low), high)) / (high - low)
    result: np.ndarray = scaled / scaled.std()
    return result


class Learner:
    """A controller and what it has learned; `learn` alone changes it.

    Args:
        sizes: tokens of each hyperparameter, (T,).
        active: `Vocabulary.active`.
        seed: of the study.
        learning_rate: of Adam.
        entropy: initial weight of the entropy bonus.
    """

    def __init__(
        self,
        sizes: Sequence[int],
        active: Callable[[int, Sequence[int]], bool],
        seed: int,
        learning_rate: float,
        entropy: float,
    ) -> None:
        self.sizes = sizes
        self.active = active
        self.learning_rate = learning_rate
        self.entropy = entropy
        self.updates = 0
        with own_mode():
            self.weights = controller.initial_weights(sizes, seeding.generator(seed, "nas", "weights"))
        self._moments: Moments | None = None
        self._average, self._averaged = 0.0, 0  # v of the baseline, and how many batches are in it
        self._recent: list[float] = []

    def sample(self, uniforms: np.ndarray) -> Emitted:
        """Descriptions by inversion: each softmax is read at its draw in [0, 1), (B, T); rows do not interact."""
        written: list[list[int]] = [[] for _ in range(BATCH)]

        def choose(t: int, log_p: torch.Tensor) -> torch.Tensor:
            cumulative = log_p.exp().cumsum(1).numpy()  # (B, n)
            drawn = (cumulative <= uniforms[:, t, None]).sum(1).clip(max=self.sizes[t] - 1).tolist()
            for token, tokens in zip(drawn, written, strict=True):
                tokens.append(token if self.active(t, tokens) else -1)
            return torch.tensor([tokens[t] for tokens in written], device="cpu")  # (B,)

        with own_mode():
            return controller.walk(self.weights, self.sizes, choose)

    def score(self, tokens: np.ndarray) -> Emitted:
        """What the policy thinks of given descriptions, (B, T)."""
        with own_mode():
            return controller.score(self.weights, self.sizes, torch.from_numpy(tokens))

    def learn(self, tokens: np.ndarray, rewards: np.ndarray) -> None:
        """One update from descriptions (B, T) and their rewards (B,), NaN for a failed child."""
        beta = self.entropy * 0.5 ** (self.updates / ENTROPY_HALF_LIFE)
        A = self._advantages(rewards)
        with own_mode():
            ascent = controller.gradient(self.weights, self.sizes, torch.from_numpy(tokens), torch.from_numpy(A), beta)
            clipped = controller.clip(ascent, MAX_NORM)
            moved, self._moments = controller.adam(self.weights, clipped, self._moments, self.learning_rate)
        self.weights = Weights(*moved)
        self.updates += 1

    def _advantages(self, rewards: np.ndarray) -> np.ndarray:
        # NOTE: a failed child is as bad as the worst of the last 64 finite rewards; not the worst of all, since
        # after one diverged child every failure would drown the differences among the others
        failed = np.isnan(rewards)
        rewards = rewards.clip(-1e300, 1e300)
        self._recent = [*self._recent, *rewards[~failed].tolist()][-MEMORY:]
        if not self._recent:
            return np.zeros(BATCH)
        R = np.where(failed, min(self._recent), rewards)
        # "an exponential moving average of the previous architecture accuracies" (section 3.2), corrected for
        # its start at zero as Adam's averages are.
        # NOTE: the batch itself is in it: before the first there is nothing to average
        self._average = BASELINE_DECAY * self._average + (1 - BASELINE_DECAY) * float(R.mean())
        self._averaged += 1
        b = self._average / (1 - BASELINE_DECAY**self._averaged)
        return advantages(R, b)


@dataclass(eq=False)
class NAS(Searcher):
    """A recurrent controller trained by REINFORCE to write good configurations.

    It begins as random search on a grid and learns after every 16 of its own trials, whatever the batch. A
    failed trial counts as the worst of late; trials that it did not draw are not learned from.

    Args:
        points: values for each continuum, logarithmic integer range, and range of more than 64 values; 2 to 1000.
            Other integers, stepped ranges and choices keep all values.
        learning_rate: step of the controller's Adam optimizer, 0 to 1; 0 is random search.
        entropy: initial weight of the entropy bonus, 0 to 100, against rewards of standard deviation 1; it
            halves every 30 updates. Less settles sooner, more searches longer.
    """

    points: int = 8
    learning_rate: float = 0.02
    entropy: float = 1.2

    def __post_init__(self) -> None:
        for name, low, high in (("points", 2, 1000), ("learning_rate", 0, 1), ("entropy", 0, 100)):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int if name == "points" else (int, float)):
                kind = "an integer" if name == "points" else "a number"
                raise UsageError(f"searcher 'nas': {name} is {value!r} ({type(value).__name__}), expected {kind}")
            if not low <= value <= high:  # NaN included
                raise UsageError(f"searcher 'nas': {name} is {value}, expected {low} to {high}")

    @property
    def default_batch(self) -> int:
        """One update a round, each child drawn from the policy that it is about to improve."""
        return BATCH

    def needs(self) -> Needs:
        """Updates enough for its controller to prefer anything."""
        blind = "" if self.learning_rate else "learning_rate is 0: the controller never changes"
        why = f"its controller learns once in {BATCH} trials, and little before it has done so {LEAST_UPDATES} times"
        return Needs(BATCH, BATCH * LEAST_UPDATES, why, blind)

    def _start(self) -> None:
        self._vocabulary = Vocabulary(self.space, self.points)
        self._learner = Learner(
            self._vocabulary.sizes, self._vocabulary.active, self.seed, self.learning_rate, self.entropy
        )
        self._waiting: list[Result] = []  # own trials, told and not learned from yet

    def _ask(self, n: int) -> list[Proposal]:
        numbers = range(self.next_number, self.next_number + n)
        blocks = range(numbers.start // BATCH, (numbers.stop - 1) // BATCH + 1)
        return [proposal for block in blocks for proposal in self._block(block, numbers)]

    def _block(self, block: int, numbers: range) -> list[Proposal]:
        """Those of trials 16 block, ..., 16 block + 15 that are in `numbers`: each has its row, whatever is asked."""
        rows = [(row, number) for row, number in enumerate(range(block * BATCH, (block + 1) * BATCH))]
        wanted = [(row, number) for row, number in rows if number in numbers]
        uniforms = np.zeros((BATCH, len(self.space)))
        for row, number in wanted:
            uniforms[row] = self.rng(number).random(len(self.space))
        emitted = self._learner.sample(uniforms)
        tokens, log_p, entropy = (field.tolist() for field in emitted)
        return [
            Proposal(
                self._vocabulary.params(tokens[row]),
                info={"log_probability": log_p[row], "entropy": entropy[row], "updates": self._learner.updates},
            )
            for row, _ in wanted
        ]

    def _tell(self, results: Sequence[Result]) -> None:
        self._waiting += [result for result in results if result.own]
        while len(self._waiting) >= BATCH:
            batch = sorted(self._waiting[:BATCH], key=lambda result: result.number)
            del self._waiting[:BATCH]
            self._learner.learn(
                np.array([self._vocabulary.tokens(result.params) for result in batch]),
                np.array([math.nan if result.value is None else result.value for result in batch]),
            )
