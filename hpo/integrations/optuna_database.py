"""One study in an Optuna database, written in Optuna's own rows.

NOTE: not through Optuna's storage, which makes a transaction of every intermediate value, and refuses to change a trial
that has ended.
"""

import contextlib
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from optuna.distributions import distribution_to_json
from optuna.exceptions import DuplicatedStudyError, StorageInternalError
from optuna.storages import RDBStorage
from optuna.storages._rdb import models
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial
from sqlalchemy.orm import Session

from hpo.errors import CannotCreateError, ConflictError, DataError, LockedError, StorageError, UsageError
from hpo.optuna_space import quiet
from hpo.store.database import BUSY_SECONDS
from hpo.store.schema import APPLICATION_ID
from hpo.text import headline
from hpo.values import brief

_DETAILS = (models.TrialValueModel, models.TrialIntermediateValueModel, models.TrialUserAttributeModel)


class Target:
    """The Optuna study that is written to, inside a transaction that holds its row.

    Args:
        session: the transaction.
        study: Optuna's id of it.
        name: of the database, for messages.
    """

    def __init__(self, session: Session, study: int, name: str) -> None:
        self._session = session
        self._study = study
        self.name = name
        self._ids: dict[int, int] = {}

    def known(self, attributes: Sequence[str]) -> dict[int, tuple[Any, ...]]:
        """The trials that are there: number to the values of these user attributes, None where there is none."""
        trial, attribute = models.TrialModel, models.TrialUserAttributeModel
        there = self._session.execute(sa.select(trial.number, trial.trial_id).where(trial.study_id == self._study))
        self._ids = {row[0]: row[1] for row in there}
        found: dict[int, dict[str, Any]] = {number: {} for number in self._ids}
        rows = self._session.execute(
            sa.select(trial.number, attribute.key, attribute.value_json)
            .join(attribute, attribute.trial_id == trial.trial_id)
            .where(trial.study_id == self._study, attribute.key.in_(attributes))
        )
        for number, key, text in rows:
            found[number][key] = json.loads(text)
        return {number: tuple(values.get(key) for key in attributes) for number, values in found.items()}

    def refuse_others(self, numbers: Sequence[int]) -> None:
        """Raise ConflictError if there are any: trials that this study has no such of."""
        if numbers:
            raise ConflictError(
                f"{self.name}: trial {numbers[0]} of the Optuna study was not written by this export: something else "
                "has added to that study; export to another database"
            )

    def add(self, trials: Sequence[FrozenTrial]) -> None:
        """Write trials that are not there yet, by number."""
        rows: list[Any] = [
            models.TrialModel(study_id=self._study, number=trial.number, state=trial.state) for trial in trials
        ]
        for row, trial in zip(rows, trials, strict=True):
            row.datetime_start, row.datetime_complete = trial.datetime_start, trial.datetime_complete
        self._session.add_all(rows)
        self._session.flush()
        ids = [row.trial_id for row in rows]
        self._insert(
            models.TrialParamModel,
            [
                {
                    "trial_id": trial_id,
                    "param_name": name,
                    "param_value": domain.to_internal_repr(trial.params[name]),
                    "distribution_json": distribution_to_json(domain),
                }
                for trial_id, trial in zip(ids, trials, strict=True)
                for name, domain in trial.distributions.items()
            ],
        )
        self._add_details(ids, trials)
        self._session.expunge_all()

    def change(self, trials: Sequence[FrozenTrial]) -> None:
        """Bring trials that are there up to date; their hyperparameters never change."""
        ids = [self._ids[trial.number] for trial in trials]
        for trial_id, trial in zip(ids, trials, strict=True):
            row: Any = self._session.get(models.TrialModel, trial_id)
            row.state = trial.state
            row.datetime_start, row.datetime_complete = trial.datetime_start, trial.datetime_complete
            for model in _DETAILS:
                self._session.execute(sa.delete(model).where(model.trial_id == trial_id))
        self._add_details(ids, trials)
        self._session.expunge_all()

    def _add_details(self, ids: Sequence[int], trials: Sequence[FrozenTrial]) -> None:
        values: list[dict[str, Any]] = []
        intermediate: list[dict[str, Any]] = []
        attributes: list[dict[str, Any]] = []
        for trial_id, trial in zip(ids, trials, strict=True):
            if trial.value is not None:
                number, kind = models.TrialValueModel.value_to_stored_repr(trial.value)
                values.append({"trial_id": trial_id, "objective": 0, "value": number, "value_type": kind})
            for step, value in trial.intermediate_values.items():
                row = models.TrialIntermediateValueModel.intermediate_value_to_stored_repr(value)
                stored = {"intermediate_value": row[0], "intermediate_value_type": row[1]}
                intermediate.append({"trial_id": trial_id, "step": step, **stored})
            for key, found in trial.user_attrs.items():
                attributes.append({"trial_id": trial_id, "key": key, "value_json": json.dumps(found)})
        self._insert(models.TrialValueModel, values)
        self._insert(models.TrialIntermediateValueModel, intermediate)
        self._insert(models.TrialUserAttributeModel, attributes)

    def _insert(self, model: Any, rows: list[dict[str, Any]]) -> None:
        if rows:
            self._session.execute(sa.insert(model), rows)


