"""Streams keyed by what they are for: distributions, independence, stability."""

import itertools
import math
import os
import subprocess
import sys
from collections import Counter

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from torch import Tensor

from hpo import seeding

KEYS = torch.tensor([seeding.derive(0, number, "trial") for number in range(64)])


# -- keys on the host


def test_streams_are_the_same_in_every_version() -> None:
    assert seeding.derive(0, 1, "trial") == 3618741818234921346
    assert seeding.derive(-(2**64), "é") == 4138301280779692174
    assert seeding.generator(0, 1, "propose").integers(0, 2**62, 2).tolist() == [
        2333016584665615219,
        2140475383087750822,
    ]
    assert [seeding.permute(i, 10, 0, "grid") for i in range(10)] == [1, 5, 7, 4, 3, 9, 0, 2, 8, 6]
    assert seeding.permute(5, 10**50, 0, "grid") == 67495622902956833899968199028024116377901038369678
    keys = torch.tensor([1, -(2**63)])
    assert seeding.fold(keys, "dropout", 3, keys).tolist() == [-3478737380705371512, 6882415175880291728]
    assert seeding.words(keys, 2).tolist() == [
        [7255708332913644382, 4024930896678303753],
        [-2758271563343987344, 1467704666469119667],
    ]
    assert seeding.words(keys, 1, 2).tolist() == [[4451809594015292864], [5685096821213950938]]
    table = torch.tensor([[1, -5], [2**31 - 1, -(2**31)]], dtype=torch.int32)
    assert seeding.keep(table, table.flip(0), torch.tensor([0.5, 0.3])).int().tolist() == [
        [[0, 1], [1, 0]],
        [[0, 1], [1, 1]],
    ]
    assert seeding.permutation(keys, 6).tolist() == [[5, 4, 3, 1, 2, 0], [3, 0, 5, 1, 2, 4]]
    assert seeding.uniform(keys, 1).tolist() == [[0.3933327368733076], [0.8504737989358729]]
    assert seeding.normal(keys, 1).flatten().tolist() == pytest.approx([-0.2706431906506011, 1.038467620904127])


@given(st.lists(st.integers() | st.text(st.characters(exclude_categories=["Cs"]))))
def test_derived_seeds_lie_in_63_bits(key: list[int | str]) -> None:
    assert 0 <= seeding.derive(*key) < 2**63


def test_keys_are_told_apart_by_type_number_and_order() -> None:
    parts: list[int | str] = [0, 1, -1, 2**64, -(2**64), "0", "1", "", "a", "b", "ab", "a\x1fb", "'a'\x1f'b'"]
    keys = [key for length in range(4) for key in itertools.product(parts, repeat=length)]
    assert len({seeding.derive(*key) for key in keys}) == len(keys)


def test_numpy_integers_and_python_integers_are_one_key() -> None:
    assert seeding.derive(np.int64(3), "a") == seeding.derive(3, "a")  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        seeding.derive(3.0)  # type: ignore[arg-type]


@pytest.mark.parametrize("seed", [0, -1, 2**63, 2**64, -(2**200)])
def test_any_integer_is_a_seed(seed: int) -> None:
    draws = seeding.generator(seed, 0, "propose").random(4000)
    assert stats.kstest(draws, "uniform").pvalue > 1e-3
    assert not np.array_equal(draws, seeding.generator(seed + 1, 0, "propose").random(4000))


def test_streams_do_not_depend_on_the_hash_seed() -> None:
    code = "from hpo import seeding; print(seeding.generator(1, 'a').random(), seeding.derive('a'))"
    outputs = {
        subprocess.run(
            [sys.executable, "-c", code],
            env=os.environ | {"PYTHONHASHSEED": hash_seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for hash_seed in ("0", "1")
    }
    assert outputs == {f"{seeding.generator(1, 'a').random()} {seeding.derive('a')}\n"}


# -- permutations in constant memory


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 7, 8, 9, 16, 17, 31, 64, 65, 100, 257, 1000, 4096, 4097])
def test_permute_is_a_bijection(size: int) -> None:
    for seed in (0, 1):
        assert {seeding.permute(i, size, seed) for i in range(size)} == set(range(size))


@pytest.mark.parametrize("size", [2, 3])
def test_permute_draws_every_order_equally_often(size: int) -> None:
    counts = Counter(tuple(seeding.permute(i, size, seed) for i in range(size)) for seed in range(3000))
    orders = itertools.permutations(range(size))
    assert stats.chisquare([counts[order] for order in orders]).pvalue > 1e-3


