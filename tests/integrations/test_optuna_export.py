"""Studies in Optuna databases, read back by Optuna, field by field."""

import concurrent.futures
import json
import math

import optuna
import pytest
import sqlalchemy
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import TrialState

from hpo import Choice, Float, Int, create_study, from_optuna, load_study, search
from hpo.errors import CannotCreateError, ConflictError, DataError, StorageError, UsageError
from hpo.integrations.optuna_export import export
from hpo.optuna_space import quiet

SPACE = {
    "x": Float(-1, 1),
    "rate": Float(1e-4, 1, log=True),
    "half": Float(0, 2, step=0.5),
    "count": Int(0, 10, step=5),
    "size": Int(1, 64, log=True),
    "kind": Choice(["a", "b"]),
    "layers": Choice([[], [8], [8, 8], None]),
    "twins": Choice([1, 1.0, True]),
    "only_a": Float(0, 1, when={"kind": ["a"]}),
    "huge": Int(0, 2**60),
    "fine": Float(0, 1, step=1e-9),
}
DISTRIBUTIONS = {
    "x": FloatDistribution(-1.0, 1.0),
    "rate": FloatDistribution(1e-4, 1.0, log=True),
    "half": FloatDistribution(0.0, 2.0, step=0.5),
    "count": IntDistribution(0, 10, step=5),
    "size": IntDistribution(1, 64, log=True),
    "kind": CategoricalDistribution(["a", "b"]),
    "layers": CategoricalDistribution(["[]", "[8]", "[8, 8]", None]),
    "twins": CategoricalDistribution(["1", "1.0", "true"]),
    "only_a": FloatDistribution(0.0, 1.0),
    "huge": FloatDistribution(0.0, 2.0**60),
    "fine": FloatDistribution(0.0, 1.0),
}
STATES = {"done": "COMPLETE", "failed": "FAIL", "paused": "PRUNED", "running": "RUNNING", "pending": "WAITING"}


def falling(p):
    """Nine epochs; some trials fail at once, some in the end."""
    if p["x"] < -0.8:
        raise ValueError("too low")
    for epoch in range(1, 10):
        yield math.nan if epoch == 2 and p["x"] > 0.8 else p["x"] ** 2 + 1 / epoch


@pytest.fixture
def url(tmp_path):
    return f"sqlite:///{tmp_path}/out.db"


@pytest.fixture
def make(tmp_path):
    """A study in the store."""

    def run(objective=falling, space=SPACE, trials=9, **more):
        arguments = {"direction": "minimize", "store": tmp_path / "hpo.db", "progress": False, "name": "s"}
        return search(objective, space, trials=trials, **(arguments | more))

    return run


@pytest.fixture
def halving(make):
    return make(searcher="halving", epochs=9)


def read(url, name="s"):
    with quiet():
        storage = optuna.storages.RDBStorage(url, skip_compatibility_check=True, skip_table_creation=True)
        study = optuna.load_study(study_name=name, storage=storage)
        trials = study.get_trials()
        found = (study.direction.name, study.user_attrs, trials)
    storage.engine.dispose()
    return found


def facts(trial):
    """Everything but Optuna's own number of the row, as text: NaN equals NaN."""
    fields = vars(trial).items()
    return sorted(f"{key}: {sorted(value.items()) if isinstance(value, dict) else value!r}"
                  for key, value in fields if key != "_trial_id")  # fmt: skip


def compare(study, trials):
    """All fields of all trials."""
    assert [trial.number for trial in trials] == [trial.number for trial in study.trials]
    for ours, theirs in zip(study.trials, trials, strict=True):
        assert theirs.state.name == STATES[ours.state]
        done = ours.state in ("done", "paused")
        assert theirs.values == ([ours.value] if done else None)
        assert set(theirs.params) == set(ours.params)
        for name, value in ours.params.items():
            exported = theirs.params[name]
            if name == "twins" or isinstance(value, list):
                exported = json.loads(exported)
            assert (exported, type(exported)) == ((value, type(value)) if name != "huge" else (float(value), float))
        assert theirs.distributions == {name: DISTRIBUTIONS[name] for name in ours.params}
        assert theirs.intermediate_values == pytest.approx(dict(enumerate(ours.curve.get("value", []))), nan_ok=True)
        assert theirs.user_attrs["hpo:seed"] == ours.seed
        assert theirs.user_attrs["hpo:state"] == ours.state
        assert theirs.user_attrs["hpo:epochs"] == ours.epochs
        assert theirs.user_attrs["hpo:seconds"] == ours.seconds
        assert theirs.user_attrs.get("hpo:error") == ours.error
        assert theirs.user_attrs.get("hpo:reason") == ours.reason
        assert (theirs.datetime_start is None) == (ours.state == "pending")
        assert (theirs.datetime_complete is None) == (ours.state in ("pending", "running"))
        if theirs.datetime_complete is not None:
            assert theirs.datetime_complete >= theirs.datetime_start
            assert theirs.duration.total_seconds() >= ours.seconds - 0.01


