"""Studies as files: the lines that `hpo export --format jsonl` writes, read by `hpo import`.

Nothing of a file is believed: each field is checked, then the study as a whole, before a store sees any of it.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from hpo.errors import DataError, HpoError, StorageError
from hpo.execution import Execution
from hpo.space import Space
from hpo.store import codec
from hpo.store.checked_json import (
    CURVE,
    NUMBER,
    NUMBERS,
    OBJECT,
    OBJECTS,
    SECONDS,
    TEXT,
    Check,
    UnexpectedError,
    fields,
    one_of,
    or_null,
    parse,
    whole,
)
from hpo.store.database import Row
from hpo.store.invariants import violations
from hpo.store.stored_copy import FORMAT, KEY, PLAIN, StoredCopy
from hpo.study_spec import MAX_SEED, StudySpec
from hpo.trial import State
from hpo.values import brief, canonical

MAX_NAME: Final = 300  # characters of a study's name: 255 of the user's, and a number

NAME: Final[tuple[Check, str]] = (
    lambda value: isinstance(value, str) and 0 < len(value) <= MAX_NAME and value.isprintable() and TEXT[0](value),
    f"printable text of 1 to {MAX_NAME} characters",
)
_FLAG: Final[tuple[Check, str]] = (lambda value: isinstance(value, bool), "true or false")
_EVENTS: Final[tuple[Check, str]] = (
    lambda value: isinstance(value, list) and all(map(_is_event, value)),
    'a list of ["asked" or "told", number, seconds]',
)
_STUDY: Final = {
    "name": NAME,
    "spec": OBJECT,
    "budget": or_null(whole()),
    "enqueued": whole(),
    "source": or_null(TEXT),
    "test_data": or_null(TEXT),
    "created_ms": whole(-(2**63)),
    "trials": whole(),
    "runs": OBJECTS,
    "winners": OBJECTS,
    "uses": OBJECTS,
    "events": _EVENTS,
}
_SPEC: Final = {
    "objective": OBJECT,
    "space": OBJECTS,
    "searcher": TEXT,
    "settings": OBJECT,
    "direction": one_of("maximize", "minimize"),
    "seed": whole(0, MAX_SEED),
    "batch": whole(1),
    "epochs": or_null(whole(1)),
    "free_running": _FLAG,
}
_RUN: Final = {"started_ms": whole(-(2**63)), "environment": OBJECT}
_ENVIRONMENT: Final = {"packages": OBJECT, "platform": TEXT, "device": TEXT}
_EXECUTION: Final = {
    "workers": or_null(whole()),
    "trial_timeout": or_null(SECONDS),
    "trial_memory": or_null(whole()),
    "retries": whole(),
    "fresh": _FLAG,
}
_WINNER: Final = {"trials": whole(), "winner": OBJECT, "at_ms": whole(-(2**63))}
_USE: Final = {
    "number": whole(),
    "seed": whole(),
    "epochs": whole(),
    "data": TEXT,
    "metrics": NUMBERS,
    "at_ms": whole(-(2**63)),
}
_TRIAL: Final = {
    "number": whole(),
    "state": one_of(*State),
    "params": OBJECT,
    "value": or_null(NUMBER),
    "epochs": whole(),
    "seed": whole(),
    "error": or_null(TEXT),
    "seconds": SECONDS,
    "reason": or_null(TEXT),
    "evaluations": OBJECTS,
}
_EVALUATION: Final = {
    "id": whole(),
    "asked": whole(),
    "told": or_null(whole()),
    "start": whole(),
    "target": whole(1),
    "state": one_of("running", "done", "failed", "cancelled"),
    "epochs": whole(),
    "charged": whole(),
    "value": or_null(NUMBER),
    "seconds": SECONDS,
    "reason": or_null(TEXT),
    "error": or_null(TEXT),
    "info": OBJECT,
    "curve": CURVE,
    "health": NUMBERS,
    "attempts": whole(1),
    "ended_ms": or_null(whole(-(2**63))),
    "log": TEXT,
    "user_attrs": OBJECT,
}


def read_study(lines: Iterable[str], source: str) -> StoredCopy:
    """The study that lines of JSON describe, all of it checked.

    Args:
        lines: as `StoredCopy.objects` gives them, each one JSON object; they are read once, one at a time.
        source: what a message calls them: the file's name.

    Raises:
        DataError: they describe no study; names the line, what was found and what was expected.
    """
    return _Reading(source).read(lines)


class _Reading:
    """One file on its way in."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.copy = StoredCopy()
        self.line = 0
        self.events = 0
        self.trials = 0
        self.expected = 0
        self.first_trial = 2  # the line of trial 0

    def read(self, lines: Iterable[str]) -> StoredCopy:
        try:
            for line in self._counted(lines):
                self._take(parse(line))
            if self.line == 0:
                raise UnexpectedError("nothing, expected the object that describes a study")
            if self.trials != self.expected:
                self.line += 1
                raise UnexpectedError(f"the end after {self.trials} trials, expected {self.expected}")
        except UnexpectedError as error:
            raise self._error(self.line or 1, str(error)) from None
        except StorageError:  # not the content
            raise
        except HpoError as error:
            raise self._error(self.line, str(error)) from error
        for violation in violations(self.copy.db, KEY):
            at = 1 if violation.trial is None else self.first_trial + violation.trial
            raise self._error(at, f"{violation.text}: a study that hpo would not have written")
        return self.copy

    def _counted(self, lines: Iterable[str]) -> Iterator[str]:
        source = iter(lines)
        while True:
            try:
                line = next(source)
            except StopIteration:
                return
            except UnicodeDecodeError:
                self.line += 1
                raise UnexpectedError("no UTF-8 text, expected one JSON object a line") from None
            self.line += 1
            yield line

    def _error(self, line: int, what: str) -> DataError:
        return DataError(
            f"{self.source}, line {line}: {what}; nothing is imported, `hpo export --format jsonl` writes such files"
        )

    def _take(self, found: Any) -> None:
        if self.line == 1:
            if not isinstance(found, dict) or "study" not in found:
                raise UnexpectedError(f"{brief(found, 40)}, expected the object that describes the study (key 'study')")
            if type(found.get("format")) is not int or found["format"] != FORMAT:
                raise UnexpectedError(
                    f"format {brief(found.get('format'), 40)}, expected {FORMAT}: use the hpo that wrote it"
                )
            self._study(fields(found, "the line", {"study": OBJECT, "format": whole()})["study"])
        elif isinstance(found, dict) and "events" in found and not self.trials:
            self._add_events(fields(found, "the line", {"events": _EVENTS})["events"])
        else:
            self._trial(fields(found, "the trial", _TRIAL))

    def _study(self, found: Any) -> None:
        fields(found, "the study", _STUDY)
        self.spec = _spec(found["spec"])
        self.expected = found["trials"]
        row = {name: found[name] for name in ("name", "enqueued", "source", "test_data", "created_ms")}
        row |= {"id": KEY, "spec": codec.dump(found["spec"]), "trials": found["budget"]}
        self.copy.db.insert("studies", [row])
        for number, run in enumerate(found["runs"]):
            fields(run, f"run {number}", _RUN)
            _environment(run["environment"], f"run {number}")
            self._insert("runs", run | {"run": number, "environment": codec.dump(run["environment"])})
        for number, winner in enumerate(found["winners"]):
            fields(winner, f"winner {number}", _WINNER)
            _winner(winner["winner"], f"winner {number}", self.expected)
            self._insert("winners", winner | {"winner": codec.dump(winner["winner"])})
        for number, use in enumerate(found["uses"]):
            fields(use, f"use {number} of test data", _USE)
            self._insert("tests", use | {"metrics": codec.dump(use["metrics"])})
        self._add_events(found["events"])

    def _add_events(self, events: list[Any]) -> None:
        for kind, n, seconds in events:
            self._insert("events", {"seq": self.events, "kind": kind, "n": n, "seconds": seconds})
            self.events += 1
        self.first_trial = self.line + 1

    def _trial(self, found: dict[str, Any]) -> None:
        number, evaluations = found["number"], found["evaluations"]
        if number != self.trials or number >= self.expected:
            wanted = f"trial {self.trials}" if self.trials < self.expected else f"the end after {self.expected} trials"
            raise UnexpectedError(f"trial {number}, expected {wanted}")
        self.trials += 1
        params = self.spec.space.validate(found["params"], f"trial {number}")  # lists become tuples, where options are
        if canonical(params) != canonical(found["params"]):
            raise UnexpectedError(f"trial {number}: params {brief(found['params'])}, expected {brief(params)}")
        error = evaluations[-1].get("error") if evaluations else None
        if found["error"] != error:
            raise UnexpectedError(f"trial {number} has another error than its last evaluation, expected the same")
        row = {name: found[name] for name in ("number", "seed", "state", "epochs", "seconds", "reason")}
        self._insert("trials", row | _split(found["value"]) | {"params": codec.dump_params(params)})
        for evaluation in evaluations:
            self._evaluation(number, fields(evaluation, "the evaluation", _EVALUATION, ("log", "user_attrs")))

    def _evaluation(self, number: int, found: dict[str, Any]) -> None:
        row = {name: found[name] for name in PLAIN} | _split(found["value"]) | {"number": number}
        row |= {name: codec.dump(found[name]) for name in ("info", "curve", "health")}
        self._insert("evaluations", row)
        if "log" in found:
            self._insert("logs", {"evaluation": found["id"], "log": found["log"]})
        if "user_attrs" in found:
            self._insert("user_attrs", {"evaluation": found["id"], "noted": codec.dump(found["user_attrs"])})

    def _insert(self, table: str, row: Row) -> None:
        self.copy.db.insert(table, [row | {"study": KEY}])