@contextlib.contextmanager
def opened(url: str, study: str, direction: str, mark: Mapping[str, Any], avoid: Path) -> Iterator[Target]:
    """The Optuna study called `study`, made where there is none; what the block writes is there after it, or nothing.

    Args:
        url: of the database.
        study: name.
        direction: "minimize" or "maximize".
        mark: user attributes that say whose study it is.
        avoid: a file that is none of Optuna's.

    Raises:
        HpoError: see `hpo.integrations.optuna_export.export`.
    """
    name = _checked(url, avoid)
    wanted = StudyDirection.MINIMIZE if direction == "minimize" else StudyDirection.MAXIMIZE
    with _errors(name):
        with quiet():
            storage = _storage(url, name)
            with contextlib.suppress(DuplicatedStudyError):
                storage.create_new_study([wanted], study)
            key = storage.get_study_id_from_name(study)
        try:
            with Session(storage.engine) as session, session.begin():
                # first of all a write, which waits for another export: two would add the same trials
                row = sa.update(models.StudyModel).where(models.StudyModel.study_id == key)
                session.execute(row.values(study_name=study))
                _take(session, key, mark, f"study {study!r} in {name}", storage.get_study_directions(key) == [wanted])
                yield Target(session, key, name)
        finally:
            storage.engine.dispose()


def _storage(url: str, name: str) -> RDBStorage:
    try:
        wait = {"connect_args": {"timeout": BUSY_SECONDS}} if url.startswith("sqlite") else {}
        return RDBStorage(url, engine_kwargs=wait)
    except ImportError as error:
        raise UsageError(
            f"database {name}: its driver is not installed: pip install the one that SQLAlchemy names for such "
            "databases, or export to a file, sqlite:///out.db"
        ) from error
    except RuntimeError as error:  # about the version of the schema
        raise DataError(f"database {name}: {headline(str(error))}; or export to another database") from error


def _take(session: Session, study: int, mark: Mapping[str, Any], where: str, same_direction: bool) -> None:
    """Mark an empty study as ours; refuse one that is another's."""
    model = models.StudyUserAttributeModel
    rows = session.execute(sa.select(model.key, model.value_json).where(model.study_id == study))
    found = {key: json.loads(text) for key, text in rows}
    trials = sa.select(sa.func.count()).where(models.TrialModel.study_id == study)
    if not found and same_direction and session.scalar(trials) == 0:
        session.execute(
            sa.insert(model),
            [{"study_id": study, "key": key, "value_json": json.dumps(value)} for key, value in mark.items()],
        )
    elif {key: found.get(key) for key in mark} != mark:
        raise ConflictError(f"{where} is another study than this one: export to another database")


def _checked(url: str, avoid: Path) -> str:
    """How messages call the database, its password left out."""
    try:
        parsed = sa.engine.make_url(url)
        parsed.get_dialect()
    except (sa.exc.ArgumentError, sa.exc.NoSuchModuleError):
        raise UsageError(
            f"database {brief(url)}: expected a URL such as sqlite:///out.db (a file in the working directory)"
        ) from None
    name = parsed.render_as_string(hide_password=True)
    if parsed.get_backend_name() == "sqlite":
        path = Path(parsed.database or ":memory:")
        if str(path) == ":memory:":
            raise UsageError(f"database {name} is none that lasts: give a file, sqlite:///out.db")
        if not path.parent.is_dir():
            raise CannotCreateError(f"cannot create {str(path)!r}: no folder {str(path.parent)!r}; make it first")
        if path.is_dir():
            raise CannotCreateError(f"cannot create {str(path)!r}: it is a folder; give another name")
        if path.is_file() and (path.resolve() == avoid.resolve() or _is_store(path)):
            raise UsageError(f"{str(path)!r} is a store of hpo: export to another file")
    return name


def _is_store(path: Path) -> bool:
    with path.open("rb") as file:
        return int.from_bytes(file.read(72)[68:], "big") == APPLICATION_ID


@contextlib.contextmanager
def _errors(name: str) -> Iterator[None]:
    """What can go wrong with a database, as errors of hpo."""
    try:
        yield
    except sa.exc.OperationalError as error:
        if "locked" in str(error.orig):
            raise LockedError(
                f"database {name} was locked by another program for {BUSY_SECONDS:.0f} s: wait for that to end, or end "
                "it, then try again"
            ) from error
        raise StorageError(f"database {name} cannot be used: {error.orig}: check that it can be written") from error
    except (sa.exc.SQLAlchemyError, StorageInternalError) as error:
        why = headline(str(getattr(error, "orig", None) or error))
        raise DataError(f"database {name} is none of Optuna's ({why}): export to another database") from error
