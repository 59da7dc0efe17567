"""Modules that differ in anything but numbers to be trained do not train together, and none is trained wrongly."""

from dataclasses import dataclass
from types import SimpleNamespace

import own_modules as own
import pytest
import torch
from torch import nn

from hpo.training.modules.structure import IncomparableError, structure


@dataclass
class Settings:
    number: int


def same(first, second):
    return structure(first) == structure(second)


def test_modules_that_differ_in_numbers_alone_are_alike():
    for build in (own.linear, own.layer_norm, own.batch_norm, own.convolution, own.embedding):
        assert same(build({}), build({}))


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (lambda: nn.Linear(3, 4), lambda: nn.Linear(4, 3)),
        (lambda: nn.Linear(3, 4), lambda: nn.Linear(3, 4, bias=False)),
        (lambda: nn.Linear(3, 4), lambda: nn.Linear(3, 4).double()),
        (lambda: nn.Linear(3, 4), lambda: nn.Linear(3, 4).requires_grad_(False)),
        (lambda: nn.ReLU(), lambda: nn.Tanh()),
        (lambda: nn.LeakyReLU(0.1), lambda: nn.LeakyReLU(0.2)),
        (lambda: nn.BatchNorm1d(3, momentum=0.1), lambda: nn.BatchNorm1d(3, momentum=0.2)),
        (lambda: own.Scaled(1.0), lambda: own.Scaled(2.0)),
        (lambda: own.Scaled(torch.ones(3)), lambda: own.Scaled(torch.zeros(3))),
        (lambda: own.Scaled([1, {"a": 2}]), lambda: own.Scaled([1, {"a": 3}])),
        (lambda: own.Scaled(1), lambda: own.Scaled(True)),
        (lambda: own.Scaled(torch.relu), lambda: own.Scaled(torch.tanh)),
        (lambda: own.Scaled(closure(1)), lambda: own.Scaled(closure(2))),
        (lambda: own.Scaled(SimpleNamespace(a=1)), lambda: own.Scaled(SimpleNamespace(a=2))),
        (lambda: own.Scaled(Settings(1)), lambda: own.Scaled(Settings(2))),
    ],
)
def test_modules_that_differ_otherwise_are_not(first, second):
    assert same(first(), first())
    assert not same(first(), second())


def closure(number):
    return lambda x: x * number


def class_made_anew(number):
    class Made(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(5, 3).double()

        def forward(self, x):
            return self.layer(x) * number

    return Made()


def test_a_class_made_anew_by_each_build_is_compared_by_what_it_refers_to():
    assert same(class_made_anew(1), class_made_anew(1))
    assert not same(class_made_anew(1), class_made_anew(2))


def test_tied_weights_are_not_like_weights_apart():
    apart, tied = (nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3)) for _ in range(2))
    tied[1].weight = tied[0].weight
    assert not same(apart, tied)


def test_hooks_and_strange_attributes_cannot_be_compared():
    hooked = nn.Linear(3, 3)
    hooked.register_forward_hook(lambda *_: None)
    with pytest.raises(IncomparableError, match="Linear has hooks"):
        structure(hooked)
    with pytest.raises(IncomparableError, match=r"Scaled\.scale is object, which cannot be compared"):
        structure(own.Scaled(object()))


def test_an_attribute_that_differs_is_not_trained_in_company():
    found = own.objective(own.scaled)
    some = own.jobs([{"scale": float(k % 2), "learning_rate": 0.1} for k in range(6)])
    bundles = found.bundles(some)
    assert [[job.number for job in bundle] for bundle in bundles] == [[0, 2, 4], [1, 3, 5]]
    with pytest.warns(UserWarning, match=r"Scaled\.scale differs from trial to trial.*may be a buffer"):
        outcomes = own.fused(found, some)
    for job in some:
        own.check_same(outcomes[job.number], own.alone(found, job))


def test_as_a_buffer_it_is():
    class Buffered(nn.Module):
        def __init__(self, scale):
            super().__init__()
            self.layer = nn.Linear(5, 3).double()
            self.register_buffer("scale", torch.tensor(scale, dtype=torch.float64))

        def forward(self, x):
            return self.layer(x) * self.scale

    found = own.objective(lambda params: Buffered(params["scale"]))
    some = own.jobs([{"scale": 1.0 + k, "learning_rate": 0.1} for k in range(4)])
    assert len(found.bundles(some)) == 1
    outcomes = own.fused(found, some)
    for job in some:
        own.check_same(outcomes[job.number], own.alone(found, job))


def hidden(scale):
    """A function that depends on something of its own which is not compared."""

    def act(x):
        return x * act.scale

    act.scale = scale
    return act


class Hidden(nn.Module):
    def __init__(self, scale):
        super().__init__()
        self.layer, self.act = nn.Linear(5, 3).double(), hidden(scale)

    def forward(self, x):
        return self.act(self.layer(x))


def test_what_no_attribute_shows_is_found_out_when_outputs_differ():
    found = own.objective(lambda params: Hidden(params["scale"]))
    some = own.jobs([{"scale": 1.0 if k < 3 else 2.0, "learning_rate": 0.1} for k in range(5)])
    with pytest.warns(UserWarning, match="Hidden gives other outputs in company than by itself"):
        outcomes = own.fused(found, some)
    for job in some:
        own.check_same(outcomes[job.number], own.alone(found, job))


class Global(nn.Module):
    factor = 1.0

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(5, 3).double()

    def forward(self, x):
        return self.layer(x) * self.factor


def test_a_class_that_build_changes_is_not_taken_for_what_it_was():
    def build(params):
        Global.factor = params["factor"]
        return Global()

    found = own.objective(build)
    some = own.jobs([{"factor": float(k), "learning_rate": 0.1} for k in (1, 2, 3)])
    with pytest.warns(UserWarning, match=r"the class of Global, or what|train one after another"):
        outcomes = own.fused(found, some)
    for job in some:
        own.check_same(outcomes[job.number], own.alone(found, job))


@pytest.mark.parametrize(
    ("layer", "reason"),
    [
        (lambda x: nn.functional.dropout(x, 0.5), "draws random numbers"),
        (lambda x: x * float(x.sum() > 0), "cannot be vectorised"),
    ],
)
def test_what_vmap_cannot_do_trains_alone_with_the_reason(layer, reason):
    class Special(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(5, 3).double()

        def forward(self, x):
            return layer(self.layer(x))

    found, some = own.objective(lambda params: Special()), own.jobs([{}, {}])
    with pytest.warns(UserWarning, match=f"Special {reason}.*train one after another"):
        outcomes = own.fused(found, some)
    for job in some:
        own.check_same(outcomes[job.number], own.alone(found, job), 0)


def test_settings_of_a_module_that_build_changes_keep_trials_apart():
    first, again, second = (structure(own.configured({"scale": scale})) for scale in (1.0, 1.0, 2.0))
    assert first == again != second


def test_trials_whose_build_changes_settings_of_a_module_train_as_by_themselves():
    found, some = own.objective(own.configured), own.jobs([{"scale": scale} for scale in (1.0, -2.0, 1.0, 5.0)])
    with pytest.warns(UserWarning, match=r"which is slower"):
        outcomes = own.fused(found, some)
    for job in some:
        own.check_same(outcomes[job.number], own.alone(found, job))
