"""The evaluation under way as a function sees it that reports while it runs: `f(params, trial)`."""

import copy
import math
import operator
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hpo.errors import UsageError
from hpo.trial import Job
from hpo.values import MAX_DEPTH, as_value, brief, not_json, plain

MAX_POINTS = 1000  # of a curve; of more reports every second, fourth, ... one is kept
RESERVED = "hpo:"  # beginning of the names of user attributes that hpo gives itself
MAX_STEP = 2**53  # a curve holds floats


class Reports:
    """Values by step, of which a bounded number is kept; which ones does not depend on the order they came in.

    Steps fall into classes of 1, 2, 4, ... neighbours, as wide as it takes; the first step of each is kept, and the
    last report.

    Attributes:
        last: step and value of the latest report; None before the first.
        reached: steps that were trained: one more than the greatest that was reported.
        user_attrs: what else was noted, name to JSON.
    """

    def __init__(self) -> None:
        self.last: tuple[int, float] | None = None
        self.reached = 0
        self.user_attrs: dict[str, Any] = {}
        self._points: dict[int, tuple[int, float]] = {}
        self._width = 1

    def add(self, step: int, value: float) -> bool:
        """Take a report; False for one that is known already.

        Raises:
            UsageError: another value is known for the step.
        """
        place = step // self._width
        for known in (self._points.get(place), self.last):
            if known is not None and known[0] == step:
                if known[1] == value or (math.isnan(value) and math.isnan(known[1])):
                    return False
                raise UsageError(
                    f"step {step} is reported as {value!r}, but was reported as {known[1]!r} before: one value a step"
                )
        self.last = step, value
        self.reached = max(self.reached, step + 1)
        if place not in self._points or step < self._points[place][0]:
            self._points[place] = self.last
        while len(self._points) > MAX_POINTS:
            self._width *= 2
            points, self._points = sorted(self._points.values(), reverse=True), {}
            for point in points:
                self._points[point[0] // self._width] = point
        return True

    def points(self) -> list[tuple[int, float]]:
        """What is kept, by step."""
        return sorted({*self._points.values()} | ({self.last} if self.last is not None else set()))

    def curve(self, job: Job) -> dict[str, list[float]]:
        """The part of what is kept that `job` newly trained: all of it in a study without epochs."""
        points = [(step, value) for step, value in self.points() if job.epochs == 1 or job.start <= step < job.target]
        if not points:
            return {}
        return {"value": [value for _, value in points], "step": [float(step) for step, _ in points]}


class LiveTrial:
    """The evaluation under way, for a function with a parameter `trial`.

    Steps count from 0: `report(value, step)` says that step + 1 epochs are trained. In a study with epochs
    `should_prune()` is true once they are as many as the evaluation is to train: the function then returns its value,
    or None for the last one reported. Like any function with epochs it starts anew if it is promoted.

    Args:
        job: the evaluation.
        files: folder for the files of all trials; None: there is none.
        cancelled: whether the evaluation is given up.
        told: takes every report that is not a repetition.

    Attributes:
        number: of the trial, dense from 0 within the study.
        seed: the trial's own, in [0, 2^63).
        params: the configuration.
        reports: what was reported.
        interrupted: whether the function was told to end only because the evaluation is given up.
    """

    def __init__(
        self,
        job: Job,
        files: Path | None = None,
        *,
        cancelled: Callable[[], bool] = lambda: False,
        told: Callable[[int, float], None] = lambda step, value: None,
    ) -> None:
        self.number = job.number
        self.seed = job.seed
        self.params: dict[str, Any] = copy.deepcopy(dict(job.params))
        self.reports = Reports()
        self.interrupted = False
        self._job = job
        self._files = files
        self._cancelled = cancelled
        self._told = told

    @property
    def directory(self) -> Path:
        """A folder for the trial's files, the same one whenever the trial is evaluated; made when first asked for.

        Of a trial on a cluster it is the driver's path: it must be on a disk that all machines share. No such folder
        is ever deleted by hpo.

        Raises:
            UsageError: the run has no place for files.
        """
        if self._files is None:
            raise UsageError(f"trial {self.number} has no directory: its run was given no folder for files")
        found = study_folder(self._files, self._job.study) / f"trial-{self.number}"
        found.mkdir(parents=True, exist_ok=True)
        return found

    def report(self, value: float, step: int) -> None:
        """Note the value after epoch `step` + 1; a repetition changes nothing.

        Args:
            value: a real scalar: of it the trial's curve is made. Of very many reports a part is kept.
            step: in [0, 2^53].

        Raises:
            TypeError: the value is not a number.
            UsageError: the step is not an integer in its range, or was reported with another value.
        """
        try:
            whole = -1 if isinstance(step, bool) else operator.index(step)
        except TypeError:
            whole = -1
        if not 0 <= whole <= MAX_STEP:
            found = f"{brief(step)} ({type(step).__name__})"
            raise UsageError(f"trial {self.number} reported step {found}, expected an integer in [0, 2^53]")
        number = value if type(value) is float else as_value(value, f"trial {self.number} reported")
        if self.reports.add(whole, number):
            self._told(whole, number)

    def set_user_attr(self, key: str, value: Any) -> None:
        """Note something about the trial, stored with it: `trial.set_user_attr("parameters", 1234)`.

        Args:
            key: its name; those that begin with "hpo:" are taken.
            value: None, bool, number, text, NumPy's of these, or lists and dicts of them; a float that is not finite is
                noted as the text nan, inf or -inf.

        Raises:
            TypeError: anything else.
        """
        found = _finite(plain(value))
        if not isinstance(key, str) or not_json(key) is not None or key.startswith(RESERVED):
            raise TypeError(
                f"trial {self.number}: the name of a user attribute is {brief(key)}, expected text that does not begin "
                f"with {RESERVED!r}"
            )
        if (reason := not_json(found)) is not None:
            raise TypeError(f"trial {self.number}: user attribute {brief(key)}: {brief(value)} {reason}")
        self.reports.user_attrs[key] = found

    def should_prune(self) -> bool:
        """Whether to end now: the evaluation's epochs are trained, or it is given up."""
        if self._job.epochs > 1 and self.reports.reached >= self._job.target:
            return True
        self.interrupted = self._cancelled()
        return self.interrupted


def study_folder(files: Path, study: int) -> Path:
    """Where the trials of a study keep files, in the folder that the store has for all of them."""
    return files / f"study-{study}"


def _finite(value: Any, depth: int = MAX_DEPTH) -> Any:
    """`value` as it comes back from a store: floats that are not finite are text, tuples lists."""
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if type(value) in (list, tuple) and depth:
        return [_finite(item, depth - 1) for item in value]
    if type(value) is dict and depth:
        return {key: _finite(item, depth - 1) for key, item in value.items()}
    return value