def test_optuna_reads_back_every_field(halving, url):
    done = export(halving, url)
    direction, attributes, trials = read(url)
    assert (done.new, done.changed, direction) == (len(halving.trials), 0, "MINIMIZE")
    assert set(attributes) == {"hpo:study"}
    assert {trial.state for trial in trials} == {TrialState.COMPLETE, TrialState.FAIL, TrialState.PRUNED}
    compare(halving, trials)
    complete = [trial for trial in trials if trial.state is TrialState.COMPLETE]
    assert min(complete, key=lambda trial: trial.value).number == halving.best.number


def test_once_more_writes_what_is_new_or_has_gone_on_since(halving, url, tmp_path):
    export(halving, url)
    again = export(halving, url)
    assert (again.new, again.changed) == (0, 0)
    before = {trial.number: (trial.state, trial.epochs) for trial in halving.trials}
    halving.resume(trials=24, progress=False)
    after = {trial.number: (trial.state, trial.epochs) for trial in halving.trials}
    done = export(halving, url)
    assert done.new == len(after) - len(before) > 0
    assert done.changed == sum(after[number] != state for number, state in before.items()) > 0
    _, _, trials = read(url)
    compare(halving, trials)
    export(halving, fresh := f"sqlite:///{tmp_path}/fresh.db")
    assert [facts(trial) for trial in read(fresh)[2]] == [facts(trial) for trial in trials]


def test_running_and_waiting_trials_are_brought_up_to_date(tmp_path, url):
    space = {name: SPACE[name] for name in ("x", "kind", "only_a")}
    initial = [{"x": 0.1, "kind": "b"}, {"x": 0.2, "kind": "b"}, {"x": 0.3, "kind": "b"}]
    study = create_study(space, "random", direction="minimize", initial=initial, store=tmp_path / "hpo.db", name="s")
    asked = [study.ask(), study.ask()]
    study.tell(asked[0].number, 5.0)
    export(study, url)
    compare(study, read(url)[2])
    assert [trial.state.name for trial in read(url)[2]] == ["COMPLETE", "RUNNING", "WAITING"]
    study.tell(asked[1].number, math.inf)
    study.tell(study.ask().number, 6.0)
    done = export(study, url)
    assert (done.new, done.changed) == (0, 2)
    trials = read(url)[2]
    compare(study, trials)
    assert trials[1].user_attrs["hpo:value"] == "inf"
    study.close()


def test_user_attributes_and_steps_of_optuna_objectives_are_there(make, url):
    def objective(trial):
        x = trial.suggest_float("x", -1, 1)
        trial.set_user_attr("twice", 2 * x)
        for step in (0, 5, 20):
            trial.report(x + step, step)
        return x

    study = make(from_optuna(objective), {"x": Float(-1, 1)}, 3, searcher="random")
    export(study, url)
    for ours, theirs in zip(study.trials, read(url)[2], strict=True):
        x = ours.params["x"]
        assert theirs.intermediate_values == {0: x, 5: x + 5, 20: x + 20}
        assert theirs.user_attrs["twice"] == 2 * x


def test_a_function_that_starts_anew_has_its_value_at_its_last_epoch(make, url):
    study = make(lambda p, epochs: p["x"] + epochs, {"x": Float(0, 1)}, searcher="halving", epochs=9)
    export(study, url)
    for ours, theirs in zip(study.trials, read(url)[2], strict=True):
        assert theirs.intermediate_values[ours.epochs - 1] == ours.value


