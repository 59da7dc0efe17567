"""Which trials train together: modules of one structure, over the same epochs, in batches of one size."""

from __future__ import annotations

import copy
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import torch
from torch import Tensor, nn

from hpo.global_randomness import Randomness, fingerprint
from hpo.torch_mode import own_mode
from hpo.training import draws
from hpo.training.hyperparameters import Settings
from hpo.training.modules.building import global_draws, precision
from hpo.training.modules.dropout import Call, calls_of, layers_of, probabilities, words_of_steps
from hpo.training.modules.feeds import Batch, Feed
from hpo.training.modules.scoring import Scoring
from hpo.training.modules.stacked import Layout, Stacked
from hpo.training.modules.structure import IncomparableError, Structure, difference, structure
from hpo.trial import Job

CHUNK_BYTES: Final = 2**26  # of a chunk: fixed, since the last bits of a trial may depend on its company
MOST: Final = 64  # trials of a chunk, so that what is lost with a chunk is little
_REMEMBERED: Final = 1000  # structures
_ROWS: Final = 4  # on which modules are compared
_OF_A_PARAMETER: Final = 4  # numbers in memory: itself, its gradient, two slots of an optimizer
_OF_AN_ACTIVATION: Final = 3  # itself, its gradient, and one for what a layer keeps or works with


@dataclass(frozen=True, eq=False)
class Traits:
    """What modules of one structure have in common.

    Attributes:
        fuses: whether they can train together.
        reason: why they cannot; empty where they cannot train at all, of which each tells by itself.
        calls: of dropout in a forward pass with a full batch.
        limit: trials of a chunk.
    """

    fuses: bool
    reason: str = ""
    calls: tuple[Call, ...] = ()
    limit: int = 1


@dataclass(frozen=True)
class Kind:
    """What the modules of a chunk have in common.

    Attributes:
        structure: theirs.
        batch: rows of a step; 0: a loader's.
    """

    structure: Structure
    batch: int


@dataclass(eq=False)
class Candidate:
    """A job whose module was built.

    Attributes:
        job: the job.
        settings: its training hyperparameters.
        module: before its first epoch; None: it has to be built again.
        name: of its class.
        kind: of the module; None: it cannot be compared with others.
        traits: of its kind.
    """

    job: Job
    settings: Settings
    module: nn.Module | None
    name: str
    kind: Kind | None
    traits: Traits

    @property
    def built(self) -> nn.Module:
        """The module."""
        assert self.module is not None  # or nobody would look at it now
        return self.module


class Company:
    """Finds out which modules can train together, once for each structure.

    Args:
        feed: gives the data in a precision.
        scoring: loss and metric.
    """

    def __init__(self, feed: Callable[[torch.dtype], Feed], scoring: Scoring) -> None:
        self._feed, self._scoring = feed, scoring
        self._known: dict[Kind, Traits] = {}

    def candidate(self, job: Job, settings: Settings, module: nn.Module) -> Candidate:
        """A job with what is to be known of its module."""
        name = type(module).__name__
        try:
            found = structure(module)
        except IncomparableError as error:
            return Candidate(job, settings, module, name, None, Traits(False, str(error)))
        feed = self._feed(precision(module))
        kind = Kind(found, feed.batch(settings.batch_size))
        if kind not in self._known:
            if len(self._known) == _REMEMBERED:
                self._known.clear()
            self._known[kind] = _look(module, found, feed, settings, self._scoring)
        return Candidate(job, settings, module, name, kind, self._known[kind])

    @staticmethod
    def divided(candidates: Sequence[Candidate]) -> str | None:
        """The attribute that keeps candidates apart whose tensors would let them train together, if there is one."""
        kinds = list(dict.fromkeys(each.kind for each in candidates if each.kind is not None and each.traits.fuses))
        for kind in kinds[1:]:
            if kind.batch == kinds[0].batch and (found := difference(kinds[0].structure, kind.structure)):
                return found
        return None

    @staticmethod
    def cut(candidates: Sequence[Candidate]) -> list[list[Candidate]]:
        """Candidates of one call, in chunks: those that are alike, in their order; those that train alone each alone.

        What is left of the call when whole chunks are taken away is cut into the same chunks again.
        """
        groups: dict[Hashable, list[Candidate]] = {}
        for each in candidates:
            job = each.job
            alone = None if each.traits.fuses else job.number
            groups.setdefault((job.study, job.start, job.target, job.epochs, each.kind, alone), []).append(each)
        return [
            group[first : first + group[0].traits.limit]
            for group in groups.values()
            for first in range(0, len(group), group[0].traits.limit)
        ]


