"""What the commands tell about studies and trials: plain data, and how it is printed."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hpo.cli import render
from hpo.comparison.winner import Candidate, Winner
from hpo.store import default_path
from hpo.study import Study
from hpo.text import MAX_LISTED, command, duration, listed, number, params_text, value_text
from hpo.trial import Trial

LISTED = 10  # failed trials of a reason


def trial_data(trial: Trial) -> dict[str, Any]:
    """A trial as one JSON object."""
    return {
        "number": trial.number,
        "state": str(trial.state),
        "params": dict(trial.params),
        "value": trial.value,
        "epochs": trial.epochs,
        "seed": trial.seed,
        "error": trial.error,
    }


def check_winner(study: Study, quiet: bool) -> None:
    """Find the study's winner where its objective has test data."""
    if study.has_test_data and study.has_result:
        study.winner(progress=not quiet)


def best_data(study: Study) -> dict[str, Any]:
    """The answer of a study: its winner if that is known, else its best trial; its scores and where it is stored."""
    winner = study.known_winner()
    best = study.best if winner is None or winner.number is None else study.trial(winner.number)
    test = winner.test if winner is not None else None
    return {
        "study": study.name,
        "store": str(study.path),
        "direction": study.spec.direction,
        "trials": sum(study.counts().values()),
        "failed": study.counts().get("failed", 0),
        "epochs_spent": study.epochs_spent,
        "best": {
            "number": best.number,
            "value": best.value,
            "epochs": best.epochs,
            "params": dict(best.params),
            "validation": {name: v for name, v in best.metrics.items() if name != "value"},
            "test": dict(test.metrics) if test is not None else {},
        },
        "winner": None if winner is None else _winner_data(winner),
        "test_uses": study.test_uses if study.has_test_data else None,
    }


def _winner_data(winner: Winner) -> dict[str, Any]:
    def candidate(found: Candidate | None) -> dict[str, Any] | None:
        return None if found is None else vars(found) | {"mean": found.mean, "spread": found.spread}

    test, won = winner.test, winner.candidate
    return {
        "number": winner.number,
        "epochs": winner.epochs,
        "seed": winner.seed,
        "first": won and won.first,
        "optimism": won and winner.optimism,
        "mean": won and won.mean,
        "spread": won and won.spread,
        "fresh": won and won.fresh,
        "test": test and {"metrics": test.metrics, "low": test.low, "high": test.high},
        "runner_up": winner.runner_up,
        "against_runner_up": winner.against_runner_up and vars(winner.against_runner_up),
        "against_default": winner.against_default and vars(winner.against_default),
        "candidates": [candidate(found) for found in winner.candidates],
        "default": candidate(winner.default),
        "sentences": winner.sentences,
    }


def print_best(data: Mapping[str, Any]) -> None:
    """Print `best_data` for people."""
    best, winner = data["best"], data["winner"]
    epochs = f", {best['epochs']} epochs" if best["epochs"] > 1 else ""
    render.line(f"best of {data['trials']} trials in study {data['study']}: trial {best['number']}{epochs}")
    render.line()
    _print_params(best["params"])
    render.line()
    known = winner is not None and winner["number"] is not None
    scores = _winner_scores(data) if known else {f"value ({data['direction']}d)": number(best["value"])}
    path, name = Path(data["store"]), data["study"]
    show = command("show", name, path, default_path())
    render.facts(scores | {"stored in": f"{data['store']}  ({show} lists the trials)"})
    sentences = winner["sentences"] if winner is not None else []
    if winner is None and data["test_uses"] is not None:
        sentences = [f"The winner is not known yet: {command('resume', name, path, default_path())} finds it."]
    if sentences:
        render.line()
    for sentence in sentences:
        render.paragraph(sentence)


def _print_params(params: Mapping[str, Any]) -> None:
    render.facts({f"  {name}": value for name, value in list(params.items())[:MAX_LISTED]})
    if len(params) > MAX_LISTED:
        render.line(f"  the first {MAX_LISTED} of {len(params):,} hyperparameters; --json has them all")


def _winner_scores(data: Mapping[str, Any]) -> dict[str, str]:
    winner, test = data["winner"], data["winner"]["test"]
    metric = next(iter(test["metrics"])) if test else "value"
    optimism, fresh = winner["optimism"], winner["fresh"]
    luck = f"({'lucky' if optimism > 0 else 'unlucky'} by {abs(optimism):.2g})" if optimism else "(no luck in it)"
    scores = {
        f"validation {metric}": f"{number(winner['first'])}  {luck}",
        f"  over {len(fresh)} fresh seeds": f"{number(winner['mean'])}  ({min(fresh):.4g} to {max(fresh):.4g})",
    }
    for name, value in (test["metrics"] if test else {}).items():
        interval = f"  (95 % interval {test['low']:.4g} to {test['high']:.4g})" if name == metric else ""
        scores[f"test {name}"] = number(value) + interval
    if test:
        uses = data["test_uses"]
        times = "once" if uses == 1 else f"{uses} times"
        scores["test data"] = f"seen by no trial; used {times} in this store"
    return scores


