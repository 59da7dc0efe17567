"""The effect that each shipped study expects, on 20 seeds in a row.

    python scripts/bench_studies.py [STUDY ...] [--quick] [--markdown]

A contrast names two sides of a study's own space: values for some hyperparameters, defaults and constants of the
study for the rest. Both sides train on the seeds 200, 201, ... at the study's data, metric and epochs, all trials of a
study together in the engine. A side of several configurations counts with the one that is best on validation data.
Where the sampling of the data is the point, the seed draws the data and its split as well.

Shown are means over the seeds, the mean of the paired differences, turned so that more is as expected, with its 95 %
interval by Student's t, and whether that lies above 0. It speaks of other seeds, and of other data only where the
seeds draw them. What to contrast was chosen by trying, on other seeds; one contrast was left out because it was not
shown on these: the tutorial's with 128 units.

Fails if a side fails, if a study has no contrast, or, without `--quick`, if an interval does not lie above 0.
"""

import argparse
import itertools
import math
import statistics
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from typing import Any

from scipy import stats

from hpo import Space, seeding
from hpo.study_file import read_plan, shipped
from hpo.training.objective import SimpleNNObjective
from hpo.trial import Job, Outcome, State
from hpo.values import canonical

Params = Mapping[str, Any]
FIRST, SEEDS = 200, 20


@dataclass(frozen=True, eq=False)
class Contrast:
    """Two sides of a study, the first of which should be better.

    Attributes:
        study: a shipped one.
        better: values; a list stands for a configuration with each of them, of which the best counts.
        worse: the same.
        both: values on both sides.
        words: what is compared, where the values do not say it.
        draws: configurations drawn at random that `worse` is the best of, instead of its values.
        on: "validation" or "test": where the sides are measured; the best of several is found on validation data.
        draws_data: whether the seed draws the data.
    """

    study: str
    better: Params
    worse: Params
    both: Params = field(default_factory=dict)
    words: str = ""
    draws: int = 0
    on: str = "validation"
    draws_data: bool = False

    def sides(self, space: Space, seed: int, quick: bool) -> tuple[list[Params], list[Params]]:
        """The configurations of both sides."""
        better, worse = (configurations(space, {**self.both, **side}) for side in (self.better, self.worse))
        if self.draws:
            chance = seeding.generator("bench_studies", self.study, seed)
            worse = [space.sample(chance) for _ in range(4 if quick else self.draws)]
        return better, worse

    def __str__(self) -> str:
        at = f" ({said(self.both)})" if self.both else ""
        return self.words or f"{said(self.better)} > {said(self.worse)}{at}"


CONTRASTS = (
    Contrast("tutorial", {"learning_rate": 0.1}, {"learning_rate": [0.001, 0.01]}, {"width": 64}),
    Contrast("optimizers", {"optimizer": "momentum"}, {"optimizer": "sgd"}, {"learning_rate": 0.01}),
    Contrast("schedules", {"schedule": "warmup_cosine"}, {"schedule": "constant"}, {"learning_rate": 0.3}),
    Contrast("initialization", {"initialization": "he_normal"}, {"initialization": "zeros"}),
    Contrast("preprocessing", {"preprocessing": "standardize"}, {"preprocessing": "none"}),
    Contrast("normalization", {"normalization": "batch"}, {"normalization": "none"}),
    Contrast("activations", {"activation": "relu"}, {"activation": "sigmoid"}, {"depth": 4}),
    Contrast("regularization", {"l2": 0.01}, {"l2": 1e-7}),
    Contrast("regularization", {"augmentation": "gaussian_noise"}, {"augmentation": "none"}),
    Contrast("regularization", {"early_stopping": True}, {"early_stopping": False}, on="test"),
    Contrast("batch_size", {"batch_size": 32}, {"batch_size": 800}),
    Contrast("imbalance", {"class_weights": "balanced"}, {"class_weights": "none"}),
    Contrast("overfitting", {"l2": 0.1}, {"l2": 1e-6}, draws_data=True),
    Contrast("overfitting", {"early_stopping": True}, {"early_stopping": False}, on="test", draws_data=True),
    Contrast(
        "architecture",
        {"depth": 4, "width_3": 32, "width_4": 32},
        {"depth": 1},
        words="4 hidden layers > 1, of 32 units each",
    ),
    Contrast("everything", {}, {}, draws=10, on="test", words="defaults > best of 10 random draws"),
)


def said(params: Params) -> str:
    """A side in words."""
    return ", ".join(
        f"{name} {' or '.join(map(str, value)) if isinstance(value, list) else value}" for name, value in params.items()
    )


def configurations(space: Space, given: Params) -> list[Params]:
    """Every combination of the listed values, completed by the constants and defaults of `space`."""
    constants = {name: domain.decode(0.5) for name, domain in space.items() if domain.size == 1}
    lists = [value if isinstance(value, list) else [value] for value in given.values()]
    found = [dict(zip(given, values, strict=True)) for values in itertools.product(*lists)]
    return [space.validate({**constants, **params}) for params in found]


def train(objective: SimpleNNObjective, jobs: Sequence[Job]) -> dict[int, float]:
    """The values of all `jobs` on validation data by their numbers, trained as one population; NaN for failures."""
    found: dict[int, float] = {}
    with closing(objective.executor()) as executor:
        executor.submit(jobs)
        while len(found) < len(jobs):
            for job, event in executor.wait(1.0):
                if isinstance(event, Outcome):
                    done = event.state is State.DONE and event.value is not None
                    found[job.number] = event.value if done else math.nan
    return found


