"""SimpleNN is the network that torch's own layers make."""

import copy
import itertools
import math

import pytest
import torch
from torch import Tensor, nn

from hpo.training import draws
from hpo.training.activations import FIRST_SLOPE
from hpo.training.hyperparameters import KNOWN, complete
from hpo.training.model import RESPONSE_ALPHA, RESPONSE_BETA, RESPONSE_SIZE, SimpleNN, StepDraws, projected

MODULES: dict[str, type[nn.Module]] = {
    "relu": nn.ReLU,
    "tanh": nn.Tanh,
    "sigmoid": nn.Sigmoid,
    "leaky_relu": nn.LeakyReLU,
    "prelu": nn.PReLU,
    "rrelu": nn.RReLU,
    "elu": nn.ELU,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
}
X = torch.linspace(-3, 3, 40).reshape(10, 4)


def norm_of(name: str, width: int) -> nn.Module:
    """Torch's own layer."""
    norms = {"batch": lambda: nn.BatchNorm1d(width), "layer": lambda: nn.LayerNorm(width)}
    return norms[name]() if name in norms else nn.Identity()


def layers_of(model: SimpleNN) -> list[tuple[Tensor, Tensor]]:
    """Weights and biases of every linear layer."""
    layers = [*(hidden.linear for hidden in model.hidden), model.output]
    return [(layer.weight.detach(), layer.bias.detach()) for layer in layers]


def sequential(model: SimpleNN, activations: tuple[str, ...], norm: str = "none") -> nn.Sequential:
    """Torch's own network with the linear layers of `model`."""
    blocks: list[nn.Module] = []
    for hidden, name in zip(model.hidden, activations, strict=True):
        blocks += [copy.deepcopy(hidden.linear), norm_of(norm, hidden.linear.out_features), MODULES[name]()]
        blocks += [nn.Dropout(0.5)]
    return nn.Sequential(*blocks, model.output)


@pytest.mark.parametrize("activation", KNOWN["activation"].options)
def test_forward_equals_a_sequential_of_torch_modules(activation: str) -> None:
    settings = complete({"depth": 3, "width": 9, "width_2": 5, "activation": activation, "activation_3": "tanh"})
    model = SimpleNN(4, 3, settings, seed=1)
    expected = sequential(model, settings.activations).eval()(X)
    torch.testing.assert_close(model(X), expected, rtol=0, atol=1e-7)
    assert model(X).shape == (10, 3)


@pytest.mark.parametrize("norm", ["batch", "layer", "weight"])
def test_norms_equal_torchs_in_training_and_evaluation(norm: str) -> None:
    settings = complete({"depth": 2, "width": 9, "width_2": 5, "normalization": norm})
    model = SimpleNN(4, 3, settings, seed=1)
    theirs = sequential(model, settings.activations, norm).train()
    for module in theirs:
        if isinstance(module, nn.Dropout):
            module.p = 0
    model.train()
    for rows in (X, 2 * X + 1, X[:2]):
        assert torch.equal(model(rows), theirs(rows))
    assert torch.equal(model.eval()(X), theirs.eval()(X))  # by the running statistics
    if norm == "weight":
        plain = SimpleNN(4, 3, complete({"depth": 2, "width": 9, "width_2": 5}), seed=1)
        torch.testing.assert_close(SimpleNN(4, 3, settings, seed=1)(X), plain(X))  # lengths are the weights' own


def test_batch_normalization_of_one_row_gives_the_shift_and_keeps_the_statistics() -> None:
    model = SimpleNN(4, 3, complete({"depth": 1, "width": 6, "normalization": "batch"}), seed=1).train()
    norm = model.hidden[0].norm
    with torch.no_grad():
        norm.bias.copy_(torch.arange(6.0))
    before = copy.deepcopy(norm.state_dict())
    torch.testing.assert_close(model(X[:1]), model.output(torch.arange(6.0)[None]))
    assert all(torch.equal(norm.state_dict()[name], value) for name, value in before.items())