def agreeing(candidates: Sequence[Candidate], feed: Feed, scoring: Scoring) -> list[bool]:
    """Whether each of some candidates, in training and in evaluation, gives by itself what it gives in company.

    Their modules are used up: running statistics change.
    """
    modules = [each.built for each in candidates]
    x = feed.some(_ROWS).x[:_ROWS]
    together = _stack(modules, scoring)
    trained, evaluated = together.forward(x, True, None).detach(), together.evaluate(x)
    found = []
    for k, each in enumerate(candidates):
        same = each.kind is not None and structure(each.built) == each.kind.structure
        found.append(same and _agree(each.built, x, scoring, trained[k], evaluated[k]))
    return found


@torch.no_grad()
def _agree(module: nn.Module, x: Tensor, scoring: Scoring, trained: Tensor, evaluated: Tensor) -> bool:
    for layer in layers_of(module)[:1]:
        layer.masks.feed(None)
    own = scoring.outputs(module.train()(x), len(x)), scoring.outputs(module.eval()(x), len(x))
    return all(_close(*pair) for pair in zip(own, (trained, evaluated), strict=True))


def _close(own: Tensor, other: Tensor) -> bool:
    tolerance = torch.finfo(own.dtype).eps ** 0.5
    scale = float(own.abs().nan_to_num(0, 0, 0).amax()) if own.numel() else 0.0
    return torch.allclose(own, other, rtol=tolerance, atol=tolerance * scale, equal_nan=True)


def _stack(modules: Sequence[nn.Module], scoring: Scoring) -> Stacked:
    layout = Layout(modules[0])
    rows, *fixed = (torch.stack(each) for each in zip(*map(layout.tensors, modules), strict=True))
    return Stacked(modules[0], layout, rows, fixed, scoring)


@own_mode()
def _look(module: nn.Module, found: Structure, feed: Feed, settings: Settings, scoring: Scoring) -> Traits:
    """Try a step of two such modules together."""
    name = type(module).__name__
    batch = feed.some(settings.batch_size)
    copied = copy.deepcopy(module)
    with global_draws(Randomness(0)):
        before = fingerprint()
        try:
            numbers = _activations(copied, batch, scoring)
        except Exception:  # it fails by itself, too, with a trace for the user
            return Traits(False)
        if fingerprint() != before:
            return Traits(False, f"{name} draws random numbers in its forward pass")
    if structure(copied) != found:
        return Traits(False, f"{name} changes its attributes in its forward pass")
    calls = calls_of(module, batch.x)
    layout = Layout(module)
    try:
        together = _stack([module, module], scoring)
        p = probabilities([[layer.p for layer in layers_of(module)]] * 2, next(module.parameters()))
        words = next(words_of_steps(draws.trial_keys([1, 2]).to(p.device), 0, calls, p)) if calls else None
        outputs = together.forward(batch.x, True, words)
        targets = batch.y.expand(2, *batch.y.shape)
        _, gradient = scoring.stacked(outputs.detach(), targets, None)
        together.gradients(outputs, gradient, layout.views(torch.zeros(2, layout.size).to(outputs)))
        together.evaluate(batch.x)
    except Exception as error:
        said = str(error).strip().splitlines()
        return Traits(False, f"{name} cannot be vectorised ({said[0][:200] if said else type(error).__name__})")
    floats = _OF_A_PARAMETER * layout.size + _OF_AN_ACTIVATION * numbers + batch.x.numel()
    bytes_each = floats * outputs.element_size()
    return Traits(True, calls=tuple(calls), limit=max(1, min(MOST, CHUNK_BYTES // bytes_each)))


@torch.no_grad()
def _activations(module: nn.Module, batch: Batch, scoring: Scoring) -> int:
    """How many numbers the layers of a module give for a batch in training, if that can be scored."""
    count = 0

    def note(layer: nn.Module, inputs: Any, output: Any) -> None:
        nonlocal count
        count += output.numel() if isinstance(output, Tensor) else 0

    hooks = [each.register_forward_hook(note) for each in module.modules() if not list(each.children())]
    outputs = scoring.outputs(module.train()(batch.x), len(batch.x))
    for hook in hooks:
        hook.remove()
    scoring.rows(outputs, batch.y).mean()
    return count
