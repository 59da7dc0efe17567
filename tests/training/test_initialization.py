"""First weights against their distributions and torch.nn.init."""

import math

import pytest
import torch
from scipy import stats

from hpo import seeding
from hpo.training import draws
from hpo.training.hyperparameters import KNOWN
from hpo.training.initialization import INITIALIZATIONS, first_weights

NAMES = list(INITIALIZATIONS)


def uniforms(*seeds: int, fan_in: int, fan_out: int) -> torch.Tensor:
    keys = seeding.fold(draws.trial_keys(seeds), "test")
    return seeding.uniform(keys, fan_in * fan_out).mul_(2).sub_(1).view(-1, fan_in, fan_out)


def matrix(name: str, fan_in: int, fan_out: int, scale: float = 0.05) -> torch.Tensor:
    u = uniforms(5, fan_in=fan_in, fan_out=fan_out)
    return first_weights([name], [scale], u, [fan_in], [fan_out])[0]


def torchs(name: str, fan_in: int, fan_out: int, scale: float) -> torch.Tensor:
    """What torch.nn.init makes of a weight (fan_out, fan_in), transposed."""
    init, weight = torch.nn.init, torch.empty(fan_out, fan_in, dtype=torch.float64)
    generator = torch.Generator().manual_seed(3)
    make = {
        "normal": lambda: init.normal_(weight, std=scale, generator=generator),
        "uniform": lambda: init.uniform_(weight, -scale, scale, generator=generator),
        "truncated_normal": lambda: init.trunc_normal_(
            weight, std=scale, a=-2 * scale, b=2 * scale, generator=generator
        ),
        "xavier_uniform": lambda: init.xavier_uniform_(weight, generator=generator),
        "xavier_normal": lambda: init.xavier_normal_(weight, generator=generator),
        "he_uniform": lambda: init.kaiming_uniform_(weight, nonlinearity="relu", generator=generator),
        "he_normal": lambda: init.kaiming_normal_(weight, nonlinearity="relu", generator=generator),
        "orthogonal": lambda: init.orthogonal_(weight, generator=generator),
        "zeros": lambda: init.zeros_(weight),
    }
    return make[name]().T


def test_names_are_those_of_the_hyperparameters() -> None:
    assert set(NAMES) == set(KNOWN["initialization"].options)


@pytest.mark.parametrize("name", [name for name in NAMES if name not in ("orthogonal", "zeros")])
def test_weights_are_distributed_as_torchs(name: str) -> None:
    fan_in, fan_out, scale = 300, 100, 0.02
    ours, theirs = (make(name, fan_in, fan_out, scale).flatten() for make in (matrix, torchs))
    assert stats.ks_2samp(ours.numpy(), theirs.numpy()).pvalue > 0.01
    assert float(ours.std()) == pytest.approx(float(theirs.std()), rel=0.02)
    assert abs(float(ours.mean())) < 4 * float(theirs.std()) / math.sqrt(len(ours))


@pytest.mark.parametrize(
    ("name", "density"),
    [
        ("normal", stats.norm(scale=0.05)),
        ("uniform", stats.uniform(-0.05, 0.1)),
        ("truncated_normal", stats.truncnorm(-2, 2, scale=0.05)),
        ("xavier_uniform", stats.uniform(-math.sqrt(6 / 400), 2 * math.sqrt(6 / 400))),
        ("xavier_normal", stats.norm(scale=math.sqrt(2 / 400))),
        ("he_uniform", stats.uniform(-math.sqrt(6 / 300), 2 * math.sqrt(6 / 300))),
        ("he_normal", stats.norm(scale=math.sqrt(2 / 300))),
    ],
)
def test_weights_follow_their_density(name: str, density: stats.rv_continuous) -> None:
    weights = matrix(name, 300, 100).flatten().numpy()
    assert stats.kstest(weights, density.cdf).pvalue > 0.01
    low, high = density.support()
    assert low <= weights.min()
    assert weights.max() <= high


