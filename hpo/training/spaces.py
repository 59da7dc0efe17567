"""The search spaces that come with the shared objective."""

from hpo.domains import Choice, Domain, Float, Int
from hpo.space import Space
from hpo.training.hyperparameters import MAX_DEPTH

_ACTIVATIONS = ("relu", "tanh", "sigmoid", "leaky_relu")
_OPTIMIZERS = ("sgd", "momentum", "nesterov", "adam", "adamw", "rmsprop")


def default_space() -> Space:
    """How and what to train: 9 names, of which momentum only where it is used; all hidden layers alike."""
    return Space(
        {
            "learning_rate": Float(1e-4, 1.0, log=True, default=0.01),
            "optimizer": Choice(_OPTIMIZERS, default="adam"),
            "momentum": Float(0.5, 0.99, default=0.9, when={"optimizer": ["momentum", "nesterov"]}),
            "weight_decay": Float(1e-6, 0.1, log=True, default=1e-4),
            "batch_size": Choice((64, 128, 256, 512), ordered=True, default=64),
            "depth": Int(1, 3, default=2),
            "width": Int(8, 256, log=True, default=64),
            "activation": Choice(_ACTIVATIONS, default="relu"),
            "dropout": Float(0.0, 0.6, default=0.1),
        }
    )


def architecture_space() -> Space:
    """A width and an activation for every hidden layer that is there, and the learning rate."""
    domains: dict[str, Domain] = {
        "learning_rate": Float(1e-3, 0.1, log=True, default=0.01),
        "depth": Int(1, MAX_DEPTH, default=2),
    }
    for layer in range(1, MAX_DEPTH + 1):
        when = {"depth": list(range(layer, MAX_DEPTH + 1))} if layer > 1 else None
        domains[f"width_{layer}"] = Choice((8, 16, 32, 64, 128, 256), ordered=True, default=64, when=when)
        domains[f"activation_{layer}"] = Choice(_ACTIVATIONS, default="relu", when=when)
    return Space(domains)
