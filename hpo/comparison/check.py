"""How a winner is found: training with fresh seeds, then one use of the test data."""

from __future__ import annotations

import contextlib
import math
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hpo import seeding
from hpo.comparison.winner import CANDIDATES, FRESH, Candidate, Winner, judge
from hpo.driver import locked
from hpo.errors import Interrupt
from hpo.execution import DEFAULT, Execution
from hpo.loop import WAIT_SECONDS
from hpo.objective import Objective
from hpo.progress import Display
from hpo.signals import SIGINT_EXIT, Stop, ending_by_signal
from hpo.space import Space
from hpo.store import Store
from hpo.store.reader import Use
from hpo.text import headline
from hpo.trial import Job, Outcome, State
from hpo.values import UNSET, canonical, tag

if TYPE_CHECKING:
    from hpo.study import Study


def check_winner(study: Study, objective: Objective, *, progress: bool = True) -> Winner:
    """Train the best configurations and the default one with fresh seeds, test the winner, and store the answer.

    All of them train together in the objective's executor; they cost nothing of the study's budget. A model that an
    earlier check has tested is not tested again.

    Args:
        study: with a trial that succeeded.
        objective: the study's own.
        progress: whether to say on stderr what is trained.

    Raises:
        NoResultError: no trial has succeeded.
        LockedError: another process drives the study.
        KeyboardInterrupt: after Ctrl-C; the study is as it was.
    """
    epochs, default = study.best.epochs, default_params(study.spec.space)
    entries = [Candidate(trial.number, trial.params, trial.value, ()) for trial in study.top(CANDIDATES)]
    if default is not None and not any(_same(entry.params, default) for entry in entries):
        entries.append(Candidate(None, default, None, ()))
    note = Display(enabled=progress).note
    with _writing(study) as store, ending_by_signal(note) as stop:
        study_id = store.study(study.name).id
        seeded = [(entry, fresh_seed(study.spec.seed, entry.number, i)) for entry in entries for i in range(FRESH)]
        jobs = [
            Job(study_id, i, i, entry.params, seed, 0, epochs, study.spec.trial_epochs)
            for i, (entry, seed) in enumerate(seeded)
        ]
        note(
            f"study {study.name}: {len(entries)} configurations train again with {FRESH} fresh seeds each, "
            "then the winner meets the test data"
        )
        try:
            outcomes = train_all(objective, jobs, stop)
            trained = [_with_outcomes(entry, outcomes[i * FRESH : (i + 1) * FRESH]) for i, entry in enumerate(entries)]
            winner = judge(
                [candidate for candidate in trained if candidate.number is not None],
                next((c for c in trained if default is not None and _same(c.params, default)), None),
                study.spec.direction,
                epochs,
            )
            winner, use = _tested(winner, objective, jobs, study, store.winners(study_id))
        except Interrupt:
            note(f"study {study.name}: the winner is not known yet; {study.command('resume')} finds it")
            raise
        store.record_winner(study_id, winner.to_json(), use)
    return winner


def default_params(space: Space) -> dict[str, Any] | None:
    """The configuration of the space's defaults and constants; None if an active hyperparameter is neither."""
    found: dict[str, Any] = {}
    for name in space.order:
        if space.is_active(name, found):
            domain = space[name]
            found[name] = domain.decode(0.5) if domain.size == 1 else domain.default
            if found[name] is UNSET:
                return None
    return space.validate(found)


def fresh_seed(study_seed: int, number: int | None, index: int) -> int:
    """Seed number `index` that trial `number` (None: the default configuration) trains again with, in [0, 2^63)."""
    return seeding.derive(study_seed, "fresh", "default" if number is None else number, index)


@contextlib.contextmanager
def _writing(study: Study) -> Iterator[Store]:
    """The study's store, where nobody else drives the study."""
    with contextlib.closing(study.writable_store()) as store:
        lock = locked(store, store.study(study.name))
        try:
            yield store
        finally:
            lock.release()


def train_all(objective: Objective, jobs: Sequence[Job], stop: Stop, execution: Execution = DEFAULT) -> list[Outcome]:
    """How each of the jobs ended; raises Interrupt once a stop is requested. Files that they keep are deleted."""
    outcomes: dict[int, Outcome] = {}
    with contextlib.ExitStack() as cleanup:
        folder = cleanup.enter_context(tempfile.TemporaryDirectory(prefix="hpo-"))
        executor = objective.executor(replace(execution, files=Path(folder)))
        cleanup.callback(executor.close)
        executor.submit(jobs)
        while len(outcomes) < len(jobs):
            events = executor.wait(WAIT_SECONDS)
            outcomes |= {job.evaluation: event for job, event in events if isinstance(event, Outcome)}
            if stop.requested:
                executor.cancel([job for job in jobs if job.evaluation not in outcomes])
                raise Interrupt(SIGINT_EXIT)
    return [outcomes[job.evaluation] for job in jobs]


def _with_outcomes(entry: Candidate, outcomes: Sequence[Outcome]) -> Candidate:
    fresh = tuple(math.nan if o.value is None or o.state != State.DONE else o.value for o in outcomes)
    failed = (outcome for outcome in outcomes if outcome.state != State.DONE)
    failure = next((headline(outcome.error) or str(outcome.reason) for outcome in failed), None)
    return replace(entry, fresh=fresh, failure=failure)


def _tested(
    winner: Winner, objective: Objective, jobs: Sequence[Job], study: Study, earlier: Sequence[Mapping[str, Any]]
) -> tuple[Winner, Use | None]:
    """The winner with its score on test data, and the use that this made of them."""
    won, data = winner.candidate, objective.test_data()
    if won is None or data is None:
        return winner, None
    seed = fresh_seed(study.spec.seed, won.number, won.best_run(winner.direction))
    winner = replace(winner, seed=seed)
    for known in map(Winner.from_json, earlier):
        if known.test is not None and (known.number, known.seed, known.epochs) == (won.number, seed, winner.epochs):
            return replace(winner, test=known.test), None
    score = objective.test(next(job for job in jobs if job.seed == seed))
    if score is None:
        return winner, None
    assert won.number is not None
    return replace(winner, test=score), Use(won.number, seed, winner.epochs, data, score.metrics)


def _same(params: Mapping[str, Any], others: Mapping[str, Any]) -> bool:
    return canonical(tag(dict(params))) == canonical(tag(dict(others)))