@pytest.mark.parametrize("index", [0, 1, 36])
def test_permute_sends_an_index_anywhere(index: int) -> None:
    counts = Counter(seeding.permute(index, 37, seed) for seed in range(3700))
    assert stats.chisquare([counts[i] for i in range(37)]).pvalue > 1e-3


@pytest.mark.parametrize("bits", [40, 63, 64, 127, 130, 300])
def test_permute_spreads_neighbours_over_every_digit_of_any_size(bits: int) -> None:
    images = [seeding.permute(i, 2**bits, 0) for i in range(1000)]
    assert len(set(images)) == 1000
    for place in range(0, bits - 3, 4):  # each hexadecimal digit, the lowest to the highest
        digits = Counter(image >> place & 15 for image in images)
        assert stats.chisquare([digits[d] for d in range(16)]).pvalue > 1e-5
    values = np.array(images, dtype=np.float64)
    assert abs(np.corrcoef(values[:-1], values[1:])[0, 1]) < 0.15


def test_permute_refuses_an_index_outside() -> None:
    for index in (-1, 3):
        with pytest.raises(IndexError, match=str(index)):
            seeding.permute(index, 3)


# -- counter-based draws


def test_uniform_draws_are_uniform_with_the_full_precision() -> None:
    draws = seeding.uniform(KEYS, 4000)
    assert draws.dtype == torch.float64
    assert stats.kstest(draws.flatten(), "uniform").pvalue > 1e-3
    assert (stats.kstest(draws.numpy(), "uniform", axis=1).pvalue > 1e-5).all()  # each key by itself
    assert len(draws.unique()) == draws.numel()  # type: ignore[no-untyped-call]
    fraction = (draws * 2**40) % 1  # the low bits are uniform as well
    assert stats.kstest(fraction.flatten(), "uniform").pvalue > 1e-3


def test_uniform_draws_are_never_0_or_1_so_normal_ones_are_finite(monkeypatch: pytest.MonkeyPatch) -> None:
    extremes = torch.tensor([[0, -1, 2**63 - 1, -(2**63)]])  # as bits: all zero, all one, ...
    monkeypatch.setattr(seeding, "words", lambda keys, count, start=0: extremes)
    draws = seeding.uniform(torch.tensor([0]), 4)
    assert ((draws > 0) & (draws < 1)).all()
    assert seeding.normal(torch.tensor([0]), 4).isfinite().all()
    assert torch.equal(draws[0, 0] + draws[0, 1], torch.tensor(1.0, dtype=torch.float64))


def test_draws_do_not_depend_on_the_default_precision() -> None:
    dropout = torch.linspace(0, 1 - 2**-16, len(KEYS))

    def draw() -> tuple[Tensor, ...]:
        return seeding.uniform(KEYS, 5), seeding.normal(KEYS, 5), keep(KEYS, 20, 30, dropout)

    torch.set_default_dtype(torch.float64)
    try:
        double = draw()
    finally:
        torch.set_default_dtype(torch.float32)
    assert all(map(torch.equal, double, draw()))
    assert [draws.dtype for draws in double] == [torch.float64, torch.float64, torch.float32]


def test_normal_draws_are_normal_into_the_tails() -> None:
    draws = seeding.normal(KEYS, 20_000).flatten().numpy()
    assert stats.kstest(draws[:200_000], "norm").pvalue > 1e-3
    for bound in (2.0, 3.0, 4.0):
        expected = 2 * stats.norm.sf(bound)
        assert stats.binomtest(int((np.abs(draws) > bound).sum()), draws.size, expected).pvalue > 1e-3


def keep(keys: Tensor, rows: int, units: int, dropout: Tensor) -> Tensor:
    """Decisions from words of two streams, as training draws them."""
    of_rows, of_units = seeding.words(keys, rows), seeding.words(seeding.fold(keys, "unit"), units)
    return seeding.keep(of_rows.int(), of_units.int(), dropout)


def test_units_are_kept_at_the_rate_asked_for() -> None:
    dropout = torch.tensor([0.0, 1 - 2**-16, 0.5, 0.1, 0.75, 0.9999])
    kept = keep(KEYS[:6], 400, 100, dropout)
    assert kept.shape == (6, 400, 100)
    assert kept.dtype == torch.float32
    assert set(kept.unique().tolist()) == {0.0, 1.0}  # type: ignore[no-untyped-call]
    assert kept[0].all()
    for table, p in zip(kept[1:], dropout[1:].double().tolist(), strict=True):
        assert stats.binomtest(int(table.sum()), 40_000, 1 - p).pvalue > 1e-3