def study_data(study: Study, rows: int) -> dict[str, Any]:
    """A study with its specification, counts and best trials."""
    spec = study.spec
    return {
        "study": study.name,
        "store": str(study.path),
        "objective": dict(spec.objective),
        "searcher": {"name": spec.searcher, **spec.settings},
        "direction": spec.direction,
        "seed": spec.seed,
        "batch": spec.batch,
        "epochs": spec.epochs,
        "free_running": spec.free_running,
        "budget": study.budget,
        "epochs_spent": study.epochs_spent,
        "states": study.counts(),
        "failures": study.failures(),
        "told": None if (told := study.told_from) is None else {"study": told[0], "trials": told[1]},
        "space": spec.space.to_json(),
        "environment": study.environment,
        "best": [trial_data(trial) for trial in study.ranking(rows)],
        "health": study.health().to_json(),
    }


def _failed(reason: str, numbers: Sequence[int]) -> str:
    """A reason with the trials that failed for it, the first of many."""
    more = f", ... ({len(numbers)} in all)" if len(numbers) > LISTED else ""
    return f"{reason}: trial{'s' * (len(numbers) > 1)} {', '.join(map(str, numbers[:LISTED]))}{more}"


def print_study(data: Mapping[str, Any]) -> None:
    """Print `study_data` for people."""
    searcher = {key: value for key, value in data["searcher"].items() if key != "name"}
    settings = ", ".join(f"{key}={value}" for key, value in searcher.items())
    render.facts(
        {
            "study": data["study"],
            "store": data["store"],
            "objective": ", ".join(f"{key}={value}" for key, value in data["objective"].items()),
            "searcher": data["searcher"]["name"] + (f" ({settings})" if settings else ""),
            "direction": data["direction"],
            "seed": data["seed"],
            "batch": f"{data['batch']}, told in order of arrival" if data["free_running"] else data["batch"],
            "spent": f"{data['epochs_spent']} of {data['budget'] if data['budget'] is not None else 'unlimited'}"
            + (" epochs" if data["epochs"] else " trials"),
            "states": ", ".join(f"{count} {state}" for state, count in sorted(data["states"].items())) or "no trials",
            **({"told": f"{told['trials']} trials of study {told['study']}"} if (told := data["told"]) else {}),
            **({"failed": "; ".join(_failed(*each) for each in data["failures"].items())} if data["failures"] else {}),
        }
    )
    render.line()
    space = data["space"]
    render.table(["hyperparameter", "domain"], [[d["name"], _domain_text(d)] for d in space[:MAX_LISTED]])
    if len(space) > MAX_LISTED:
        render.line(f"the first {MAX_LISTED} of {len(space):,} hyperparameters; --json has them all")
    rows = [[trial["number"], trial["value"], trial["epochs"], params_text(trial["params"])] for trial in data["best"]]
    if rows:
        render.table(["trial", "value", "epochs", "configuration"], rows, title=f"best {len(rows)} trials")
    for sentence in data["health"]["sentences"]:
        render.paragraph(sentence)


def _domain_text(item: Mapping[str, Any]) -> str:
    if item["type"] == "choice":
        text = listed(map(str, item["options"]), len(item["options"]), " | ")
    else:
        text = f"{value_text(item['low'])} to {value_text(item['high'])}"
        text += " (log)" if item.get("log") else ""
        text += f" step {value_text(item['step'])}" if item.get("step") else ""
        text = f"{item['type']} {text}"
    conditions = " and ".join(
        f"{parent} is {listed(map(str, values), len(values), ' or ')}"
        for parent, values in item.get("when", {}).items()
    )
    return text + (f", when {conditions}" if conditions else "")


def print_trial(trial: Trial, study: Study) -> None:
    """Print one trial: facts, hyperparameters, curve, error."""
    render.facts(
        {
            "study": study.name,
            "trial": trial.number,
            "state": str(trial.state) + (f" ({trial.reason})" if trial.reason else ""),
            "value": number(trial.value),
            "epochs": trial.epochs,
            "seconds": duration(trial.seconds),
            "seed": trial.seed,
            **({"attempts": trial.attempts} if trial.attempts > 1 else {}),
            **({"health": params_text(trial.health)} if trial.health else {}),
            **({"noted": params_text(trial.user_attrs)} if trial.user_attrs else {}),
            **({"proposed": ", ".join(f"{k}={v}" for k, v in trial.info.items())} if trial.info else {}),
        }
    )
    render.line()
    _print_params(trial.params)
    if trial.curve:
        epochs, metrics = trial.points
        render.table(["epoch", *metrics], list(zip(epochs, *metrics.values(), strict=True)))
    if trial.error:
        render.line()
        render.line(trial.error.rstrip())
