"""SimpleNN is the network that torch's own layers make."""

import itertools
import math

import pytest
import torch
from scipy import stats
from torch import Tensor, nn

from hpo.training import draws
from hpo.training.hyperparameters import ACTIVATIONS, complete
from hpo.training.model import SimpleNN

MODULES = {"relu": nn.ReLU, "tanh": nn.Tanh, "sigmoid": nn.Sigmoid, "leaky_relu": nn.LeakyReLU}


def layers_of(model: SimpleNN) -> list[tuple[Tensor, Tensor]]:
    """Weights and biases of every layer."""
    found = [parameter.detach() for parameter in model.parameters()]
    return list(zip(found[::2], found[1::2], strict=True))


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
    assert torch.equal(model(x, nothing), layers_of(model)[-1][1].expand(2, 2))
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
    shallow, deep = (layers_of(SimpleNN(4, 2, complete({"depth": depth}), seed=1)) for depth in (1, 2))
    assert all(map(torch.equal, shallow[0], deep[0]))
    assert all(map(torch.equal, shallow[-1], deep[-1]))  # and ends with its output layer


def test_first_weights_follow_the_uniform_distribution_of_torch_linear() -> None:
    sizes = (20, 501, 130, 333, 7)
    widths = {f"width_{layer}": width for layer, width in enumerate(sizes[1:-1], start=1)}
    layers = layers_of(SimpleNN(20, 7, complete({"depth": 3, **widths}), seed=7))
    everything = []
    for (weight, bias), (fan_in, fan_out) in zip(layers, itertools.pairwise(sizes), strict=True):
        assert weight.shape == (fan_out, fan_in)
        assert bias.shape == (fan_out,)
        bound = 1 / math.sqrt(fan_in)
        for draw in (weight, bias):
            assert stats.kstest(draw.flatten().numpy(), stats.uniform(-bound, 2 * bound).cdf).pvalue > 0.01
        # the variance of a mean of squares of U(-b, b) is 4 b^4 / 45 n
        error = math.sqrt(4 / 45 / weight.numel()) / fan_in
        assert float((weight**2).mean()) == pytest.approx(1 / (3 * fan_in), abs=4 * error)
        everything += [weight.flatten() / bound, bias / bound]
    assert stats.kstest(torch.cat(everything).numpy(), stats.uniform(-1, 2).cdf).pvalue > 0.01


@pytest.mark.parametrize(
    ("n_inputs", "widths", "n_outputs", "padded"),
    [(5, (33, 7, 50), 3, 64), (17, (1,), 2, 32), (16, (32, 32), 16, 32), (1, (13, 129), 19, 160)],
)
def test_weights_are_the_beginning_of_the_padded_draw_scaled_by_the_root_of_the_fan_in(
    n_inputs: int, widths: tuple[int, ...], n_outputs: int, padded: int
) -> None:
    own = {f"width_{layer}": width for layer, width in enumerate(widths, start=1)}
    settings = complete({"depth": len(widths), **own})
    model = SimpleNN(n_inputs, n_outputs, settings, 11, torch.float64)
    sizes = (n_inputs, *widths, n_outputs)
    drawn_at = (draws.padded(n_inputs), *[padded] * len(widths), draws.padded(n_outputs))
    numbers = (*range(1, len(widths) + 1), 0)
    for (weight, bias), number, (fan_in, fan_out), drawn in zip(
        layers_of(model), numbers, itertools.pairwise(sizes), itertools.pairwise(drawn_at), strict=True
    ):
        all_weights, all_biases = draws.initial(draws.trial_keys([11]), number, *drawn)
        expected = all_weights[0, :fan_in, :fan_out].T / math.sqrt(fan_in)
        torch.testing.assert_close(weight, expected, rtol=1e-15, atol=0)
        torch.testing.assert_close(bias, all_biases[0, :fan_out] / math.sqrt(fan_in), rtol=1e-15, atol=0)
    single = SimpleNN(n_inputs, n_outputs, settings, 11)
    assert all(torch.equal(a, b.float()) for a, b in zip(single.parameters(), model.parameters(), strict=True))


def test_a_narrower_network_is_the_beginning_of_a_wider_one_of_the_same_padded_width() -> None:
    narrow, wide = (SimpleNN(5, 3, complete({"width": width}), 11, torch.float64) for width in (35, 64))
    sizes = [(5, 35), (35, 35), (35, 3)]
    scales = [1.0, math.sqrt(64 / 35), math.sqrt(64 / 35)]
    for (weight, bias), (wider, wider_bias), (fan_in, fan_out), scale in zip(
        layers_of(narrow), layers_of(wide), sizes, scales, strict=True
    ):
        torch.testing.assert_close(weight, wider[:fan_out, :fan_in] * scale, rtol=1e-15, atol=0)
        torch.testing.assert_close(bias, wider_bias[:fan_out] * scale, rtol=1e-15, atol=0)


def test_parameters_are_leaves_laid_out_as_torchs_fused_optimizers_need_them() -> None:
    for parameter in SimpleNN(5, 3, complete({"width": 35}), 11).parameters():
        assert parameter.is_leaf
        assert parameter.requires_grad
        assert parameter.is_contiguous()