def test_the_decisions_of_a_table_are_independent() -> None:
    """Also those that share a row's or a unit's word, and four at the corners of a rectangle, whose words cancel."""
    dropout = torch.linspace(0.1, 0.9, len(KEYS))
    kept = keep(KEYS, 64, 64, dropout).double() - (1 - dropout.double()[:, None, None])  # (K, 64, 64), of mean 0
    spread = (dropout * (1 - dropout)).double().sqrt()
    kept /= spread[:, None, None]  # and of variance 1
    pvalues = []
    for row, unit in itertools.product((1, 2, 4, 16, 31), repeat=2):
        across, down, corner = (
            kept[:, :-row, :-unit] * kept[:, :-row, unit:],
            kept[:, row:, :-unit],
            kept[:, row:, unit:],
        )
        for product in (across, kept[:, :-row, :-unit] * down, kept[:, :-row, :-unit] * corner, across * down * corner):
            z = float(product.sum() / math.sqrt(product.numel()))  # of mean 0 and variance 1 if they are independent
            pvalues.append(2 * stats.norm.sf(abs(z)))
    assert min(pvalues) > 1e-5
    assert stats.kstest(pvalues, "uniform").pvalue > 1e-4
    counts = kept.sum(dim=(1, 2)) / 64  # of each table by itself
    assert stats.kstest(counts.numpy(), "norm").pvalue > 1e-3
    for sums in (kept.sum(dim=1), kept.sum(dim=2)):  # of each unit, of each row
        assert stats.chisquare(np.histogram(stats.norm.cdf((sums / 8).flatten().numpy()), 8)[0]).pvalue > 1e-4


@pytest.mark.parametrize(
    ("high", "shares"),
    [
        (0, (2**-23, 0.3, 1 - 2**-16)),
        *(
            pytest.param(high, (0.0, 2**-23, 0.1, 0.3, 0.5, 0.75, 1 - 2**-16), marks=pytest.mark.slow)
            for high in (0, 1, 255, 256, 511)
        ),
    ],
)
def test_of_all_words_the_share_asked_for_is_kept(high: int, shares: tuple[float, ...]) -> None:
    """Given the highest 9 bits after the first product, what follows is a bijection of the 23 that decide."""
    words = torch.arange(2**23) + (high << 23)
    undone = words * pow(0x7FEB352D, -1, 2**32)  # the first multiplier; int64 wraps, and the lower half is right
    for p in shares:
        kept = seeding.keep(torch.zeros(1, 1, dtype=torch.int32), undone.int()[None], torch.tensor([p]).double())
        assert int(kept.sum(dtype=torch.int64)) == 2**23 - round(p * 2**23)


def test_memory_to_draw_in_changes_nothing() -> None:
    dropout, words = torch.full((3,), 0.4), seeding.words(KEYS[:3], 20).int()
    memory = (torch.empty(3, 20, 20, dtype=torch.int32), torch.empty(3, 20, 20, dtype=torch.int32))
    drawn = seeding.keep(words, words, dropout, memory)
    assert torch.equal(drawn, seeding.keep(words, words, dropout))
    assert drawn.data_ptr() == memory[0].data_ptr()


def test_every_order_of_three_is_equally_likely() -> None:
    keys = seeding.fold(torch.zeros(12_000, dtype=torch.int64), "epoch", torch.arange(12_000))
    orders = Counter(map(tuple, seeding.permutation(keys, 3).tolist()))
    assert set(orders) == set(itertools.permutations(range(3)))
    assert stats.chisquare(list(orders.values())).pvalue > 1e-3


@pytest.mark.parametrize("count", [0, 1, 2, 1000])
def test_permutation_holds_everything_once(count: int) -> None:
    orders = seeding.permutation(KEYS, count)
    assert torch.equal(orders.sort(dim=1).values, torch.arange(count).expand(len(KEYS), count))


DRAWS = [
    seeding.words,
    seeding.uniform,
    seeding.normal,
    seeding.permutation,
    lambda keys, count: keep(keys, count, 5, torch.full_like(keys, 0.3, dtype=torch.float64)),
    lambda keys, count: seeding.fold(keys, "a", 3)[:, None],
]


@given(st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1, max_size=20), st.sampled_from(DRAWS), st.randoms())
def test_a_row_depends_on_its_key_only(keys: list[int], draw: object, shuffler: object) -> None:
    assert callable(draw)
    alone = {key: draw(torch.tensor([key]), 12)[0] for key in keys}
    company = [*keys, *range(7)]
    shuffler.shuffle(company)  # type: ignore[attr-defined]
    for key, row in zip(company, draw(torch.tensor(company), 12), strict=True):
        assert key not in alone or torch.equal(row, alone[key])