@dataclass(frozen=True)
class Effect:
    """What came of a contrast.

    Attributes:
        contrast: it.
        metric: and where it was measured.
        better: values, one a seed.
        worse: values, one a seed.
        sign: 1 if more of the metric is better, else -1.
    """

    contrast: Contrast
    metric: str
    better: list[float]
    worse: list[float]
    sign: int

    @property
    def differences(self) -> list[float]:
        """One a seed, positive where it is as expected."""
        return [self.sign * (a - b) for a, b in zip(self.better, self.worse, strict=True)]

    @property
    def interval(self) -> tuple[float, float]:
        """95 % interval of the mean difference."""
        n, mean = len(self.differences), statistics.fmean(self.differences)
        half = float(stats.t.ppf(0.975, n - 1)) * statistics.stdev(self.differences) / math.sqrt(n)
        return mean - half, mean + half

    def cells(self) -> list[str]:
        """A row of the table."""
        low, high = self.interval
        better, worse, mean = (statistics.fmean(each) for each in (self.better, self.worse, self.differences))
        return [
            self.contrast.study,
            str(self.contrast),
            self.metric,
            f"{better:.3f}",
            f"{worse:.3f}",
            f"{mean:.3f} ({low:.3f} to {high:.3f})",
            "yes" if low > 0 else "no",
        ]


HEADER = ["study", "expected", "metric", "left", "right", "better by (95 %)", "shown"]


def bench(study: str, seeds: Sequence[int], quick: bool) -> list[Effect]:
    """Train both sides of every contrast of a study."""
    plan = read_plan(study, searcher=None, changes=(), flags={})
    assert isinstance(plan.objective, SimpleNNObjective)
    assert plan.spec.epochs is not None
    epochs = min(plan.spec.epochs, 5) if quick else plan.spec.epochs
    contrasts = [contrast for contrast in CONTRASTS if contrast.study == study]
    found: dict[Contrast, list[tuple[float, float]]] = {contrast: [] for contrast in contrasts}
    # one population, or where seeds draw the data one for each
    draws_data = any(contrast.draws_data for contrast in contrasts)
    for some in [[seed] for seed in seeds] if draws_data else [seeds]:
        objective = replace(plan.objective, data_seed=some[0]) if draws_data else plan.objective
        jobs: dict[str, Job] = {}  # a configuration that several contrasts have is trained once a seed

        def job_of(params: Params, seed: int, jobs: dict[str, Job] = jobs) -> Job:
            return jobs.setdefault(
                canonical([seed, params]), Job(1, len(jobs), len(jobs), params, seed, 0, epochs, epochs)
            )

        sides = [
            (
                contrast,
                [[job_of(params, seed) for params in side] for side in contrast.sides(plan.spec.space, seed, quick)],
            )
            for contrast in contrasts
            for seed in some
        ]
        values = train(objective, list(jobs.values()))
        for contrast, (better, worse) in sides:
            found[contrast].append(
                (measured(objective, contrast, better, values), measured(objective, contrast, worse, values))
            )
    sign = 1 if plan.objective.direction == "maximize" else -1
    return [
        Effect(
            contrast,
            f"{plan.objective.metric}, {contrast.on}",
            [better for better, _ in found[contrast]],
            [worse for _, worse in found[contrast]],
            sign,
        )
        for contrast in contrasts
    ]


def measured(
    objective: SimpleNNObjective, contrast: Contrast, jobs: Sequence[Job], values: Mapping[int, float]
) -> float:
    """What a side is worth with one seed."""
    assert objective.metric is not None
    sign = 1 if objective.direction == "maximize" else -1
    done = [job for job in jobs if math.isfinite(values[job.number])]
    if not done:
        sys.exit(f"study {contrast.study!r}: with seed {jobs[0].seed} no trial of a side succeeded: {jobs[0].params}")
    best = max(done, key=lambda job: sign * values[job.number])
    return objective.test(best).metrics[objective.metric] if contrast.on == "test" else values[best.number]


def show(effects: Sequence[Effect], markdown: bool) -> None:
    rows = [HEADER, *(effect.cells() for effect in effects)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    if markdown:
        rows.insert(1, ["-" * width for width in widths])
    edge, between = ("| ", " | ") if markdown else ("", "  ")
    for row in rows:
        line = between.join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        print(f"{edge}{line} |" if markdown else line.rstrip())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("studies", nargs="*", metavar="STUDY", help="default: all")
    parser.add_argument("--quick", action="store_true", help="4 seeds, 5 epochs: shows that everything works")
    parser.add_argument("--markdown", action="store_true", help="print the table of studies/README.md")
    arguments = parser.parse_args()
    known = {contrast.study for contrast in CONTRASTS}
    if known != set(shipped()):
        sys.exit(f"contrasts and shipped studies differ: {', '.join(sorted(known ^ set(shipped())))}")
    if unknown := set(arguments.studies) - known:
        parser.error(f"no study {', '.join(sorted(unknown))}: choose from {', '.join(sorted(known))}")
    seeds = range(FIRST, FIRST + (4 if arguments.quick else SEEDS))
    effects = []
    for study in dict.fromkeys(contrast.study for contrast in CONTRASTS):
        if not arguments.studies or study in arguments.studies:
            begin = time.perf_counter()
            effects += bench(study, seeds, arguments.quick)
            print(f"{study}: {time.perf_counter() - begin:.0f} s", file=sys.stderr)
    show(effects, arguments.markdown)
    if missed := [str(effect.contrast) for effect in effects if effect.interval[0] <= 0 and not arguments.quick]:
        sys.exit(f"not shown: {'; '.join(missed)}")


if __name__ == "__main__":
    main()
