"""The controller against sums over all descriptions, torch's own LSTM and Adam, and known best descriptions."""

import itertools
import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pytest
import torch

from hpo import seeding
from hpo.domains import Choice, Float, Int
from hpo.errors import MismatchError, UsageError
from hpo.grid import Grid
from hpo.space import Space
from hpo.trial import Outcome, Proposal, State
from searchers import controller
from searchers.controller import ROWS, Weights
from searchers.nas import NAS, Learner, Vocabulary, advantages
from searchers.random import Random

CONDITIONAL = Space(
    {
        "optimizer": Choice(("sgd", "momentum", "adam")),
        "nesterov": Choice((False, True), when={"optimizer": ["momentum"]}),
        "momentum": Float(0.5, 0.99, when={"optimizer": ["momentum"]}),
        "depth": Int(1, 3),
        "width": Int(4, 512, log=True, when={"depth": [2, 3], "optimizer": ["adam", "momentum"]}),
        "bias": True,
    }
)
MIXED = Space(
    {
        "rate": Float(1e-4, 1.0, log=True),
        "decay": Float(0.0, 0.9),
        "layers": Int(1, 5),
        "width": Int(8, 512, log=True),
        "kind": ["a", "b", "c"],
        "slope": Float(0.0, 0.5, when={"kind": ["b"]}),
        "steps": Int(1, 1000),
    }
)
POINTS = 4


def descriptions(space: Space, points: int = POINTS) -> tuple[Vocabulary, np.ndarray]:
    """All descriptions of `space`, (N, T)."""
    vocabulary, grid = Vocabulary(space, points), Grid(space, points)
    return vocabulary, np.array([vocabulary.tokens(grid[i]) for i in range(grid.size)])


def blocks(tokens: np.ndarray) -> Iterator[np.ndarray]:
    """`tokens` in batches of 16, the last filled up with its first row."""
    for start in range(0, len(tokens), ROWS):
        block = tokens[start : start + ROWS]
        yield np.concatenate([block, np.repeat(block[:1], ROWS - len(block), axis=0)])


def log_probabilities(learner: Learner, tokens: np.ndarray) -> np.ndarray:
    return np.concatenate([learner.score(block).log_probability.numpy() for block in blocks(tokens)])[: len(tokens)]


def rough(weights: Weights, seed: int = 7) -> Weights:
    """`weights` with noise on every one, the output layer included."""
    rng = np.random.default_rng(seed)
    return Weights(*(w + 0.5 * torch.from_numpy(rng.normal(size=w.shape)) for w in weights))


def rough_learner(vocabulary: Vocabulary) -> Learner:
    learner = Learner(vocabulary.sizes, vocabulary.active, 3, learning_rate=0.02, entropy=1.0)
    learner.weights = rough(learner.weights)
    return learner


def outcomes(numbers: Sequence[int], proposals: Sequence[Proposal], fail: bool = False) -> list[Outcome]:
    """Seeded outcomes, some of them failures."""
    return [
        Outcome(number, p.params, State.FAILED)
        if fail and number % 5 == 3
        else Outcome(number, p.params, State.DONE, float(seeding.generator(repr(p.params)).normal()))
        for number, p in zip(numbers, proposals, strict=True)
    ]


def drive(searcher: NAS, size: int, trials: int) -> list[tuple[list[Proposal], list[Outcome]]]:
    """Ask and tell `trials` in rounds of `size`; the events."""
    events = []
    while searcher.next_number < trials:
        first = searcher.next_number
        proposals = searcher.ask(min(size, trials - first))
        told = outcomes(range(first, searcher.next_number), proposals, fail=True)
        searcher.tell(told)
        events.append((proposals, told))
    return events


# -- the distribution


def test_probabilities_of_all_descriptions_of_a_conditional_space_sum_to_one() -> None:
    vocabulary, tokens = descriptions(CONDITIONAL)
    assert len(np.unique(tokens, axis=0)) == 3 + 2 * 4 * (1 + 2 * 4) + 1 + 2 * 4  # sgd, momentum, adam
    P = np.exp(log_probabilities(rough_learner(vocabulary), tokens))
    assert math.isclose(P.sum(), 1.0, rel_tol=1e-12)
    assert P.max() > 10 / len(tokens)  # far from uniform


