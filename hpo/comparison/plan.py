"""What is to be compared: tasks, searchers and seeds, before they are studies in a store."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from hpo import seeding
from hpo.comparison.labels import Labelled, SearchersError, check_name
from hpo.errors import ConflictError, UsageError
from hpo.objective import Objective
from hpo.plan import specify
from hpo.resolve import MAX_TRIALS, stored_objective, whole
from hpo.space import Space
from hpo.store import default_path
from hpo.study_file import Question
from hpo.study_spec import StudySpec
from hpo.text import command
from hpo.values import canonical

DEFAULT_SEARCHERS: Final = ("random", "tpe", "halving")
DEFAULT_SEEDS: Final = 12
DEFAULT_COMPARE_TRIALS: Final = 25  # where neither the user nor the study says
REFERENCE_TRIALS: Final = 20  # random ones of each task: the scale of regret
MAX_SEEDS: Final = 10_000
MAX_NAME_PART: Final = 100  # characters of tasks in the name of a comparison


@dataclass(frozen=True)
class TaskPlan:
    """A task: what is optimised, under which budget.

    Attributes:
        name: what it is called.
        definition: JSON that determines it: objective, direction, space, spaces of searchers, trials, epochs.
        given: the objective where this process has it; None: it is imported when it is needed.
    """

    name: str
    definition: Mapping[str, Any]
    given: Objective | None = field(default=None, compare=False)
    _splits: dict[int, Objective] = field(default_factory=dict, compare=False, repr=False)

    @classmethod
    def of(cls, name: str, question: Question, trials: int | None, epochs: int | None) -> TaskPlan:
        """A task from a study's question; the budget given wins over its own.

        Raises:
            HpoError: what no searcher could work with.
        """
        check_name("task", name)
        objective = question.objective
        epochs = question.epochs if epochs is None else epochs
        spec = specify(objective, question.space, "random", epochs=epochs, seed=0, batch=None)
        found = question.trials if trials is None else trials
        definition = {
            "objective": spec.objective,
            "direction": spec.direction,
            "space": spec.space.to_json(),
            "spaces": {kind: space.to_json() for kind, space in question.spaces.items()},
            "trials": whole("trials", DEFAULT_COMPARE_TRIALS if found is None else found, 1, MAX_TRIALS),
            "epochs": spec.epochs,
        }
        return cls(name, definition, objective)

    @functools.cached_property
    def objective(self) -> Objective:
        """What is optimised; raises LoadError where it can only be given by the user."""
        if self.given is not None:
            return self.given
        return stored_objective(self.definition["objective"], self.definition["direction"])

    @property
    def trials(self) -> int:
        """Budget of each run in full trainings."""
        return int(self.definition["trials"])

    @property
    def epochs(self) -> int | None:
        """The most that one trial trains; None without epochs."""
        found: int | None = self.definition["epochs"]
        return found

    @property
    def unit(self) -> str:
        """What its runs spend."""
        return "trials" if self.epochs is None else "epochs"

    @property
    def budget(self) -> int:
        """Units that each run may spend."""
        return self.trials * self.trial_epochs

    @property
    def trial_epochs(self) -> int:
        """What a full training costs."""
        return 1 if self.epochs is None else self.epochs

    def space(self, kind: str | None = None) -> Space:
        """What a searcher of this kind searches; None: what the task says without regard to one."""
        return Space.from_json(self.definition["spaces"].get(kind, self.definition["space"]))

    def split(self, seed: int) -> Objective:
        """The objective on the split of its data that belongs to a study's seed."""
        if seed not in self._splits:
            self._splits[seed] = self.objective.resplit(seed)
        return self._splits[seed]

    def reference_spec(self, seed: int) -> StudySpec:
        """Of the study of random trials that gives the scale; `seed` is the comparison's first one."""
        derived = seeding.derive(seed, self.name, "reference")
        batch = REFERENCE_TRIALS
        return specify(self.objective, self.space(), "random", epochs=self.epochs, seed=derived, batch=batch)


