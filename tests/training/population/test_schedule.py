"""Which trials train next: nobody waits for long, and trials end one after another."""

from population_trials import drain, job, member

from hpo.training.population.chunk import Chunk
from hpo.training.population.schedule import Group
from hpo.trial import Outcome


def test_trials_of_a_large_round_end_one_after_another(make):
    """So that a run that is stopped keeps what it has reached."""
    shapes = [(width, size) for width in (20, 40, 100, 150) for size in (20, 30, 60)]
    jobs = [job(i, 6, params={"width": width, "batch_size": size}) for i, (width, size) in enumerate(shapes)]
    executor = make(threads=1)
    executor.submit(jobs)
    events = drain(executor, len(jobs))
    ends = [i for i, (_, event) in enumerate(events) if isinstance(event, Outcome)]
    assert ends[0] < len(events) // 3  # all at the end would be the last sixth


def test_a_study_does_not_wait_for_the_large_round_of_another(make):
    widths = (20, 40, 100, 150)
    crowd = [job(i, 9, params={"width": widths[i % 4], "batch_size": 20 + i % 3}) for i in range(24)]
    single = job(0, 9, study=2, params={"width": 250, "batch_size": 33})
    executor = make(threads=1)
    executor.submit([*crowd, single])
    order = [each.study for each, event in drain(executor, 25) if isinstance(event, Outcome)]
    assert order.index(2) < 12


def test_newcomers_do_not_hold_back_those_under_way(make):
    executor, long, short, ended = make(threads=1), job(0, 9, params={"width": 40, "batch_size": 20}), 1, 0
    executor.submit([long])
    while not ended:
        alike = [{"width": 20, "batch_size": 30}, {"width": 100, "batch_size": 30}]
        executor.submit([job(short + i, 1, study=2 + i, params=alike[i]) for i in range(2)])
        short += 2
        for each, event in executor.wait(5.0):
            ended += each is long and isinstance(event, Outcome)
        assert short < 100


def test_threads_without_work_take_part_of_the_last_group():
    group, first = Group(limit=50), object.__new__(Chunk)
    first.members = [member({"width": 20}, seed) for seed in range(8)]
    group.chunks = [(3, first)]
    assert group.next(4, 50).chunk is first  # small enough to be kept
    group.chunks = [(3, first)]
    part = group.next(4, 4)
    assert part.chunk is None
    assert (part.members, group.loose) == (first.members[:4], first.members[4:])


def test_those_that_have_waited_longest_come_first():
    first, second, new = (object.__new__(Chunk) for _ in range(3))
    for chunk in (first, second, new):
        chunk.members = [object()]
    crowded, patient = Group(limit=1), Group(limit=1)
    crowded.chunks, patient.chunks = [(5, first)], [(3, second)]
    crowded.add([object()], 9)  # newcomers do not push in
    assert (crowded.waits_since, patient.waits_since) == (5, 3)
