"""What is read from a store, made of the rows of its tables."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Literal

from hpo.store import codec
from hpo.store.damage import AlteredError
from hpo.trial import Evaluation, Outcome, Proposal, State, Trial

Row = dict[str, Any]


@dataclass(frozen=True)
class StudyRow:
    """A study as stored, without its trials."""

    id: int
    name: str
    spec: dict[str, Any]
    trials: int | None
    enqueued: int
    source: str | None
    test_data: str | None
    created_ms: int
    owner_host: str | None
    owner_pid: int | None


@dataclass(frozen=True)
class Use:
    """One use of test data.

    Attributes:
        number: the trial whose configuration was tested.
        seed: of the model that was tested.
        epochs: how many it had been trained.
        data: identifies the test data.
        metrics: name to value.
    """

    number: int
    seed: int
    epochs: int
    data: str
    metrics: Mapping[str, float]


@dataclass(frozen=True)
class Event:
    """One step of a study's history: what was asked with its proposals, or what was told with its outcomes."""

    kind: Literal["asked", "told"]
    n: int
    proposals: tuple[Proposal, ...] = ()
    outcomes: tuple[Outcome, ...] = ()


def study_of(row: Row) -> StudyRow:
    """A row of studies; a newer store may have more columns."""
    return StudyRow(**({field.name: row[field.name] for field in fields(StudyRow)} | {"spec": codec.load(row["spec"])}))


def trial_of(row: Row) -> Trial:
    """A row of trials."""
    return Trial(
        row["number"],
        codec.load_params(row["params"]),
        row["seed"],
        state_of(row["state"]),
        codec.join(row["value"], row["value_kind"]),
        row["epochs"],
        seconds=row["seconds"],
        reason=row["reason"],
    )


def state_of(text: str) -> State:
    """A state as stored.

    Raises:
        AlteredError: there is no such state.
    """
    try:
        return State(text)
    except ValueError:
        raise AlteredError(f"a trial in state {text!r}") from None


def outcome_of(row: Row, params: Mapping[str, Any]) -> Outcome:
    """A row of evaluations."""
    return Outcome(
        row["number"],
        params,
        state_of(row["state"]),
        codec.join(row["value"], row["value_kind"]),
        row["epochs"],
        row["charged"],
        codec.load_curve(row["curve"]),
        row["seconds"],
        row["reason"],
        row["error"],
        row["id"],
        codec.load_floats(row["health"]),
        row["attempts"],
    )


def with_details(trial: Trial, rows: Sequence[Row]) -> Trial:
    """A trial with what the rows of its evaluations tell."""
    if not rows:
        return trial
    curve: dict[str, list[float]] = {}
    for row in rows:
        for name, values in codec.load_curve(row["curve"]).items():
            curve.setdefault(name, []).extend(values)
    target = rows[-1]["target"] if rows[-1]["state"] in (State.RUNNING, State.CANCELLED) else None
    health = next((row["health"] for row in reversed(rows) if row["state"] in (State.DONE, State.FAILED)), "{}")
    return replace(
        trial,
        curve=curve,
        target=target,
        error=rows[-1]["error"],
        info=codec.load(rows[0]["info"]),
        health=codec.load_floats(health),
        attempts=max(row["attempts"] for row in rows),
    )


def evaluation_of(row: Row) -> Evaluation:
    """A row of evaluations, without its curve."""
    return Evaluation(
        id=row["id"],
        number=row["number"],
        start=row["start"],
        target=row["target"],
        epochs=row["epochs"],
        charged=row["charged"],
        state=state_of(row["state"]),
        value=codec.join(row["value"], row["value_kind"]),
        seconds=row["seconds"],
        info=codec.load(row["info"]),
    )
