"""Training one trial is what a hand-written loop in torch does, and goes on exactly where it paused."""

import copy
import math
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from hpo import seeding
from hpo.objective import Step
from hpo.training.data import Data, Part, load_data
from hpo.training.hyperparameters import KNOWN, complete
from hpo.training.losses import loss_of
from hpo.training.metrics import METRICS
from hpo.training.model import SimpleNN
from hpo.training.solo import SoloRun, evaluate, train_and_evaluate

SEED = 123
OPTIMIZERS = [str(name) for name in KNOWN["optimizer"].options]
HAND_MADE: dict[str, Any] = {
    "sgd": lambda p: torch.optim.SGD(p, lr=0.01, weight_decay=0.001),
    "momentum": lambda p: torch.optim.SGD(p, lr=0.01, momentum=0.8, weight_decay=0.001),
    "nesterov": lambda p: torch.optim.SGD(p, lr=0.01, momentum=0.8, nesterov=True, weight_decay=0.001),
    "adam": lambda p: torch.optim.Adam(p, lr=0.01, weight_decay=0.001),
    "adamw": lambda p: torch.optim.AdamW(p, lr=0.01, weight_decay=0.001),
    "rmsprop": lambda p: torch.optim.RMSprop(p, lr=0.01, weight_decay=0.001),
    "adagrad": lambda p: torch.optim.Adagrad(p, lr=0.01, weight_decay=0.001, eps=1e-8),
    "adadelta": lambda p: torch.optim.Adadelta(p, lr=0.01, weight_decay=0.001, eps=1e-8),
}
ADAM: list[tuple[dict[str, float], dict[str, Any]]] = [  # our names, torch's
    ({"beta1": 0.5}, {"betas": (0.5, 0.999)}),
    ({"beta1": 0.0}, {"betas": (0.0, 0.999)}),
    ({"beta2": 0.9}, {"betas": (0.9, 0.9)}),
    ({"beta2": 0.0, "eps": 1e-2}, {"betas": (0.9, 0.0), "eps": 1e-2}),
    ({"eps": 1e-2}, {"eps": 1e-2}),
    ({"beta1": 0.3, "beta2": 0.8, "eps": 1e-3}, {"betas": (0.3, 0.8), "eps": 1e-3}),
]
RMSPROP: list[dict[str, Any]] = [
    {"alpha": 0.5},
    {"alpha": 0.0, "eps": 1e-2},
    {"eps": 1e-2},
    {"alpha": 0.8, "eps": 1e-3},
]
ADADELTA: list[dict[str, Any]] = [{"rho": 0.5, "eps": 1e-8}, {"rho": 0.9, "eps": 1e-2}]
OWN_SETTINGS: list[tuple[str, dict[str, float], Any]] = [
    *(("adam", ours, partial(torch.optim.Adam, lr=0.01, weight_decay=0.001, **theirs)) for ours, theirs in ADAM),
    *(("adamw", ours, partial(torch.optim.AdamW, lr=0.01, weight_decay=0.001, **theirs)) for ours, theirs in ADAM),
    *(("rmsprop", own, partial(torch.optim.RMSprop, lr=0.01, weight_decay=0.001, **own)) for own in RMSPROP),
    *(("adadelta", own, partial(torch.optim.Adadelta, lr=0.01, weight_decay=0.001, **own)) for own in ADADELTA),
    ("adagrad", {"eps": 1e-2}, partial(torch.optim.Adagrad, lr=0.01, weight_decay=0.001, eps=1e-2)),
]
READ: dict[str, set[str]] = {  # which of its own settings an optimizer reads
    "sgd": set(),
    "momentum": {"momentum"},
    "nesterov": {"momentum"},
    "adam": {"beta1", "beta2", "eps"},
    "adamw": {"beta1", "beta2", "eps"},
    "rmsprop": {"alpha", "eps"},
    "adagrad": {"eps"},
    "adadelta": {"rho", "eps"},
}


def double(part: Part) -> Part:
    return Part(part.x.double(), part.y)


@pytest.fixture(scope="module")
def data() -> Data:
    return load_data("classification", 0)


@pytest.fixture(scope="module")
def exact(data: Data) -> Data:
    """The same in float64, cut to 100 rows so that batches of 32 leave a smaller last one."""
    train = Part(data.train.x[:100].double(), data.train.y[:100])
    return Data(train, double(data.validation), double(data.test), data.n_inputs, data.n_outputs)