@pytest.mark.parametrize("draw", [*DRAWS[:3], DRAWS[4]])
def test_fewer_draws_are_the_first_of_more(draw: object) -> None:
    assert callable(draw)
    assert torch.equal(draw(KEYS, 8), draw(KEYS, 52)[:, :8])


@pytest.mark.parametrize(("start", "count"), [(0, 4), (4, 4), (4, 48), (36, 16), (52, 0)])
def test_draws_may_start_anywhere(start: int, count: int) -> None:
    some = slice(start, start + count)
    assert torch.equal(seeding.words(KEYS, count, start), seeding.words(KEYS, 52)[:, some])
    assert torch.equal(seeding.words(KEYS, count, start + 1), seeding.words(KEYS, 53)[:, start + 1 : start + 1 + count])


def test_drawing_leaves_the_keys_as_they_are() -> None:
    keys = KEYS.clone()
    for draw in DRAWS:
        draw(keys, 12)  # type: ignore[no-untyped-call]
    assert torch.equal(keys, KEYS)


def test_purposes_and_counters_do_not_collide() -> None:
    count = 2**18
    counters = torch.arange(count)
    zeros = torch.zeros(count, dtype=torch.int64)
    families = [
        counters,
        seeding.fold(counters, "dropout"),  # neighbouring keys
        seeding.fold(zeros, "dropout", counters),  # neighbouring counters
        seeding.fold(zeros, counters, "dropout"),
        seeding.fold(zeros, counters),
        seeding.fold(zeros, counters % 512, counters // 512),  # epoch and batch
        seeding.fold(zeros, "weights", counters % 512, counters // 512),
        seeding.fold(zeros + 1, counters % 512, counters // 512),
    ]
    keys = torch.cat(families)
    assert len(keys) == 2**21
    assert len(keys.unique()) == len(keys)  # type: ignore[no-untyped-call]


def test_streams_of_neighbours_do_not_overlap() -> None:
    counters = torch.arange(1000)
    for keys in (counters, seeding.fold(counters * 0, counters), counters << 40):
        assert len(seeding.words(keys, 1000).unique()) == 10**6  # type: ignore[no-untyped-call]


@given(st.integers(-(2**63), 2**63 - 1))
def test_counters_may_be_integers_or_tensors(counter: int) -> None:
    folded = seeding.fold(KEYS, "a", counter)
    assert torch.equal(folded, seeding.fold(KEYS, "a", torch.full_like(KEYS, counter)))
    assert torch.equal(folded, seeding.fold(KEYS, "a", torch.tensor(counter)))
    assert torch.equal(folded, seeding.fold(KEYS, "a", np.int64(counter)))  # type: ignore[arg-type]
    if -(2**31) <= counter < 2**31:
        assert torch.equal(folded, seeding.fold(KEYS, "a", torch.tensor(counter, dtype=torch.int32)))


def test_folding_separates_paths() -> None:
    paths: list[tuple[int | str, ...]] = [
        (), ("a",), ("b",), (1,), ("1",), ("a", 1), (1, "a"), ("a", "b"), ("ab",), ("a", 1, 2), ("a", 2, 1), (0,)
    ]  # fmt: skip
    keys = torch.cat([seeding.fold(KEYS, *path) for path in paths])
    assert len(keys.unique()) == len(paths) * len(KEYS)  # type: ignore[no-untyped-call]


@pytest.mark.parametrize("neighbours", ["keys", "counters", "draws"])
def test_neighbours_are_uncorrelated(neighbours: str) -> None:
    counters = torch.arange(10_000)
    match neighbours:
        case "keys":
            draws = seeding.uniform(counters, 8)  # (K, 8)
        case "counters":
            draws = seeding.uniform(seeding.fold(counters * 0, "step", counters), 8)
        case _:
            draws = seeding.uniform(KEYS[:8], 10_000).T
    pvalues = [
        stats.pearsonr(draws[:-lag, column].numpy(), draws[lag:, other].numpy()).pvalue
        for lag, column, other in itertools.product((1, 2, 16), range(8), range(8))
    ]
    assert min(pvalues) > 1e-6
    assert stats.kstest(pvalues, "uniform").pvalue > 1e-3
    low_bits = ((draws * 2**52).long() & 1).double()  # nor are their last bits
    assert stats.pearsonr(low_bits[:-1, 0].numpy(), low_bits[1:, 0].numpy()).pvalue > 1e-4
    assert stats.binomtest(int(low_bits.sum()), low_bits.numel()).pvalue > 1e-3
