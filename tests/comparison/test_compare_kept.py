"""What a comparison says stays what its runs gave: nobody else goes on with them, and nothing half made is stored."""

import linecache
import sqlite3
import sys

import pytest

from hpo import Float, compare, load_comparison, load_study, search
from hpo.comparison import compare as comparing
from hpo.driver import Driver
from hpo.errors import ConflictError, LockedError, NotFoundError
from hpo.searcher import SearcherError
from hpo.store import Store
from hpo.store.comparisons import Comparisons
from hpo.trial import Outcome, State
from searchers.random import Random

SPACE = {"x": Float(-1, 1)}


def bowl(params):
    return params["x"] ** 2


def partly(params):
    if params["x"] > 0.5:
        raise ValueError("too large")
    return params["x"] ** 2


@pytest.fixture
def made(tmp_path):
    """Makes comparisons in one store."""

    def make(objective=bowl, searchers=("random", "tpe"), **more):
        settings = {"direction": "minimize", "seeds": 2, "trials": 5, "store": tmp_path / "hpo.db", "name": "c"}
        return compare(objective, SPACE, searchers, **(settings | {"progress": False} | more))

    return make


def by_hand(study):
    study.ask()


def again(study):
    search(bowl, SPACE, "tpe", trials=9, batch=5, direction="minimize", store=study.path, name=study.name)


@pytest.mark.parametrize("go_on", [lambda study: study.resume(bowl, trials=9, progress=False), by_hand, again])
def test_nobody_goes_on_with_a_run_by_itself(made, go_on):
    found = made()
    content = found.path.read_bytes()
    study = load_study("c/bowl/tpe/0", found.path)
    with pytest.raises(ConflictError, match=r"'c/bowl/tpe/0' is a run of comparison 'c': `hpo compare .* c` goes on"):
        go_on(study)
    assert found.path.read_bytes() == content


def test_results_are_of_the_budget_alone(made):
    """Of a store in which somebody went on all the same."""
    found = made(partly)
    store = Store(found.path, "write")
    for name in found.studies:
        driver = Driver(store, store.study(name), trials=40)
        for job in driver.ask(20):
            state = State.FAILED if job.number % 2 else State.DONE
            outcome = Outcome(job.number, job.params, state, value=-1.0, evaluation=job.evaluation)
            driver.record([outcome], tell_at_once=True)
        driver.close()
    store.close()
    assert load_comparison("c", found.path).results == found.results


def test_a_comparison_that_cannot_be_made_as_a_whole_is_not_there(made, tmp_path, monkeypatch):
    def broken(*_):
        raise RuntimeError("a defect")

    with monkeypatch.context() as patch:
        patch.setattr(Comparisons, "add_run", broken)
        with pytest.raises(RuntimeError):
            made()
    store = Store(tmp_path / "hpo.db")
    assert (Comparisons(store).all(), store.studies()) == ([], [])
    assert not list(tmp_path.glob("*.lock"))
    assert made(seed=7).results.seeds == (7, 8)


def test_what_another_process_added_meanwhile_is_kept(made, monkeypatch):
    """It grew between the start of this call and the moment when this call took it."""
    found = made()
    held = comparing.held

    def late(store, row):
        with monkeypatch.context() as patch:
            patch.setattr(comparing, "held", held)
            made(searchers=["grid"])
        return held(store, row)

    monkeypatch.setattr(comparing, "held", late)
    assert made(seeds=3).results.searchers == ("random", "tpe", "grid")
    assert len(load_comparison("c", found.path).results.runs) == 9


def test_of_two_processes_that_make_the_same_comparison_one_is_refused(made, monkeypatch):
    found = made()
    monkeypatch.setattr(comparing, "_opened", lambda name, store: None)  # it is not there yet
    with pytest.raises(LockedError, match="comparison 'c' has just been made by another process"):
        made()
    assert len(load_comparison("c", found.path).results.runs) == 4


def function(source):
    """`f` of this source text."""
    name = f"<source {hash(source)}>"
    linecache.cache[name] = (len(source), None, source.splitlines(keepends=True), name)
    scope = {"__name__": __name__}
    exec(compile(source, name, "exec"), scope)
    return scope["f"]


def test_a_function_that_was_changed_is_not_compared_with_what_it_was(made):
    before, after = (function(f"def f(params):\n    return params['x'] ** {n}\n") for n in (2, 4))
    found = made({"f": before})
    assert made({"f": after}).results == found.results  # nothing is to be trained
    with pytest.raises(ConflictError, match="task 'f': the source of 'f' has changed since the comparison was made"):
        made({"f": after}, searchers=["grid"])
    assert load_comparison("c", found.path).results == found.results


class Divides(Random):
    """Fails when it is told."""

    def _tell(self, results):
        self.told = 1 / 0


def test_a_searcher_that_fails_is_named_with_its_run(made, tmp_path):
    for _ in range(2):  # the second time when it is to go on
        with pytest.raises(
            SearcherError, match=r"Divides' failed in study 'c/bowl/.*/\d': ZeroDivisionError: .* line \d+.*leave"
        ):
            made(searchers=["random", {"own": Divides}])
    with sqlite3.connect(tmp_path / "hpo.db") as connection:
        assert connection.execute("SELECT count(*) FROM evaluations WHERE state = 'done'").fetchone()[0] >= 25


def test_a_name_that_is_no_study_is_told_apart(made):
    path = made().path
    with pytest.raises(NotFoundError, match=r"no study 'c' in store .*, it is a comparison: `hpo report` shows it"):
        load_study("c", path)
    with pytest.raises(NotFoundError, match="none is known"):
        load_study("c/bowl/rand", path)


def test_a_complete_comparison_is_read_without_its_searchers(made, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.syspath_prepend(tmp_path)
        (tmp_path / "passing.py").write_text("from searchers.random import Random\nclass Own(Random):\n    pass\n")
        found = made(searchers=["random", "passing:Own"], seeds=5)
    monkeypatch.delitem(sys.modules, "passing")
    (tmp_path / "passing.py").unlink()
    assert load_comparison("c", found.path).verdict == found.verdict
    assert compare(name="c", store=found.path, progress=False).results == found.results


def test_what_is_left_out_and_stored_is_told(made, capsys):
    made(seeds=2)
    made(seeds=2)
    assert capsys.readouterr().err == ""
    made(seeds=1, searchers=["random"], progress=True)
    assert capsys.readouterr().err == "comparison c: what is stored is compared, too: 2 seeds, tpe\n"
    made(progress=True)
    assert capsys.readouterr().err == ""
