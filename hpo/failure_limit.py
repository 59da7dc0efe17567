"""`max_failures`: a run in which too much fails ends before it has spent its budget.

    5        more than 5 trials of the study have failed
    0.5      more than half of its trials that ended have failed, once 10 have ended
    "50%"    the same

Trials of another study that a study was told do not count. The limit is no part of a study: one that was ended so goes
on, with another limit or none, as if it had never been.
"""

import contextlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from hpo.driver import Driver
from hpo.errors import TooManyFailuresError, UsageError
from hpo.loop import Watcher
from hpo.signals import Stop
from hpo.store import Store, default_path
from hpo.store.reader import Reader
from hpo.store.told import told_failures, told_from
from hpo.stored_study import StoredStudy
from hpo.text import command, headline
from hpo.trial import Outcome, Progress, State
from hpo.values import brief, plain

MIN_ENDED: Final = 10  # trials of which a share is judged
_ENDED: Final = (State.DONE, State.PAUSED, State.FAILED)


@dataclass(frozen=True)
class FailureLimit:
    """How much may fail: one of both.

    Attributes:
        count: trials, >= 0.
        share: of the trials that ended, in (0, 1).
        text: as the user wrote it.
    """

    count: int | None
    share: float | None
    text: str

    @classmethod
    def read(cls, given: Any) -> "FailureLimit | None":
        """From a number or a text; None: anything may fail.

        Raises:
            UsageError: it is neither a count nor a share.
        """
        if given is None:
            return None
        value = plain(given)
        if isinstance(value, str) and (match := re.fullmatch(r"\s*(\d+(?:\.\d+)?|\.\d+)\s*(%?)\s*", value, re.ASCII)):
            whole = "." not in match[1] and not match[2]
            value = int(match[1][:19]) if whole else float(match[1]) / (100 if match[2] else 1)
        text = str(given).strip()
        if type(value) is int and value >= 0:
            return cls(value, None, text)
        if type(value) is float and 0 < value < 1:
            return cls(None, value, text)
        raise UsageError(
            f"max_failures is {brief(given)}, expected a count of trials such as 5, or a share of those that ended, "
            "between 0 and 1, such as 0.5 or '50%'"
        )

    def exceeded(self, failed: int, ended: int) -> bool:
        """Whether so many failures are too many.

        Args:
            failed: trials.
            ended: trials, those that failed included.
        """
        if self.count is not None:
            return failed > self.count
        assert self.share is not None
        return ended >= MIN_ENDED and failed > self.share * ended


class FailureWatch:
    """A watcher of the loop that asks it to stop once too many trials of a study have failed.

    Args:
        watcher: is shown everything first.
        limit: of every study.
        stop: is asked.

    Attributes:
        exceeded: name of the study because of which it has asked; None: it has not.
    """

    def __init__(self, watcher: Watcher, limit: FailureLimit, stop: Stop) -> None:
        self.exceeded: str | None = None
        self._watcher, self._limit, self._stop = watcher, limit, stop

    def progress(self, driver: Driver, event: Progress) -> None:
        """See `loop.Watcher`."""
        self._watcher.progress(driver, event)

    def outcomes(self, driver: Driver, outcomes: Sequence[Outcome]) -> None:
        """See `loop.Watcher`."""
        self._watcher.outcomes(driver, outcomes)
        if any(outcome.state == State.FAILED for outcome in outcomes):
            self.judge(driver)

    def note(self, line: str) -> None:
        """See `loop.Watcher`."""
        self._watcher.note(line)

    def judge(self, driver: Driver) -> None:
        """Ask the loop to stop if too much of a study has failed, in this run and before; not if the user has asked."""
        if self._stop.requested:
            return
        reasons, ended = _counted(driver.store, driver.study)
        if self._limit.exceeded(sum(map(len, reasons.values())), ended):
            self.exceeded, self._stop.requested = driver.name, True


def too_many_failures(study: StoredStudy, limit: FailureLimit, comparison: str | None = None) -> TooManyFailuresError:
    """What is said of a study that was ended by its failures: how many, what most of them are, and what to do.

    Args:
        study: of which too much failed.
        limit: what is too much.
        comparison: that it is a run of; None: of none.
    """
    with contextlib.closing(Store(study.path)) as store:
        reasons, ended = _counted(store, store.study(study.name).id)
    failed = sum(map(len, reasons.values()))
    reason, numbers = max(reasons.items(), key=lambda item: len(item[1]))
    first = study.trial(numbers[0])
    greater = ("--max-failures", str(2 * failed))
    if comparison is None:
        goes_on = command("resume", study.name, study.path, default_path(), options=greater)
    else:
        from hpo.comparison.plan import going_on  # above this module

        goes_on = going_on(comparison, study.path, *greater)
    most = "all" if len(numbers) == failed else f"{len(numbers)} of them"
    return TooManyFailuresError(
        f"study {study.name!r} was ended: {failed} of its {ended} trials that ended have failed, max_failures is "
        f"{limit.text}; {most} with reason {reason}, as trial {first.number}: {headline(first.error) or reason} "
        f"({study.command('show', first.number)} has it all); mend the objective or narrow the space in a new study, "
        f"or go on with a greater limit: {goes_on}"
    )


def _counted(store: Reader, study: int) -> tuple[dict[str, list[int]], int]:
    """Reason to the trials of a study that failed for it, and how many ended; without those that it was told."""
    _, told = told_from(store, study) or ("", 0)
    others = told_failures(store, study)
    reasons = {reason: [n for n in numbers if n not in others] for reason, numbers in store.failures(study).items()}
    counts = store.counts(study)
    return reasons, sum(counts.get(state, 0) for state in _ENDED) - told
