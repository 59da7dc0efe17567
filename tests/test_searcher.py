"""The table of calls in the docstring of `hpo.searcher`, line by line."""

from dataclasses import dataclass

import pytest

from hpo.errors import DataError, MismatchError, UsageError
from hpo.searcher import Searcher, SearcherError
from hpo.space import Space
from hpo.trial import Outcome, Proposal, State

SPACE = Space({"x": [0, 1, 2, 3]})


@dataclass(eq=False)
class Counting(Searcher):
    """Proposes 0, 1, 2, 3; after that it would go on with repeats."""

    def _start(self):
        self.results = []

    def _ask(self, n):
        return [Proposal({"x": (self.next_number + i) % 4}) for i in range(n)]

    def _tell(self, results):
        self.results += results


def outcome(number, x=0, value=1.0, state=State.DONE, epochs=1):
    return Outcome(number, {"x": x}, state, value, epochs)


def bound():
    return Counting().bind(SPACE)


def exhausted():
    searcher = bound()
    searcher.ask(4)
    assert searcher.exhausted
    return searcher


@pytest.mark.parametrize("make", [Counting, bound, exhausted])
def test_bind_gives_a_fresh_bound_copy(make):
    original = make()
    copy = original.bind(SPACE)
    assert copy is not original
    assert copy.next_number == 0
    assert not copy.exhausted
    assert [p.params["x"] for p in copy.ask(2)] == [0, 1]


@pytest.mark.parametrize(
    "call",
    [
        lambda s: s.ask(1),
        lambda s: s.propose(1),
        lambda s: s.tell([outcome(0)]),
        lambda s: s.replay(1, [Proposal({"x": 0}, epochs=1)]),
    ],
    ids=["ask", "propose", "tell", "replay"],
)
def test_before_bind_every_other_call_is_refused(call):
    with pytest.raises(RuntimeError, match="bind"):
        call(Counting())


@pytest.mark.parametrize("method", ["ask", "propose"])
def test_bound_asking_gives_proposals(method):
    assert [p.params["x"] for p in getattr(bound(), method)(3)] == [0, 1, 2]


@pytest.mark.parametrize("method", ["ask", "propose"])
def test_exhausted_asking_gives_nothing(method):
    assert getattr(exhausted(), method)(3) == []


def test_propose_starts_nothing_and_accept_does():
    searcher = bound()
    proposals = searcher.propose(3)
    assert searcher.next_number == 0
    searcher.accept(proposals[:2])
    assert searcher.next_number == 2
    assert [searcher.is_pending(number) for number in (0, 1, 2)] == [True, True, False]


@pytest.mark.parametrize("make", [bound, exhausted])
def test_telling_a_pending_trial_is_accepted(make):
    searcher = make()
    if not searcher.exhausted:
        searcher.ask(2)
    searcher.tell([outcome(1, x=1)])
    assert [(r.number, r.own, r.value) for r in searcher.results] == [(1, True, 1.0)]
    assert not searcher.is_pending(1)


@pytest.mark.parametrize("make", [bound, exhausted])
def test_telling_a_foreign_trial_is_accepted(make):
    searcher = make()
    searcher.tell([outcome(9, x=2)])
    assert [(r.number, r.own) for r in searcher.results] == [(9, False)]
    assert searcher.next_number == 10


@pytest.mark.parametrize("make", [bound, exhausted])
def test_telling_a_trial_again_is_refused_unless_it_was_continued(make):
    searcher = make()
    if not searcher.exhausted:
        searcher.ask(1)
    searcher.tell([outcome(0)])
    with pytest.raises(ValueError, match="told before"):
        searcher.tell([outcome(0)])


def test_a_continued_trial_is_told_again():
    searcher = Counting().bind(SPACE, epochs=3)
    searcher.accept([Proposal({"x": 0}, epochs=1)])
    searcher.tell([outcome(0)])
    searcher.accept([Proposal({"x": 0}, epochs=3, continues=0)])
    searcher.tell([outcome(0, epochs=3)])
    assert [(r.number, r.epochs, r.own) for r in searcher.results] == [(0, 1, True), (0, 3, True)]
    assert searcher.next_number == 1


@pytest.mark.parametrize("make", [bound, exhausted])
def test_replay_leads_where_ask_did(make):
    asked, replayed = make(), make()
    started = asked.ask(2)
    replayed.replay(2, started)
    assert replayed.next_number == asked.next_number
    assert replayed.propose(9) == asked.propose(9)


def test_replay_of_a_searcher_with_a_memory_asks_again_and_compares():
    class Remembering(Counting):
        replays_asks = True

    Remembering().bind(SPACE).replay(3, [Proposal({"x": 0}, epochs=1)])
    with pytest.raises(DataError, match="no longer proposes"):
        Remembering().bind(SPACE).replay(3, [Proposal({"x": 2}, epochs=1)])


def test_failures_and_values_that_are_not_finite_have_no_value():
    searcher = bound()
    searcher.tell(
        [
            outcome(0, value=3.0, state=State.FAILED),
            outcome(1, value=float("nan")),
            outcome(2, value=float("-inf")),
            outcome(3, value=None),
        ]
    )
    assert [r.value for r in searcher.results] == [None] * 4


def test_minimising_turns_the_sign():
    searcher = Counting().bind(SPACE, direction="minimize")
    searcher.tell([outcome(0, value=2.0)])
    assert searcher.results[0].value == -2.0


def test_results_come_in_the_order_of_their_numbers():
    searcher = bound()
    searcher.ask(3)
    searcher.tell([outcome(2, x=2), outcome(0), outcome(1, x=1)])
    assert [r.number for r in searcher.results] == [0, 1, 2]


def test_repeats_after_the_last_configuration_are_cut_off():
    searcher = bound()
    assert len(searcher.ask(64)) == 4
    assert searcher.exhausted


def test_a_need_of_epochs_is_refused_at_bind_naming_both_sides():
    class Stopping(Counting):
        needs_epochs = True

    with pytest.raises(MismatchError, match="'stopping' needs an objective with epochs"):
        Stopping().bind(SPACE)
    assert Stopping().bind(SPACE, epochs=3).ask(1)[0].epochs == 3


@pytest.mark.parametrize(
    ("proposals", "reason"),
    [
        ([], "spin"),
        ([Proposal({"x": 0})] * 3, "3 for ask"),
        ([Proposal({"x": 0}, epochs=4)], "to epoch 4"),
        ([Proposal({"x": 0}, epochs=0)], "to epoch 0"),
        ([Proposal({"x": 0}, continues=0)], "not paused"),
    ],
)
def test_a_broken_contract_is_named(proposals, reason):
    class Broken(Counting):
        def _ask(self, n):
            return proposals

    with pytest.raises(SearcherError, match=reason):
        Broken().bind(SPACE, epochs=3).ask(2)


def test_asking_for_none_and_unknown_directions_are_refused():
    with pytest.raises(UsageError, match="at least 1"):
        bound().ask(0)
    with pytest.raises(UsageError, match="minimize"):
        Counting().bind(SPACE, direction="down")


def test_a_trial_that_cannot_go_on_is_remembered_by_its_number_only():
    searcher = Counting().bind({"x": list(range(1000))}, epochs=2)
    searcher.ask(4)
    searcher.tell([outcome(number, number, epochs=number % 2 + 1) for number in range(4)])
    assert sorted(searcher._params) == [0, 2]  # of those that reached only the first of two epochs
    for number in range(4):
        with pytest.raises(ValueError, match="told before"):
            searcher.tell([outcome(number, number)])