def _is_event(found: Any) -> bool:
    return (
        isinstance(found, list)
        and len(found) == 3
        and isinstance(found[0], str)
        and found[0] in ("asked", "told")
        and whole()[0](found[1])
        and SECONDS[0](found[2])
    )


def _split(value: float | str | None) -> Row:
    number, kind = codec.split(None if value is None else float(value))
    return {"value": number, "value_kind": kind}


def _spec(found: Any) -> StudySpec:
    fields(found, "the specification", _SPEC)
    try:
        spec = StudySpec.from_json(found)
        same = canonical(Space.from_json(found["space"]).to_json()) == canonical(found["space"])
    except (TypeError, ValueError, RecursionError) as error:
        raise UnexpectedError(f"a space that cannot be read ({error}), expected hyperparameters") from None
    if not same:
        raise UnexpectedError("a space that is not written as hpo writes it, expected every field of its domains")
    return spec


def _environment(found: Mapping[str, Any], what: str) -> None:
    known = {name: found[name] for name in _ENVIRONMENT if name in found}
    fields(known, f"the environment of {what}", _ENVIRONMENT)
    execution = found.get("execution", {})
    fields(execution, f"the execution of {what}", _EXECUTION, tuple(_EXECUTION))
    Execution.from_json(execution)


def _winner(found: Mapping[str, Any], what: str, trials: int) -> None:
    from hpo.comparison.winner import Winner  # above the store, and known only here: a study's winner is its business

    try:
        winner = Winner.from_json(found)
        same = canonical(winner.to_json()) == canonical(found)
        numbers = [c.number for c in winner.candidates] + [winner.number, winner.runner_up]
        known = all(n is None or (type(n) is int and 0 <= n < trials) for n in numbers)
        plain = winner.direction in ("maximize", "minimize") and type(winner.epochs) is int
        told = bool(winner.candidates) and all(isinstance(text, str) for text in winner.sentences)
    except (KeyError, TypeError, ValueError, AttributeError, StopIteration, ArithmeticError, RecursionError):
        same = False
    if not (same and known and plain and told):
        raise UnexpectedError(f"{what} is none, expected what `hpo best` stores")