def params(optimizer: str, **more: Any) -> dict[str, Any]:
    fixed = {
        "learning_rate": 0.01,
        "weight_decay": 0.001,
        "momentum": 0.8,
        "width": 16,
        "depth": 2,
        "activation": "tanh",
    }
    return {"optimizer": optimizer, **fixed, **more}


def run_of(wanted: dict[str, Any], data: Data, seed: int = SEED) -> SoloRun:
    """A run of at most 30 epochs."""
    return SoloRun(complete(wanted), data, seed, 30)


def linear(model: SimpleNN) -> list[nn.Module]:
    """Its linear layers, the last one last."""
    return [*(hidden.linear for hidden in model.hidden), model.output]


def without_health(steps: list[Step]) -> list[Step]:
    """It is measured where an evaluation ends, not in between."""
    return [replace(step, health={}) for step in steps]


def weights(model: nn.Module) -> list[Tensor]:
    return [p.detach() for p in model.parameters()]


def same(a: nn.Module, b: nn.Module) -> bool:
    return all(torch.equal(x, y) for x, y in zip(weights(a), weights(b), strict=True))


def close(ours: nn.Module, theirs: nn.Module) -> bool:
    return all(
        torch.allclose(mine, other, rtol=0, atol=1e-12)
        for mine, other in zip(weights(ours), weights(theirs), strict=True)
    )


def train_by_hand(make: Any, exact: Data) -> tuple[nn.Module, list[float]]:
    """Three epochs of the network of `params`, without anything of ours but its first weights and the order of rows."""
    start = SimpleNN(20, 2, complete(params("sgd")), SEED, torch.float64)
    first, second, last = copy.deepcopy(linear(start))
    net = nn.Sequential(first, nn.Tanh(), second, nn.Tanh(), last)
    hand = make(net.parameters())
    losses = []
    for epoch in range(3):
        key = seeding.fold(torch.tensor([SEED]), "order", epoch)
        total = 0.0
        for batch in seeding.permutation(key, 100)[0].split(32):  # type: ignore[no-untyped-call]
            loss = functional.cross_entropy(net(exact.train.x[batch]), exact.train.y[batch])
            hand.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            hand.step()
            total += loss.item() * len(batch)
        losses.append(total / 100)
    return net, losses


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_training_equals_a_hand_written_torch_loop(optimizer: str, exact: Data) -> None:
    net, losses = train_by_hand(HAND_MADE[optimizer], exact)
    model, steps = train_and_evaluate(params(optimizer), exact, SEED, 3)
    assert close(model, net)
    assert [step.metrics["train_loss"] for step in steps] == pytest.approx(losses, abs=1e-12)


@pytest.mark.parametrize(("optimizer", "more", "make"), OWN_SETTINGS)
def test_an_optimizers_own_settings_are_those_of_torch(
    optimizer: str, more: dict[str, float], make: Any, exact: Data
) -> None:
    net, losses = train_by_hand(make, exact)
    model, steps = train_and_evaluate(params(optimizer, **more), exact, SEED, 3)
    assert close(model, net)
    assert [step.metrics["train_loss"] for step in steps] == pytest.approx(losses, abs=1e-12)
    usual, _ = train_and_evaluate(params(optimizer), exact, SEED, 3)
    assert not close(model, usual)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_settings_of_other_optimizers_change_nothing(optimizer: str, exact: Data) -> None:
    usual, _ = train_and_evaluate(params(optimizer), exact, SEED, 1)
    for name in ("momentum", "beta1", "beta2", "alpha", "rho", "eps"):
        model, _ = train_and_evaluate(params(optimizer, **{name: 0.25}), exact, SEED, 1)
        assert same(model, usual) == (name not in READ[optimizer])