def test_the_mean_of_the_step_entropies_is_the_entropy_of_the_descriptions() -> None:
    vocabulary, tokens = descriptions(CONDITIONAL)
    learner = rough_learner(vocabulary)
    log_p = log_probabilities(learner, tokens)
    steps = np.concatenate([learner.score(block).entropy.numpy() for block in blocks(tokens)])[: len(tokens)]
    assert math.isclose((np.exp(log_p) * steps).sum(), -(np.exp(log_p) * log_p).sum(), rel_tol=1e-12)


def test_the_score_function_gradient_summed_over_all_descriptions_is_the_gradient_of_the_expected_reward() -> None:
    vocabulary, tokens = descriptions(CONDITIONAL)
    weights, sizes = rough_learner(vocabulary).weights, vocabulary.sizes
    P = np.exp(log_probabilities(rough_learner(vocabulary), tokens))
    R = np.random.default_rng(0).normal(size=len(tokens))
    leaves = Weights(*(w.clone().requires_grad_() for w in weights))
    J = torch.zeros((), dtype=torch.float64)
    estimates = {b: [torch.zeros_like(w) for w in weights] for b in (0.0, 5.0)}
    for start, block in zip(range(0, len(tokens), ROWS), blocks(tokens), strict=True):
        here = slice(start, min(start + ROWS, len(tokens)))
        real = here.stop - here.start
        log_p = controller.score(leaves, sizes, torch.from_numpy(block)).log_probability[:real]
        J = J + log_p.exp() @ torch.from_numpy(R[here])
        for b, total in estimates.items():
            A = torch.zeros(ROWS, dtype=torch.float64)
            A[:real] = torch.from_numpy(ROWS * P[here] * (R[here] - b))  # the batch's mean becomes the expectation
            for t, g in zip(total, controller.gradient(weights, sizes, torch.from_numpy(block), A, 0.0), strict=True):
                t += g
    exact = torch.autograd.grad(J, leaves)
    assert max(float(g.abs().max()) for g in exact) > 0.01
    for estimate in estimates.values():  # any constant baseline leaves it as it is
        for found, expected in zip(estimate, exact, strict=True):
            torch.testing.assert_close(found, expected, rtol=0, atol=1e-10)


def test_the_cell_is_the_lstm_of_torch() -> None:
    sizes, rng = [3, 4, 5, 2], np.random.default_rng(1)
    weights = rough(controller.initial_weights(sizes, rng))
    tokens = torch.from_numpy(np.stack([rng.integers(0, size, ROWS) for size in sizes], axis=1))
    lstm = torch.nn.LSTM(controller.HIDDEN, controller.HIDDEN, batch_first=True, dtype=torch.float64)
    zeros = torch.zeros_like(weights.bias)
    own = {"weight_ih": weights.input, "weight_hh": weights.hidden, "bias_ih": weights.bias, "bias_hh": zeros}
    lstm.load_state_dict({f"{name}_l0": w for name, w in own.items()})
    starts = np.cumsum([0, *sizes])
    last = [torch.zeros(ROWS, controller.HIDDEN, dtype=torch.float64)]
    last += [weights.token[int(starts[t]) + tokens[:, t]] for t in range(3)]
    h = lstm(torch.stack([last[t] + weights.name[t] for t in range(4)], dim=1))[0]  # (B, T, H)
    expected = torch.zeros(ROWS, dtype=torch.float64)
    for t in range(4):
        here = slice(int(starts[t]), int(starts[t + 1]))
        logits = h[:, t] @ weights.output[here].T + weights.offset[here]
        expected = expected - torch.nn.functional.cross_entropy(logits, tokens[:, t], reduction="none")
    torch.testing.assert_close(controller.score(weights, sizes, tokens).log_probability, expected, rtol=1e-12, atol=0)


