"""What is asked of a comparison, and the plan that it makes together with what is stored."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hpo.comparison.labels import read
from hpo.comparison.plan import DEFAULT_SEARCHERS, DEFAULT_SEEDS, MAX_SEEDS, ComparisonPlan, TaskPlan, task_name
from hpo.errors import HpoError, UsageError
from hpo.resolve import resolve_objective, whole
from hpo.space import Space
from hpo.study_file import Question
from hpo.study_spec import MAX_SEED
from hpo.values import brief


@dataclass(frozen=True)
class Request:
    """What somebody asks for; None: as it is stored, else the default.

    Attributes:
        tasks: questions by name of the task.
        searchers: as `labels.read` takes them.
        seeds: how many.
        trials: budget of each run in full trainings.
        epochs: the most that one trial trains, on tasks with epochs.
        seed: the first study seed.
        resplit: whether each seed has a split of the data of its own.
    """

    tasks: Mapping[str, Question] | None = None
    searchers: Any = None
    seeds: int | None = None
    trials: int | None = None
    epochs: int | None = None
    seed: int | None = None
    resplit: bool | None = None


def planned(request: Request, before: ComparisonPlan | None, name: str) -> tuple[ComparisonPlan, list[str]]:
    """All that is to be compared, and a line for each searcher that cannot be used, which it is without.

    Args:
        request: what is asked for.
        before: what is stored; None: nothing is.
        name: of the comparison.

    Raises:
        HpoError: what no searcher could work with.
        ConflictError: something is stored under the name that is not the same.
    """
    seed, resplit, seeds = (0, False, DEFAULT_SEEDS) if before is None else (before.seed, before.resplit, before.seeds)
    seeds = seeds if request.seeds is None else whole("seeds", request.seeds, 1, MAX_SEEDS)
    if before is not None and request.searchers is None:
        searchers, wrong = dict(before.searchers), list[str]()
    else:
        searchers, wrong = read(DEFAULT_SEARCHERS if request.searchers is None else request.searchers)
    plan = ComparisonPlan(
        seed=whole("seed", seed if request.seed is None else request.seed, 0, MAX_SEED - seeds),
        resplit=resplit if request.resplit is None else request.resplit,
        tasks=_tasks(request, {} if before is None else before.tasks),
        searchers=searchers,
        seeds=seeds,
    )
    return plan if before is None else plan.grown(before, name), wrong


def kept(request: Request, plan: ComparisonPlan) -> list[str]:
    """What is compared though the request leaves it out, because it is stored, in words."""
    found = [f"{plan.seeds} seeds"] if request.seeds is not None and request.seeds < plan.seeds else []
    sections: list[tuple[Any, Mapping[str, Any]]] = [(request.tasks, plan.tasks)]
    if request.searchers is not None:
        sections.append((read(request.searchers)[0], plan.searchers))
    for asked, there in sections:
        found += [] if asked is None else [name for name in there if name not in asked]
    return found


def _tasks(request: Request, before: Mapping[str, TaskPlan]) -> dict[str, TaskPlan]:
    """The tasks asked for, and those that are stored, with the budget asked for."""
    questions = request.tasks
    if questions is None:
        questions = {} if before else questions_of(None, None, None)
    tasks: dict[str, TaskPlan] = {}
    for name, question in questions.items():
        trials = request.trials
        epochs = request.epochs if question.objective.has_epochs or len(questions) == 1 else None
        if (known := before.get(name)) is not None:
            trials = known.trials if trials is None else trials
            epochs = known.epochs if epochs is None else epochs
        tasks[name] = TaskPlan.of(name, question, trials, epochs)
    for name, found in before.items():
        if name not in tasks:
            epochs = None if found.epochs is None else request.epochs
            asked = {key: value for key, value in (("trials", request.trials), ("epochs", epochs)) if value is not None}
            tasks[name] = TaskPlan(name, {**found.definition, **asked})
    return tasks


def questions_of(objective: Any, space: Any, direction: str | None) -> dict[str, Question]:
    """The tasks that `hpo.compare` is given, by name."""
    if not isinstance(objective, Mapping):
        question = _question(objective, space, direction)
        return {task_name(question): question}
    if not objective:
        raise UsageError("objective is an empty dict, expected task names with their objectives")
    by_task = isinstance(space, Mapping) and not isinstance(space, Space) and set(space) == set(objective)
    if isinstance(space, Mapping) and not isinstance(space, Space) and not by_task:
        try:
            Space(space)  # one for all of them
        except HpoError as error:
            names = ", ".join(map(str, objective))
            raise type(error)(f"{error}; space is one for all tasks, or a dict of each of them: {names}") from error
    found = {}
    for name, one in objective.items():
        if not isinstance(name, str):
            raise UsageError(f"task {brief(name)} is no text: give tasks names")
        found[name] = _question(one, space[name] if by_task and space is not None else space, direction)
    return found


def _question(objective: Any, space: Any, direction: str | None) -> Question:
    found = resolve_objective(objective, direction)
    if space is None and (space := found.space()) is None:
        raise UsageError(f"objective {found.name!r} needs a search space: give space={{...}}")
    return Question(found, Space(space), {}, None, None, None)
