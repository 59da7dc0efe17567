"""What is to be searched, before it is a study in a store."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hpo.errors import LoadError, UsageError
from hpo.objective import Objective
from hpo.registry import import_object, make_searcher
from hpo.resolve import whole
from hpo.searcher import Searcher
from hpo.space import Space
from hpo.study_spec import MAX_SEED, StudySpec
from hpo.values import brief

DEFAULT_SEARCHER = "tpe"
DEFAULT_TRIALS = 50
MAX_BATCH = 100_000
MAX_EPOCHS = 10**9


@dataclass(frozen=True)
class Plan:
    """A study to be created or gone on with.

    Attributes:
        objective: what is optimised.
        spec: the study's specification.
        trials: budget in full trainings; None: asked and told by hand.
        initial: configurations that are tried first; None: those of an existing study, else none.
        name: of the study; None: a new one named after label, searcher and seed.
        label: beginning of the name; None: the objective's.
        from_study: name of the study whose trials a new one is told; None: that of an existing study, else none.
    """

    objective: Objective
    spec: StudySpec
    trials: int | None
    initial: Sequence[Mapping[str, Any]] | None = None
    name: str | None = None
    label: str | None = None
    from_study: str | None = None


def specify(
    objective: Objective,
    space: Space | Mapping[str, Any] | None,
    searcher: str | type[Searcher] | Searcher,
    *,
    epochs: int | None,
    seed: int,
    batch: int | None,
    settings: Mapping[str, Any] | None = None,
    free_running: bool = False,
) -> StudySpec:
    """The validated specification of a study; everything that cannot work together is refused here."""
    seed = whole("seed", seed, 0, MAX_SEED)
    batch = None if batch is None else whole("batch", batch, 1, MAX_BATCH)
    epochs = _epochs(objective, epochs)
    if space is None and (space := objective.space()) is None:
        raise UsageError(f"objective {objective.name!r} needs a search space: give space={{...}}")
    space = Space(space)
    objective.check_space(space)
    kind, unbound = make_searcher(searcher, settings)
    _check_importable(kind, unbound)
    assert objective.direction is not None
    bound = unbound.bind(space, direction=objective.direction, seed=seed, epochs=epochs)
    return StudySpec(
        objective=objective.describe(),
        space=space,
        searcher=kind,
        settings=unbound.settings(),
        direction=objective.direction,
        seed=seed,
        batch=bound.default_batch if batch is None else batch,
        epochs=epochs,
        free_running=free_running,
    )


def _check_importable(name: str, searcher: Searcher) -> None:
    """Refuse a class that the study could not find again by the name that is stored."""
    if ":" not in name:
        return
    try:
        found = import_object(name)
    except LoadError:
        found = None
    if found is not type(searcher):
        raise UsageError(
            f"searcher {name!r} cannot be found again under that name, so the study could not go on: "
            "define the class at the top level of a module"
        )


def _epochs(objective: Objective, epochs: int | None) -> int | None:
    if not objective.has_epochs:
        if epochs is not None:
            raise UsageError(
                f"epochs is {brief(epochs)}, but objective {objective.name!r} has no epochs: leave it out, or make the "
                "objective a generator or f(params, epochs)"
            )
        return None
    epochs = objective.default_epochs if epochs is None else epochs
    if epochs is None and objective.epochs_optional:
        return None
    if epochs is None:
        raise UsageError(
            f"objective {objective.name!r} trains in epochs: give epochs (--epochs), the most that one trial trains"
        )
    return whole("epochs", epochs, 1, MAX_EPOCHS)
