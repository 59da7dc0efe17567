"""The engine as an executor: who trains with whom, pausing, going on, failing and stopping change no result."""

import gc
import threading
import weakref
from pathlib import Path

import pytest
import torch
from population_trials import CPU, Small, chunk, content, drain, job, member, results

from hpo.training.population import chunk as chunk_module
from hpo.training.population.executor import PopulationExecutor
from hpo.training.population.member import Member
from hpo.training.population.paused import Paused
from hpo.trial import Outcome, Progress, State

JOBS = [job(number) for number in range(14)]


@pytest.fixture(scope="module")
def alone():
    """Every job's result in an executor of its own."""
    found = {}
    for each in JOBS:
        executor = PopulationExecutor(Small(), CPU, threads=1)
        found |= results(executor, [each])
        executor.close()
    return found


@pytest.mark.parametrize("settings", [{"threads": 1}, {"threads": 2}, {"threads": 5, "chunk_bytes": 1}])
@pytest.mark.parametrize("torchs_threads", [1, 2])
def test_threads_and_chunks_change_no_bit(make, alone, settings, torchs_threads):
    before = torch.get_num_threads()
    torch.set_num_threads(torchs_threads)
    try:
        executor = make(**settings)
        assert results(executor, JOBS) == alone
        executor.close()
        assert torch.get_num_threads() == torchs_threads  # the caller's own setting is back
    finally:
        torch.set_num_threads(before)


def test_jobs_that_come_one_by_one_end_as_jobs_that_come_together(make, alone):
    executor, found, waiting = make(threads=2), {}, list(reversed(JOBS))
    while len(found) < len(JOBS):
        if waiting:
            executor.submit([waiting.pop()])
        for _, event in executor.wait(0.01):
            if isinstance(event, Outcome):
                found[event.number] = content(event)
    assert found == alone


def test_progress_comes_after_every_epoch_but_the_last(make):
    executor = make()
    executor.submit([job(0, target=4)])
    events = [event for _, event in drain(executor, 1)]
    assert [event.epoch for event in events if isinstance(event, Progress)] == [1, 2, 3]
    outcome = events[-1]
    assert (outcome.epochs, outcome.charged, len(outcome.curve["accuracy"])) == (4, 4, 4)
    assert outcome.value == outcome.curve["accuracy"][-1]
    assert outcome.seconds > 0


def rungs(executor, numbers, targets=(1, 3, 9)):
    """Train trials rung by rung; the curves of the whole."""
    curves, start = {number: [] for number in numbers}, 0
    for target in targets:
        executor.submit([job(number, target, start) for number in numbers])
        for _, event in drain(executor, len(numbers)):
            if isinstance(event, Outcome):
                assert event.charged == target - start
                curves[event.number] += zip(*(map(repr, values) for values in event.curve.values()), strict=True)
        start = target
    return curves


def test_training_rung_by_rung_equals_training_through(make):
    numbers = range(8)
    assert rungs(make(), numbers) == rungs(make(), numbers, targets=(9,))


def test_paused_trials_on_disk_go_on_exactly(make):
    executor = make(paused_bytes=1)
    assert rungs(executor, range(6)) == rungs(make(), range(6), targets=(9,))
    assert len(executor._paused._spilled) == 0  # all have gone on and ended


@pytest.mark.parametrize("damage", ["missing", "empty", "cut", "foreign", "bit", "hole"])
def test_a_paused_trial_that_is_lost_is_trained_again_uncharged(make, damage):
    executor = make(paused_bytes=1)
    executor.submit([job(number, 3) for number in range(4)])
    drain(executor, 4)
    files = [file for file, _ in executor._paused._spilled.values()]
    assert len(files) == 4
    for file in files:
        content_before = file.read_bytes()
        if damage == "missing":
            file.unlink()
        else:
            middle = len(content_before) // 2
            flipped = bytearray(content_before)
            flipped[middle] ^= 1
            hole = content_before[:middle] + bytes(512) + content_before[middle + 512 :]
            cut = content_before[:middle]
            file.write_bytes({"empty": b"", "cut": cut, "foreign": b"PK\x03\x04", "bit": flipped, "hole": hole}[damage])
    executor.submit([job(number, 9, 3) for number in range(4)])
    events = drain(executor, 4)
    assert min(event.epoch for _, event in events if isinstance(event, Progress)) == 4  # what is repeated is not told
    found = {event.number: event for _, event in events if isinstance(event, Outcome)}
    whole = make()
    whole.submit([job(number, 9) for number in range(4)])
    for _, event in drain(whole, 4):
        if isinstance(event, Outcome):
            mine = found[event.number]
            assert (mine.value, mine.epochs, mine.charged) == (event.value, 9, 6)
            assert mine.curve["train_loss"] == event.curve["train_loss"][3:]


