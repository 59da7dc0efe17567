"""How often a comparison claims a difference where there is none, and finds one of the size that it promises.

    python scripts/bench_calibration.py [--quick] [--comparisons N]

None: five random searchers, alike but for the salt of their random numbers, against each other with 20 seeds. A
comparison in which any of the ten pairs is told apart is wrong. Verdicts are made to be wrong at most 5 times in 100,
so of 500 comparisons at most 36 may be: 25, and 2.26 standard deviations.

Looks: the same with 8, 12, 16 and 20 seeds one after another, as someone does who adds seeds until something is found;
a series in which any look tells a pair apart is wrong.

Planted: two searchers whose runs differ by a normal shift of exactly the size that the comparison calls detectable. It
must be found in 80 of 100 comparisons, within 3 standard deviations.

Salts are consecutive and fixed, so each run of this script gives the same counts. Searchers are asked directly, and the
results analysed, told and counted in the verdict's own sentences.
"""

import argparse
import dataclasses
import math
import sys
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from scipy.special import ndtri

from hpo import seeding
from hpo.comparison.analyse import analyse
from hpo.comparison.analysis import Analysis
from hpo.comparison.results import Results, Run, Task
from hpo.comparison.statistics import LEVEL, POWER, detectable, first_step
from hpo.domains import Float
from hpo.searcher import Searcher
from hpo.space import Space
from hpo.trial import Proposal
from searchers.random import Random

SEARCHERS = 5
SEEDS = 20
TRIALS = 5
LOOKS = (8, 12, 16, 20)  # seeds
SPACE = Space({"x": Float(-10.0, 10.0)})


def value(x: float) -> float:
    """The objective."""
    return x


@dataclass(eq=False)
class Salted(Random):
    """Random search whose draws depend on `salt`, so that two of them are alike and yet independent."""

    salt: int = 0

    def rng(self, number, purpose="propose"):
        """The stream of trial `number` for one purpose."""
        return seeding.generator(self.seed, self.salt, number, purpose)


@dataclass(eq=False)
class Planted(Salted):
    """Draws x from a normal distribution with mean `shift` and deviation 1."""

    shift: float = 0.0

    def _ask(self, n):
        numbers = range(self.next_number, self.next_number + n)
        return [Proposal({"x": float(self.shift + self.rng(number).normal())}) for number in numbers]


def by_hand(searchers: Mapping[str, Searcher], trials: int) -> Results:
    """What a comparison of those searchers comes to, without a store."""
    on = Task("line", "maximize", "value", "trials", trials, 1, tuple(range(-9, 10)))
    counts = tuple(range(1, trials + 1))
    runs = {}
    for label, searcher in searchers.items():
        for seed in range(SEEDS):
            asked = searcher.bind(SPACE, direction=on.direction, seed=seed).ask(trials)
            values = [value(proposal.params["x"]) for proposal in asked]
            best = tuple(max(values[:count]) for count in counts)
            runs[on.name, label, seed] = Run(on.name, label, seed, "", counts, counts, best, {}, 0.0, 0, False)
    return Results("calibration", (on,), tuple(searchers), tuple(range(SEEDS)), runs, 1, False, {})


def first_seeds(results: Results, count: int, look: int) -> Results:
    """The same comparison when it had fewer seeds."""
    seeds = results.seeds[:count]
    runs = {key: run for key, run in results.runs.items() if run.seed in seeds}
    return dataclasses.replace(results, seeds=seeds, runs=runs, look=look)


def claims(analysis: Analysis) -> bool:
    """Whether the verdict claims any difference."""
    pairs = [pair for one in analysis.tasks.values() for pair in one.pairs if pair.better is not None]
    said = any(" beats " in sentence for sentence in analysis.sentences)
    if said != bool(pairs):
        sys.exit(f"the verdict does not say what the tests found: {analysis.sentences}")
    return said


def alike(comparison: int) -> dict[str, Searcher]:
    """Five random searchers of their own salts."""
    return {f"random {k}": Salted(salt=SEARCHERS * comparison + k) for k in range(SEARCHERS)}


def planted(comparison: int) -> dict[str, Searcher]:
    """Two searchers whose difference has the detectable size: it is normal with deviation sqrt(2)."""
    shift = math.sqrt(2) * float(ndtri(detectable(SEEDS, first_step(1, 1))))
    return {"better": Planted(salt=2 * comparison, shift=shift), "worse": Planted(salt=2 * comparison + 1)}


def report(what: str, found: Iterable[bool], low: float, high: float) -> bool:
    """Count, print, and say whether the count is in [low, high] n."""
    begin = time.perf_counter()
    told = list(found)
    n, count = len(told), sum(told)
    met = math.ceil(low * n) <= count <= math.floor(high * n)
    wanted = f"at most {math.floor(high * n)}" if low == 0 else f"{math.ceil(low * n)} to {math.floor(high * n)}"
    took = f"{time.perf_counter() - begin:.0f} s"
    print(f"{what:<44} {count:4} of {n}, expected {wanted}: {'met' if met else 'NOT met'} ({took})", flush=True)
    return met


def deviation(share: float, n: int) -> float:
    """Standard deviation of a share among n."""
    return math.sqrt(share * (1 - share) / n)


def main(words: list[str] | None = None) -> int:
    """Count and print; the exit status says whether all counts are as promised."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="100 comparisons of each kind instead of 500")
    parser.add_argument("--comparisons", type=int, help="how many of each kind")
    arguments = parser.parse_args(words)
    n = arguments.comparisons or (100 if arguments.quick else 500)
    none = LEVEL + 2.26 * deviation(LEVEL, n)
    power = 3 * deviation(POWER, n)
    ok = [
        report(
            "five random searchers: any difference claimed",
            (claims(analyse(by_hand(alike(c), TRIALS))) for c in range(n)),
            0,
            none,
        ),
    ]

    def looked(c: int) -> bool:
        results = by_hand(alike(10_000 + c), TRIALS)
        return any(claims(analyse(first_seeds(results, seeds, look))) for look, seeds in enumerate(LOOKS, 1))

    ok.append(report("the same at any of four looks", map(looked, range(n)), 0, none))
    ok.append(
        report(
            "a planted effect of the promised size: found",
            (claims(analyse(by_hand(planted(c), 1))) for c in range(n)),
            POWER - power,
            POWER + power,
        )
    )
    return 0 if all(ok) else 1


if __name__ == "__main__":
    sys.exit(main())
