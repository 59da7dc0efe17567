"""Which hyperparameters of a space are the training loop's; all others are the business of `build`."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from hpo.errors import SpaceError
from hpo.space import Space
from hpo.training.hyperparameters import Settings, check_domain, complete

TRAINING: Final = (
    "optimizer",
    "learning_rate",
    "momentum",
    "beta1",
    "beta2",
    "alpha",
    "rho",
    "eps",
    "weight_decay",
    "schedule",
    "step_size",
    "gamma",
    "warmup_epochs",
    "clip_norm",
    "clip_value",
    "batch_size",
    "early_stopping",
    "patience",
    "l1",
    "l2",
    "label_smoothing",
)


def settings_of(params: Mapping[str, Any]) -> Settings:
    """The training hyperparameters of a configuration, with defaults for those left out; `TRAINING` alone counts.

    Raises:
        SpaceError: an illegal value, with found and expected.
    """
    return complete({name: params[name] for name in TRAINING if name in params})


def check_space(space: Space, own_batches: bool, loss: str | Callable[..., Any]) -> None:
    """Refuse a space with training hyperparameters that cannot be.

    Args:
        space: also of what is for `build`, which is not looked at.
        own_batches: whether the data come in batches of their own.
        loss: its name, or a function.

    Raises:
        SpaceError: an illegal option or end of a range; a batch_size or label_smoothing that would do nothing.
    """
    if own_batches and "batch_size" in space:
        raise SpaceError(
            "hyperparameter 'batch_size': the data are DataLoaders, which have batches of their own: leave it out, or "
            "give arrays or Datasets instead"
        )
    if callable(loss) and "label_smoothing" in space:
        raise SpaceError(
            "hyperparameter 'label_smoothing': the loss is a function of yours, which it cannot reach: leave it out, "
            "or give loss='cross_entropy' or 'mse'"
        )
    for name in TRAINING:
        if name in space:
            check_domain(name, space[name])
