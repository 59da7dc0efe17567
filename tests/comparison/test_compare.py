"""Searchers beside each other: the same seeds and budgets, every run in the store, and what is missing trained."""

import math

import pytest

from hpo import Float, compare, load_comparison, load_study, search
from hpo.comparison import run as running
from hpo.comparison.reading import incumbents
from hpo.errors import ConflictError, LoadError, LockedError, NoResultError, NotFoundError
from hpo.searcher import SearcherError
from hpo.store import Store
from hpo.store.comparisons import Comparisons
from hpo.trial import Evaluation, State
from searchers.halving import Halving
from searchers.random import Random

SPACE = {"x": Float(-1, 1), "y": Float(0.01, 1, log=True)}
EPOCHS = 9
calls = 0


def bowl(params):
    global calls
    calls += 1
    return params["x"] ** 2 + params["y"]


def slope(params, epochs):
    if params["x"] > 0.9:
        raise ValueError("too large")
    return params["x"] + epochs / 10


@pytest.fixture
def made(tmp_path):
    """Makes comparisons of `bowl` in one store."""

    def make(objective=bowl, searchers=("random", "tpe"), **more):
        settings = {"direction": "minimize", "seeds": 3, "trials": 6, "store": tmp_path / "hpo.db", "name": "c"}
        return compare(objective, SPACE, searchers, progress=False, **(settings | more))

    return make


def trials(study):
    return [(t.number, t.params, t.seed, t.state, t.value, t.epochs) for t in study.trials]


def test_each_run_has_the_trials_of_that_search_alone(made, tmp_path):
    found = made(slope, ["random", "tpe", "halving:eta=2"], epochs=EPOCHS)
    for run in found.results.runs.values():
        kind, eta = (Halving(eta=2), 2) if run.searcher.startswith("halving") else (run.searcher, None)
        alone = search(
            slope, SPACE, kind, trials=6, epochs=EPOCHS, seed=run.seed, direction="minimize",
            store=tmp_path / "alone.db", progress=False,
        )  # fmt: skip
        assert trials(load_study(run.study, found.path)) == trials(alone)
        assert alone.spec.settings.get("eta") == eta


def test_runs_of_one_seed_have_the_same_trial_seeds_and_budget(made):
    found = made(slope, ["random", "tpe", "halving"], epochs=EPOCHS)
    runs, labels = found.results.runs, found.results.searchers
    assert found.results.seeds == (0, 1, 2)
    for seed in found.results.seeds:
        studies = [load_study(runs["slope", label, seed].study, found.path) for label in labels]
        assert len({study.trial(0).seed for study in studies}) == 1
        assert {study.budget for study in studies} == {6 * EPOCHS}


def test_results_are_those_of_the_studies(made):
    found = made(slope, ["random", "tpe", "halving"], epochs=EPOCHS, trials=9, direction="maximize")
    [task] = found.results.tasks
    assert (task.unit, task.budget, task.trial_epochs) == ("epochs", 9 * EPOCHS, EPOCHS)
    assert 0 < len(task.reference) < 20  # without those that failed
    for run in found.results.runs.values():
        study = load_study(run.study, found.path)
        assert run.final == study.best.value
        assert run.spent[-1] == study.epochs_spent <= task.budget
        assert list(run.spent) == sorted(run.spent)
        assert run.trials[-1] == len(study.trials)
        assert run.failed == study.counts().get("failed", 0)
        assert run.searcher_seconds > 0
        assert not run.exhausted
    frame = found.to_frame()
    last = frame.groupby(["searcher", "seed"]).last()
    assert last.incumbent.tolist() == [
        found.results.runs["slope", label, seed].final for label, seed in last.index.tolist()
    ]
    assert frame.regret.min() >= 0
    assert list(frame.columns[:4]) == ["task", "searcher", "seed", "study"]


