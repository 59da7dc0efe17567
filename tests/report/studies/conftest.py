"""Studies made by hand, without a store."""

import dataclasses
import json
from typing import Any

import drawn_text
import pytest

from hpo import Choice, Float, Int, Space
from hpo.report.study_data import StudyData
from hpo.study_spec import StudySpec
from hpo.trial import State, Trial

EVIL = "<script>alert(1)</script><b>%{x}</b>"
HOSTILE = {
    f"rate{EVIL}": Float(1e-5, 1, log=True),
    f"kind{EVIL}": Choice([f"a{EVIL}", "<img src=x onerror=alert(1)>", "\x1b[31mred", 1, "1", True, 1.0, None]),
    f"only{EVIL}": Float(0, 1, when={f"kind{EVIL}": [1, "1"]}),
    "huge": Int(2**62, 2**62 + 3),
    "wide": Int(-(2**62), 2**62),
    "pair": Choice([(1, 2), [3, 4], {"a": 1}], ordered=True),
    "flag": Choice([True, False]),
    "many": Choice(list(range(3_000))),
    "size": Int(1, 2_000, log=True),
    "constant": 3,
}


@dataclasses.dataclass
class Given:
    """What `StudyData` asks of a stored study."""

    spec: StudySpec
    trials: list[Trial]
    asked: list[Any]

    def summaries(self):
        return [dataclasses.replace(trial, curve={}) for trial in self.trials]

    def evaluations(self):
        return self.asked

    def page(self, first, count):
        return self.trials[first : first + count]


def _given(space, trials, direction="maximize", epochs=None, asked=(), metric="accuracy"):
    """The data of a study; trials are keyword arguments, or parameters and value."""
    spec = StudySpec({"metric": metric}, Space(space), "random", {}, direction, 0, 1, epochs)
    made = []
    for number, trial in enumerate(trials):
        more = trial if isinstance(trial, dict) else {"params": trial[0], "value": trial[1]}
        made.append(Trial(**({"number": number, "seed": 0, "state": State.DONE, "epochs": 1, "params": {}} | more)))
    return StudyData(Given(spec, made, list(asked)))


@pytest.fixture(scope="session")
def given():
    return _given


@pytest.fixture(scope="session")
def hostile():
    """The data of a study with names and options as an attacker would choose them."""
    import numpy as np

    space, rng = Space(HOSTILE), np.random.default_rng(7)

    def make(count, direction="maximize", value=lambda params, i: params["size"] + i % 7):
        trials = []
        for i in range(count):
            params = space.sample(rng)
            y = float(value(params, i))
            trials.append({"params": params, "value": y, "epochs": 9, "curve": {f"score{EVIL}": [y - 1, y, y + 1] * 3}})
        return _given(HOSTILE, trials, direction, epochs=9, metric=f"score{EVIL}")

    return make


@pytest.fixture(scope="session")
def texts():
    """Every text in a plotly figure."""
    return lambda figure: list(drawn_text.texts(json.loads(figure.to_json())))