def test_local_response_is_the_formula() -> None:
    model = SimpleNN(4, 3, complete({"depth": 1, "width": 7, "normalization": "local_response"}), seed=1)
    z = model.hidden[0].linear(X)
    found = model.hidden[0].norm(z)
    for unit in range(7):
        near = z[:, max(0, unit - RESPONSE_SIZE // 2) : unit + RESPONSE_SIZE // 2 + 1]
        divisor = (1 + RESPONSE_ALPHA / RESPONSE_SIZE * near.square().sum(dim=1)) ** RESPONSE_BETA
        torch.testing.assert_close(found[:, unit], z[:, unit] / divisor)


def test_a_skip_adds_the_input_projected_where_widths_differ() -> None:
    settings = complete({"depth": 3, "width": 4, "width_2": 6, "width_3": 6, "residual": True})
    assert projected(settings, 4) == (2,)
    assert projected(settings, 5) == (1, 2)
    assert projected(complete({"depth": 3}), 5) == ()
    model = SimpleNN(4, 3, settings, seed=1)
    x = X
    for hidden in model.hidden:
        skip = x if hidden.projection is None else x @ hidden.projection.weight.T
        x = torch.relu(hidden.linear(x)) + skip
    torch.testing.assert_close(model(X), model.output(x))
    assert [hidden.projection is None for hidden in model.hidden] == [True, False, True]


def test_masks_multiply_the_outputs_of_the_hidden_layers() -> None:
    model = SimpleNN(4, 2, complete({"depth": 2, "width": 3}), seed=1)
    x = torch.ones(2, 4)
    nothing = StepDraws([torch.ones(2, 3), torch.zeros(2, 3)])
    assert torch.equal(model(x, nothing), layers_of(model)[-1][1].expand(2, 2))
    assert torch.equal(model(x, StepDraws([torch.ones(2, 3)] * 2)), model(x))


def test_a_mask_leaves_the_skip_alone() -> None:
    model = SimpleNN(4, 2, complete({"depth": 1, "width": 4, "residual": True}), seed=1)
    torch.testing.assert_close(model(X, StepDraws([torch.zeros(10, 4)])), model.output(X))


def test_slopes_of_rrelu_are_used_below_zero() -> None:
    model = SimpleNN(4, 2, complete({"depth": 1, "width": 4, "activation": "rrelu"}), seed=1)
    z = model.hidden[0].linear(X)
    slopes = torch.linspace(0.125, 0.33, 40).view(10, 4)
    wanted = model.output(torch.where(z > 0, z, z * slopes))
    torch.testing.assert_close(model(X, StepDraws(None, [slopes])), wanted)


def test_what_each_activation_gave_is_remembered_before_dropout() -> None:
    model = SimpleNN(4, 2, complete({"depth": 1, "width": 4}), seed=1)
    model(X, StepDraws([torch.zeros(10, 4)]))
    assert torch.equal(model.hidden[0].activated, torch.relu(model.hidden[0].linear(X)).detach())


def test_logits_are_not_probabilities_and_predict_proba_is_their_softmax() -> None:
    model = SimpleNN(4, 3, complete({}), seed=1)
    with torch.no_grad():
        logits = model(X)
    assert not torch.allclose(logits.sum(dim=1), torch.ones(10))
    assert torch.equal(model.predict_proba(X), torch.softmax(logits, dim=1))
    assert torch.allclose(model.predict_proba(X).sum(dim=1), torch.ones(10))


def test_first_weights_depend_on_the_trials_seed_alone() -> None:
    before = torch.random.get_rng_state()
    first = layers_of(SimpleNN(4, 2, complete({}), seed=1))
    assert torch.equal(torch.random.get_rng_state(), before)
    torch.rand(3, generator=torch.Generator().manual_seed(0))
    again, other = (layers_of(SimpleNN(4, 2, complete({}), seed=seed)) for seed in (1, 2))
    assert all(torch.equal(mine[0], theirs[0]) for mine, theirs in zip(first, again, strict=True))
    assert not any(torch.equal(mine[0], theirs[0]) for mine, theirs in zip(first, other, strict=True))
    assert not any(bias.any() for layers in (first, again, other) for _, bias in layers)


def test_a_deeper_network_starts_with_the_hidden_layers_of_a_shallower_one() -> None:
    shallow, deep = (layers_of(SimpleNN(4, 2, complete({"depth": depth}), seed=1)) for depth in (1, 2))
    assert all(map(torch.equal, shallow[0], deep[0]))
    assert all(map(torch.equal, shallow[-1], deep[-1]))  # and ends with its output layer


@pytest.mark.parametrize(
    ("n_inputs", "widths", "n_outputs", "padded"),
    [(5, (33, 7, 50), 3, 64), (17, (1,), 2, 32), (16, (32, 32), 16, 32), (1, (13, 129), 19, 160)],
)
def test_weights_are_the_beginning_of_the_padded_draw_scaled_by_the_root_of_the_fan_in(
    n_inputs: int, widths: tuple[int, ...], n_outputs: int, padded: int
) -> None:
    own = {f"width_{layer}": width for layer, width in enumerate(widths, start=1)}
    settings = complete({"depth": len(widths), "initialization": "he_uniform", **own})
    model = SimpleNN(n_inputs, n_outputs, settings, 11, torch.float64)
    sizes = (n_inputs, *widths, n_outputs)
    drawn_at = (draws.padded(n_inputs), *[padded] * len(widths), draws.padded(n_outputs))
    numbers = (*range(1, len(widths) + 1), 0)
    for (weight, bias), number, (fan_in, fan_out), drawn in zip(
        layers_of(model), numbers, itertools.pairwise(sizes), itertools.pairwise(drawn_at), strict=True
    ):
        everything = draws.initial(draws.trial_keys([11]), number, *drawn)
        expected = everything[0, :fan_in, :fan_out].T * math.sqrt(6 / fan_in)
        torch.testing.assert_close(weight, expected, rtol=1e-15, atol=0)
        assert not bias.any()
    single = SimpleNN(n_inputs, n_outputs, settings, 11)
    assert all(torch.equal(a, b.float()) for a, b in zip(single.parameters(), model.parameters(), strict=True))


def test_a_narrower_network_is_the_beginning_of_a_wider_one_of_the_same_padded_width() -> None:
    narrow, wide = (SimpleNN(5, 3, complete({"width": width}), 11, torch.float64) for width in (35, 64))
    sizes = [(5, 35), (35, 35), (35, 3)]
    scales = [1.0, math.sqrt(64 / 35), math.sqrt(64 / 35)]
    for (weight, _), (wider, _), (fan_in, fan_out), scale in zip(
        layers_of(narrow), layers_of(wide), sizes, scales, strict=True
    ):
        torch.testing.assert_close(weight, wider[:fan_out, :fan_in] * scale, rtol=1e-15, atol=0)


def test_penalties_are_for_matrices_only() -> None:
    for norm, per_layer in (("none", 1), ("batch", 1), ("weight", 1)):
        settings = complete({"depth": 2, "width": 6, "normalization": norm, "residual": True, "activation": "prelu"})
        model = SimpleNN(4, 3, settings, seed=1)
        found = model.weights()
        assert len(found) == 2 * per_layer + 1 + 1  # the output layer, one projection
        assert all(weight.dim() == 2 and min(weight.shape) > 1 for weight in found)
        slopes = [p for name, p in model.named_parameters() if "activation" in name]
        assert [slope.item() for slope in slopes] == [FIRST_SLOPE] * 2


@pytest.mark.parametrize("norm", ["none", "batch", "weight"])
def test_parameters_are_leaves_laid_out_as_torchs_fused_optimizers_need_them(norm: str) -> None:
    for parameter in SimpleNN(5, 3, complete({"width": 35, "normalization": norm, "residual": True}), 11).parameters():
        assert parameter.is_leaf
        assert parameter.requires_grad
        assert parameter.is_contiguous()
