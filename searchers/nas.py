"""Neural architecture search by reinforcement learning, for any search space.

Zoph and Le, "Neural Architecture Search with Reinforcement Learning", ICLR 2017, https://arxiv.org/abs/1611.01578
Williams, "Simple Statistical Gradient-Following Algorithms for Connectionist Reinforcement Learning",
Machine Learning 8 (1992), https://doi.org/10.1007/BF00992696

A recurrent controller (`searchers.controller`) describes a child as a list of tokens, one for every active
hyperparameter; the child's value R is the reward of all its tokens; REINFORCE moves the controller towards
descriptions with better rewards, after every 16 children.
"""

import dataclasses
import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from hpo import seeding
from hpo.errors import MismatchError, UsageError
from hpo.searcher import Result, Searcher
from hpo.space import Space
from hpo.trial import Proposal
from searchers import controller
from searchers.controller import Moments

BATCH = controller.ROWS  # children per update
DECAY = 0.9  # of the baseline, per update
HALF_LIFE = 30.0  # of the entropy's weight, in updates
MAX_NORM = 1.0  # of the gradient
MEMORY = 64  # how many finite rewards back a failed child looks for the worst
MAX_RANGE = 64  # a range with more values than this is thinned to `points`
MAX_OPTIONS = 10_000


class Vocabulary:
    """The tokens of a space: hyperparameters parents first, values numbered from 0, -1 where inactive."""

    def __init__(self, space: Space, points: int) -> None:
        self.space = space
        self.points = points
        self._values: list[list[Any]] = []
        for name in space.order:
            domain = space[name]
            size = domain.grid_size(points)
            self._values.append([domain.grid_value(i, points) for i in range(size)])
        self.sizes = [len(values) for values in self._values]

    def active(self, t: int, tokens: Sequence[int]) -> bool:
        name = self.space.order[t]
        return self.space.is_active(name, self._some(self.space.parents(name), tokens))

    def params(self, tokens: Sequence[int]) -> dict[str, Any]:
        return self._some(self.space, tokens)

    def _some(self, names, tokens):
        place = {n: i for i, n in enumerate(self.space.order)}
        return {n: self._values[place[n]][tokens[place[n]]] for n in names if tokens[place[n]] >= 0}

    def tokens(self, params: Mapping[str, Any]) -> list[int]:
        return [
            self.space[name].grid_index(params[name], self.points) if name in params else -1
            for name in self.space.order
        ]


def advantages(rewards, baseline):
    low, high = float(rewards.min()), float(rewards.max())
    if low == high:
        return np.zeros_like(rewards)
    z = (rewards - min(max(baseline, low), high)) / (high - low)
    return z / z.std()


class Learner:
    def __init__(self, sizes, active, seed, learning_rate, entropy):
        self.sizes, self.active = sizes, active
        self.learning_rate, self.entropy = learning_rate, entropy
        self.weights = controller.initial_weights(sizes, seeding.generator(seed, "nas", "weights"))
        self.moments = None
        self.updates = 0
        self.average = 0.0
        self.averaged = 0
        self.recent = []

    def sample(self, uniforms):
        described = [[] for _ in range(BATCH)]

        def choose(t, log_p):
            cumulative = log_p.exp().cumsum(1).numpy()
            token = np.minimum((cumulative <= uniforms[:, t, None]).sum(1), self.sizes[t] - 1).tolist()
            for row, tokens in enumerate(described):
                tokens.append(token[row] if self.active(t, tokens) else -1)
            return torch.tensor([tokens[t] for tokens in described], device="cpu")

        with controller.one_thread(gradient=False):
            return controller.walk(self.weights, self.sizes, choose)

    def learn(self, tokens, rewards):
        finite = rewards[np.isfinite(rewards)]
        self.recent = [*self.recent, *finite.tolist()][-MEMORY:]
        if self.recent:
            rewards = np.where(np.isfinite(rewards), rewards, min(self.recent))
            rewards = rewards.clip(-1e300, 1e300)
            self.averaged += 1
            self.average = DECAY * self.average + (1 - DECAY) * float(rewards.mean())
            A = advantages(rewards, self.average / (1 - DECAY**self.averaged))
        else:
            A = np.zeros(BATCH)
        weight = self.entropy * 0.5 ** (self.updates / HALF_LIFE)
        with controller.one_thread(gradient=True):
            g, _ = controller.gradient(self.weights, self.sizes, torch.as_tensor(tokens), torch.from_numpy(A), weight)
            g = controller.clip(g, MAX_NORM)
            w, self.moments = controller.adam(self.weights, g, self.moments, self.learning_rate)
        self.weights = controller.Weights(*w)
        self.updates += 1
