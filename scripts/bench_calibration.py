"""How often a comparison claims a difference where there is none, and finds one of the size that it promises.

    python scripts/bench_calibration.py [--quick] [--comparisons N]

None: five random searchers, alike but for the salt of their random numbers, against each other with 20 seeds. A
comparison in which any of the ten pairs is told apart is wrong. Verdicts are made to be wrong at most 5 times in 100,
so of 500 comparisons at most 36 may be: 25, and 2.26 standard deviations.

Planted: two searchers whose runs differ by a normal shift of exactly the size that the comparison calls detectable. It
must be found in 80 of 100 comparisons, within 3 standard deviations.

Both go through the whole pipeline: `hpo.compare` with a store, and the sentences of its verdict. The same is counted of
searchers that are asked directly, which gives the same numbers much faster, and of these also

Looks: None with 8, 12, 16 and 20 seeds one after another, as by someone who adds seeds until something is found; a
series in which any look tells a pair apart is wrong.

Seeds are consecutive and fixed, so each run of this script gives the same counts.
"""

import argparse
import dataclasses
import math
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from scipy.special import ndtri

import hpo
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


def value(params: Mapping[str, float]) -> float:
    """The objective."""
    return params["x"]


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


def through_pipeline(searchers: Mapping[str, Searcher], trials: int, comparison: int) -> Analysis:
    """A comparison as users make it."""
    with tempfile.TemporaryDirectory() as folder:
        return hpo.compare(
            value,
            SPACE,
            [{label: searcher} for label, searcher in searchers.items()],
            seeds=SEEDS,
            seed=SEEDS * comparison,
            trials=trials,
            direction="maximize",
            store=Path(folder) / "hpo.db",
            progress=False,
        ).analysis


def by_hand(searchers: Mapping[str, Searcher], trials: int, comparison: int) -> Results:
    """What the same comparison comes to, without loop and store; only its reference trials are others."""
    on = Task("value", "maximize", "value", "trials", trials, 1, tuple(range(-9, 10)))
    counts, seeds = tuple(range(1, trials + 1)), tuple(range(SEEDS * comparison, SEEDS * (comparison + 1)))
    runs = {}
    for label, searcher in searchers.items():
        for seed in seeds:
            asked = searcher.bind(SPACE, direction=on.direction, seed=seed).ask(trials)
            values = [value(proposal.params) for proposal in asked]
            best = tuple(max(values[:count]) for count in counts)
            runs[on.name, label, seed] = Run(on.name, label, seed, "", counts, counts, best, {}, 0.0, 0, False)
    return Results("calibration", (on,), tuple(searchers), seeds, runs, 1, False, {})


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


def alike() -> dict[str, Searcher]:
    """Five random searchers of their own salts."""
    return {f"random {salt}": Salted(salt=salt) for salt in range(SEARCHERS)}


def planted() -> dict[str, Searcher]:
    """Two searchers whose difference has the detectable size: it is normal with deviation sqrt(2)."""
    shift = math.sqrt(2) * float(ndtri(detectable(SEEDS, first_step(1, 1))))
    return {"better": Planted(salt=0, shift=shift), "worse": Planted(salt=1)}


def looked(comparison: int) -> bool:
    """Whether any of four looks at a growing comparison claims a difference."""
    results = by_hand(alike(), TRIALS, comparison)
    grown = (first_seeds(results, seeds, look) for look, seeds in enumerate(LOOKS, 1))
    return any(claims(analyse(each)) for each in grown)


def report(what: str, claimed: Callable[[int], bool], n: int, low: float, high: float) -> bool:
    """Count in comparisons 0 to n - 1, print, and say whether the count is in [low, high] n."""
    begin = time.perf_counter()
    count = sum(map(claimed, range(n)))
    least, most = math.ceil(low * n), min(n, math.floor(high * n))
    met = least <= count <= most
    wanted = f"{least} to {most}" if least else f"at most {most}"
    took = f"{time.perf_counter() - begin:.0f} s"
    print(f"{what:<52} {count:4} of {n}, expected {wanted}: {'met' if met else 'NOT met'} ({took})", flush=True)
    return met


def none(n: int) -> tuple[float, float]:
    """What share of n comparisons of searchers that are alike may claim a difference."""
    return 0.0, LEVEL + 2.26 * math.sqrt(LEVEL * (1 - LEVEL) / n)


def power(n: int) -> tuple[float, float]:
    """What share of n comparisons with a planted difference has to find it."""
    error = 3 * math.sqrt(POWER * (1 - POWER) / n)
    return POWER - error, POWER + error


def main(words: list[str] | None = None) -> int:
    """Count and print; the exit status says whether all counts are as promised."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--quick", action="store_true", help="fewer looks, and 20 comparisons through the pipeline, not 500"
    )
    parser.add_argument("--comparisons", type=int, help="how many through the pipeline")
    arguments = parser.parse_args(words)
    n = arguments.comparisons or (20 if arguments.quick else 500)
    series = 100 if arguments.quick else 500
    ok = [
        report("none, asked directly", lambda c: claims(analyse(by_hand(alike(), TRIALS, c))), 500, *none(500)),
        report("none, asked directly, at any of four looks", looked, series, *none(series)),
        report("planted, asked directly", lambda c: claims(analyse(by_hand(planted(), 1, c))), 500, *power(500)),
        report("none, through hpo.compare", lambda c: claims(through_pipeline(alike(), TRIALS, c)), n, *none(n)),
        report("planted, through hpo.compare", lambda c: claims(through_pipeline(planted(), 1, c)), n, *power(n)),
    ]
    return 0 if all(ok) else 1


if __name__ == "__main__":
    sys.exit(main())
