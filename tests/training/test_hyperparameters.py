"""What the shared objective accepts, refuses and fills in."""

from typing import Any

import numpy as np
import pytest
import torch

from hpo.domains import Choice, Float, Int
from hpo.errors import SpaceError
from hpo.space import Space
from hpo.training.hyperparameters import KNOWN, PADDED_WIDTHS, Settings, check_space, complete
from hpo.training.spaces import architecture_space, default_space

SPACES = {"default": default_space(), "architecture": architecture_space()}


def test_an_empty_configuration_is_the_defaults() -> None:
    assert complete({}) == Settings(
        widths=(64, 64),
        activations=("relu", "relu"),
        preprocessing="none",
        clip_outliers=False,
        pca_components=0,
        augmentation="none",
        noise_std=0.1,
        mixup_alpha=0.2,
        class_weights="none",
        normalization="none",
        residual=False,
        dropout=0.0,
        initialization="he_uniform",
        init_scale=0.05,
        loss="cross_entropy",
        label_smoothing=0.0,
        l1=0.0,
        l2=0.0,
        optimizer="adam",
        learning_rate=0.01,
        momentum=0.9,
        beta1=0.9,
        beta2=0.999,
        alpha=0.99,
        rho=0.9,
        eps=1e-8,
        weight_decay=0.0,
        schedule="constant",
        step_size=5,
        gamma=0.5,
        warmup_epochs=3,
        clip_norm=0.0,
        clip_value=0.0,
        batch_size=32,
        early_stopping=False,
        patience=5,
    )


def test_optimizers_own_defaults_are_those_of_torch() -> None:
    settings, nothing = complete({}), [torch.zeros(1)]
    for make in (torch.optim.Adam, torch.optim.AdamW):
        adam = make(nothing).defaults
        assert (settings.beta1, settings.beta2, settings.eps) == (*adam["betas"], adam["eps"])
    rmsprop = torch.optim.RMSprop(nothing).defaults
    assert (settings.alpha, settings.eps) == (rmsprop["alpha"], rmsprop["eps"])
    assert settings.rho == torch.optim.Adadelta(nothing).defaults["rho"]


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


def test_shares_may_be_anything_from_0_to_just_below_1() -> None:
    for name in ("momentum", "beta1", "beta2", "alpha", "rho"):
        for value in (0, 1 - 2**-53):
            found = getattr(complete({name: value}), name)
            assert found == value
            assert type(found) is float


ILLEGAL: list[tuple[str, Any, str]] = [
    ("depth", 0, "found 0 .int., expected an integer >= 1 and <= 6"),
    ("depth", 7, "found 7"),
    ("width", 64.0, "found 64.0 .float., expected an integer >= 1 and <= 1024"),
    ("width", True, "found True .bool., expected an integer"),
    ("width_3", 1025, "found 1025"),
    ("activation_2", "rely", "found 'rely' .str., expected one of 'relu', 'tanh'"),
    ("activation", None, "found None"),
    ("dropout", 1.0, "found 1.0 .float., expected a number >= 0 and <= 0.9999847412109375"),
    ("dropout", -0.1, "found -0.1"),
    ("optimizer", "Adam", "found 'Adam' .str., expected one of 'sgd'"),
    ("learning_rate", 0.0, "found 0.0 .float., expected a number > 0 and <= 1e.06"),
    ("learning_rate", float("nan"), "found nan"),
    ("learning_rate", "0.1", "found '0.1' .str., expected a number"),
    ("momentum", 1.0, "found 1.0"),
    ("beta1", 1.0, "found 1.0 .float., expected a number >= 0 and < 1"),
    ("beta1", -0.1, "found -0.1"),
    ("beta2", 1, "found 1 .int., expected a number >= 0 and < 1"),
    ("beta2", float("nan"), "found nan"),
    ("alpha", 1.5, "found 1.5 .float., expected a number >= 0 and < 1"),
    ("alpha", "0.9", "found '0.9' .str."),
    ("eps", 0.0, "found 0.0 .float., expected a number >= 1e-12 and <= 1e.06"),
    ("eps", -1e-8, "found -1e-08"),
    ("eps", float("inf"), "found inf"),
    ("eps", None, "found None"),
    ("weight_decay", -1e-9, "found -1e-09"),
    ("batch_size", 0, "found 0 .int., expected an integer >= 1"),
    ("batch_size", 2.0, "found 2.0 .float."),
    ("normalization", "group", "found 'group' .str., expected one of 'none', 'batch'"),
    ("residual", 1, "found 1 .int., expected one of False, True"),
    ("early_stopping", "yes", "found 'yes' .str., expected one of False, True"),
    ("loss", "mae", "found 'mae' .str., expected one of 'cross_entropy', 'hinge', 'mse'"),
    ("label_smoothing", 0.95, "found 0.95 .float., expected a number >= 0 and <= 0.9"),
    ("mixup_alpha", 0.0, "found 0.0 .float., expected a number >= 0.001 and <= 1000"),
    ("gamma", 1.5, "found 1.5 .float., expected a number > 0 and <= 1"),
    ("patience", 0, "found 0 .int., expected an integer >= 1"),
    ("clip_norm", -1.0, "found -1.0 .float., expected a number >= 0"),
    ("pca_components", -1, "found -1 .int., expected an integer >= 0"),
]