def test_a_disk_without_room_costs_time_and_no_result(make, monkeypatch):
    def full(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.warns(UserWarning, match="paused trials do not fit into memory"):
        found = rungs(make(paused_bytes=1), range(2), targets=(2, 5))
    assert found == rungs(make(), range(2), targets=(5,))


def test_released_trials_are_forgotten_in_memory_and_on_disk(make):
    for limit in (None, 1):
        executor = make(paused_bytes=limit)
        executor.submit([job(number, 1) for number in range(4)] + [job(0, 1, study=2, evaluation=7)])
        drain(executor, 5)
        assert len(executor._paused) == 5
        executor.release(1, lambda number: number == 2)
        assert sorted([*executor._paused._kept, *executor._paused._spilled]) == [(1, 2, 0), (2, 0, 0)]
        folder = executor._paused._folder
        assert folder is None or len(list(Path(folder.name).iterdir())) == 2
        executor.close()
        assert len(executor._paused) == 0
        assert (folder is not None) == (limit == 1)
        assert folder is None or not Path(folder.name).exists()


def test_a_paused_trial_owns_its_tensors():
    members = [member({"width": 20}, seed) for seed in range(3)]
    chunk(members).train_epoch(lambda: False)
    paused = Paused(10**9)
    paused.put((1, 0, 0), members[0])
    assert all(tensor.untyped_storage().nbytes() == tensor.nbytes for tensor in members[0].tensors)
    assert members[1].tensors[0].untyped_storage().nbytes() > members[1].tensors[0].nbytes  # a view of the chunk's


def test_paused_bytes_are_counted():
    paused = Paused(10**9)
    members = [
        Member(None, torch.zeros(1), None, 9, tensors=(torch.zeros(60),), best=(torch.zeros(40),)) for _ in range(3)
    ]
    for number, each in enumerate(members):
        paused.put((1, number, 0), each)
    assert paused._bytes == 1200
    assert paused.take((1, 1, 0), members[0]) is members[1]
    paused.release(1, lambda number: False)
    assert paused._bytes == 0


def diverging():
    return {"optimizer": "sgd", "learning_rate": 1e6, "activation": "relu", "width": 40, "batch_size": 25}


def test_a_diverged_trial_fails_and_leaves_the_batch(make, alone):
    executor = make(threads=1)
    bad = job(50, target=9, params=diverging())
    found = results(executor, [*JOBS, bad])
    state, _, epochs, charged, curve, reason = found.pop(50)
    assert (state, reason) == (State.FAILED, "non_finite")
    assert epochs == charged == len(curve["train_loss"]) < 9
    assert found == alone
    assert not executor._trials


def test_illegal_parameters_fail_their_trial_only(make, alone):
    bad = [job(50, params={"widht": 3}), job(51, params={"width": 0}), job(52, params={"dropout": 1.0})]
    executor = make()
    executor.submit([*bad, *JOBS])
    outcomes = {event.number: event for _, event in drain(executor, len(JOBS) + 3) if isinstance(event, Outcome)}
    for number, name in ((50, "widht"), (51, "width"), (52, "dropout")):
        assert outcomes[number].state == State.FAILED
        assert name in outcomes[number].error
    assert {number: content(outcomes[number]) for number in alone} == alone


@pytest.mark.parametrize("error", [torch.OutOfMemoryError("CUDA out of memory"), MemoryError()])
@pytest.mark.parametrize("where", ["building", "training"])
def test_out_of_memory_halves_the_chunk_and_goes_on(make, monkeypatch, error, where):
    jobs = [job(number, params={"width": 20, "dropout": 0.1 * (number % 3), "batch_size": 30}) for number in range(12)]
    jobs += [job(20 + number, 9, params={"width": 20, "batch_size": 30}) for number in range(8)]
    wanted = results(make(threads=1), jobs)
    failed = []
    build, train = chunk_module.Chunk.__init__, chunk_module.Chunk.train_epoch

    def building(self, members, *others):
        if where == "building" and len(members) > 4:
            failed.append(len(members))
            raise error
        build(self, members, *others)

    def training(self, *asked):
        if where == "training" and len(self.members) > 4 and self.members[0].epoch == 1:
            failed.append(len(self.members))
            raise error
        return train(self, *asked)

    monkeypatch.setattr(chunk_module.Chunk, "__init__", building)
    monkeypatch.setattr(chunk_module.Chunk, "train_epoch", training)
    executor = make(threads=1)
    assert results(executor, jobs) == wanted
    assert failed[0] == 20
    assert sorted(failed, reverse=True) == failed  # once halved, it stays so
    assert len(failed) <= 5
    assert [group.limit for group in executor._groups.values()] <= [4]


def test_a_chunk_there_was_no_memory_for_is_gone_when_half_of_it_is_tried(make, monkeypatch):
    gone, train = [], chunk_module.Chunk.train_epoch

    def training(self, *asked):
        gone.append(weakref.ref(self))
        if len(self.members) > 1:
            raise torch.OutOfMemoryError("CUDA out of memory")
        if len(gone) == 4:
            assert [each() is None for each in gone[:3]] == [True] * 3
        return train(self, *asked)

    monkeypatch.setattr(chunk_module.Chunk, "train_epoch", training)
    gc.disable()  # nothing may be left to the collector
    try:
        found = results(make(threads=1), [job(number, 1, params={"width": 20}) for number in range(8)])
    finally:
        gc.enable()
    assert [found[number][0] for number in range(8)] == [State.DONE] * 8


def test_a_trial_too_large_by_itself_fails_as_out_of_memory(make, monkeypatch):
    def short(self, *given):
        raise RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes")

    monkeypatch.setattr(chunk_module.Chunk, "__init__", short)
    found = results(make(), [job(0), job(1)])
    assert [found[number][-1] for number in (0, 1)] == ["oom", "oom"]


def test_an_error_of_the_engine_fails_the_chunk_with_its_traceback(make, monkeypatch):
    def broken(self, *asked):
        raise ValueError("broken kernel")

    monkeypatch.setattr(chunk_module.Chunk, "train_epoch", broken)
    executor = make()
    executor.submit([job(0)])
    [(_, outcome)] = drain(executor, 1)
    assert (outcome.state, outcome.reason, outcome.charged) == (State.FAILED, "exception", 1)
    assert "broken kernel" in outcome.error


def test_cancelled_jobs_give_no_event_and_the_others_go_on(make, alone):
    executor = make(threads=2, chunk_bytes=10**9)
    executor.submit(JOBS)
    executor.wait(0.0)
    executor.cancel(JOBS[::2])
    found = {event.number: content(event) for _, event in drain(executor, 7) if isinstance(event, Outcome)}
    assert found == {number: alone[number] for number in range(1, 14, 2)}
    assert executor.wait(0.2) == []


def test_a_cancelled_trial_that_is_submitted_again_starts_anew(make, alone):
    executor = make()
    executor.submit(JOBS[:3])
    executor.wait(0.0)
    executor.cancel(JOBS[:3])
    assert results(executor, JOBS[:3]) == {number: alone[number] for number in range(3)}


def test_closing_stops_a_long_epoch_at_its_next_step(make):
    executor = make()
    executor.submit([job(0, 10**6, epochs=10**6, params={"batch_size": 1, "depth": 6, "width": 512})])
    executor.wait(0.1)
    executor.close()  # the epoch itself would take minutes
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("hpo-population")]


def test_a_batch_size_above_the_rows_is_a_full_batch(make):
    first, second = (results(make(), [job(0, params={"batch_size": size})])[0] for size in (97, 10**6))
    assert first == second
    executor = make(threads=1)
    executor.submit([job(0, params={"batch_size": 97}), job(1, params={"batch_size": 10**6})])
    assert len(executor._groups) == 1  # they train together


def test_an_epoch_that_nobody_waits_for_is_stopped(make):
    executor = make(threads=1)
    endless = job(0, 9, params={"batch_size": 1, "depth": 6, "width": 512})
    executor.submit([endless])
    executor.wait(0.05)
    [under_way] = executor._running
    executor.cancel([endless])
    assert under_way.stopped
    drain(executor, 0)
