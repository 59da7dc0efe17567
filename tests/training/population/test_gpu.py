"""On a GPU: equal to the one-trial path in float64, and the same bits for the same chunk."""

import pytest
import torch
from population_trials import equal, member, random_params, small

from hpo.training.population.chunk import Chunk
from hpo.training.population.inputs import Inputs
from hpo.training.solo import train_and_evaluate

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
SHAPE = (40, 25)


def train(dtype, epochs=3):
    trials = [(random_params("gpu", i, shape=SHAPE), i) for i in range(8)]
    data = small(dtype=dtype)
    members = [member(*trial) for trial in trials]
    chunk = Chunk(members, Inputs.of(data, torch.device("cuda")))
    curves = {each: [] for each in members}
    for _ in range(epochs):
        chunk.train_epoch(lambda: False)
        for each in members:
            curves[each].append(each.last)
    return data, trials, [(curves[each], each.tensors[0].cpu()) for each in members]


def test_a_gpu_computes_what_the_cpu_computes():
    data, trials, results = train(torch.float64)
    for (params, seed), (found, _) in zip(trials, results, strict=True):
        _, steps = train_and_evaluate(params, data, seed, 3)
        for step, mine in zip(steps, found, strict=True):
            assert step.metrics == pytest.approx(mine.metrics, rel=0, abs=1e-8)


def test_the_same_chunk_gives_the_same_bits_again():
    first, second = train(torch.float32)[2], train(torch.float32)[2]
    assert all(equal(one, other) for one, other in zip(first, second, strict=True))