@pytest.mark.parametrize(("name", "value", "message"), ILLEGAL)
def test_an_illegal_value_is_refused_with_found_and_expected(name: str, value: Any, message: str) -> None:
    with pytest.raises(SpaceError, match=f"hyperparameter '{name}': {message}"):
        complete({name: value})


def test_a_regression_has_losses_of_its_own_and_no_classes_to_weigh() -> None:
    settings = complete({}, "regression")
    assert (settings.loss, settings.class_weights) == ("mse", "none")
    assert complete({"loss": "huber"}, "regression").loss == "huber"
    for params in ({"loss": "hinge"}, {"class_weights": "balanced"}):
        with pytest.raises(SpaceError, match=r"expected one of '(mse', 'mae', 'huber|none)'"):
            complete(params, "regression")
        with pytest.raises(SpaceError, match="an option: found"):
            check_space(Space({name: [value, "none"] for name, value in params.items()}), "regression")


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
    ("beta1", Float(0.5, 1), "high: found 1.0"),
    ("beta2", [0.9, 1], "an option: found 1 .int."),
    ("alpha", Float(-1, 0.99), "low: found -1.0"),
    ("eps", Float(0, 1e-3), "low: found 0.0 .float., expected a number >= 1e-12"),
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


def test_padded_widths_are_multiples_of_16_up_to_the_widest_layer_allowed() -> None:
    assert list(PADDED_WIDTHS) == sorted(set(PADDED_WIDTHS))
    assert all(width % 16 == 0 for width in PADDED_WIDTHS)
    assert PADDED_WIDTHS[-1] == 1024 == KNOWN["width"].high


def test_the_padded_width_is_the_smallest_that_holds_the_widest_layer() -> None:
    for width in range(1, 1025):
        padded = complete({"width": width}).padded_width
        assert padded in PADDED_WIDTHS
        assert padded >= width
        assert all(smaller < width for smaller in PADDED_WIDTHS if smaller < padded)
    for widths in ((200, 3, 70), (70, 200, 3), (3, 70, 200)):
        own = {f"width_{layer}": width for layer, width in enumerate(widths, start=1)}
        assert complete({"depth": 3, "width": 1024, **own}).padded_width == 224


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
    active = {o for o in KNOWN["optimizer"].options if space.is_active("momentum", {"optimizer": o})}
    assert active == {"momentum", "nesterov"}


def test_an_architecture_describes_exactly_the_layers_it_has() -> None:
    space = architecture_space()
    for depth in range(1, 7):
        params = space.validate({"depth": depth})
        layers = range(1, depth + 1)
        expected = {f"width_{i}" for i in layers} | {f"activation_{i}" for i in layers} | {"depth", "learning_rate"}
        assert set(params) == expected
