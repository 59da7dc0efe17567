"""The loss, for one trial and for stacked trials."""

from torch import Tensor
from torch.nn import functional

cross_entropy = functional.cross_entropy  # of one trial: (B, C) logits, (B,) classes -> the mean in nats


def stacked_cross_entropy(logits: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Cross-entropy of every row in nats, and its gradient: softmax(logits) - onehot(y).

    Args:
        logits: (K, C, R).
        y: classes, (K, 1, R).

    Returns:
        Losses (K, 1, R) and the gradients of the logits (K, C, R).
    """
    log_p = logits.log_softmax(dim=1)  # (K, C, R)
    loss = log_p.gather(1, y).neg_()  # (K, 1, R)
    gradient = log_p.exp_().scatter_add_(1, y, log_p.new_full((), -1.0).expand(y.shape))
    return loss, gradient
