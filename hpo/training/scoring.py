"""What a trained network is worth on test data, and how sure that is."""

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

import numpy as np

from hpo import seeding
from hpo.objective import TestScore

if TYPE_CHECKING:
    from torch import Tensor

    from hpo.training.final import FinalModel
    from hpo.training.metrics import Metric

RESAMPLES: Final = 1000
_AT_ONCE: Final = 2**22  # outputs of resampled rows


def score(final: "FinalModel | None", metric: "Metric", seed: int) -> TestScore:
    """The metric and the loss on test data, with the metric's 95 % bootstrap interval; NaN without a network.

    Args:
        final: what was trained; None: its training diverged.
        metric: the study's.
        seed: of the bootstrap.
    """
    from hpo.training.losses import loss_of
    from hpo.training.solo import evaluate

    if final is None:
        return TestScore({metric.name: math.nan, "loss": math.nan}, math.nan, math.nan)
    data, model = final.data, final.model
    loss, value = evaluate(model, data, data.test, loss_of(data.task, final.settings.loss).rows, metric)
    outputs = final.outputs(data.test.x)
    low, high = interval(metric, outputs, data.test.y, data.target_scale, seed)
    return TestScore({metric.name: value, "loss": loss}, low, high)


def interval(metric: "Metric", outputs: "Tensor", y: "Tensor", scale: float, seed: int) -> tuple[float, float]:
    """The 95 % percentile interval of a metric over resampled rows (Efron and Tibshirani, 1993, chapter 13).

    Args:
        metric: what is measured.
        outputs: of the network, (n, C).
        y: targets, (n,).
        scale: see `Metric.of`.
        seed: of the resampling.
    """
    import torch

    n, found = len(y), []
    chance = seeding.generator("bootstrap", seed)
    together = max(1, _AT_ONCE // max(1, outputs.numel()))
    for start in range(0, RESAMPLES, together):
        count = min(together, RESAMPLES - start)
        rows = torch.from_numpy(chance.integers(n, size=(count, n)))
        found.append(metric.of(outputs[rows].mT, y[rows][:, None], scale))
    low, high = np.nanquantile(torch.cat(found).numpy(), [0.025, 0.975])
    return float(low), float(high)


def same(found: Mapping[str, float], expected: Mapping[str, float]) -> bool:
    """Whether metrics are the same; NaN, of a metric that the rows leave undefined, equals itself."""
    return found.keys() == expected.keys() and all(
        value == expected[name] or (math.isnan(value) and math.isnan(expected[name])) for name, value in found.items()
    )