def test_a_row_does_not_depend_on_the_other_rows() -> None:
    vocabulary, _ = descriptions(CONDITIONAL)
    learner, rng = rough_learner(vocabulary), np.random.default_rng(2)
    uniforms = rng.random((ROWS, len(CONDITIONAL)))
    together = learner.sample(uniforms)
    for row in range(ROWS):
        others = rng.random(uniforms.shape)
        others[row] = uniforms[row]
        assert all(torch.equal(a[row], b[row]) for a, b in zip(learner.sample(others), together, strict=True))


# -- learning


def test_adam_is_the_adam_of_torch() -> None:
    rng = np.random.default_rng(3)
    start = [torch.from_numpy(rng.normal(size=shape)) for shape in ((3, 2), (4,))]
    parameters = [torch.nn.Parameter(w.clone()) for w in start]
    theirs = torch.optim.Adam(parameters, lr=0.05, maximize=True)
    ours, moments = start, None
    for _ in range(5):
        g = [torch.from_numpy(rng.normal(size=tuple(w.shape))) for w in start]
        ours, moments = controller.adam(ours, g, moments, 0.05)
        for parameter, gradient in zip(parameters, g, strict=True):
            parameter.grad = gradient
        theirs.step()
    for found, expected in zip(ours, parameters, strict=True):
        torch.testing.assert_close(found, expected.detach(), rtol=1e-12, atol=1e-14)


def test_clipping_bounds_the_joint_norm_and_leaves_small_gradients_alone() -> None:
    g = [torch.full((2,), 3.0, dtype=torch.float64), torch.full((2, 2), 4.0, dtype=torch.float64)]
    clipped = controller.clip(g, 1.0)
    assert math.isclose(math.sqrt(sum(float(x.square().sum()) for x in clipped)), 1.0)
    for small, most in ((g, 100.0), ([0 * x for x in g], 1.0)):
        assert all(torch.equal(a, b) for a, b in zip(controller.clip(small, most), small, strict=True))


def test_advantages_have_unit_spread_at_any_scale() -> None:
    R = np.random.default_rng(4).normal(size=ROWS)
    expected = (R - 0.1) / R.std()
    for scale, shift in ((1.0, 0.0), (1e-12, 0.0), (1e300, 0.0), (1e-300, 0.0), (3.0, -7.0)):
        found = advantages((R * scale + shift).clip(-1e300, 1e300), 0.1 * scale + shift)
        if scale < 1e300:
            np.testing.assert_allclose(found, expected, rtol=1e-9)
        assert np.isfinite(found).all()
        assert math.isclose(found.std(), 1.0)
    assert (advantages(np.full(ROWS, 0.3), 0.1) == 0).all()
    assert advantages(R, 1e12).max() == 0  # a baseline from another world counts as the best of the batch


def test_failed_children_count_as_the_worst_of_late() -> None:
    learner = Learner([2], lambda t, tokens: True, seed=0, learning_rate=0.02, entropy=0.0)
    tokens = np.arange(ROWS)[:, None] % 2
    learner.learn(tokens, np.full(ROWS, math.nan))  # nothing is known yet, and nothing learned
    assert np.allclose(np.exp(log_probabilities(learner, tokens)), 0.5)
    for _ in range(10):
        learner.learn(tokens, np.where(tokens[:, 0] == 0, math.nan, np.linspace(0, 1, ROWS)))
    assert np.exp(log_probabilities(learner, tokens))[1] > 0.7


def chain(tokens: np.ndarray) -> np.ndarray:
    """Right choices, of which the last three depend on those before: all wrong alone, 3 of 4 right is a local best."""
    a, b, c, d = tokens.T
    right: np.ndarray = np.stack([a == 2, b == (a + 1) % 4, c == (a + b) % 4, d == (b + c) % 4]).sum(0)
    return right.astype(float)


BEST = np.array([[2, 3, 1, 0]])


