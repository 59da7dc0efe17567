"""The winner of a search: the best trials with fresh seeds, the best of their means, and its score on test data.

The best of many noisy values is partly luck. So the best configurations train again with seeds that no search has
chosen among, the best mean wins, and only the winner meets the test data.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from hpo.objective import TestScore
from hpo.store.codec import json_float
from hpo.text import number
from hpo.values import tag, untag

CANDIDATES: Final = 5  # configurations that train again
FRESH: Final = 5  # seeds that each of them trains with
LEVEL: Final = 0.05  # of the tests: two configurations alike are told apart in one of twenty comparisons


# -- what is known of a configuration


@dataclass(frozen=True)
class Candidate:
    """A configuration trained again.

    Attributes:
        number: of its best trial; None: the default configuration, which was no such trial.
        params: the configuration.
        first: value of that trial in the search; None for the default configuration.
        fresh: values with fresh seeds, in their order; NaN where the training failed.
        failure: why the first of those failed; None: all succeeded.
    """

    number: int | None
    params: Mapping[str, Any]
    first: float | None
    fresh: tuple[float, ...]
    failure: str | None = None

    @property
    def failed(self) -> bool:
        """Whether a run with a fresh seed failed, so that the mean is no fair one: it cannot win."""
        return not all(map(math.isfinite, self.fresh))

    @property
    def mean(self) -> float:
        """Of the values with fresh seeds; NaN if one failed."""
        return math.nan if self.failed else statistics.mean(self.fresh)

    @property
    def spread(self) -> float:
        """Standard deviation of the values with fresh seeds; NaN if one failed."""
        return math.nan if self.failed else statistics.stdev(self.fresh)

    def best_run(self, direction: str) -> int:
        """Which of the fresh seeds gave the best value, of equals the first."""
        return max(range(len(self.fresh)), key=lambda i: _sign(direction) * self.fresh[i])

    @property
    def label(self) -> str:
        """What it is called in a sentence."""
        return "the default configuration" if self.number is None else f"trial {self.number}"

    def to_json(self) -> dict[str, Any]:
        """A lossless description; the inverse of `from_json`."""
        return {
            "number": self.number,
            "params": {name: tag(value) for name, value in self.params.items()},
            "first": self.first,
            "fresh": [json_float(value) for value in self.fresh],
            "failure": self.failure,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Candidate:
        """The inverse of `to_json`."""
        params = {name: untag(value) for name, value in data["params"].items()}
        return cls(data["number"], params, data["first"], tuple(map(float, data["fresh"])), data["failure"])


@dataclass(frozen=True)
class Comparison:
    """The winner beside another candidate.

    Attributes:
        difference: of the means over fresh seeds; positive: the winner is better.
        p: of the two-sided Welch test, in [0, 1].
    """

    difference: float
    p: float

    @property
    def told(self) -> bool:
        """Whether the two can be told apart."""
        return self.p < LEVEL


def welch(a: Sequence[float], b: Sequence[float]) -> float:
    """The two-sided Welch t-test's p that two samples have the same mean, in [0, 1].

    t = (mean(a) - mean(b)) / sqrt(var(a)/n + var(b)/m). Where neither sample varies t is 0/0 or infinite, and p is 1
    if they are equal, else 0.

    Args:
        a: n >= 2 finite values.
        b: m >= 2 finite values.
    """
    from scipy.stats import ttest_ind_from_stats

    # of `statistics`, which computes in fractions: equal values have a deviation of exactly 0
    deviations = statistics.stdev(a), statistics.stdev(b)
    means = statistics.mean(a), statistics.mean(b)
    if deviations == (0, 0):
        return float(means[0] == means[1])
    sides = (means[0], deviations[0], len(a), means[1], deviations[1], len(b))
    return float(ttest_ind_from_stats(*sides, equal_var=False).pvalue)


# -- who won


@dataclass(frozen=True)
class Winner:
    """The answer of a study; see `judge` and `hpo.comparison.check.check_winner`.

    Attributes:
        direction: "maximize" or "minimize".
        epochs: that every run was trained.
        candidates: the best configurations of the search, its own best first.
        default: the space's default configuration, which may be one of the candidates; None: the space has none.
        number: the trial that won; None: each candidate failed with a fresh seed.
        seed: of the winner's model: its run with the best validation value, which was chosen without test data. It is
            the model to take home, and the one that was tested.
        runner_up: number of the trial with the second best mean; None: there is none.
        against_runner_up: how clearly the winner beats it.
        against_default: how clearly the winner beats the default configuration; None: it is that itself, or there is
            none, or it failed.
        test: what the winner's model scored on the test data; None: nothing was tested.
    """

    direction: str
    epochs: int
    candidates: tuple[Candidate, ...]
    default: Candidate | None
    number: int | None
    seed: int | None = None
    runner_up: int | None = None
    against_runner_up: Comparison | None = None
    against_default: Comparison | None = None
    test: TestScore | None = None

    @property
    def candidate(self) -> Candidate | None:
        """The winner among the candidates."""
        return None if self.number is None else self._numbered(self.number)

    @property
    def optimism(self) -> float:
        """By how much the winner's value in the search flattered it: positive if it was luck; NaN without a winner.

        If anything too small: the winner's mean is the best of several, so a little lucky itself. Its test score is
        not.
        """
        won = self.candidate
        if won is None or won.first is None:
            return math.nan
        return _sign(self.direction) * (won.first - won.mean)

    @property
    def sentences(self) -> list[str]:
        """What the numbers mean, and what they do not."""
        won, first = self.candidate, self.candidates[0]
        out = [f"{_begin(c.label)} is out: {_failure(c)}." for c in self.candidates if c.failed]
        if won is None:
            return ["No trial wins, and the test data was not used: all of the best failed with fresh seeds.", *out]
        found = []
        if won is not first and not first.failed:
            found.append(
                f"{_begin(first.label)} has the best value of the search, {number(first.first)}, but its mean over "
                f"{FRESH} fresh seeds is {_short(first.mean)}, the winner's {_short(won.mean)}."
            )
        if self.against_runner_up is None or self.runner_up is None:
            found.append("There is no runner-up to compare the winner with.")
        else:
            found.append(_compared(won, self._numbered(self.runner_up), "the runner-up, ", self.against_runner_up))
        if self.default is None:
            found.append("The space gives no defaults: there is no default configuration to compare the winner with.")
        elif self.default.number == self.number:
            found.append("The winner is the default configuration.")
        elif self.against_default is None:
            found.append(f"The default configuration cannot be compared with: {_failure(self.default)}.")
        else:
            found.append(_compared(won, replace(self.default, number=None), "", self.against_default))
        return found + out

    def _numbered(self, trial: int) -> Candidate:
        return next(candidate for candidate in self.candidates if candidate.number == trial)

    def to_json(self) -> dict[str, Any]:
        """A lossless description as strict JSON; the inverse of `from_json`."""
        test = self.test and {
            "metrics": {name: json_float(value) for name, value in self.test.metrics.items()},
            "low": json_float(self.test.low),
            "high": json_float(self.test.high),
        }
        return {
            "direction": self.direction,
            "epochs": self.epochs,
            "candidates": [candidate.to_json() for candidate in self.candidates],
            "default": self.default and self.default.to_json(),
            "number": self.number,
            "seed": self.seed,
            "runner_up": self.runner_up,
            "against_runner_up": self.against_runner_up and vars(self.against_runner_up),
            "against_default": self.against_default and vars(self.against_default),
            "test": test,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Winner:
        """The inverse of `to_json`."""
        test, default = data["test"], data["default"]
        more: dict[str, Any] = {
            "candidates": tuple(map(Candidate.from_json, data["candidates"])),
            "default": default and Candidate.from_json(default),
            "test": test
            and TestScore(
                {name: float(value) for name, value in test["metrics"].items()}, float(test["low"]), float(test["high"])
            ),
        }
        for name in ("against_runner_up", "against_default"):
            more[name] = data[name] and Comparison(**data[name])
        return cls(**(dict(data) | more))


def judge(candidates: Sequence[Candidate], default: Candidate | None, direction: str, epochs: int) -> Winner:
    """Who wins: the best mean over fresh seeds, of equals the lowest number; nothing is tested yet.

    Args:
        candidates: the best configurations of the search, its own best first; those with a failed run cannot win.
        default: the default configuration, which is compared with and cannot win unless it is one of them.
        direction: "maximize" or "minimize".
        epochs: that every run was trained.
    """
    sign = _sign(direction)
    racing = sorted((c for c in candidates if not c.failed), key=lambda c: (-sign * c.mean, c.number))
    if not racing:
        return Winner(direction, epochs, tuple(candidates), default, number=None)
    won, *others = racing

    def against(other: Candidate | None) -> Comparison | None:
        if other is None or other.failed or other.number == won.number:
            return None
        return Comparison(sign * (won.mean - other.mean), welch(won.fresh, other.fresh))

    runner_up = others[0] if others else None
    return Winner(
        direction,
        epochs,
        tuple(candidates),
        default,
        won.number,
        runner_up=None if runner_up is None else runner_up.number,
        against_runner_up=against(runner_up),
        against_default=against(default),
    )


def _sign(direction: str) -> float:
    return 1.0 if direction == "maximize" else -1.0


def _short(value: float) -> str:
    return f"{value:.4g}"


def _begin(text: str) -> str:
    return text[:1].upper() + text[1:]


def _failure(candidate: Candidate) -> str:
    failed = sum(not math.isfinite(value) for value in candidate.fresh)
    return f"{failed} of its {len(candidate.fresh)} fresh seeds failed ({candidate.failure})"


def _compared(won: Candidate, other: Candidate, role: str, found: Comparison) -> str:
    p = "p < 0.0001" if found.p < 1e-4 else f"p = {found.p:.2g}"
    if found.told and found.difference > 0:
        return f"The winner is better than {role}{other.label}, by {abs(found.difference):.2g} ({p})."
    if found.told:
        return f"{_begin(role + other.label)} is better than the winner, by {abs(found.difference):.2g} ({p})."
    return (
        f"The winner cannot be told from {role}{other.label}: mean {_short(won.mean)} against {_short(other.mean)} "
        f"over {len(won.fresh)} fresh seeds ({p})."
    )
