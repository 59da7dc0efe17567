"""SimpleNN is the network that torch's own layers make."""

import pytest
import torch
from torch import nn

from hpo.training.hyperparameters import ACTIVATIONS, complete
from hpo.training.model import SimpleNN

MODULES = {"relu": nn.ReLU, "tanh": nn.Tanh, "sigmoid": nn.Sigmoid, "leaky_relu": nn.LeakyReLU}


def sequential(model: SimpleNN, activations: tuple[str, ...], dropout: float = 0.0) -> nn.Sequential:
    """Torch's own network with the weights of `model`."""
    blocks: list[nn.Module] = []
    for layer, name in zip(model.layers, activations, strict=False):
        blocks += [layer, MODULES[name](), nn.Dropout(dropout)]
    return nn.Sequential(*blocks, model.layers[-1])


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_forward_equals_a_sequential_of_torch_modules(activation: str) -> None:
    settings = complete({"depth": 3, "width": 9, "width_2": 5, "activation": activation, "activation_3": "tanh"})
    model = SimpleNN(4, 3, settings, seed=1)
    x = torch.linspace(-3, 3, 40).reshape(10, 4)
    expected = sequential(model, settings.activations, dropout=0.5).eval()(x)
    assert torch.equal(model(x), expected)
    assert model(x).shape == (10, 3)


def test_masks_multiply_the_outputs_of_the_hidden_layers() -> None:
    settings = complete({"depth": 2, "width": 3})
    model = SimpleNN(4, 2, settings, seed=1)
    x = torch.ones(2, 4)
    nothing = [torch.ones(2, 3), torch.zeros(2, 3)]
    assert torch.equal(model(x, nothing), model.layers[-1].bias.expand(2, 2))
    assert torch.equal(model(x, [torch.ones(2, 3)] * 2), model(x))


def test_logits_are_not_probabilities_and_predict_proba_is_their_softmax() -> None:
    model = SimpleNN(4, 3, complete({}), seed=1)
    x = torch.linspace(-3, 3, 40).reshape(10, 4)
    with torch.no_grad():
        logits = model(x)
    assert not torch.allclose(logits.sum(dim=1), torch.ones(10))
    assert torch.equal(model.predict_proba(x), torch.softmax(logits, dim=1))
    assert torch.allclose(model.predict_proba(x).sum(dim=1), torch.ones(10))


def test_first_weights_depend_on_the_trials_seed_alone() -> None:
    before = torch.random.get_rng_state()
    first = SimpleNN(4, 2, complete({}), seed=1).state_dict()
    assert torch.equal(torch.random.get_rng_state(), before)
    torch.rand(3, generator=torch.Generator().manual_seed(0))
    again, other = (SimpleNN(4, 2, complete({}), seed=seed).state_dict() for seed in (1, 2))
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not any(torch.equal(first[name], other[name]) for name in first)


def test_a_deeper_network_starts_with_the_hidden_layers_of_a_shallower_one() -> None:
    shallow, deep = (SimpleNN(4, 2, complete({"depth": depth}), seed=1).layers for depth in (1, 2))
    assert torch.equal(shallow[0].weight, deep[0].weight)