@pytest.mark.parametrize("u", [2.0**-52 - 1, 1 - 2.0**-52])
@pytest.mark.parametrize("name", ["normal", "truncated_normal", "uniform"])
def test_the_most_extreme_draws_give_finite_weights(name: str, u: float) -> None:
    weight = first_weights([name], [1.0], torch.full((1, 1, 1), u, dtype=torch.float64), [1], [1])
    bound = {"normal": 9.0, "truncated_normal": 2.0, "uniform": 1.0}[name]
    assert 0.99 * min(bound, 8.0) < float(weight) * math.copysign(1, u) <= bound


@pytest.mark.parametrize(("fan_in", "fan_out"), [(90, 30), (30, 90), (40, 40), (1, 7), (7, 1)])
def test_an_orthogonal_matrix_is_one(fan_in: int, fan_out: int) -> None:
    weight = matrix("orthogonal", fan_in, fan_out)
    product = weight.T @ weight if fan_in >= fan_out else weight @ weight.T
    torch.testing.assert_close(product, torch.eye(len(product), dtype=torch.float64), rtol=0, atol=1e-12)


@pytest.mark.parametrize(("fan_in", "fan_out"), [(5, 3), (3, 5)])
def test_an_orthogonal_matrix_is_what_torch_makes_of_the_same_deviates(
    fan_in: int, fan_out: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    deviates = matrix("normal", fan_in, fan_out, 1.0)
    weight = torch.empty(fan_in, fan_out, dtype=torch.float64)
    monkeypatch.setattr(torch.Tensor, "normal_", lambda self, *_, **__: self.copy_(deviates))
    wanted = torch.nn.init.orthogonal_(weight)
    torch.testing.assert_close(matrix("orthogonal", fan_in, fan_out), wanted, rtol=0, atol=1e-12)


def test_every_element_of_an_orthogonal_matrix_is_symmetric_about_zero() -> None:
    u = uniforms(*range(1500), fan_in=2, fan_out=2)
    weights = first_weights(["orthogonal"] * 1500, [1.0] * 1500, u, [2] * 1500, [2] * 1500)
    angle = torch.atan2(weights[:, 1, 0], weights[:, 0, 0]).numpy()  # of the first column
    assert stats.kstest(angle, stats.uniform(-math.pi, 2 * math.pi).cdf).pvalue > 0.01
    assert float(torch.linalg.det(weights).mean()) == pytest.approx(0, abs=0.1)  # rotations and reflections alike


def test_a_trial_has_the_same_weights_alone_and_in_company() -> None:
    names = [*NAMES, *reversed(NAMES)]
    fans = [(17 + k % 5, 40 - 3 * (k % 7)) for k in range(len(names))]
    scales = [0.01 * (k + 1) for k in range(len(names))]
    u = uniforms(*range(len(names)), fan_in=32, fan_out=48)
    together = first_weights(names, scales, u.clone(), *zip(*fans, strict=True))
    for k, (fan_in, fan_out) in enumerate(fans):
        alone = first_weights([names[k]], [scales[k]], u[k : k + 1].clone(), [fan_in], [fan_out])
        assert torch.equal(together[k], alone[0])
        assert (together[k].count_nonzero() > 0) == (names[k] != "zeros")


@pytest.mark.parametrize("name", NAMES)
def test_weights_depend_on_draws_of_the_true_part_alone_and_are_zero_elsewhere(name: str) -> None:
    u = uniforms(1, fan_in=32, fan_out=48)
    padded = first_weights([name], [0.1], u.clone(), [20], [33])[0]
    wanted = first_weights([name], [0.1], u[:, :20, :33].clone(), [20], [33])[0]
    assert torch.equal(padded[:20, :33], wanted)
    assert padded.count_nonzero() == wanted.count_nonzero()


def test_distributions_share_their_quantiles() -> None:
    ranks = [matrix(name, 20, 30).flatten().argsort() for name in NAMES if name not in ("orthogonal", "zeros")]
    assert all(torch.equal(each, ranks[0]) for each in ranks)
