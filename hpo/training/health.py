"""What tells whether training went well, measured once at the end of an evaluation, on the first training rows.

Names: `train_<metric>`, the study's metric on training rows; `gap`, by how much it is better there than on
validation rows (overfitting); `gradient_first` and `gradient_last`, norms of the mean loss's gradient with respect
to the weights of the first and the last layer (vanishing, exploding); `dead_relu`, the share of relu units that are
0 for all rows looked at. All in evaluation, without dropout.
"""

from collections.abc import Mapping
from typing import Final

HEALTH_ROWS: Final = 512  # training rows that are looked at
GRADIENT_ROWS: Final = 128  # of them for gradients and dead units


def health_of(
    metric: str,
    direction: str,
    train: float,
    validation: float,
    gradients: tuple[float, float],
    dead: float | None,
) -> Mapping[str, float]:
    """The numbers by name.

    Args:
        metric: the study's.
        direction: of the metric, "maximize" or "minimize".
        train: the metric on training rows.
        validation: the metric on validation rows after the same epoch.
        gradients: norms of the first and the last layer.
        dead: share of dead relu units; None without relu.
    """
    gap = train - validation if direction == "maximize" else validation - train
    found = {f"train_{metric}": train, "gap": gap, "gradient_first": gradients[0], "gradient_last": gradients[1]}
    return found if dead is None else found | {"dead_relu": dead}