@pytest.mark.parametrize("widths", [(16, 16), (13, 45)])
def test_training_with_dropout_equals_a_hand_written_loop_with_the_same_draws(
    widths: tuple[int, int], exact: Data
) -> None:
    rate = 0.3
    shape = {"width_1": widths[0], "width_2": widths[1]}
    model = SimpleNN(20, 2, complete(params("sgd", **shape)), SEED, torch.float64)
    first, second, last = linear(model)
    hand = HAND_MADE["sgd"](model.parameters())
    key = torch.tensor([SEED])

    def keep(epoch: int, layer: int) -> Tensor:
        """For every row in the epoch's order and every unit of the layer."""
        own = seeding.fold(key, "dropout", epoch, layer)
        rows, units = seeding.words(own, 100), seeding.words(seeding.fold(own, "unit"), widths[layer])
        return seeding.keep(rows.int(), units.int(), torch.tensor([rate]))[0].double() / (1 - rate)

    for epoch in range(2):
        order = seeding.permutation(seeding.fold(key, "order", epoch), 100)[0]
        masks = [keep(epoch, layer) for layer in (0, 1)]
        for start in range(0, 100, 32):
            some = slice(start, start + 32)
            batch = order[some]
            hidden = torch.tanh(first(exact.train.x[batch])) * masks[0][some]
            hidden = torch.tanh(second(hidden)) * masks[1][some]
            hand.zero_grad()
            functional.cross_entropy(last(hidden), exact.train.y[batch]).backward()  # type: ignore[no-untyped-call]
            hand.step()
    ours, _ = train_and_evaluate(params("sgd", dropout=rate, **shape), exact, SEED, 2)
    assert close(ours, model)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_resumed_training_equals_uninterrupted_training(optimizer: str, data: Data) -> None:
    wanted = params(optimizer, dropout=0.4, batch_size=96)  # the last batch has 32 rows
    parts, whole = run_of(wanted, data), run_of(wanted, data)
    steps: list[Step] = []
    for target in (3, 3, 2, 5, 9):  # those already reached train nothing
        steps += parts.advance(target)
    through = list(whole.advance(9))
    assert without_health(steps) == without_health(through)
    assert [bool(step.health) for step in steps] == [step.epoch in (3, 5, 9) for step in steps]
    assert steps[-1] == through[-1]
    assert [step.epoch for step in steps] == list(range(1, 10))
    assert same(parts.model, whole.model)
    states = (run.optimizer.state_dict()["state"].values() for run in (parts, whole))
    for one, other in zip(*states, strict=True):
        assert all(
            one[name] is None or torch.equal(torch.as_tensor(one[name]), torch.as_tensor(other[name])) for name in one
        )


def test_a_trial_left_between_two_epochs_goes_on_exactly(data: Data) -> None:
    left, whole = (run_of(params("adam", dropout=0.2), data) for _ in range(2))
    steps = left.advance(4)
    first = next(steps)
    steps.close()  # type: ignore[attr-defined]
    assert [first, *left.advance(4)] == list(whole.advance(4))


def test_a_trial_does_not_depend_on_other_trials_or_on_torchs_seed(data: Data) -> None:
    wanted = params("rmsprop", dropout=0.5)
    _, alone = train_and_evaluate(wanted, data, SEED, 3)
    with torch.random.fork_rng():
        torch.manual_seed(99)
        before = torch.random.get_rng_state()
        run = run_of(wanted, data)
        steps: list[Step] = []
        for epoch in range(1, 4):
            train_and_evaluate(params("adam", dropout=0.1), data, epoch, 1)
            steps += run.advance(epoch)
        assert torch.equal(torch.random.get_rng_state(), before)
    assert without_health(steps) == without_health(alone)


def test_another_seed_is_another_trial(data: Data) -> None:
    one, other = (train_and_evaluate(params("sgd"), data, seed, 1)[1] for seed in (1, 2))
    assert one != other


def test_dropout_is_off_in_evaluation_and_keeps_the_expected_activation(data: Data) -> None:
    run, rows = run_of(params("sgd", dropout=0.5), data), loss_of("classification", "cross_entropy").rows
    first, second = (evaluate(run.model, data, data.validation, rows, METRICS["accuracy"]) for _ in range(2))
    assert first == second
    masks = [mask for step in run._draws([32] * 25) for mask in step.masks or ()]
    assert [mask.shape for mask in masks] == [(32, 16)] * 50  # two layers
    assert set(torch.stack(masks).flatten().tolist()) == {0.0, 2.0}
    assert float(torch.stack(masks).mean()) == pytest.approx(1, abs=0.04)  # 25600 draws, 4 standard errors: 0.025


def test_without_dropout_there_are_no_masks(data: Data) -> None:
    assert [step.masks for step in run_of(params("sgd"), data)._draws([32, 8])] == [None, None]


