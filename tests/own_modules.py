"""Modules of one's own and ways to train them, for the tests of `TorchObjective`."""

import time
from contextlib import closing

import numpy as np
from torch import nn

from hpo import TorchObjective
from hpo.training.modules.executor import ModulesExecutor
from hpo.trial import Job, Outcome

OPTIMIZERS = ("sgd", "momentum", "nesterov", "adam", "adamw", "rmsprop", "adagrad", "adadelta")


def table(n=60, d=5, classes=3, dtype=np.float64):
    """Rows of as many clouds as there are classes."""
    chance = np.random.default_rng(0)
    y = np.arange(n) % classes
    return (chance.normal(size=(n, d)) + y[:, None]).astype(dtype), y


def images(n=40, side=6):
    x, y = table(n, side * side, 2)
    return x.reshape(n, 1, side, side), y


def tokens(n=40, length=4):
    chance = np.random.default_rng(1)
    x = chance.integers(0, 7, (n, length))
    return x, (x.sum(1) > 3 * length).astype(int)


def linear(params):
    hidden = params.get("hidden", 6)
    return nn.Sequential(nn.Linear(5, hidden), nn.Tanh(), nn.Linear(hidden, 3)).double()


def layer_norm(params):
    p = params.get("p", 0.3)
    return nn.Sequential(
        nn.Linear(5, 6), nn.LayerNorm(6), nn.GELU(), nn.Dropout(p), nn.Linear(6, 6), nn.Dropout(p / 2), nn.Linear(6, 3)
    ).double()


def batch_norm(params):
    return nn.Sequential(nn.Linear(5, 6, bias=False), nn.BatchNorm1d(6), nn.ReLU(), nn.Linear(6, 3)).double()


def convolution(params):
    return nn.Sequential(
        *(nn.Conv2d(1, 4, 3, bias=False), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Dropout2d(params.get("p", 0.2)), nn.Flatten(), nn.Linear(16, 2)),
    ).double()


class Embedded(nn.Module):
    """Looks up tokens, and uses one dropout layer twice."""

    def __init__(self, p):
        super().__init__()
        self.table, self.drop, self.out = nn.Embedding(7, 5), nn.Dropout(p), nn.Linear(5, 2)

    def forward(self, x):
        return self.out(self.drop(self.drop(self.table(x)).mean(1)))


def embedding(params):
    return Embedded(params.get("p", 0.2)).double()


class Recurrent(nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm, self.out = nn.LSTM(1, 4, batch_first=True), nn.Linear(4, 3)

    def forward(self, x):
        return self.out(self.lstm(x[..., None])[0][:, -1])


def lstm(params):
    return Recurrent().double()


class Scaled(nn.Module):
    """Multiplies by a number of its own."""

    def __init__(self, scale):
        super().__init__()
        self.scale, self.layer = scale, nn.Linear(5, 3).double()

    def forward(self, x):
        return self.scale * self.layer(x)


CONFIG = {"scale": 1.0}


def from_config(x):
    return x * CONFIG["scale"]


class Configured(nn.Module):
    """Multiplies by what stands in a module's own settings when it is called."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(5, 3).double()

    def forward(self, x):
        return from_config(self.layer(x))


def configured(params):
    CONFIG.update(scale=params["scale"])
    return Configured()


def scaled(params):
    return Scaled(params["scale"])


def jobs(configs, epochs=3, start=0, target=None, study=1):
    return [
        Job(study, number, number, params, number + 1, start, target or epochs, epochs)
        for number, params in enumerate(configs)
    ]


def different(count, **more):
    """Configurations that differ in whatever may differ in a chunk."""
    return [
        {
            "optimizer": OPTIMIZERS[k % 8],
            "learning_rate": 0.01 * (1 + k % 4),
            "weight_decay": 0.01 * (k % 3 == 1),
            "schedule": ("constant", "cosine", "plateau", "step", "warmup_cosine")[k % 5],
            "step_size": 1,
            "clip_norm": 0.5 * (k % 2),
            "clip_value": 0.05 * (k % 3 == 2),
            "l1": 1e-3 * (k % 4 == 1),
            "l2": 1e-2 * (k % 5 == 1),
            "label_smoothing": 0.1 * (k % 2),
            "early_stopping": k % 3 == 0,
            "patience": 1,
            "batch_size": 16,
            "p": 0.1 * (k % 4),
            **more,
        }
        for k in range(count)
    ]


def run(executor, some):
    """Outcomes by number, all of one `wait` in a list each."""
    executor.submit(some)
    found, together, begin = {}, [], time.monotonic()
    while len(found) < len(some):
        assert time.monotonic() - begin < 60
        outcomes = [event for _, event in executor.wait(1.0) if isinstance(event, Outcome)]
        found |= {outcome.number: outcome for outcome in outcomes}
        together += [[outcome.number for outcome in outcomes]] if outcomes else []
    return found, together


def fused(objective, some, threads=1):
    with closing(ModulesExecutor(objective, threads=threads)) as executor:
        return run(executor, some)[0]


def alone(objective, job):
    return list(objective.start(job).advance(job.target))


def check_same(outcome, steps, tolerance=1e-9):
    """The outcome of a trial in company is that of its steps alone."""
    assert outcome.error is None
    for name, values in outcome.curve.items():
        np.testing.assert_allclose(values, [step.metrics[name] for step in steps], rtol=tolerance, atol=tolerance)
    assert abs(outcome.value - steps[-1].value) <= tolerance


def objective(build, data=None, **given):
    return TorchObjective(build, table() if data is None else data, device="cpu", **given)
