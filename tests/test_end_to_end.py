"""From the command to the answer, for each of the five searchers, on the shared objective."""

import json
import re
from pathlib import Path

import pytest

import hpo
from hpo.cli import cli

FIVE = ("grid", "random", "tpe", "halving", "nas")


@pytest.mark.parametrize("searcher", FIVE)
def test_run_answers_with_configuration_scores_and_store(
    searcher: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = tmp_path / "hpo.db"
    cli(["run", "--searcher", searcher, "--trials", "3", "--epochs", "4", "--store", str(store)], standalone_mode=False)
    printed = capsys.readouterr()
    study = hpo.load_study(store=store)
    assert f"study {study.name}: new" in printed.err
    for name in study.best_params:  # the space has no conditions but momentum's
        assert name == "momentum" or f"  {name} " in printed.out
    winner = study.known_winner()
    assert winner is not None
    assert winner.candidate is not None
    assert winner.test is not None
    assert re.search(rf"validation accuracy +{winner.candidate.first:.6g} ", printed.out)
    assert re.search(rf"over 5 fresh seeds +{winner.candidate.mean:.6g} ", printed.out)
    assert re.search(rf"test accuracy +{winner.test.metrics['accuracy']:.6g} ", printed.out)
    assert re.search(r"test data +seen by no trial; used once ", printed.out)
    assert re.search(rf"stored in +{re.escape(str(store))} ", printed.out)
    assert study.epochs_spent <= 3 * 4


def test_the_test_score_is_of_the_very_model_that_won_and_is_used_once(tmp_path: Path) -> None:
    from hpo.training.data import load_data
    from hpo.training.losses import loss_of
    from hpo.training.metrics import METRICS
    from hpo.training.solo import evaluate, train_and_evaluate

    study = hpo.search(searcher="random", trials=3, epochs=3, store=tmp_path / "hpo.db", progress=False)
    winner = study.winner(progress=False)
    won = winner.candidate
    assert won is not None
    assert winner.seed is not None
    assert winner.test is not None
    data = load_data("classification", 0)
    model, steps = train_and_evaluate(won.params, data, winner.seed, winner.epochs)
    assert steps[-1].value == max(won.fresh), "trained again, it is the same model"
    loss = loss_of("classification", "cross_entropy").rows
    assert winner.test.metrics["accuracy"] == evaluate(model, data, data.test, loss, METRICS["accuracy"])[1]
    assert winner.test.low < winner.test.metrics["accuracy"] < winner.test.high
    assert study.winner(progress=False) == winner
    assert hpo.load_study(study.name, study.path).known_winner() == winner
    assert study.test_uses == 1, "the second call read what was stored"


def test_the_tutorials_study_stands_as_it_was_taught(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    spaces = {}
    for searcher in ("grid", "random", "tpe"):
        store = tmp_path / f"{searcher}.db"
        arguments = ["run", "tutorial", "--searcher", searcher, "--store", str(store), "--json", "--quiet"]
        cli(arguments, standalone_mode=False)
        answer = json.loads(capsys.readouterr().out)
        study = hpo.load_study(store=store)
        assert study.spec.epochs == 10
        assert len(study.trials) == (9 if searcher == "grid" else answer["trials"])
        assert answer["best"]["params"]["optimizer"] == "sgd"
        assert answer["best"]["params"]["batch_size"] >= 800, "full batches"
        spaces[searcher] = study.spec.space
    for searcher in ("grid", "random"):
        assert spaces[searcher]["width"].to_json()["options"] == [64, 128, 256]
        assert spaces[searcher]["learning_rate"].to_json()["options"] == [0.001, 0.01, 0.1]
    assert spaces["tpe"]["learning_rate"].to_json() == {"type": "float", "low": 0.001, "high": 0.1, "log": True}
    assert len(hpo.load_study(store=tmp_path / "tpe.db").trials) == 10


@pytest.mark.parametrize("batched_first", [True, False])
def test_options_keep_their_python_types_in_store_and_objective(batched_first: bool, tmp_path: Path) -> None:
    options = [(8, 8), 1, 1.0, True, None, "1", [1, 2], {"a": (1,)}]
    seen = []

    def objective(params: dict[str, object]) -> float:
        seen.append(params["option"])
        return len(seen)

    initial = [{"option": option} for option in options] if batched_first else None
    study = hpo.search(
        objective,
        {"option": options},
        "grid",
        direction="maximize",
        initial=initial,
        store=tmp_path / "hpo.db",
        progress=False,
    )
    assert sorted(map(repr, seen)) == sorted(map(repr, options))
    stored = [trial.params["option"] for trial in hpo.load_study(study.name, study.path).trials]
    assert list(map(repr, stored)) == list(map(repr, seen))
    assert repr(study.best_params["option"]) == repr(seen[-1])