def trained(seed: int, updates: int, shuffle: bool = False) -> float:
    """P(best) of a controller with default settings after `updates` on `chain`."""
    nas = NAS()
    learner = Learner([4] * 4, lambda t, tokens: True, seed, nas.learning_rate, nas.entropy)
    for k in range(updates):
        rng = seeding.generator(seed, k)
        tokens = learner.sample(rng.random((ROWS, 4))).tokens.numpy()
        R = chain(tokens)
        learner.learn(tokens, rng.permutation(R) if shuffle else R)
    return float(np.exp(log_probabilities(learner, BEST)[0]))


@pytest.mark.ci
@pytest.mark.parametrize(("seeds", "least"), [(5, 4), pytest.param(20, 19, marks=pytest.mark.slow)])
def test_nearly_all_seeds_find_the_best_of_256_interacting_descriptions(seeds: int, least: int) -> None:
    everything = np.array(list(itertools.product(range(4), repeat=4)))
    assert (everything[chain(everything) == 4] == BEST).all()
    assert sum(trained(seed, 2000 // ROWS) > 0.9 for seed in range(seeds)) >= least


@pytest.mark.slow
def test_shuffled_rewards_teach_nothing() -> None:
    P = np.array([trained(seed, 30, shuffle=True) for seed in range(30)])
    means = np.random.default_rng(5).choice(P, (2000, len(P))).mean(1)
    low, high = np.quantile(means, [0.025, 0.975])
    assert low <= 1 / 256 <= high
    assert P.std() > 1e-4  # the controllers did move


# -- the searcher


def test_at_learning_rate_zero_it_is_random_search() -> None:
    choices = Space({"a": [1, 2, 3], "b": list("vwxyz"), "c": Int(0, 6, when={"b": ["v", "x"]})})
    nas, random = NAS(learning_rate=0.0).bind(choices, seed=11), Random().bind(choices, seed=11)
    assert [p.params for proposals, _ in drive(nas, 16, 96) for p in proposals] == [p.params for p in random.ask(96)]


def test_at_learning_rate_zero_every_token_stays_exactly_equally_likely() -> None:
    nas = NAS(learning_rate=0.0).bind(CONDITIONAL, seed=1)
    drive(nas, 16, 64)
    learner, seen = nas._learner, []

    def choose(t: int, log_p: torch.Tensor) -> torch.Tensor:
        seen.append(log_p)
        return torch.from_numpy(np.random.default_rng(t).integers(0, learner.sizes[t], ROWS))

    controller.walk(learner.weights, learner.sizes, choose)
    assert learner.updates == 4
    for size, log_p in zip(learner.sizes, seen, strict=True):
        assert torch.equal(log_p, log_p[:1, :1].expand_as(log_p))
        assert math.isclose(float(log_p[0, 0]), -math.log(size), abs_tol=1e-15)


@pytest.mark.parametrize("size", [1, 7, 16, 64])
def test_there_is_one_update_per_16_told_trials(size: int) -> None:
    nas = NAS().bind(MIXED, seed=2)
    while nas.next_number < 130:
        first = nas.next_number
        nas.tell(outcomes(range(first, first + size), nas.ask(size), fail=True))
        assert nas._learner.updates == nas.next_number // 16


def test_trials_do_not_depend_on_the_ask_size_while_it_divides_16() -> None:
    runs = [drive(NAS().bind(CONDITIONAL, seed=4), size, 80) for size in (1, 4, 16)]
    first, *others = ([p for proposals, _ in run for p in proposals] for run in runs)
    assert first[-1].info["updates"] == 4
    assert all(other == first for other in others)


def test_asking_changes_nothing() -> None:
    nas = NAS().bind(MIXED, seed=5)
    drive(nas, 7, 40)
    weights = nas._learner.weights
    assert nas.propose(20) == nas.propose(20) == nas.propose(37)[:20]
    nas.ask(3)
    assert nas._learner.weights is weights


@pytest.mark.parametrize("space", [CONDITIONAL, MIXED], ids=["conditional", "mixed"])
@pytest.mark.parametrize("size", [7, 64])
def test_replayed_events_give_the_same_next_proposals(space: Space, size: int) -> None:
    nas, again = (NAS().bind(space, seed=6, direction="minimize") for _ in range(2))
    for proposals, told in drive(nas, size, 140):
        again.replay(size, [Proposal(dict(p.params), p.epochs) for p in proposals])
        again.tell(told)
    assert nas.propose(20) == again.propose(20)
    assert nas.propose(1)[0].info["updates"] == 8


def test_trials_of_others_are_not_learned_from() -> None:
    nas, alone = (NAS().bind(MIXED, seed=7) for _ in range(2))
    assert drive(nas, 16, 32) == drive(alone, 16, 32)
    nas.tell(outcomes(range(100, 140), Random().bind(MIXED, seed=8).ask(40)))
    assert nas._learner.updates == 2
    assert all(torch.equal(a, b) for a, b in zip(nas._learner.weights, alone._learner.weights, strict=True))
    assert not nas._waiting


def test_extreme_and_failed_outcomes_leave_the_controller_finite() -> None:
    nas = NAS(learning_rate=1.0).bind(MIXED, seed=9)
    values = itertools.cycle([1e308, -1e308, 5e-324, math.inf, math.nan, None, 0.0])
    for _ in range(10):
        numbers = itertools.count(nas.next_number)
        nas.tell([Outcome(next(numbers), p.params, State.DONE, next(values)) for p in nas.ask(16)])
    assert nas._learner.updates == 10
    assert all(bool(w.isfinite().all()) for w in nas._learner.weights)


def test_the_generator_and_the_threads_of_torch_are_left_alone() -> None:
    threads, state = torch.get_num_threads(), torch.get_rng_state()
    try:
        torch.set_num_threads(2)
        with torch.inference_mode():
            inside = drive(NAS().bind(MIXED, seed=10), 16, 48)
        assert torch.get_num_threads() == 2
        torch.set_num_threads(1)
        assert inside == drive(NAS().bind(MIXED, seed=10), 16, 48)
        assert torch.get_num_threads() == 1
        assert torch.equal(torch.get_rng_state(), state)
    finally:
        torch.set_num_threads(threads)


# -- tokens and settings


@pytest.mark.parametrize("points", [2, 8, 100])
def test_tokens_are_recomputed_from_the_configuration(points: int) -> None:
    vocabulary = Vocabulary(MIXED, points)
    rng = np.random.default_rng(points)
    for _ in range(200):
        tokens: list[int] = []
        for t, size in enumerate(vocabulary.sizes):
            tokens.append(int(rng.integers(size)) if vocabulary.active(t, tokens) else -1)
        params = vocabulary.params(tokens)
        assert MIXED.validate(params) == params
        assert vocabulary.tokens(params) == tokens


def test_great_ranges_are_thinned_to_their_ends_and_evenly_between() -> None:
    low, high = -(2**62), 2**62
    vocabulary = Vocabulary(Space({"a": Int(low, high), "b": Float(0, 100, step=0.5), "c": Int(1, 64)}), 5)
    assert vocabulary.sizes == [5, 5, 64]
    found = [vocabulary.params([i, i, i]) for i in range(5)]
    assert [p["a"] for p in found] == [low, low // 2, 0, high // 2, high]
    assert [p["b"] for p in found] == [0.0, 25.0, 50.0, 75.0, 100.0]
    assert [vocabulary.tokens(p) for p in found] == [[i, i, i] for i in range(5)]


def test_a_choice_of_too_many_options_is_refused_by_name() -> None:
    with pytest.raises(MismatchError, match="10,001 options of 'word', expected at most 10,000"):
        NAS().bind(Space({"word": list(range(10_001))}))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"points": 1}, "points is 1, expected 2 to 1000"),
        ({"points": 8.0}, r"points is 8.0 \(float\), expected an integer"),
        ({"learning_rate": -0.1}, "learning_rate is -0.1, expected 0 to 1"),
        ({"learning_rate": math.nan}, "learning_rate is nan, expected 0 to 1"),
        ({"entropy": "high"}, r"entropy is 'high' \(str\), expected a number"),
    ],
)
def test_settings_out_of_range_are_refused_by_name(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        NAS(**settings)
