"""A study that is exported and imported is the same study: the same lines again, and the same trials to come."""

import json
import os
import random
import signal

import pytest

import hpo
from hpo import Choice, Float, Int, LiveTrial
from hpo.errors import ConflictError, DataError
from hpo.registry import entries
from hpo.store import Store
from hpo.store.transfer import read_study

SPACE = {"x": Float(0.0, 1.0), "units": Int(1, 8, log=True), "kind": Choice(("a", ("b", 1), None))}
TIMES = ("seconds", "ended_ms", "started_ms", "created_ms", "at_ms", "name", "budget", "runs")


class Climb:
    """Has failures of two kinds, and notes and curves; stops the whole run in call number `stop`."""

    def __init__(self, stop=None):
        self.calls, self.stop = 0, stop

    def __call__(self, params, trial: LiveTrial):
        self.calls += 1
        if self.calls == self.stop:
            os.kill(os.getpid(), signal.SIGINT)
        if params["x"] > 0.8:
            raise ValueError("too large \x1b\0 \ud800")
        if params["x"] < 0.1:
            return float("-inf") if params["units"] > 2 else float("nan")
        trial.set_user_attr("äöü", {"seed": trial.seed, "list": [1, 2.5, None]})
        for step in range(4):
            trial.report(params["x"] / (step + 1), step)
            if trial.should_prune():
                return None
        return params["x"] + random.random() / 10


def started(path, searcher, stop=7, **more):
    """A study that was stopped in the middle of a round, with trials that its user enqueued."""
    settings = {"epochs": 4} if searcher in ("halving", "nas") else {}
    initial = [{"x": 0.95, "units": 2, "kind": ("b", 1)}, {"x": 0.05, "units": 3, "kind": None}]
    with pytest.raises(KeyboardInterrupt):
        hpo.search(Climb(stop), SPACE, searcher, 14, direction="maximize", initial=initial, batch=4, store=path,
                   name="study", seed=3, progress=False, **settings, **more)  # fmt: skip
    return hpo.load_study("study", path)


def lines(study):
    return [json.dumps(found) for found in objects(study)]


def objects(study):
    """The exported objects as strict JSON has them."""
    from hpo.cli.render import json_text

    return [json.loads(json_text(found)) for found in study.copied().objects()]


def imported(study, path, name=None):
    store = Store(path, "create")
    row = read_study(lines(study), "a file").insert(store, name)
    store.close()
    return hpo.load_study(row.name, path)


def timeless(found):
    """Without what differs between two runs of the same."""
    if isinstance(found, dict):
        return {key: timeless(value) for key, value in found.items() if key not in TIMES}
    if isinstance(found, list):
        found = [[*e[:2], None] if isinstance(e, list) and e[:1] in (["asked"], ["told"]) else e for e in found]
        return [timeless(item) for item in found]
    return found


@pytest.mark.parametrize(
    "searcher",
    [pytest.param(s, marks=[pytest.mark.ci] * (s != "halving")) for s in entries("searchers")],
)
def test_the_imported_study_exports_the_same_and_goes_on_to_the_same_trials(tmp_path, searcher):
    name = "optuna:CmaEsSampler" if searcher == "optuna" else searcher
    study = started(tmp_path / "here.db", name)
    there = imported(study, tmp_path / "there.db")
    assert lines(there) == lines(study)
    for each in (study, there):
        each.resume(objective=Climb(), progress=False)
    assert timeless(objects(there)) == timeless(objects(study))
    states = {(str(trial.state), trial.reason) for trial in there.trials}
    assert states >= {("done", None), ("failed", "exception"), ("failed", "non_finite")}
    if searcher == "halving":
        assert ("paused", None) in states
    again = imported(there, tmp_path / "here.db", name="again")
    assert objects(again)[1:] == objects(there)[1:]


def test_a_taken_name_is_a_conflict_and_nothing_comes_in(tmp_path):
    path = tmp_path / "hpo.db"
    study = started(path, "random")
    copy = read_study(lines(study), "a file")
    before = path.read_bytes()
    store = Store(path, "write")
    with pytest.raises(ConflictError, match="has a study 'study' already: give another name with --name"):
        copy.insert(store)
    assert path.read_bytes() == before
    assert copy.insert(store, "other").name == "other"
    assert store.counts(store.study("other").id) == study.counts()


