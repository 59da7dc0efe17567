"""Optuna's distributions for the domains that Optuna can express, and back; the others are refused with the reason.

Optuna's categories are told apart by plain `==`, so that 1, 1.0 and True are one, and know no order; it computes
with integers as floats, and finds out whether a value belongs to a stepped range by dividing floats.
"""

import json
import logging
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.exceptions import ExperimentalWarning

from hpo.domains import Choice, Domain, Float, Int
from hpo.errors import SpaceError
from hpo.space import Space

MAX_STEPS = 10**7  # of a step in its range's greatest magnitude: Optuna allows an error of 1e-8 of a step
MAX_INT = 2**53  # beyond it, floats skip integers


@contextmanager
def quiet() -> Iterator[None]:
    """Without Optuna's notices; the user's own verbosity and warning filters return afterwards."""
    logger = logging.getLogger("optuna")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), np.errstate(divide="warn", over="warn", under="ignore", invalid="warn"):
            warnings.simplefilter("ignore", ExperimentalWarning)
            yield
    finally:
        logger.setLevel(level)


def distribution(name: str, domain: Domain) -> BaseDistribution:
    """The Optuna distribution that has exactly the values of `domain`, with the same scale.

    Raises:
        SpaceError: naming the hyperparameter and why Optuna cannot express it.
    """
    if (reason := _obstacle(domain)) is not None:
        raise SpaceError(f"hyperparameter {name!r} has no Optuna distribution: {reason}")
    if isinstance(domain, Float):
        return FloatDistribution(domain.low, domain.high, log=domain.log, step=domain.step)
    if isinstance(domain, Int):
        return IntDistribution(domain.low, domain.high, log=domain.log, step=domain.step or 1)
    assert isinstance(domain, Choice)
    return CategoricalDistribution(domain.options)


def distributions(space: Space) -> dict[str, BaseDistribution]:
    """Name to distribution for all of `space`; its conditions have no place in them.

    Raises:
        SpaceError: for the first hyperparameter that Optuna cannot express.
    """
    return {name: distribution(name, domain) for name, domain in space.items()}


def nearest(name: str, domain: Domain) -> tuple[BaseDistribution, Callable[[Any], Any]]:
    """The distribution that comes nearest to any domain, and what takes its values there.

    Categories that Optuna cannot hold are their JSON text; what it computes as floats may be rounded.
    """
    if isinstance(domain, Choice):
        options = _categories(domain)
        return CategoricalDistribution(options), lambda value: options[domain.grid_index(value, 0)]
    try:
        return distribution(name, domain), lambda value: value
    except SpaceError:
        assert isinstance(domain, (Float, Int))
        return FloatDistribution(float(domain.low), float(domain.high), log=domain.log), float


def domain_of(distribution: BaseDistribution) -> Domain:
    """The domain that has the values of an Optuna distribution, with the same scale."""
    if isinstance(distribution, FloatDistribution):
        return Float(distribution.low, distribution.high, log=distribution.log, step=distribution.step)
    if isinstance(distribution, IntDistribution):
        step = None if distribution.step == 1 else distribution.step
        return Int(distribution.low, distribution.high, log=distribution.log, step=step)
    assert isinstance(distribution, CategoricalDistribution)
    return Choice(distribution.choices)


def _categories(domain: Choice) -> list[Any]:
    """Options as Optuna can hold them; where it could not tell two of them apart (1, 1.0 and True), all as JSON."""
    texts = [json.dumps(option, ensure_ascii=False) for option in domain.options]
    plain = [not isinstance(option, (list, tuple, dict)) for option in domain.options]
    own = [option if simple else text for option, text, simple in zip(domain.options, texts, plain, strict=True)]
    return own if len(set(own)) == len(own) else texts


def _obstacle(domain: Domain) -> str | None:
    """Why Optuna cannot express `domain`, or None."""
    if isinstance(domain, Choice):
        return "its categories have no order, and this Choice is ordered" if domain.ordered else _mixed(domain.options)
    if isinstance(domain, Int):
        if max(abs(domain.low), abs(domain.high)) > MAX_INT:
            return f"it computes with floats, which skip integers beyond 2^53, and the range ends at {domain.high}"
        return None
    if isinstance(domain, Float):
        reach = max(abs(domain.low), abs(domain.high))
        if domain.step is not None and reach / domain.step > MAX_STEPS:
            return f"step = {domain.step} is too fine beside {reach} for its test of membership"
        return None
    return f"{type(domain).__name__} is not Float, Int or Choice"


def _mixed(options: Sequence[Any]) -> str | None:
    first: dict[Any, Any] = {}
    for option in options:
        if option is not None and not isinstance(option, (bool, int, float, str)):
            return f"option {option!r} is a {type(option).__name__}, expected None, bool, int, float or str"
        if option in first:
            return f"options {first[option]!r} and {option!r} are equal to it, since it compares without the type"
        first[option] = option
    return None
