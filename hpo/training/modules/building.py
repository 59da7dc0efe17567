"""From a configuration to a module: the user's `build`, called with the trial's own random numbers."""

from __future__ import annotations

import contextlib
import copy
import threading
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import nn
from torch.nn.parameter import UninitializedParameter

from hpo.global_randomness import Randomness
from hpo.torch_mode import own_mode
from hpo.training.modules.dropout import take_over_dropout
from hpo.trial import Job

_ONE_AT_A_TIME = threading.RLock()  # the global generators are the process's


@contextlib.contextmanager
def global_draws(randomness: Randomness) -> Iterator[None]:
    """Inside the block the global generators are these, and no other thread's of this package."""
    with _ONE_AT_A_TIME, randomness.active():
        yield


@own_mode()
def build_module(build: Callable[..., Any], job: Job, device: torch.device, inputs: torch.Tensor) -> nn.Module:
    """The module of a trial before its first epoch, with our dropout layers, in training mode.

    Args:
        build: the user's; it may change its params and draw from the global generators.
        job: of the trial.
        device: where the module is put.
        inputs: some, by which lazy layers find their sizes.

    Raises:
        TypeError: what it returned is no module, has nothing to train, or trains parameters of a ScriptModule.
    """
    with global_draws(Randomness(job.seed)):
        module = build(copy.deepcopy(dict(job.params)))
        if not isinstance(module, nn.Module):
            raise TypeError(f"build returned {module!r:.60} ({type(module).__name__}), expected a torch.nn.Module")
        scripted = [each for each in module.modules() if isinstance(each, torch.jit.ScriptModule)]
        if any(weight.requires_grad for each in scripted for weight in each.parameters()):  # copies are no leaves
            raise TypeError(
                f"build returned {type(module).__name__} with parameters in a torch.jit.ScriptModule, expected a plain "
                "torch.nn.Module: give the module itself, before torch.jit.script or torch.jit.trace"
            )
        if any(isinstance(each, UninitializedParameter) for each in module.parameters()):
            with torch.no_grad():
                module(inputs.to(precision(module)) if inputs.is_floating_point() else inputs.long())
    trained = [each for each in module.parameters() if each.requires_grad]
    if not trained:
        raise TypeError(f"build returned {type(module).__name__} without parameters that require gradients")
    if len({each.dtype for each in trained}) > 1:
        raise TypeError(f"build returned {type(module).__name__} with parameters of several types, expected one")
    # a copy: what `build` keeps for itself, a backbone that was trained before, say, stays as it is
    return take_over_dropout(copy.deepcopy(module)).to(device).train()


def precision(module: nn.Module) -> torch.dtype:
    """The type of the parameters that are trained."""
    return next(each.dtype for each in module.parameters() if each.requires_grad)
