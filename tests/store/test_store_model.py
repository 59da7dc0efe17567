"""Whatever is written, killed, undone and opened again: a store holds what a dictionary would."""

import contextlib
import os
import shutil
import signal
import tempfile
import threading
from pathlib import Path

import pytest
from forks import forked
from fuzzing import fuzz
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from store_model import RAN, Model, plain

from hpo.errors import NotFoundError
from hpo.store import Store
from hpo.store.comparisons import Comparisons
from hpo.store.reader import Use
from hpo.trial import Outcome, Proposal, State

pytestmark = [
    pytest.mark.ci,
    pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork"),
]

EPOCHS = 4  # of a full training
MEMORY = "/dev/shm" if os.path.isdir("/dev/shm") else None

names = st.sampled_from(["a", "b", "ä", "'; --"])
floats = st.sampled_from([0.0, 1.5, -2.0, 1e308, float("inf"), float("-inf"), float("nan")]) | st.floats()
small = st.sampled_from([0.0, 1.0, 1.5, 2.0])
json_values = st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.text(max_size=5) | small
words = st.sampled_from(["x", "y", "grad"]) | st.text(st.characters(exclude_categories=["Cs"]), max_size=3)
options = json_values | st.tuples(json_values, json_values) | st.lists(json_values, max_size=2)
params = st.fixed_dictionaries({"x": st.sampled_from([1, 1.0, True, 2])}) | st.dictionaries(words, options, max_size=2)
info = st.dictionaries(words, json_values, max_size=2)
errors = st.none() | st.text(max_size=10) | st.sampled_from(["Traceback\n" * 20_000, "half \ud800", "\x00"])
logs = st.just("") | st.text(max_size=5) | st.just("line\n" * 20_000)
seconds = st.sampled_from([0.0, 0.1, 0.5, 1e-9])
uses = st.builds(
    Use,
    st.integers(0, 9),
    st.integers(0, 2**63 - 1),
    st.integers(0, 9),
    names,
    st.dictionaries(words, floats, max_size=2),
)


@st.composite
def outcomes(draw, job):
    state = draw(st.sampled_from([State.DONE, State.DONE, State.FAILED]))
    epochs = draw(st.integers(job.start, job.target)) if state == State.FAILED else job.target
    curve = st.dictionaries(words, st.lists(floats, max_size=3), max_size=2)
    return Outcome(
        job.number,
        job.params,
        state,
        draw(st.none() | small | floats) if state == State.FAILED else draw(small | floats),
        epochs,
        epochs - job.start,
        draw(curve),
        draw(seconds),
        draw(st.sampled_from(["exception", "oom", "killed(9)", None])) if state == State.FAILED else None,
        draw(errors),
        job.evaluation,
        draw(st.dictionaries(words, floats, max_size=2)),
        draw(st.integers(1, 3)),
        draw(logs),
        draw(info),
    )


class Undo(Exception):  # noqa: N818
    """Raised in a transaction."""


