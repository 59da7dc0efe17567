"""Trials trained again: as a population, or by themselves those that cannot be trained in company."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

import torch

from hpo.objective import Step
from hpo.torch_mode import own_mode
from hpo.training.metrics import Metric
from hpo.training.optimizers import unfused
from hpo.training.population import machine
from hpo.training.population.chunk import Chunk
from hpo.training.population.inputs import InputsCache
from hpo.training.population.member import Member, Shape, nbytes_of, shape_of
from hpo.training.solo import SoloRun

Epochs = Mapping[Member, int]  # that each is to train, at most


def retrain(member: Member, epochs: int, metric: Metric, device: torch.device) -> list[Step]:
    """Train one trial as any population would; see `retrain_all`."""
    return retrain_all({member: epochs}, metric, device)[0]


@own_mode()
def retrain_all(epochs: Epochs, metric: Metric, device: torch.device) -> list[list[Step]]:
    """Train trials as any population would, together on all cores.

    Args:
        epochs: members before their first epoch, each with the epochs that it is to train at most: early stopping may
            end it sooner. Afterwards `member.model()` is the network.
        metric: the study's.
        device: where to train.

    Returns:
        The step of each epoch of each member; the last has value NaN if training diverged.
    """
    inputs = InputsCache(device)
    found: dict[Member, list[Step]] = {member: [] for member in epochs}

    def train(members: Sequence[Member]) -> None:
        if unfused(members[0].settings):
            [member] = members
            found[member] = _alone(member, epochs[member], metric)
        while going := [member for member in members if not _is_over(found[member], epochs[member])]:
            chunk = Chunk(going, inputs.of, metric)
            while not any(_is_over(found[member], epochs[member]) for member in going):
                steps = chunk.train_epoch(lambda: False, lambda member: member.epoch == epochs[member])
                assert steps is not None  # nobody stopped it
                for member, step in zip(chunk.members, steps, strict=True):
                    found[member].append(step)

    chunks = _chunks(list(epochs), device)
    if len(chunks) == 1:
        train(chunks[0])
    else:
        with ThreadPoolExecutor(machine.threads(device), "hpo-retrain", torch.set_num_threads, (1,)) as pool:
            list(pool.map(train, chunks))
    return list(found.values())


def _chunks(members: Sequence[Member], device: torch.device) -> list[list[Member]]:
    """Those of one shape together, as many as suit the machine; the largest first, so that no core waits long."""
    memory = machine.chunk_bytes(device, machine.threads(device))
    groups: dict[Shape, list[Member]] = {}
    chunks = []
    for member in members:
        if unfused(member.settings):
            chunks.append([member])
        else:
            groups.setdefault(shape_of(member.settings, member.data), []).append(member)
    for group in groups.values():
        most = max(1, memory // max(nbytes_of(member.settings, member.data) for member in group))
        chunks += [group[start : start + most] for start in range(0, len(group), most)]
    return sorted(chunks, key=lambda chunk: -sum(nbytes_of(member.settings, member.data) for member in chunk))


def _is_over(steps: Sequence[Step], epochs: int) -> bool:
    return len(steps) >= epochs or bool(steps and (math.isnan(steps[-1].value) or steps[-1].ended))


def _alone(member: Member, epochs: int, metric: Metric) -> list[Step]:
    run = SoloRun(member.settings, member.data, int(member.key), member.epochs, metric, member.start)
    steps = list(run.advance(epochs))
    last, best = (
        member.layout.from_model(member.settings, model, member.data.train.x.dtype)
        for model in (run.model, run.best_model())
    )
    member.tensors, member.last, member.history = last, steps[-1] if steps else None, run.history
    if member.settings.early_stopping:
        member.best = best
    return steps
