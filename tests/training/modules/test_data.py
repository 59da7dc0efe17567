"""The forms that data come in, and what is said of data in none of them."""

import numpy as np
import own_modules as own
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, IterableDataset, TensorDataset

from hpo import Choice, Float, Int, Space
from hpo.errors import DataError, SpaceError, UsageError


def parts():
    x, y = own.table(60)
    return (x[:48], y[:48]), (x[48:], y[48:])


def datasets():
    return tuple(TensorDataset(torch.from_numpy(x), torch.from_numpy(y)) for x, y in parts())


def loaders(**how):
    return tuple(DataLoader(part, batch_size=16, **how) for part in datasets())


def curves(found, some):
    return [outcome.curve for _, outcome in sorted(own.fused(found, some).items())]


def test_arrays_tensors_and_datasets_of_the_same_rows_give_the_same_trials():
    some = own.jobs(own.different(3))
    tensors = tuple(tuple(map(torch.from_numpy, part)) for part in parts())
    expected = curves(own.objective(own.linear, parts()), some)
    for data in (tensors, datasets(), [list(part) for part in parts()]):
        assert curves(own.objective(own.linear, data), some) == expected


def test_their_digests_tell_content_apart():
    found = own.objective(own.linear, parts())
    assert found.describe()["data"] == own.objective(own.linear, datasets()).describe()["data"]
    other = [(x + 1e-9, y) for x, y in parts()]
    assert found.describe() != own.objective(own.linear, other).describe()


def test_one_pair_is_split_with_the_same_shares_of_classes():
    x, y = own.table(100, classes=4)
    found = own.objective(own.linear, (x, y), validation=0.4)
    feed = found.feed(torch.float64)
    (valid,) = feed.validation()
    assert len(valid.y) == 40
    assert valid.y.bincount().tolist() == [10] * 4
    again = own.objective(own.linear, (x, y), validation=0.4, data_seed=1).feed(torch.float64)
    assert not torch.equal(next(again.validation()).x, valid.x)


@pytest.mark.parametrize("shuffle", [False, True])
def test_loaders_keep_their_batches_and_trials_share_them(shuffle):
    found = own.objective(own.layer_norm, loaders(shuffle=shuffle))
    some = own.jobs(
        [{key: value for key, value in params.items() if key != "batch_size"} for params in own.different(5)]
    )
    assert len(found.bundles(some)) == 1
    outcomes = own.fused(found, some, threads=2)
    for job in some:
        own.check_same(outcomes[job.number], own.alone(found, job))


def test_a_loader_in_the_order_of_its_rows_is_training_by_hand():
    (x, y), valid = ([torch.from_numpy(each) for each in part] for part in parts())
    found = own.objective(own.linear, loaders())
    job = own.jobs([{"optimizer": "sgd", "learning_rate": 0.1}], epochs=1)[0]
    (step,) = own.alone(found, job)
    torch.manual_seed(job.seed)
    model = own.linear({})
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for some in torch.arange(48).split(16):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(x[some]), y[some]).backward()
        optimizer.step()
    expected = float(nn.functional.cross_entropy(model(valid[0]), valid[1]).detach())
    assert step.metrics["validation_loss"] == pytest.approx(expected, rel=1e-12)


def test_whole_numbers_reach_an_embedding_whatever_their_size():
    x, y = own.tokens()
    some = own.jobs(own.different(2))
    for dtype in (np.int32, np.uint8):
        found = own.objective(own.embedding, (x.astype(dtype), y))
        assert curves(found, some) == curves(own.objective(own.embedding, (x, y)), some)


def test_lazy_layers_find_their_sizes():
    def build(params):
        return nn.Sequential(nn.LazyLinear(4), nn.Tanh(), nn.LazyLinear(3)).double()

    found, some = own.objective(build), own.jobs(own.different(2))
    for number, outcome in own.fused(found, some).items():
        own.check_same(outcome, own.alone(found, some[number]))


class Stream(IterableDataset):
    def __iter__(self):
        return iter([])


X, Y = own.table()


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (X, r"data is .*, expected \(X, y\), \(\(X, y\), \(X_valid, y_valid\)\), two Datasets or two DataLoaders"),
        ((X, Y[:-1]), "60 inputs and 59 targets, expected one for each row"),
        ((X[:1], Y[:1]), "too few to train and validate on"),
        ((X, np.array(list("abc"))[Y]), r"np\.unique\(y, return_inverse=True\)\[1\]"),
        ((X, Y - 1), r"targets go from -1 to 1, expected classes from 0"),
        ((X, Y / 2), "float64 of shape .* expected for each row the number of its class"),
        ((np.where(X > 2, np.nan, X), Y), "missing or infinite values"),
        (((X, Y), (X[:, :3], Y)), r"training data have shape \(5,\), those of the validation data \(3,\)"),
        (((X, Y), (X, Y[:, None])), "expected the same but for the number of rows"),
        ((Stream(), Stream()), "expected"),
        ((DataLoader(Stream()), DataLoader(Stream())), "has no length"),
        (({0: 1}, {0: 1}), "expected"),
    ],
)
def test_data_in_no_such_form_are_refused(data, message):
    with pytest.raises(DataError, match=message):
        own.objective(own.linear, data)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"loss": "crossentropy"}, "did you mean 'cross_entropy'"),
        ({"metric": "acuracy"}, "did you mean 'accuracy'"),
        ({"loss": "huber"}, "metric 'accuracy' is for a classification"),
        ({"direction": "minimize"}, "metric 'accuracy' is to maximize: leave it out"),
        ({"direction": "up"}, "expected 'maximize' or 'minimize'"),
        ({"validation": 1.5}, "validation is 1.5"),
        ({"device": "gpu"}, "device is 'gpu'"),
    ],
)
def test_arguments_that_cannot_be_are_refused(given, message):
    with pytest.raises(UsageError, match=message):
        own.TorchObjective(own.linear, own.table(), **given)


def test_a_module_instead_of_a_function_is_refused():
    with pytest.raises(UsageError, match=r"build is a Linear, expected a function \(params\)"):
        own.TorchObjective(nn.Linear(5, 3), own.table())


@pytest.mark.parametrize(
    ("data", "given", "space", "message"),
    [
        (parts, {}, {"learning_rate": Float(0, 1)}, "'learning_rate': low: found 0.0"),
        (parts, {}, {"optimizer": Choice(["adam", "lion"])}, "'optimizer': an option: found 'lion'"),
        (loaders, {}, {"batch_size": Int(1, 9)}, "the data are DataLoaders, which have batches of their own"),
        (parts, {"loss": nn.CrossEntropyLoss()}, {"label_smoothing": Float(0, 0.1)}, "the loss is a function of yours"),
    ],
)
def test_spaces_that_cannot_be_trained_are_refused(data, given, space, message):
    with pytest.raises(SpaceError, match=message):
        own.objective(own.linear, data(), **given).check_space(Space(space))


def test_other_names_are_the_business_of_build():
    own.objective(own.linear).check_space(Space({"dropout": Float(2, 3), "depth": Int(0, 99), "lr": Float(0, 1)}))
