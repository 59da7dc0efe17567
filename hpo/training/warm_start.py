"""What must agree for training to start from a saved model: the network's form, its inputs and its outputs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from hpo.errors import SpaceError, UsageError
from hpo.space import Space
from hpo.training.hyperparameters import KNOWN, MAX_DEPTH, Settings
from hpo.training.schema import listed
from hpo.values import brief, canonical

if TYPE_CHECKING:
    from hpo.training.data import Dataset
    from hpo.training.saved import SavedModel

_LAYERS: Final = range(1, MAX_DEPTH + 1)
_OF_LAYERS: Final = {"width": "widths", "activation": "activations"}
_WHOLE: Final = ("normalization", "residual", "preprocessing", "clip_outliers", "pca_components")
ARCHITECTURE: Final = (
    "depth",
    *_OF_LAYERS,
    *(f"{name}_{layer}" for name in _OF_LAYERS for layer in _LAYERS),
    *_WHOLE,
)  # hyperparameters that decide about the form of a network and what its inputs are


def architecture(settings: Settings) -> dict[str, Any]:
    """The hyperparameters that make networks of the same form with inputs prepared alike."""
    found: dict[str, Any] = {"depth": len(settings.widths)}
    for name in _OF_LAYERS:
        if (value := _required(settings, name)) is not None:
            found[name] = value
        else:
            layers = range(1, len(settings.widths) + 1)
            found |= {f"{name}_{layer}": _required(settings, f"{name}_{layer}") for layer in layers}
    return found | {name: getattr(settings, name) for name in _WHOLE}


def narrowed(space: Space, fixed: Mapping[str, Any]) -> Space:
    """`space` with an `architecture` as constants, those that are defaults left out unless the space had them."""
    fixed = {
        name: value
        for name, value in fixed.items()
        if name in space or value != KNOWN[name].default or any(other.startswith(f"{name}_") for other in space)
    }
    return Space({name: domain for name, domain in space.items() if name not in ARCHITECTURE} | dict(fixed))


def check_space(space: Space, saved: SavedModel) -> None:
    """Raise SpaceError for a hyperparameter that would give a trial another architecture than the saved model's."""
    for name, domain in space.items():
        if name not in ARCHITECTURE:
            continue
        needed = _required(saved.settings, name)
        if needed is None:
            has = ", ".join(f"{key} = {value!r}" for key, value in saved.architecture.items())
            raise SpaceError(
                f"hyperparameter {name!r}: trials start from {saved.name}, which has {has}: leave {name!r} out"
            )
        if domain.size != 1 or canonical(domain.decode(0.5)) != canonical(needed):
            found = "varies" if domain.size != 1 else f"is {brief(domain.decode(0.5))}"
            raise SpaceError(
                f"hyperparameter {name!r} {found}, but trials start from {saved.name}, where it is {needed!r}: "
                f"fix it, {name} = {needed!r}, or leave it out"
            )


def check_settings(settings: Settings, saved: SavedModel) -> None:
    """Raise SpaceError if a network of these settings cannot take the saved weights."""
    for name in (*_OF_LAYERS.values(), *_WHOLE):
        found, expected = getattr(settings, name), getattr(saved.settings, name)
        if found != expected:
            raise SpaceError(
                f"{name}: found {found!r}, expected {expected!r} as in {saved.name}, which trials start from"
            )


def check_data(dataset: Dataset, saved: SavedModel) -> None:
    """Raise UsageError if a data set has other inputs or classes than the saved model was made for."""
    start = f"trials cannot start from {saved.name}"
    if dataset.task != saved.task:
        raise UsageError(f"{start}: the data are for {dataset.task}, expected {saved.task}")
    if dataset.classes != saved.classes_:
        raise UsageError(f"{start}: the data have classes {listed(dataset.classes)}, expected {listed(saved.classes_)}")
    found, expected = dataset.columns, saved.schema.inputs
    if found == expected:
        return
    missing, strange = _beyond(expected, found), _beyond(found, expected)
    if missing or strange:
        wrong = [f"lack {listed(missing)}"] * bool(missing) + [f"have {listed(strange)} in addition"] * bool(strange)
        raise UsageError(f"{start}: the inputs {' and '.join(wrong)}")
    raise UsageError(f"{start}: the inputs are {listed(found)}, expected in the order {listed(expected)}")


def _beyond(names: Sequence[str], others: Sequence[str]) -> list[str]:
    known = set(others)
    return [name for name in names if name not in known]


def _required(settings: Settings, name: str) -> Any:
    """The value that a hyperparameter of ARCHITECTURE must have; None: it has no effect on such a network."""
    if name == "depth":
        return len(settings.widths)
    if name in _WHOLE:
        return getattr(settings, name)
    if name in _OF_LAYERS:
        values = getattr(settings, _OF_LAYERS[name])
        return values[0] if len(set(values)) == 1 else None
    kind, _, layer = name.rpartition("_")
    values = getattr(settings, _OF_LAYERS[kind])
    return values[int(layer) - 1] if int(layer) <= len(values) else None
