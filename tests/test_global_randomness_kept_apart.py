"""Python's, NumPy's and torch's global generators: seeded for every trial, kept apart, the caller's untouched."""

import contextlib
import json
import random
import subprocess
import sys

import numpy as np
import torch

from hpo.function_objective import FunctionObjective
from hpo.global_randomness import Randomness
from hpo.trial import Job

SEEDS = [11, 12, 2**63 - 1]


def draw():
    return random.random(), float(np.random.rand()), float(torch.rand(()))  # noqa: NPY002


def state():
    """A fingerprint of the caller's generators."""
    return random.getstate(), str(np.random.get_state()), torch.get_rng_state().tolist()  # noqa: NPY002


def alone(seed, count=4):
    trial = Randomness(seed)
    result = []
    for _ in range(count):
        with trial.active():
            result.append(draw())
    return result


def test_every_trial_draws_what_its_seed_says():
    assert alone(SEEDS[0]) == alone(SEEDS[0])
    assert len({draws for seed in SEEDS for draws in alone(seed)}) == 4 * len(SEEDS)


def test_interleaved_trials_draw_what_they_would_draw_alone():
    trials = [Randomness(seed) for seed in SEEDS]
    drawn = [[] for _ in trials]
    for _ in range(4):
        for trial, own in zip(trials, drawn, strict=True):
            with trial.active():
                own.append(draw())
            draw()  # the caller draws in between
    assert drawn == [alone(seed) for seed in SEEDS]


def test_interleaved_generators_draw_what_they_would_draw_alone():
    def f(p):
        while True:
            yield sum(draw())

    objective = FunctionObjective(f)

    def runs():
        return [objective.start(Job(1, i, i, {}, seed, 0, 5, 5)) for i, seed in enumerate(SEEDS)]

    def pull(run, target):
        return [step.value for step in run.advance(target)]

    expected = [pull(run, 5) for run in runs()]
    together = runs()
    found = [[value for target in range(1, 6) for value in pull(run, target)] for run in together]
    interleaved = runs()
    rounds = [[pull(run, target)[0] for run in interleaved] for target in range(1, 6)]
    assert found == expected
    assert [list(values) for values in zip(*rounds, strict=True)] == expected


def test_the_callers_own_state_is_untouched():
    before = state()
    alone(5)
    with contextlib.suppress(ValueError), Randomness(6).active():
        draw()
        raise ValueError("from within")
    assert state() == before


def test_blocks_may_be_nested():
    outer, inner = Randomness(1), Randomness(2)
    with outer.active():
        first = draw()
        with inner.active():
            nested = draw()
        second = draw()
    assert [first, second] == alone(1, 2)
    assert [nested] == alone(2, 1)


def in_a_fresh_process(code):
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert found.returncode == 0, found.stderr
    return json.loads(found.stdout)


IMPORTED_INSIDE = """
import json, random, sys
import numpy
from hpo.global_randomness import Randomness

def trial(seed):
    late = yield
    while True:
        if late:
            import torch
            late = yield float(torch.rand(()))
        else:
            late = yield random.random()

def pull(pair, late):
    with pair[0].active():
        return pair[1].send(late)

def begin(seed):
    pair = Randomness(seed), trial(seed)
    next(pair[1])
    return pair

hooks = list(sys.meta_path)
early, other = begin(1), begin(2)
pull(early, False)                     # begins before anybody has imported torch
first = pull(other, True)              # imports it
assert list(sys.meta_path) == hooks
second = pull(early, True)             # finds it imported
import torch
caller = torch.initial_seed()
later = [pull(begin(seed), True) for seed in (1, 2)]
print(json.dumps({"first": first, "second": second, "caller": caller, "later": later}))
"""


def test_torch_is_seeded_for_a_function_that_imports_it_first():
    found = in_a_fresh_process(IMPORTED_INSIDE)
    assert found["first"] == found["later"][1] == alone_torch(2)
    assert found["second"] == found["later"][0] == alone_torch(1)
    assert found["caller"] not in (1, 2)  # what it was at the import, none of the trials'


def alone_torch(seed):
    with Randomness(seed).active():
        return float(torch.rand(()))