def test_the_reference_is_twenty_random_trials_outside_every_budget(made):
    found = made()
    [name] = [name for name in found.studies if name.endswith("reference")]
    study = load_study(name, found.path)
    assert (study.spec.searcher, len(study.trials)) == ("random", 20)
    assert found.results.tasks[0].reference == tuple(trial.value for trial in study.trials)
    assert all(run.spent[-1] == 6 for run in found.results.runs.values())


@pytest.mark.parametrize("direction", ["maximize", "minimize"])
def test_an_incumbent_is_the_best_at_the_greatest_epoch_after_each_evaluation(direction):
    values = [3.0, 5.0, 4.0, math.nan, 2.0, 6.0, 1.0, 7.0]
    numbers = [0, 1, 2, 3, 1, 2, 1, 0]
    ends = [1, 1, 1, 1, 3, 3, 9, 3]
    states = [State.DONE] * 6 + [State.FAILED, State.DONE]
    log = [Evaluation(i, numbers[i], 0, ends[i], ends[i], 1, states[i], values[i], 0.0, {}) for i in range(len(values))]
    expected = []
    for i in range(len(log)):
        latest = {e.number: e for e in log[: i + 1]}
        ok = [e for e in latest.values() if e.state == State.DONE and math.isfinite(e.value)]
        top = [e.value for e in ok if e.epochs == max(e.epochs for e in ok)]
        expected.append(max(top) if direction == "maximize" else min(top))
    assert [evaluation.value for evaluation in incumbents(log, direction)] == expected


def test_more_seeds_searchers_and_tasks_train_only_what_is_missing(made):
    global calls
    assert made(seeds=5).results.look == 1
    before, calls = calls, 0
    assert made(seeds=5).results.look == 1
    assert calls == 0 < before
    grown = made(seeds=6)
    assert calls == 2 * 6
    assert grown.results.look == 2
    calls = 0
    grown = made(searchers=["grid"])  # beside those that are there
    assert grown.results.look == 3
    assert grown.results.searchers == ("random", "tpe", "grid")
    assert calls == 6 * 6
    calls = 0
    grown = made({"other": bowl})
    assert [task.name for task in grown.results.tasks] == ["bowl", "other"]
    assert calls == 20 + 3 * 6 * 6
    assert made().results.look == load_comparison("c", grown.path).results.look == grown.results.look == 4


def test_a_look_at_which_nothing_is_tested_costs_nothing(made):
    assert "5 seeds" in made(seeds=4).verdict
    assert "5 seeds" in made(seeds=4, searchers=["grid"]).verdict
    assert made(seeds=5).analysis.results.look == 1
    assert made(seeds=6).analysis.results.look == 2
    assert made(searchers=["random"], name="single", seeds=6).results.look == 1
    assert made(name="single").results.look == 1


def test_reading_a_verdict_writes_nothing(made):
    found = made(seeds=5)
    verdict = found.verdict
    content = found.path.read_bytes()
    again = load_comparison("c", found.path)
    assert again.verdict == verdict
    assert again.results.look == 1
    assert found.path.read_bytes() == content


def test_what_is_left_out_is_as_it_was(made, tmp_path):
    first = made(seeds=2, trials=4, seed=7)
    again = compare(name="c", store=tmp_path / "hpo.db", progress=False, objective=bowl, space=SPACE,
                    direction="minimize")  # fmt: skip
    assert again.results == first.results
    assert again.results.seeds == (7, 8)


@pytest.mark.parametrize(
    ("change", "difference"),
    [
        ({"trials": 7}, "trials: stored 6, now 7"),
        ({"seed": 1}, "seed: stored 0, now 1"),
        ({"direction": "maximize"}, 'direction: stored "minimize", now "maximize"'),
        ({"searchers": [{"tpe": Random()}]}, 'name: stored "tpe", now "random"'),
        ({"objective": {"bowl": lambda params: 0}}, "objective: function: stored"),
    ],
)
def test_another_comparison_of_the_same_name_is_refused(made, change, difference):
    made()
    with pytest.raises(ConflictError, match=difference):
        made(**change)


