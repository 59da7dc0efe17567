"""The forms that data come in, and what is said of data in none of them."""

import numpy as np
import own_modules as own
import pandas
import pytest
import torch
from scipy.sparse import csr_matrix
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


@pytest.fixture
def warn_always():
    """Torch repeats its warnings, which are errors here."""
    before = torch.is_warn_always_enabled()
    torch.set_warn_always(True)
    yield
    torch.set_warn_always(before)


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


class Complete(IterableDataset):
    def __iter__(self):
        return iter([])

    def __len__(self):
        return 1


class Texts(TensorDataset):
    def __getitem__(self, place):
        return "a", 1


X, Y = own.table()
ROWS = TensorDataset(torch.from_numpy(X), torch.from_numpy(Y))
KINDS = r"expected \(X, y\), .* two Datasets or two DataLoaders"


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
        ((Stream(), Stream()), r"training data are an IterableDataset \(Stream\).*: wrap it in a DataLoader"),
        ((ROWS, Complete()), "validation data are an IterableDataset.* or give a map-style Dataset"),
        ((iter([X]), iter([Y])), "data has a list_iterator, which has no length and items"),
        ((ROWS, None), f"data is a pair of TensorDataset and NoneType, {KINDS}; .*random_split"),
        ((DataLoader(ROWS), None), f"a pair of DataLoader and NoneType, {KINDS}"),
        ((ROWS, DataLoader(ROWS)), f"a pair of TensorDataset and DataLoader, {KINDS}"),
        ((ROWS, (X, Y)), f"a pair of TensorDataset and tuple, {KINDS}"),
        (([[1.0, 2.0], [3.0]], [0, 1]), r"inputs of the data \(list\) make no array: .* rows of the same shape"),
        ((torch.from_numpy(X).to_sparse(), Y), r"inputs of the data are sparse .*: call \.to_dense\(\)"),
        ((X, torch.from_numpy(Y).to_sparse()), r"targets of the data are sparse .*: call \.to_dense\(\)"),
        ((csr_matrix(X), Y), r"inputs of the data are sparse \(csr_matrix\).*: call \.toarray\(\)"),
        ((X + 0j, Y), r"inputs of the data are complex \(torch\.complex128\), expected real numbers"),
        ((torch.from_numpy(X), torch.from_numpy(Y + 0j)), "targets of the data are complex"),
        ((X[:0], Y[:0]), "the data: there are no rows, expected one or more"),
        (((X, Y), (X[:0], Y[:0])), "the validation data: there are no rows"),
        ((TensorDataset(torch.zeros(0, 5)), ROWS), "the training data: there are no rows"),
        ((Texts(torch.zeros(1)), ROWS), r"x of item 0 of the training data is 'a' \(str\), expected numbers"),
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


@pytest.mark.parametrize(
    ("loss", "message"),
    [
        ("mse", "metric 'accuracy' needs classes, but loss 'mse' is for numbers .* one of 'rmse', 'mae', 'r2'"),
        (nn.MSELoss(), "metric 'accuracy' needs classes, but the loss is a function .* one of 'rmse', 'mae', 'r2'"),
        ("huber", "metric 'accuracy' is for a classification.* for the loss a metric of 'rmse', 'mae', 'r2'"),
    ],
)
def test_a_loss_of_numbers_asks_for_a_metric_of_numbers(loss, message):
    with pytest.raises(UsageError, match=message):
        own.TorchObjective(own.linear, (X, X[:, 0]), loss=loss)


def frozen(x):
    x = x.copy()
    x.flags.writeable = False
    return x


class Views(TensorDataset):
    def __getitem__(self, place):
        return frozen(X[place]), int(Y[place])


@pytest.mark.parametrize(
    "data",
    [
        (pandas.DataFrame(X), pandas.Series(Y)),
        (frozen(X), frozen(Y)),
        (X.astype(X.dtype.newbyteorder()), Y),
        (X[:, ::-1].copy()[:, ::-1], Y),
    ],
    ids=["pandas", "read-only", "byte order", "strides"],
)
def test_arrays_that_torch_cannot_share_are_copied_without_a_warning(data, warn_always):
    assert own.objective(own.linear, data).describe() == own.objective(own.linear, (X, Y)).describe()


def test_read_only_items_are_copied_without_a_warning(warn_always):
    views = Views(torch.from_numpy(X))
    found = own.objective(own.linear, (views, views)).describe()
    assert found == own.objective(own.linear, (ROWS, ROWS)).describe()


@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
def test_a_trial_of_a_scripted_module_is_told_to_give_the_module_itself():
    job = own.jobs([{}])[0]
    for build in (torch.jit.script, lambda module: nn.Sequential(torch.jit.script(module))):
        found = own.objective(lambda params, build=build: build(own.linear({})))
        with pytest.raises(TypeError, match=r"ScriptModule.*: give the module itself, before torch\.jit\.script"):
            found.module(job)
    given = nn.Sequential(torch.jit.script(nn.Linear(5, 5).requires_grad_(False)), nn.Linear(5, 3))
    assert own.objective(lambda params: given).module(job)[0].original_name == "Linear"  # nothing in it is trained


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