# -- files that are not what they say


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    """The objects of a study of every kind of trial; `changed` copies them."""
    return objects(started(tmp_path_factory.mktemp("good") / "hpo.db", "halving"))


def read(found):
    return read_study(map(json.dumps, found), "the file")


def refused(found, line, *words):
    with pytest.raises(DataError) as error:
        read(found)
    message = str(error.value)
    assert message.startswith(f"the file, line {line}: ")
    for word in words:
        assert word in message
    assert error.value.exit_code == 65


def places(value, path=()):
    """Every place in a JSON value."""
    yield path
    if isinstance(value, (dict, list)):
        for key in value if isinstance(value, dict) else range(len(value)):
            yield from places(value[key], (*path, key))


def changed(found, path, new):
    """A copy with another value in one place."""
    found = json.loads(json.dumps(found))
    at = found
    for key in path[:-1]:
        at = at[key]
    at[path[-1]] = new
    return found


def test_a_good_file_is_read(good):
    assert objects_of(read(good)) == good


def objects_of(copy):
    from hpo.cli.render import json_text

    return [json.loads(json_text(found)) for found in copy.objects()]


STRANGE = [None, True, -1, 2**63, 1.5, 1e308, "", "x", "nan", "\ud800", [], {}, [[]], {"": 0}, ["asked", 1, -1.0]]


def test_whatever_stands_in_a_place_is_taken_as_it_is_or_refused_with_its_line(good):
    chance = random.Random(0)
    every = [path for path in places(good) if path]
    for path in chance.sample(every, 40):
        found = changed(good, path, chance.choice(STRANGE))
        try:
            assert objects_of(read(found)) == found
        except DataError as error:
            assert str(error).startswith("the file, line ")  # noqa: PT017  (either is right)


@pytest.mark.ci
def test_whatever_stands_in_any_place_is_taken_as_it_is_or_refused_with_its_line(good):
    every = [path for path in places(good) if path]
    for path in random.Random(1).sample(every, 60):
        for strange in STRANGE:
            found = changed(good, path, strange)
            try:
                assert objects_of(read(found)) == found
            except DataError as error:
                assert str(error).startswith("the file, line ")  # noqa: PT017  (either is right)


def test_lines_that_are_no_study_are_refused(good):
    refused([], 1, "nothing, expected the object that describes a study")
    refused(good[1:], 1, "expected the object that describes the study (key 'study')")
    refused(good[:-1], len(good), f"the end after {len(good) - 2} trials, expected {len(good) - 1}")
    refused([*good, good[-1]], len(good) + 1, "expected the end")
    refused([good[0], *good[2:]], 2, "trial 1, expected trial 0")
    refused([good[0] | {"format": 2}, *good[1:]], 1, "format 2, expected 1")
    refused([good[0], good[1] | {"more": 1}, *good[2:]], 2, "'more', expected only number, state")
    with pytest.raises(DataError, match="line 1: no JSON"):
        read_study(["[" * 100_000], "the file")
    with pytest.raises(DataError, match="line 1: more than 400000 lists and objects"):
        read_study(["{}," * 400_001], "the file")
    with pytest.raises(DataError, match="line 1: more than 8000000 characters"):
        read_study(['"' + "x" * 8_000_000], "the file")
    with pytest.raises(DataError, match="line 1: no JSON"):
        read_study(['{"study": ' + "9" * 5000 + "}"], "the file")


def test_trials_that_no_search_could_have_made_are_refused(good):
    done = next(i for i, found in enumerate(good) if found.get("state") == "done")
    refused(changed(good, (done, "params", "x"), 7.0), done + 1, "'x'", "7.0")
    refused(changed(good, (done, "params"), {}), done + 1, "'x' is missing")
    refused(changed(good, (done, "state"), "paused"), done + 1, "is paused, its last evaluation done")
    refused(changed(good, (done, "value"), 0.123), done + 1, "another value")
    refused(changed(good, (done, "value"), "nan"), done + 1, "another value")
    refused(changed(good, (done, "evaluations", 0, "told"), 0), done + 1, "told by event 0")
    refused(changed(good, (0, "study", "events", 0, 0), "told"), 2, "asked by event 0, which is no such event")
    refused(changed(good, (0, "study", "enqueued"), 99), 1, "99 trials were enqueued, and there are fewer")
    refused(changed(good, (0, "study", "spec", "space", 0, "low"), 2.0), 1, "'x'")
    refused(changed(good, (0, "study", "name"), "a\x1b[31m"), 1, "printable")
