"""What the shared objective accepts, refuses and fills in."""

from typing import Any

import numpy as np
import pytest

from hpo.domains import Choice, Float, Int
from hpo.errors import SpaceError
from hpo.space import Space
from hpo.training.hyperparameters import KNOWN, OPTIMIZERS, Settings, check_space, complete
from hpo.training.spaces import architecture_space, default_space

SPACES = {"default": default_space(), "architecture": architecture_space()}


def test_an_empty_configuration_is_the_defaults() -> None:
    assert complete({}) == Settings((64, 64), ("relu", "relu"), 0.0, "adam", 0.01, 0.9, 0.0, 32)


def test_every_default_is_legal() -> None:
    for known in KNOWN.values():
        assert known.default is None or known.accept(known.default) == known.default


def test_a_layers_own_width_and_activation_win_over_the_common_ones() -> None:
    params = {"depth": 3, "width": 10, "width_2": 5, "activation": "tanh", "activation_3": "sigmoid", "width_4": 7}
    settings = complete(params)
    assert settings.widths == (10, 5, 10)
    assert settings.activations == ("tanh", "tanh", "sigmoid")


def test_numpy_scalars_become_plain_numbers() -> None:
    settings = complete({"width": np.int64(8), "learning_rate": np.float64(0.5), "weight_decay": 0})
    assert settings.widths == (8, 8)
    assert [type(settings.learning_rate), type(settings.weight_decay)] == [float, float]


ILLEGAL: list[tuple[str, Any, str]] = [
    ("depth", 0, "found 0 .int., expected an integer >= 1 and <= 6"),
    ("depth", 7, "found 7"),
    ("width", 64.0, "found 64.0 .float., expected an integer >= 1 and <= 1024"),
    ("width", True, "found True .bool., expected an integer"),
    ("width_3", 1025, "found 1025"),
    ("activation_2", "rely", "found 'rely' .str., expected one of 'relu', 'tanh'"),
    ("activation", None, "found None"),
    ("dropout", 1.0, "found 1.0 .float., expected a number >= 0 and < 1"),
    ("dropout", -0.1, "found -0.1"),
    ("optimizer", "Adam", "found 'Adam' .str., expected one of 'sgd'"),
    ("learning_rate", 0.0, "found 0.0 .float., expected a number > 0 and <= 1e.06"),
    ("learning_rate", float("nan"), "found nan"),
    ("learning_rate", "0.1", "found '0.1' .str., expected a number"),
    ("momentum", 1.0, "found 1.0"),
    ("weight_decay", -1e-9, "found -1e-09"),
    ("batch_size", 0, "found 0 .int., expected an integer >= 1"),
]


@pytest.mark.parametrize(("name", "value", "message"), ILLEGAL)
def test_an_illegal_value_is_refused_with_found_and_expected(name: str, value: Any, message: str) -> None:
    with pytest.raises(SpaceError, match=f"hyperparameter '{name}': {message}"):
        complete({name: value})


BAD_DOMAINS: list[tuple[str, Any, str]] = [
    ("depth", Int(1, 7), "high: found 7 .int., expected an integer >= 1 and <= 6"),
    ("width", Float(8, 64), "low: found 8.0 .float., expected an integer >= 1"),
    ("width_1", [16, 32.0], "an option: found 32.0 .float."),
    ("dropout", Float(0, 1), "high: found 1.0"),
    ("learning_rate", Float(0, 1), "low: found 0.0"),
    ("activation", Int(0, 3), "low: found 0 .int., expected one of 'relu'"),
    ("optimizer", Choice(("sgd", "lbfgs")), "an option: found 'lbfgs'"),
    ("batch_size", [None, 32], "an option: found None"),
    ("momentum", 1.5, "an option: found 1.5"),
]


@pytest.mark.parametrize(("name", "domain", "message"), BAD_DOMAINS)
def test_a_domain_beyond_the_legal_range_is_refused(name: str, domain: Any, message: str) -> None:
    with pytest.raises(SpaceError, match=f"hyperparameter '{name}': {message}"):
        check_space(Space({name: domain}))


def test_an_unknown_hyperparameter_is_refused_with_the_nearest_one() -> None:
    for act in (lambda: check_space(Space({"learning_rte": 0.1})), lambda: complete({"learning_rte": 0.1})):
        with pytest.raises(SpaceError, match="no hyperparameter 'learning_rte': did you mean 'learning_rate'"):
            act()


def test_a_space_of_lists_ranges_and_constants_is_accepted() -> None:
    check_space(
        Space({"width": [64, 128], "learning_rate": Float(1e-3, 0.1, log=True), "optimizer": "sgd", "depth": 1})
    )


@pytest.mark.parametrize("name", SPACES)
def test_every_configuration_of_our_spaces_can_be_trained(name: str) -> None:
    space = SPACES[name]
    check_space(space)
    rng = np.random.default_rng(0)
    for _ in range(200):
        complete(space.sample(rng))


@pytest.mark.parametrize("name", SPACES)
def test_our_spaces_have_a_default_for_everything(name: str) -> None:
    complete(SPACES[name].validate({}))


def test_momentum_is_searched_only_where_it_is_used() -> None:
    space = default_space()
    active = {o for o in OPTIMIZERS if space.is_active("momentum", {"optimizer": o})}
    assert active == {"momentum", "nesterov"}


def test_an_architecture_describes_exactly_the_layers_it_has() -> None:
    space = architecture_space()
    for depth in range(1, 7):
        params = space.validate({"depth": depth})
        layers = range(1, depth + 1)
        expected = {f"width_{i}" for i in layers} | {f"activation_{i}" for i in layers} | {"depth", "learning_rate"}
        assert set(params) == expected
