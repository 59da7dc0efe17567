"""What a study is, apart from its trials: the part that never changes once it is stored."""

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from hpo.errors import SpaceError
from hpo.registry import make_searcher
from hpo.searcher import Searcher
from hpo.space import Space
from hpo.store.damage import AlteredError
from hpo.values import brief, canonical

MAX_SEED = 2**64 - 1


@dataclass(frozen=True)
class StudySpec:
    """A study's specification: with the seed it determines every trial.

    Attributes:
        objective: what `Objective.describe` says.
        space: the search space.
        searcher: the searcher's name.
        settings: the searcher's settings.
        direction: "maximize" or "minimize".
        seed: all randomness of the study.
        batch: proposals a round.
        epochs: the most that one trial trains; None for an objective without epochs.
        free_running: whether the searcher is told in order of arrival, and proposes anew for each that ended; else in
            rounds of `batch`, whose trials do not depend on which ends first.
    """

    objective: Mapping[str, Any]
    space: Space
    searcher: str
    settings: Mapping[str, Any]
    direction: str
    seed: int
    batch: int
    epochs: int | None
    free_running: bool = False

    @property
    def trial_epochs(self) -> int:
        """Cost of a full training: `epochs`, or 1 for an objective without."""
        return 1 if self.epochs is None else self.epochs

    def bound_searcher(self) -> Searcher:
        """The searcher at the study's beginning."""
        _, searcher = make_searcher(self.searcher, self.settings)
        bound: Searcher = searcher.bind(self.space, direction=self.direction, seed=self.seed, epochs=self.epochs)
        return bound

    def to_json(self) -> dict[str, Any]:
        """A lossless description; the inverse of `from_json`."""
        return {field.name: getattr(self, field.name) for field in dataclasses.fields(self)} | {
            "space": self.space.to_json()
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "StudySpec":
        """The inverse of `to_json`.

        Raises:
            AlteredError: it is not what `to_json` gives.
        """
        try:
            spec = cls(**(dict(data) | {"space": Space.from_json(data["space"])}))
        except (AttributeError, LookupError, TypeError, ValueError, SpaceError) as error:
            raise AlteredError(f"specification of a study: {error}") from error
        for name, kind in _KINDS.items():
            if not isinstance(value := getattr(spec, name), kind) or isinstance(value, bool) is not (kind is bool):
                raise AlteredError(f"specification of a study: {name} = {brief(value)}")
        return spec

    def differences(self, stored: "StudySpec") -> list[str]:
        """Where this specification differs from a stored one, a line each: `batch: stored 8, now 16`."""
        old, new = dict(_flat(stored)), dict(_flat(self))
        lines = [
            _CHANGED.get(key, f"{key}: stored {old.get(key, 'nothing')}, now {new.get(key, 'nothing')}")
            for key in {**old, **new}
            if old.get(key) != new.get(key)
        ]
        if not lines and stored.space != self.space:
            lines = [f"order of the space: stored {', '.join(stored.space)}, now {', '.join(self.space)}"]
        return lines


_CHANGED = {
    "objective.digest": "objective.digest: the data have changed since the study was made",
    "objective.init_digest": "objective.init_digest: the saved model has changed since the study was made",
}
_KINDS: dict[str, Any] = {
    "objective": Mapping,
    "settings": Mapping,
    "searcher": str,
    "direction": str,
    "seed": int,
    "batch": int,
    "epochs": (int, type(None)),
    "free_running": bool,
}


def _flat(spec: StudySpec) -> Iterator[tuple[str, str]]:
    data = spec.to_json()
    space = data.pop("space")
    for key, value in data.items():
        if isinstance(value, Mapping):
            yield from ((f"{key}.{inner}", canonical(item)) for inner, item in value.items())
        else:
            yield key, canonical(value)
    for domain in space:
        yield f"space.{domain.pop('name')}", canonical(domain)
