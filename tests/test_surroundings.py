"""Runs in odd surroundings: nested searches, other working directories, torch's modes, objectives that print."""

import functools
import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

import hpo
from hpo import Float
from hpo.errors import ConflictError, LockedError
from hpo.study_file import read_plan
from hpo.trial import Job, State
from searchers.halving import Halving
from searchers.random import Random

SPACE = {"x": Float(0, 1)}


def search(objective: Any, folder: Path, **arguments: Any) -> hpo.Study:
    given: dict[str, Any] = {"direction": "maximize", "store": folder / "hpo.db", "progress": False, **arguments}
    return hpo.search(objective, given.pop("space", SPACE), given.pop("searcher", "random"), **given)


def test_ctrl_c_in_a_nested_search_stops_the_outer_one_and_fails_no_trial(tmp_path: Path) -> None:
    interrupted = []

    def inner(params: dict[str, float]) -> float:
        if len(interrupted) < 1:
            interrupted.append(params)
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(0.05)
        return params["x"]

    def outer(params: dict[str, float]) -> float:
        return search(inner, tmp_path, trials=3, name=f"inner of {params['x']}").best_value

    with pytest.raises(KeyboardInterrupt):
        search(outer, tmp_path, trials=2, name="outer")
    study = hpo.load_study("outer", tmp_path / "hpo.db")
    assert study.counts() == {"cancelled": 2}
    study.resume(objective=outer, progress=False)
    assert study.counts() == {"done": 2}


def test_losers_of_a_rung_are_closed_when_it_is_decided(tmp_path: Path) -> None:
    alive: set[float] = set()
    most = []

    def train(params: dict[str, float]) -> Iterator[float]:
        alive.add(params["x"])
        try:
            while True:
                most.append(len(alive))
                yield params["x"]
        finally:
            alive.discard(params["x"])

    search(train, tmp_path, searcher=Halving(), trials=12, epochs=27)
    assert max(most) == 27, "no more than one first rung"
    assert not alive


def test_a_changed_working_directory_changes_no_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sub").mkdir()

    def objective(params: dict[str, float]) -> float:
        os.chdir(tmp_path / "sub")
        return params["x"]

    study = hpo.search(objective, SPACE, "random", trials=2, direction="maximize", progress=False)
    study.resume(trials=4, progress=False)
    number = study.ask().number
    study.tell(number, 0.5)
    assert study.counts() == {"done": 5}
    assert [path.name for path in (tmp_path / "sub").iterdir()] == []


def test_values_bound_by_partial_stay(tmp_path: Path) -> None:
    seen = []

    def objective(params: dict[str, float], seed: int) -> float:
        seen.append(seed)
        return params["x"]

    search(functools.partial(objective, seed=42), tmp_path, trials=2)
    assert seen == [42, 42]


@pytest.mark.parametrize(
    "mode", [torch.no_grad, torch.inference_mode, lambda: torch.device("meta")], ids=["no_grad", "inference", "meta"]
)
def test_the_shared_objective_ignores_torchs_modes(mode: Any, tmp_path: Path) -> None:
    from hpo.training.data import _generated

    plain = hpo.search(searcher="random", trials=2, epochs=2, store=tmp_path / "a.db", progress=False)
    _generated.cache_clear()
    with mode():
        odd = hpo.search(searcher="random", trials=2, epochs=2, store=tmp_path / "b.db", progress=False)
    assert [t.curve for t in odd.trials] == [t.curve for t in plain.trials]


def test_enqueued_trials_are_part_of_what_a_name_stands_for(tmp_path: Path) -> None:
    def objective(params: dict[str, float]) -> float:
        return params["x"]

    first, second = {"x": 0.25}, {"x": 0.75}
    search(objective, tmp_path, trials=3, name="s", initial=[first, second])
    search(objective, tmp_path, trials=3, name="s")
    for other in ([first], [], [first, second, first]):
        with pytest.raises(ConflictError, match="initial: stored"):
            search(objective, tmp_path, trials=3, name="s", initial=other)
    plain = search(objective, tmp_path, trials=3, name="plain")
    with pytest.raises(ConflictError, match="initial: stored"):
        search(objective, tmp_path, trials=3, name="plain", initial=[plain.trials[0].params])


def test_the_searcher_that_is_typed_decides_which_overrides_hold() -> None:
    def plan(searcher: str | None, *changes: str) -> Any:
        return read_plan("tutorial", searcher=searcher, changes=changes, flags={}).spec

    assert plan(None, "searcher=grid").space == plan("grid").space != plan("tpe").space
    assert plan("random", "searcher=halving").searcher == "random", "flags win"
    assert plan("halving", "searcher.eta=4").settings["eta"] == 4


def test_full_trainings_of_others_do_not_mislead_the_searcher_that_proposes_for_halving() -> None:
    told = []

    class Spy(Random):
        def _tell(self, results: Any) -> None:
            told.extend((result.epochs, result.value) for result in results)

    halving = Halving(searcher=Spy).bind(SPACE, epochs=9)
    halving.tell([hpo.Outcome(0, {"x": 0.5}, State.DONE, 1.0, epochs=9)])
    halving.tell([hpo.Outcome(1, {"x": 0.6}, State.DONE, 2.0, epochs=1)])
    assert told == [(9, None), (1, 2.0)]


def test_failing_while_it_is_replayed_costs_nothing() -> None:
    from hpo.executors.in_process import InProcessExecutor

    def train(params: dict[str, float]) -> Iterator[float]:
        yield 1.0
        raise OSError("not this time")

    executor = InProcessExecutor(hpo.FunctionObjective(train, direction="maximize"))
    executor.submit([Job(1, 0, 0, {"x": 0.5}, seed=1, start=3, target=9, epochs=9)])
    (_, outcome) = executor.wait(10)[-1]
    assert isinstance(outcome, hpo.Outcome)
    assert (outcome.state, outcome.charged) == (State.FAILED, 0)


def test_tables_hold_great_integers_and_hyperparameters_named_like_columns(tmp_path: Path) -> None:
    big = 2**60
    space = {
        "kind": ["a", "b"],
        "n": hpo.Int(big, big + 9, when={"kind": ["a"]}),
        "number": Float(0, 1),
        "params.number": Float(2, 3),
    }
    study = search(lambda params: params["number"], tmp_path, space=space, trials=12)
    frame = study.to_frame()
    stored = [trial.params.get("n") for trial in study.trials]
    assert None in stored
    assert frame["n"].astype(object).where(frame["n"].notna(), None).tolist() == stored
    assert len(set(frame.columns)) == len(frame.columns) == 5 + 4
    assert list(frame["params.number"]) == [trial.params["number"] for trial in study.trials]


def test_ones_own_study_by_hand_is_named_as_such(tmp_path: Path) -> None:
    study = hpo.create_study(SPACE, "random", direction="maximize", store=tmp_path / "hpo.db", name="mine")
    study.ask()
    with pytest.raises(LockedError, match="that is this process; call close"):
        hpo.load_study("mine", tmp_path / "hpo.db").ask()
    study.close()
    hpo.load_study("mine", tmp_path / "hpo.db").ask()


def test_searches_in_threads_leave_signals_alone(tmp_path: Path) -> None:
    before = signal.getsignal(signal.SIGINT)
    studies: list[hpo.Study] = []

    def work(number: int) -> None:
        studies.append(search(lambda params: params["x"], tmp_path, trials=5, seed=number, name=f"thread {number}"))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(studies) == 3
    assert signal.getsignal(signal.SIGINT) is before
