"""Who trains what: trials of many studies get company, trials of one shape one trainer, and everything its turn."""

import itertools

import pytest

from hpo.training.population.allotment import Allotment, Trainer, Work
from hpo.trial import Job

CHUNK = 10  # trials of a chunk
EPOCHS = 30


class Recorder:
    """An engine that notes its jobs."""

    def __init__(self):
        self.jobs = []

    def submit(self, jobs):
        self.jobs += jobs

    def cancel(self, jobs):
        raise AssertionError(f"nobody gave up {jobs}")

    def counts(self):
        """How many jobs there are of each study and shape."""
        found = {}
        for job in self.jobs:
            key = job.study, job.params["shape"]
            found[key] = found.get(key, 0) + 1
        return found


@pytest.fixture
def works():
    numbers = itertools.count()

    def make(study, shape, count):
        def one(number):
            job = Job(study, number, number, {"shape": shape}, 0, 0, EPOCHS, EPOCHS)
            return Work(job, (ord(shape),), 1, 1, 0)

        return [one(next(numbers)) for _ in range(count)]

    return make


def allotment_of(trainers):
    engines = [Recorder() for _ in range(trainers)]
    first, *others = (Trainer(engine, 1) for engine in engines)
    allotment = Allotment(first, CHUNK)
    for trainer in others:
        allotment.join(trainer)
    return allotment, engines


def test_a_study_of_which_nothing_is_under_way_takes_along_who_waits_for_its_chunk(works):
    allotment, [engine] = allotment_of(1)
    allotment.add([*works(1, "a", 15), *works(1, "b", 15)])
    allotment.hand_out()
    assert engine.counts() == {(1, "a"): 15}  # two chunks, as many as may be under way at once
    allotment.add([*works(2, "b", 1), *works(2, "c", 1)])
    allotment.hand_out()
    assert engine.counts() == {(1, "a"): 15, (2, "b"): 1, (1, "b"): CHUNK - 1}
    assert len(allotment) == 7


def test_who_fits_into_a_chunk_under_way_joins_it_however_many_there_are(works):
    allotment, [engine] = allotment_of(1)
    for study, shape in enumerate("abcdef"):
        allotment.add(works(study, shape, 2))
    allotment.hand_out()
    assert sum(engine.counts().values()) == 12  # six studies, six chunks
    allotment.add(works(0, "f", 9))
    allotment.hand_out()
    assert engine.counts()[0, "f"] == CHUNK - 2


def test_trials_of_one_shape_go_to_one_trainer(works):
    allotment, [here, there] = allotment_of(2)
    allotment.add([*works(1, "a", 2), *works(1, "b", 2)])
    allotment.hand_out()
    allotment.add([*works(2, "a", 1), *works(2, "b", 1)])
    allotment.hand_out()
    assert here.counts() == {(1, "a"): 2, (2, "a"): 1}
    assert there.counts() == {(1, "b"): 2, (2, "b"): 1}


def test_a_trainer_with_nothing_to_do_takes_a_shape_of_the_other(works):
    allotment, [here, there] = allotment_of(2)
    allotment.add(works(1, "a", 8))
    allotment.hand_out()
    assert here.counts() == there.counts() == {(1, "a"): 4}


def test_what_is_left_is_counted_down_to_nothing(works):
    allotment, _ = allotment_of(1)
    allotment.add([*works(1, "a", 3), *works(2, "b", 30)])
    allotment.hand_out()
    assert allotment.left == 33 * EPOCHS
    [trainer] = allotment.trainers
    a, b, *_ = trainer.works.values()
    assert trainer.advance(a, 10) == 10
    assert allotment.left == 33 * EPOCHS - 10
    allotment.ended(trainer, a.key)
    assert allotment.left == 32 * EPOCHS
    allotment.withdraw({b.key})
    assert b.key not in trainer.works
    while trainer.works:
        for key in list(trainer.works):
            allotment.ended(trainer, key)
        allotment.hand_out()
    assert (allotment.left, len(allotment)) == (0, 0)
    assert not trainer.tally.nbytes
    assert not trainer.tally.studies
