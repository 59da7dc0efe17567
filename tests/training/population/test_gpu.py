"""On a GPU: equal to the one-trial path in float64, and the same bits for the same chunk."""

import pytest
import torch
from population_trials import equal, member, random_params, small, state_of

from hpo.training.metrics import METRICS
from hpo.training.population.chunk import Chunk
from hpo.training.population.inputs import InputsCache
from hpo.training.solo import SoloRun

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
SHAPE = (40, 25)
KINDS = ("plain", "extended", "residual")


def train(dtype, kind, epochs=3):
    data = small(dtype=dtype)
    members = [member(random_params("gpu", i, shape=SHAPE, kind=kind), i, data) for i in range(8)]
    chunk = Chunk(members, InputsCache(torch.device("cuda")).of, METRICS["accuracy"])
    curves = {each: [] for each in members}
    for epoch in range(1, epochs + 1):
        chunk.train_epoch(lambda: False, lambda _, last=epoch == epochs: last)
        for each in members:
            curves[each].append(each.last)
    return members, [(curves[each], [tensor.cpu() for tensor in state_of(each)]) for each in members]


@pytest.mark.parametrize("kind", KINDS)
def test_a_gpu_computes_what_the_cpu_computes(kind):
    for seed, (each, (found, _)) in enumerate(zip(*train(torch.float64, kind), strict=True)):
        for step, mine in zip(SoloRun(each.settings, each.data, seed, each.epochs).advance(3), found, strict=True):
            assert mine.metrics == pytest.approx(step.metrics, rel=0, abs=1e-8)
            assert mine.health == pytest.approx(step.health, rel=1e-8, abs=1e-8)


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_chunk_gives_the_same_bits_again(kind):
    first, second = train(torch.float32, kind)[1], train(torch.float32, kind)[1]
    assert all(equal(one, other) for one, other in zip(first, second, strict=True))