@dataclass(frozen=True)
class ComparisonPlan:
    """All that is compared.

    Attributes:
        seed: the first study seed; the others follow it.
        resplit: whether each seed has a split of the data of its own.
        tasks: by name.
        searchers: by label.
        seeds: how many.
    """

    seed: int
    resplit: bool
    tasks: Mapping[str, TaskPlan]
    searchers: Mapping[str, Labelled]
    seeds: int
    _specs: dict[tuple[str, str], StudySpec] = field(default_factory=dict, compare=False, repr=False)

    @classmethod
    def stored(cls, spec: Mapping[str, Any], plan: Mapping[str, Any]) -> ComparisonPlan:
        """The inverse of `spec_json` and `plan_json`."""
        tasks = {name: TaskPlan(name, definition) for name, definition in plan["tasks"].items()}
        searchers = {label: Labelled(one["name"], one["settings"]) for label, one in plan["searchers"].items()}
        return cls(seed=spec["seed"], resplit=spec["resplit"], tasks=tasks, searchers=searchers, seeds=plan["seeds"])

    def spec_json(self) -> dict[str, Any]:
        """What never changes."""
        return {"seed": self.seed, "resplit": self.resplit}

    def plan_json(self) -> dict[str, Any]:
        """What only grows."""
        return {
            "tasks": {name: task.definition for name, task in self.tasks.items()},
            "searchers": {label: made.to_json() for label, made in self.searchers.items()},
            "seeds": self.seeds,
        }

    def spec(self, task: TaskPlan, label: str, nth: int) -> StudySpec:
        """Of one run.

        Raises:
            HpoError: the searcher cannot run the task.
        """
        made = self.searchers[label]
        if (task.name, label) not in self._specs:
            space = task.space(made.kind)
            spec = specify(task.objective, space, made.searcher, epochs=task.epochs, seed=self.seed, batch=None)
            if not made.searcher.needs_epochs:  # it proposes whole trainings: more than the budget are for nothing
                spec = replace(spec, batch=min(spec.batch, task.trials))
            self._specs[task.name, label] = spec
        found = replace(self._specs[task.name, label], seed=self.seed + nth)
        return replace(found, objective=task.split(found.seed).describe()) if self.resplit else found

    def objective(self, task: TaskPlan, nth: int) -> Objective:
        """What run number `nth` of a task optimises."""
        return task.split(self.seed + nth) if self.resplit else task.objective

    def check(self, tasks: Sequence[TaskPlan], unreadable: Sequence[str] = ()) -> None:
        """Raise SearchersError naming all searchers that cannot run one of `tasks`, and those `unreadable` already."""
        wrong: dict[str, list[str]] = {}
        for label in self.searchers:
            for task in tasks:
                try:
                    self.spec(task, label, 0)
                except UsageError as error:
                    wrong.setdefault(label, []).append(f"{label} on {task.name}: {error}")
        if wrong or unreadable:
            rest = [label for label in self.searchers if label not in wrong]
            raise SearchersError([*unreadable, *(line for lines in wrong.values() for line in lines)], rest)

    def grown(self, stored: ComparisonPlan, name: str) -> ComparisonPlan:
        """What is asked for and all that is stored already, together.

        Raises:
            ConflictError: something is stored under the same name that is not the same.
        """
        lines = list(_differences("", stored.spec_json(), self.spec_json()))
        before, now = stored.plan_json(), self.plan_json()
        for section in ("tasks", "searchers"):
            for key in before[section].keys() & now[section].keys():
                where = f"{section[:-1]} {key!r}: "
                lines += _differences(where, before[section][key], now[section][key])
        if lines:
            raise ConflictError(
                f"comparison {name!r} was made otherwise; use another name, or what is stored:\n  "
                + "\n  ".join(sorted(lines))
            )
        tasks = {task: self.tasks.get(task, found) for task, found in stored.tasks.items()} | {**self.tasks}
        searchers = {**stored.searchers, **self.searchers}
        return replace(self, tasks=tasks, searchers=searchers, seeds=max(stored.seeds, self.seeds), _specs={})

    def facts(self) -> dict[str, str]:
        """What readers should know besides: settings of searchers, and where spaces differ."""
        found = {}
        for label, made in self.searchers.items():
            settings = ", ".join(f"{key}={value}" for key, value in made.settings.items())
            found[f"searcher {label}"] = made.kind + (f" ({settings})" if settings else "")
            for task in self.tasks.values():
                if made.kind in task.definition["spaces"]:
                    own, base = task.space(made.kind), task.space()
                    names = [n for n in {**base, **own} if own.get(n) != base.get(n)]
                    found[f"space of {label} on {task.name}"] = f"its own, other in {', '.join(names)}"
        if self.resplit:
            found["regret"] = "each seed has its own split; the scale is that of the original one"
        return found


def task_name(question: Question) -> str:
    """What a task is called unless the user says: its study, else its data, else its function."""
    if question.label is not None:
        return question.label
    told = question.objective.describe()
    data = told.get("data")  # of an objective that trains modules a digest
    name = Path(data).stem if isinstance(data, str) and "build" not in told else question.objective.name
    return "".join(c if c.isprintable() else "-" for c in name)[:100] or "task"


def _differences(where: str, stored: Any, now: Any) -> Iterator[str]:
    """Where two descriptions differ, a line each."""
    if isinstance(stored, Mapping) and isinstance(now, Mapping):
        for key in {**stored, **now}:
            yield from _differences(f"{where}{key}: ", stored.get(key), now.get(key))
    elif canonical(stored) != canonical(now):
        yield f"{where}stored {canonical(stored)}, now {canonical(now)}"


def going_on(name: str, path: Path, *options: str) -> str:
    """What to type for a comparison to go on, with more `options`."""
    named = [f"--name={name}"] if name.startswith("-") else ["--name", name]
    return command("compare", None, path, default_path(), options=[*options, *named])
