"""How to make a study again: command, study file, seed and versions; no host, user or folder is named."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterable, Mapping
from typing import Any, Final

from hpo.execution import DEFAULT, Execution
from hpo.report.figure import Figure, Table
from hpo.report.folders import clean_settings
from hpo.report.study_data import StudyData
from hpo.space import Space
from hpo.stored_study import StoredStudy
from hpo.study_spec import StudySpec

_FROM_PYTHON: Final = ("by_hand", "build", "batched", "optuna")  # of objectives: no study file names such a one
AGAIN: Final = "again.db"  # in the study's own store the command would go on with the study
_NO_SETTINGS: Final = ("digest", "init_digest")  # of the shared objective: they say what was read, not what to read


def figure(data: StudyData) -> Figure:
    """The figure."""
    study, spec = data.study, data.study.spec
    text = study_file(study)
    rows: list[tuple[Any, ...]] = []
    if text is None:
        caption = (
            "The study was made by a program, and no study file can say all of it: to make it again, run that program "
            "with what stands here."
        )
        rows.append(("objective", json_text(clean_settings(spec.objective))))
        rows.append(("space", "\n".join(json_text(domain) for domain in spec.space.to_json())))
    else:
        name = file_name(study.name)
        caption = (
            f"Put the text of {name} into a file of that name, with the data files that it names beside it, and run "
            "the command: with the same versions it makes the same trials, in a store of its own."
        )
        rows += [("command", _command(name, study.execution)), (name, text)]
    if study.enqueued:
        caption += (
            f" Configurations that the user enqueued came first ({study.enqueued}): give them from Python, "
            "hpo.search(initial=[...])."
        )
    if study.told_from is not None:
        old, count = study.told_from
        caption += (
            f" It was told {count} trials of study {old} first: make that one in the same store, and give --from."
        )
    if spec.free_running:
        caption += " The searcher was told as trials ended, so another run may propose others."
    caption += _of_runs(len(study.environments))
    return Figure(
        "reproduce", "How to make this study again", caption, Table(("what", "value"), (*rows, *_facts(study)))
    )


def _of_runs(count: int) -> str:
    return f" It was run {count} times; the versions are those of the last run." if count > 1 else ""


def _facts(study: StoredStudy) -> list[tuple[Any, ...]]:
    spec, environment = study.spec, study.environment
    settings = settings_text(spec)
    unit = "trials" if spec.epochs is None else "epochs"
    found = [
        ("searcher", f"{spec.searcher} ({settings})" if settings else spec.searcher),
        ("seed", spec.seed),
        ("direction", spec.direction),
        ("trials a round", spec.batch),
        ("epochs of a full training", spec.epochs),
        (f"budget in {unit}", study.budget),
        (f"{unit} spent", study.epochs_spent),
        *((f"content of the data ({name})", spec.objective.get(name)) for name in _NO_SETTINGS),
    ]
    return [(name, value) for name, value in found if value is not None] + versions(environment)


def versions(environment: Mapping[str, Any]) -> list[tuple[Any, ...]]:
    """Rows of what a run was made with."""
    found = [
        ("python", environment.get("python")),
        *(dict(environment.get("packages", {})).items()),
        ("platform", environment.get("platform")),
        ("device", environment.get("device")),
        ("git commit", environment.get("git_commit")),
    ]
    return [(name, value) for name, value in found if value is not None]


def settings_text(spec: StudySpec) -> str:
    """The searcher's settings in one line."""
    return ", ".join(f"{name}={json_text(value)}" for name, value in clean_settings(spec.settings).items())


def _command(file: str, execution: Execution) -> str:
    flags = {
        "--workers": execution.workers,
        "--trial-timeout": None if execution.trial_timeout is None else f"{execution.trial_timeout:g}",
        "--trial-memory": execution.trial_memory,
        "--retries": None if execution.retries == DEFAULT.retries else execution.retries,
    }
    words = ["hpo", "run", file, "--store", AGAIN]
    words += [str(word) for flag, value in flags.items() if value is not None for word in (flag, value)]
    return shlex.join(words + ["--fresh"] * execution.fresh)


def file_name(study: str) -> str:
    """A name for the study file that every system takes."""
    return (re.sub(r"[^A-Za-z0-9_.-]+", "-", study).strip("-.")[:60] or "study") + ".toml"


# -- the study file


def study_file(study: StoredStudy) -> str | None:
    """A study file in TOML that `hpo run` makes the same trials from.

    None where no file can say it: the objective or its data came from a program, or an option has no TOML.
    """
    spec = study.spec
    if study.budget is None:
        return None
    own = {
        "name": study.name,
        "trials": study.budget // spec.trial_epochs,
        "seed": spec.seed,
        "batch": spec.batch,
        "free_running": spec.free_running or None,
        "searcher": {"name": spec.searcher, **_given(clean_settings(spec.settings))},
    }
    return question_file(spec, own)


def question_file(spec: StudySpec, own: Mapping[str, Any], spaces: Mapping[str, Space] | None = None) -> str | None:
    """A study file in TOML of an objective, its space and epochs; None where no file can say it.

    Args:
        spec: of a study that has them.
        own: other keys.
        spaces: of searchers that have a space of their own, with the same names.
    """
    objective = _objective(spec)
    if objective is None:
        return None
    table = {**own, "epochs": spec.epochs, "direction": spec.direction, "objective": objective}
    try:
        lines = [f"{key} = {toml(value)}" for key, value in _given(table).items()]
        base = spec.space.to_json()
        lines += ["", "[space]", *_domains(base)]
        for searcher, space in (spaces or {}).items():
            changed = [domain for domain in space.to_json() if domain not in base]
            lines += ["", f"[override.{_key(searcher)}.space]", *_domains(changed)]
    except TypeError:
        return None
    return "\n".join(lines)


def _domains(domains: Iterable[Mapping[str, Any]]) -> list[str]:
    named = ((domain["name"], {key: value for key, value in domain.items() if key != "name"}) for domain in domains)
    return [f"{_key(name)} = {toml(domain)}" for name, domain in named]


def _objective(spec: StudySpec) -> Any:
    """What a study file calls the objective; None: it cannot."""
    found = clean_settings(spec.objective)
    if any(key in found for key in _FROM_PYTHON) or found.get("data") == "arrays":
        return None
    if (path := found.get("function")) is not None:
        return None if path.startswith("__main__:") or "<" in path else path
    found = {key: value for key, value in found.items() if key not in _NO_SETTINGS}
    if "test_table" in found:
        found["test"] = found.pop("test_table")
    return found


def _given(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Without those that are None, which is what they are where nothing is given."""
    return {key: value for key, value in settings.items() if value is not None}


def toml(value: Any) -> str:
    """A value in one line of TOML.

    Raises:
        TypeError: there is None in it, which TOML has no word for.
    """
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return repr(value)
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(toml, value))}]"
    if isinstance(value, Mapping):
        items = (f"{_key(key)} = {toml(item)}" for key, item in value.items())
        return f"{{{', '.join(items)}}}"
    raise TypeError(f"no TOML for {value!r}")


def _key(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else toml(name)


def json_text(value: Any) -> str:
    """A value in one line of JSON."""
    return json.dumps(value, ensure_ascii=False)