def test_several_studies_share_a_database(make, url):
    studies = [make(lambda p: p["x"], {"x": Float(0, 1)}, name=name) for name in ("a", "b")]
    for study in studies:
        assert export(study, url).new == 9
    assert [len(read(url, name)[2]) for name in ("a", "b")] == [9, 9]


def test_exports_side_by_side_double_nothing(make, url):
    study = make(lambda p: p["x"], {"x": Float(0, 1)}, 30, searcher="random")
    first = search(lambda p: 0.0, {"x": Float(0, 1)}, trials=1, direction="minimize", name="first",
                   store=study.path, progress=False)  # fmt: skip
    export(first, url)  # makes the tables
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        done = list(pool.map(lambda _: export(load_study("s", study.path), url), range(4)))
    assert sorted(one.new for one in done) == [0, 0, 0, 30]
    assert [trial.number for trial in read(url)[2]] == list(range(30))


def test_another_study_of_this_name_is_refused(make, url, tmp_path):
    study = make(lambda p: p["x"], {"x": Float(0, 1)})
    export(study, url)
    other = search(
        lambda p: p["x"], {"x": Float(0, 1)}, trials=2, direction="minimize", seed=1, name="s",
        store=tmp_path / "other.db", progress=False,
    )  # fmt: skip
    with pytest.raises(ConflictError, match=r"study 's' in sqlite:.*out\.db is another study"):
        export(other, url)
    assert len(read(url)[2]) == 9


@pytest.mark.parametrize("direction", ["minimize", "maximize"])
def test_a_study_of_optunas_own_is_refused(make, url, direction):
    with quiet():
        storage = optuna.storages.RDBStorage(url)
        theirs = optuna.create_study(storage=storage, study_name="s", direction=direction)
        theirs.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=2)
        storage.engine.dispose()
    with pytest.raises(ConflictError, match="is another study"):
        export(make(lambda p: p["x"], {"x": Float(0, 1)}), url)


def test_trials_that_others_added_are_refused(make, url):
    study = make(lambda p: p["x"], {"x": Float(0, 1)})
    export(study, url)
    with quiet():
        storage = optuna.storages.RDBStorage(url)
        theirs = optuna.load_study(storage=storage, study_name="s")
        theirs.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=2)
        storage.engine.dispose()
    with pytest.raises(ConflictError, match="trial 9 of the Optuna study was not written by this export"):
        export(study, url)


def test_an_export_that_fails_leaves_the_database_as_it_was(halving, url, monkeypatch):
    export(halving, url)
    before = read(url)[2]
    halving.resume(trials=24, progress=False)
    with monkeypatch.context() as patch:
        patch.setattr("hpo.integrations.optuna_database.Target._add_details", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            export(halving, url)
    assert [repr(trial) for trial in read(url)[2]] == [repr(trial) for trial in before]
    export(halving, url)
    compare(halving, read(url)[2])


def test_places_that_cannot_be_written_are_named(make, tmp_path):
    study = make(lambda p: p["x"], {"x": Float(0, 1)}, 1)
    (tmp_path / "text.db").write_text("no database")
    with sqlalchemy.create_engine(f"sqlite:///{tmp_path}/foreign.db").begin() as connection:
        connection.execute(sqlalchemy.text("CREATE TABLE studies (name TEXT)"))
    for place, kind, message in (
        ("out.db", UsageError, "expected a URL such as sqlite:///out.db"),
        ("unknown://x", UsageError, "expected a URL such as sqlite:///out.db"),
        ("sqlite://", UsageError, "is none that lasts"),
        (f"sqlite:///{tmp_path}/no/out.db", CannotCreateError, "no folder .*no'; make it first"),
        (f"sqlite:///{tmp_path}", CannotCreateError, "it is a folder"),
        (f"sqlite:///{tmp_path}/hpo.db", UsageError, "is a store of hpo"),
        (f"sqlite:///{tmp_path}/text.db", DataError, "file is not a database"),
        (f"sqlite:///{tmp_path}/foreign.db", (DataError, StorageError), "foreign.db"),
        ("mysql://me:secret@host/db", UsageError, r"mysql://me:\*\*\*@host/db: its driver is not installed"),
    ):
        with pytest.raises(kind, match=message):
            export(study, place)
    assert load_study("s", tmp_path / "hpo.db").counts() == {"done": 1}
