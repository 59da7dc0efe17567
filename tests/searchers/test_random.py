"""Random search: its distribution, and its independence of how it is asked."""

from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from hpo.domains import Choice, Float, Int
from hpo.space import Space
from hpo.trial import Outcome, State
from searchers.random import Random

SPACE = Space(
    {
        "rate": Float(1e-5, 1, log=True),
        "width": Int(1, 9),
        "kind": ["x", "y", "z"],
        "decay": Float(-1, 1, when={"kind": ["x"]}),
    }
)


def asked(searcher: Random, *sizes: int) -> list[dict[str, object]]:
    return [dict(proposal.params) for n in sizes for proposal in searcher.ask(n)]


@given(st.lists(st.integers(1, 12), min_size=1, max_size=6), st.integers())
def test_trials_do_not_depend_on_the_sizes_of_asks(sizes: list[int], seed: int) -> None:
    assert asked(Random().bind(SPACE, seed=seed), *sizes) == asked(Random().bind(SPACE, seed=seed), *[1] * sum(sizes))


def test_trials_do_not_depend_on_what_is_told() -> None:
    searcher = Random().bind(SPACE, seed=1)
    first = searcher.ask(5)
    searcher.tell(Outcome(i, p.params, State.DONE, value=1.0) for i, p in enumerate(first))
    assert [dict(p.params) for p in first] + asked(searcher, 5) == asked(Random().bind(SPACE, seed=1), 10)


def test_a_proposal_is_a_function_of_seed_and_trial_number() -> None:
    searcher = Random().bind(SPACE, seed=1)
    searcher.tell([Outcome(6, {"rate": 0.1, "width": 1, "kind": "y"}, State.DONE, value=1.0)])
    assert asked(searcher, 3) == asked(Random().bind(SPACE, seed=1), 10)[7:]
    assert asked(Random().bind(SPACE, seed=2), 3) != asked(Random().bind(SPACE, seed=1), 3)


def test_a_finite_space_ends_the_same_way_for_every_size_of_asks() -> None:
    space = Space({"a": Int(1, 3), "b": Choice([1, 2], when={"a": [1]})})
    one, many = Random().bind(space), Random().bind(space)
    assert asked(one, 200) == asked(many, *[1] * 200)
    assert one.exhausted
    assert many.exhausted


def test_draws_follow_the_space() -> None:
    draws = asked(Random().bind(SPACE, seed=4), 4000)
    assert stats.kstest([d["rate"] for d in draws], stats.loguniform(1e-5, 1).cdf).pvalue > 1e-3
    widths = [d["width"] for d in draws]
    assert stats.chisquare([widths.count(w) for w in range(1, 10)]).pvalue > 1e-3
    decays = [d["decay"] for d in draws if d["kind"] == "x"]
    assert stats.kstest(decays, stats.uniform(-1, 2).cdf).pvalue > 1e-3
    assert all(("decay" in d) == (d["kind"] == "x") for d in draws)