class Machine(RuleBasedStateMachine):
    """Each write is drawn first, then done to the store in one of several ways, then to the model unless undone."""

    def __init__(self):
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(dir=MEMORY))
        self.path = self.folder / "hpo.db"
        self.store = Store(self.path, "create")
        self.model = Model()

    def teardown(self):
        self.store.close()
        shutil.rmtree(self.folder)

    # -- what is written: pairs of what the store and what the model is to do

    def _write(self, draw):
        """One call, drawn from what is possible now."""
        model, store = self.model, self.store
        kinds = ["create"]
        if model.studies:
            kinds += [
                "begin",
                "start",
                "start",
                "start",
                "record",
                "record",
                "record",
                "cancel",
                "winner",
                "use",
                "compare",
            ]
        if model.comparisons:
            kinds += ["grow", "run", "look", "end"]
        kind = draw(st.sampled_from(kinds))
        name = draw(st.sampled_from(sorted(model.studies))) if model.studies else None
        key = model.studies[name]["row"]["id"] if name else 0
        compared = draw(st.sampled_from(sorted(model.comparisons))) if model.comparisons else None
        if kind == "create":
            spec = {
                "seed": draw(st.integers(0, 2**64 - 1)),
                "more": draw(options.map(lambda v: None if isinstance(v, tuple) else v)),
            }
            more = {
                "trials": draw(st.none() | st.integers(0, 2**62)),
                "source": draw(st.none() | words),
                "test_data": draw(st.none() | words),
                "initial": draw(st.lists(params, max_size=3)),
                "if_taken": draw(st.sampled_from(["return", "number"])),
            }
            name = draw(names)
            return lambda: store.create_study(name, spec, **more), lambda to: to.create_study(name, spec, **more)
        if kind == "begin":
            trials, environment = draw(st.none() | st.integers(0, 99)), draw(info)
            return lambda: store.begin_run(key, trials, environment), lambda to: to.begin_run(name, trials, environment)
        if kind == "start":
            return self._start(draw, name, key)
        if kind == "record":
            ended = (
                draw(st.lists(st.sampled_from(jobs), unique_by=lambda job: job.evaluation))
                if (jobs := model.running(name, EPOCHS))
                else []
            )
            found = [draw(outcomes(job)) for job in ended]
            due = sorted(model.untold(name) + [o.evaluation for o in found])
            some = st.lists(st.sampled_from(due), unique=True) if due else st.just([])
            told = draw(st.just(due) | st.just([]) | some)
            thought = draw(seconds)
            return (
                lambda: store.record(key, found, EPOCHS, told, thought),
                lambda to: to.record(name, found, EPOCHS, told),
            )
        if kind == "cancel":
            jobs = model.running(name, EPOCHS)
            some = draw(st.lists(st.sampled_from(jobs), unique_by=lambda job: job.evaluation)) if jobs else []
            return lambda: store.cancel(key, some), lambda to: to.cancel(name, some)
        if kind == "winner":
            winner, use = draw(info), draw(st.none() | uses)
            return lambda: store.record_winner(key, winner, use), lambda to: to.record_winner(name, winner, use)
        if kind == "use":
            use = draw(uses)
            return lambda: store.record_use(key, use), lambda to: to.record_use(name, use)
        return self._compare(draw, kind, name, key, compared)

    def _start(self, draw, name, key):
        model, store = self.model, self.store
        study = model.studies[name]
        pending, paused = (model.numbers(name, state) for state in (State.PENDING, State.PAUSED))
        if pending and draw(st.booleans()):
            some = pending[: draw(st.integers(1, len(pending)))]
            n, found = 0, [Proposal(study["trials"][i]["params"], EPOCHS, i) for i in some]
        else:
            fresh = st.builds(Proposal, params, st.none() | st.integers(1, EPOCHS), st.none(), info)
            found = draw(st.lists(fresh, max_size=3))
            for number in paused:
                trial = study["trials"][number]
                if draw(st.booleans()):
                    target = draw(st.integers(trial["epochs"] + 1, EPOCHS))
                    found.append(Proposal(trial["params"], target, number, draw(info)))
            n = draw(st.integers(max(len(found), 1), 9))
        seed, thought = study["row"]["spec"]["seed"], draw(seconds)

        def on_store():
            return store.start(key, n, found, seed, EPOCHS, thought)

        return on_store, lambda to: to.start(name, n, found, EPOCHS)

    def _compare(self, draw, kind, name, key, compared):
        comparisons, model = Comparisons(self.store), self.model
        number = 1 + list(model.comparisons).index(compared) if compared else 0
        if kind == "compare":
            new, spec, plan = draw(names), draw(info), draw(info)
            return (
                lambda: comparisons.create(new, spec, plan, number=True),
                lambda to: to.create_comparison(new, spec, plan),
            )
        if kind == "grow":
            plan = draw(info)
            return lambda: comparisons.grow(number, plan), lambda to: to.grow(compared, plan)
        if kind == "run":
            run = (draw(names), draw(words), draw(st.integers(0, 2)))
            if name in model.compared() or run in model.comparisons[compared]["runs"]:
                return lambda: None, lambda to: None
            return lambda: comparisons.add_run(number, *run, key), lambda to: to.add_run(compared, run, name)
        if kind == "look":
            seen = draw(words)
            return lambda: comparisons.add_look(number, seen), lambda to: to.add_look(compared, seen)
        how = draw(st.sampled_from(["complete", "exhausted"]))
        return lambda: comparisons.end_runs({key: how}), lambda to: to.end_runs({name: how})

    # -- rules

    @initialize(data=st.data())
    def first(self, data):
        self.write(data)

    @rule(data=st.data())
    def write(self, data):
        on_store, on_model = self._write(data.draw)
        expected, found = on_model(self.model), on_store()
        if isinstance(expected, list):
            assert plain(found) == plain(expected)  # the jobs

    @rule(data=st.data())
    def write_in_another_thread(self, data):
        on_store, on_model = self._write(data.draw)

        def work():
            on_store()
            self.store.close()

        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
        on_model(self.model)

    @rule(data=st.data(), many=st.integers(1, 4), nested=st.booleans())
    def write_together(self, data, many, nested):
        with self.store.together(), self.store.together() if nested else contextlib.nullcontext():
            self._several(data, many)

    @rule(data=st.data(), many=st.integers(1, 4), nested=st.booleans())
    def undo(self, data, many, nested):
        before = self.model.copy()
        with contextlib.suppress(Undo), self.store.together():
            self._several(data, many)
            with self.store.together() if nested else contextlib.nullcontext():
                self._several(data, 1)
                raise Undo
        self.model = before

    def _several(self, data, many):
        for _ in range(many):
            on_store, on_model = self._write(data.draw)
            on_store()
            on_model(self.model)

    @rule(
        data=st.data(), when=st.sampled_from(["before", "before", "after"]), many=st.integers(1, 3), spill=st.booleans()
    )
    def kill_around_a_commit(self, data, when, many, spill):
        """A forked process is killed right before or right after COMMIT; with `spill` the file has changed by then."""
        before, reports = self.model.copy(), []
        for _ in range(many):
            on_store, on_model = self._write(data.draw)
            on_model(self.model)
            reports.append(on_store)

        def killed():
            db = self.store.db
            if spill:
                db._connection().execute("PRAGMA cache_size = 1")

            def commit(connection):
                if when == "after":
                    connection.execute("COMMIT")
                os.kill(os.getpid(), signal.SIGKILL)

            db._commit = commit
            with self.store.together():
                for on_store in reports:
                    on_store()

        assert forked(killed) == -signal.SIGKILL
        if when == "before":
            self.model = before

    @rule(data=st.data())
    def write_in_a_forked_process(self, data):
        on_store, on_model = self._write(data.draw)
        assert forked(on_store) == 0
        on_model(self.model)

    @rule()
    def read_in_a_forked_process(self):
        assert forked(self.equals_the_model) == 0

    @rule(close=st.booleans(), mode=st.sampled_from(["read", "write", "create", "again"]))
    def reopen(self, close, mode):
        old = self.store
        if close:
            old.close()
        if mode == "read":
            self.store = Store(self.path, "read")
            self.equals_the_model()
            self.store.close()
        self.store = (
            old.reopened("write") if mode == "again" else Store(self.path, "create" if mode == "create" else "write")
        )
        if not close:
            self.equals_the_model()
            old.close()

    # -- what holds after each

    @invariant()
    def equals_the_model(self):
        store, model = self.store, self.model
        assert store.db.query("PRAGMA integrity_check") == [{"integrity_check": "ok"}]
        rows = [{k: v for k, v in vars(row).items() if k not in UNKNOWN} for row in store.studies()]
        assert plain(rows) == plain([study["row"] for study in model.studies.values()])
        alone = [name for name in model.studies if name not in model.compared()]
        with pytest.raises(NotFoundError) if not alone else contextlib.nullcontext():
            assert store.study().name == alone[-1]
        assert Comparisons(store).studies() == {model.studies[name]["row"]["id"] for name in model.compared()}
        for name in model.studies:
            self._study_equals(name)
        found = Comparisons(store).all()
        assert [row.name for row in found] == list(model.comparisons)
        for row in found:
            self._comparison_equals(row)
        every = [use.data for study in model.studies.values() for use in study["uses"]]
        for data in set(every):
            assert store.count_uses(data) == every.count(data)

    def _study_equals(self, name):
        store, model, study = self.store, self.model, self.model.studies[name]
        key = store.study(name).id
        assert plain(store.environments(key)) == plain(study["runs"])
        assert (store.last_run_ms(key) is None) == (not study["runs"])
        trials = model.trials(name)
        half = len(trials) // 2
        assert plain(store.trials(key)) == plain(trials)
        assert plain(store.trials(key, half, 2)) == plain(trials[half : half + 2])
        assert plain(store.summaries(key)) == plain(model.trials(name, details=False))
        for direction in ("maximize", "minimize"):
            ranking = model.ranking(name, direction)
            assert plain(store.ranking(key, direction, 3)) == plain(ranking[:3])
            assert plain(store.best(key, direction)) == plain(ranking[0] if ranking else None)
            assert plain(store.top(key, direction, 9)) == plain(model.top(name, direction)[:9])
        assert store.counts(key) == model.counts(name)
        assert list(store.failures(key).items()) == list(model.failures(name).items())
        assert plain(list(store.history(key))) == plain(model.history(name))
        assert plain(store.open_round(key, EPOCHS)) == plain(model.open_round(name, EPOCHS))
        assert [t.number for t in store.pending(key, 2)] == model.numbers(name, State.PENDING)[:2]
        assert store.charged(key) == sum(e["charged"] for e in study["evaluations"])
        assert plain(store.evaluations(key)) == plain(model.evaluations(name))
        ended = [e for e in study["evaluations"] if e["state"] in RAN]
        spans = store.spans(key)
        assert set(spans) == {e["number"] for e in ended}
        assert all(began <= at for began, at in spans.values())
        for trial in trials[:3]:
            assert plain(store.trial(key, trial.number)) == plain(trial)
            assert store.log(key, trial.number) == model.log(name, trial.number)
            targets = [e["target"] for e in ended if e["number"] == trial.number]
            assert store.last_target(key, trial.number) == (targets[-1] if targets else None)
        with pytest.raises(NotFoundError):
            store.trial(key, len(trials))
        assert plain(store.winners(key)) == plain(study["winners"])
        assert plain(store.uses(key)) == plain(study["uses"])

    def _comparison_equals(self, row):
        comparisons, expected = Comparisons(self.store), self.model.comparisons[row.name]
        assert plain([row.spec, row.plan]) == plain([expected["spec"], expected["plan"]])
        assert plain(comparisons.get(row.name)) == plain(row)
        runs = {(run.task, run.searcher, run.nth): [run.name, run.ended] for run in comparisons.runs(row.id)}
        assert runs == expected["runs"]
        assert comparisons.looks(row.id) == expected["looks"]


UNKNOWN = {"created_ms", "owner_host", "owner_pid"}


def test_a_store_holds_what_a_dictionary_would():
    run_state_machine_as_test(Machine, settings=fuzz(30, 1000, stateful_step_count=25))