def test_a_time_limit_leaves_no_verdict_and_the_same_call_goes_on(made, tmp_path):
    def plain(found):
        return {key: (run.spent, run.incumbent) for key, run in found.results.runs.items()}

    cut = made(timeout=1e-9)
    with pytest.raises(NoResultError, match=r"0 of 6 runs have ended; `hpo compare --store .* --name c` goes on"):
        _ = cut.verdict
    assert plain(made()) == plain(made(store=tmp_path / "other.db"))


class Breaking(Random):
    """Fails once trial 3 was told."""

    broken = True

    def _tell(self, results):
        if self.broken and any(result.number == 3 for result in results):
            raise SearcherError("a defect")


def test_what_was_trained_before_a_searcher_raised_is_kept(made, monkeypatch):
    global calls
    calls = 0
    with pytest.raises(SearcherError, match="a defect"):
        made(searchers=[{"breaking": Breaking}, "tpe"])
    before = calls
    monkeypatch.setattr(Breaking, "broken", False)
    found = made(searchers=[{"breaking": Breaking}, "tpe"])
    assert before > 20
    assert calls == 20 + 2 * 3 * 6
    assert len(found.results.runs) == 6


def test_a_comparison_has_one_process_at_a_time(made):
    found = made()
    store = Store(found.path, "write")
    lock = Comparisons(store).lock(Comparisons(store).get("c").id)
    assert lock.acquire()
    with pytest.raises(LockedError, match="comparison 'c' is being run by process"):
        made(seeds=4)
    lock.release()
    store.close()


def test_waves_of_few_studies_give_the_same(made, tmp_path, monkeypatch):
    together = made()
    monkeypatch.setattr(running, "WAVE", 2)
    apart = made(store=tmp_path / "apart.db")
    assert {k: r.incumbent for k, r in apart.results.runs.items()} == {
        k: r.incumbent for k, r in together.results.runs.items()
    }


def test_the_latest_study_is_none_of_a_comparison(made, tmp_path):
    found = made()
    with pytest.raises(NotFoundError, match="has no study yet"):
        load_study(None, found.path)
    search(bowl, SPACE, "random", 2, direction="minimize", store=found.path, name="mine", progress=False)
    made(seeds=4)
    assert load_study(None, found.path).name == "mine"


def test_studies_get_names_whatever_their_parts_are(made):
    label = "l" * 255
    found = made({"a/b": bowl, "a": bowl}, [{label: "random", f"b/{label[:-2]}": "random"}], seeds=2, trials=1)
    assert len(set(found.studies)) == len(found.studies) == 2 + 2 * 2 * 2
    assert all(len(name) <= 255 and name.isprintable() for name in found.studies)


def test_few_seeds_give_curves_and_no_test(made):
    found = made()
    assert "5 seeds" in found.verdict
    assert all(pair.better is None for pair in found.analysis.tasks["bowl"].pairs)
    assert "random" in found.analysis.tasks["bowl"].by_spent
    assert "tabular" in found.to_latex()
    assert "random, tpe on bowl, 3 seeds" in repr(found)


def test_an_exhausted_grid_is_told(made):
    found = made(searchers=["grid:points=1", "random"])
    assert {run.exhausted for run in found.results.of("bowl", "grid:points=1")} == {True}
    assert {run.exhausted for run in found.results.of("bowl", "random")} == {False}


def test_a_task_that_is_complete_needs_its_objective_no_more(made):
    made({"gone": lambda params: params["x"] ** 2})
    found = made({"bowl": bowl})
    assert [task.name for task in found.results.tasks] == ["gone", "bowl"]
    assert compare(name="c", store=found.path, progress=False).results == found.results
    with pytest.raises(LoadError, match=r"task 'gone': .* was defined in a script or notebook, or made by a program"):
        compare(name="c", store=found.path, progress=False, seeds=4)