def test_a_narrower_network_drops_what_a_wider_one_drops_in_its_first_units(data: Data) -> None:
    runs = [run_of(params("sgd", dropout=0.5, width=width, width_2=33), data) for width in (5, 17, 64)]
    steps = [[step.masks or [] for step in run._draws([32] * 3 + [4])] for run in runs]
    for five, seventeen, whole in zip(*steps, strict=True):
        assert torch.equal(five[0], whole[0][:, :5])
        assert torch.equal(seventeen[0], whole[0][:, :17])
        assert torch.equal(five[1], whole[1])
        assert not torch.equal(whole[0][:, :33], whole[1])


def test_every_epoch_and_step_has_masks_of_its_own(data: Data) -> None:
    run = run_of(params("sgd", dropout=0.5), data)
    masks = []
    for run.epoch in range(3):
        masks += [mask for step in run._draws([32] * 4) for mask in step.masks or ()]
    assert len({tuple(mask.flatten().tolist()) for mask in masks}) == len(masks) == 3 * 4 * 2


@pytest.mark.parametrize("block", [1, 3 * 96 * 32, 2**40])
def test_masks_do_not_depend_on_how_many_are_drawn_at_once(
    block: int, data: Data, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = params("sgd", dropout=0.5, batch_size=96)  # eight steps and one of 32 rows
    _, together = train_and_evaluate(wanted, data, SEED, 2)
    monkeypatch.setattr("hpo.training.solo._MASK_BLOCK", block)
    assert train_and_evaluate(wanted, data, SEED, 2)[1] == together


def test_a_batch_larger_than_the_data_is_the_full_batch(data: Data) -> None:
    results = [
        train_and_evaluate(params("sgd", batch_size=size, dropout=0.2), data, SEED, 2)[1] for size in (800, 10**18)
    ]
    assert results[0] == results[1]


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_extreme_settings_diverge_or_train_but_never_raise(optimizer: str, exact: Data) -> None:
    for more in ({"learning_rate": 1e6, "weight_decay": 1e6}, {"learning_rate": 1e-300}, {"momentum": 0}):
        assert train_and_evaluate(params(optimizer, **more), exact, SEED, 2)[1]


def test_online_training_takes_one_row_a_step(exact: Data) -> None:
    run = run_of(params("adam", batch_size=1, width=4), exact)
    list(run.advance(1))
    assert {float(state["step"]) for state in run.optimizer.state.values()} == {100.0}


def test_a_diverging_trial_ends_with_a_non_finite_value(data: Data) -> None:
    run = run_of({"optimizer": "sgd", "learning_rate": 1e6}, data)
    steps = list(run.advance(30))
    assert math.isnan(steps[-1].value)
    assert math.isnan(steps[-1].metrics["accuracy"])
    assert all(math.isfinite(step.value) for step in steps[:-1])
    assert len(steps) < 30
    assert list(run.advance(30)) == []


def test_metrics_are_those_of_the_trained_model(data: Data) -> None:
    model, steps = train_and_evaluate(params("adam"), data, SEED, 3)
    probabilities = model.predict_proba(data.validation.x)
    right = [int(row.argmax()) == int(label) for row, label in zip(probabilities, data.validation.y, strict=True)]
    assert steps[-1].value == steps[-1].metrics["accuracy"] == sum(right) / 600
    nats = -probabilities.double()[torch.arange(600), data.validation.y].log().mean()
    assert steps[-1].metrics["validation_loss"] == pytest.approx(float(nats), abs=1e-5)


def test_training_uses_one_thread_and_gives_the_others_back(data: Data, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    forward = SimpleNN.forward

    def spy(self: SimpleNN, x: Tensor, drawn: Any = None) -> Tensor:
        seen.append(torch.get_num_threads())
        return forward(self, x, drawn)

    monkeypatch.setattr(SimpleNN, "forward", spy)
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        for _ in run_of(params("sgd"), data).advance(2):
            assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
    assert set(seen) == {1}


@pytest.mark.parametrize("name", ["moons", "spirals"])
def test_the_default_network_learns_the_other_data_sets(name: str) -> None:
    _, steps = train_and_evaluate({}, load_data(name, 0), SEED, 15)
    assert steps[-1].value > 0.85
    assert steps[-1].metrics["train_loss"] < steps[0].metrics["train_loss"]
