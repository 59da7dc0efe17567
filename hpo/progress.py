"""What a run shows on stderr: a live line in a terminal, a line every 10 % elsewhere."""

import contextlib
import sys
import time
from collections.abc import Sequence
from typing import Any

from hpo.driver import Driver
from hpo.execution import Execution
from hpo.loop import Ending
from hpo.numbers import Numbers
from hpo.objective import Objective
from hpo.store import default_path
from hpo.store.told import told_from
from hpo.text import command, counted, headline, number, params_text, printable
from hpo.trial import Outcome, Progress, State

REFRESH_SECONDS = 0.2


class Display:
    """Shows one run; a watcher of the loop.

    Args:
        enabled: whether anything is shown at all.
        each: whether every trial gets a line.
    """

    def __init__(self, enabled: bool = True, each: bool = False) -> None:
        self._enabled = enabled
        self._each = each
        self._live: Any = None
        self._started = time.monotonic()
        self._before = 0  # epochs charged before this run
        self._with_result = Numbers()  # numbers of trials
        self._failed = 0
        self._partial: dict[int, int] = {}  # evaluation -> epochs newly trained so far
        self._best: tuple[int, float] | None = None  # (epochs, signed value)
        self._sign = 1.0  # -1.0: less is better
        self._shown_at = 0.0
        self._tenths = 0
        self._first_failure = True

    def note(self, line: str) -> None:
        """Show a line of its own."""
        if not self._enabled:
            return
        line = printable(line)
        try:
            if self._live is not None:
                self._live.console.print(line, markup=False, highlight=False, soft_wrap=True)
            else:
                print(line, file=sys.stderr, flush=True)
        except (OSError, ValueError):  # nobody reads any more, or an objective closed it: the run itself goes on
            self._enabled = False

    def begin(self, driver: Driver, objective: Objective, execution: Execution) -> None:
        """Show what was found and how it goes on."""
        spec = driver.spec
        self._sign = 1.0 if spec.direction == "maximize" else -1.0
        self._before = driver.charged
        known = range(sum(driver.store.counts(driver.study).values()))
        enqueued = {trial.number for trial in driver.store.pending(driver.study, -1)}
        self._with_result = Numbers(
            set(known) - enqueued - {job.number for job in driver.outstanding if job.start == 0}
        )
        trials = len(self._with_result)
        best = driver.store.best(driver.study, spec.direction)
        if best is not None and best.value is not None:
            self._best = (best.epochs, self._sign * best.value)
        told, count = told_from(driver.store, driver.study) or ("", 0)
        found = "new" if trials == count and not driver.outstanding else f"found with {trials} trials"
        if count:
            found += f", told {count} trials of study {told}"
        if driver.outstanding:
            found += f", {len(driver.outstanding)} interrupted run again"
        default = driver.searcher.default_batch
        why = (
            f"{spec.searcher}'s default"
            if spec.batch == default
            else f"asked for; {spec.searcher}'s default is {default}"
        )
        advice = "" if (text := objective.advice()) is None else f" ({text})"
        self.note(
            f"study {driver.name}: {found}; {self._done(driver)}; batch {spec.batch} ({why}); "
            f"device {objective.numerics()}{advice}; {_where(execution)}store {driver.store.path}"
        )
        if execution.workers is not None and execution.workers > spec.batch:
            self.note(
                f"a batch of {spec.batch} keeps {spec.batch} of {execution.workers} workers busy: a new study with a "
                f"batch of {execution.workers} or more would use them all"
            )
        for notice in [*objective.notices(), *driver.searcher.notices(driver.trials or 0)]:
            self.note(notice)
        self._tenths = self._tenth(driver)
        if self._enabled and sys.stderr.isatty():
            from rich.console import Console
            from rich.live import Live

            self._live = Live(console=Console(stderr=True), auto_refresh=False, transient=True)
            self._live.start()

    def progress(self, driver: Driver, event: Progress) -> None:
        """See `loop.Watcher`."""
        self._partial[event.job.evaluation] = event.epoch - event.job.start
        self._refresh(driver)

    def outcomes(self, driver: Driver, outcomes: Sequence[Outcome]) -> None:
        """See `loop.Watcher`."""
        for outcome in outcomes:
            self._partial.pop(outcome.evaluation, None)
            if self._each:
                self.note(_trial_line(outcome))
            self._with_result.add(outcome.number)
            if outcome.state == State.FAILED:
                self._failed += 1
                self._report_failure(outcome)
            elif outcome.value is not None:
                self._best = max(self._best or (0, 0.0), (outcome.epochs, self._sign * outcome.value))
        self._refresh(driver)

    def close(self) -> None:
        """Give the terminal back; harmless when it is back already."""
        if self._live is not None:
            live, self._live = self._live, None
            with contextlib.suppress(OSError, ValueError):  # a terminal that was closed
                live.stop()

    def end(self, driver: Driver, ending: Ending) -> None:
        """Close the live line and say how the run ended."""
        self._partial.clear()  # evaluations that did not end run again
        self.close()
        resume = command("resume", driver.name, driver.store.path, default_path())
        more = command("resume", driver.name, driver.store.path, default_path(), options=["--trials", "N"])
        complete = "complete" if self._spent(driver) > self._before else f"complete already; {more} goes on"
        how = {
            Ending.COMPLETE: "exhausted: nothing is left to propose" if driver.searcher.exhausted else complete,
            Ending.TIMEOUT: f"time is up; {resume} goes on",
            Ending.STOPPED: f"stopped, all results are saved; {resume} goes on",
        }[ending]
        self.note(f"study {driver.name}: {how}; {self._line(driver)}")

    def _report_failure(self, outcome: Outcome) -> None:
        if self._first_failure and outcome.error and not self._each:
            self._first_failure = False
            what = headline(outcome.error)
            self.note(f"trial {outcome.number} failed ({outcome.reason}): {what}; further failures are counted")

    def _refresh(self, driver: Driver) -> None:
        if self._live is not None:
            if time.monotonic() - self._shown_at >= REFRESH_SECONDS:
                self._shown_at = time.monotonic()
                from rich.text import Text

                self._update(Text(self._line(driver)))
        elif self._tenth(driver) > self._tenths:
            self._tenths = self._tenth(driver)
            self.note(self._line(driver))

    def _update(self, text: Any) -> None:
        """Put another text into the live line."""
        try:
            self._live.update(text, refresh=True)
        except (OSError, ValueError):  # as in `note`
            self._enabled = False
            self.close()

    def _spent(self, driver: Driver) -> int:
        return driver.charged + sum(self._partial.values())

    def _tenth(self, driver: Driver) -> int:
        return 10 * self._spent(driver) // driver.budget if driver.budget else 0

    def _done(self, driver: Driver) -> str:
        unit = "epochs" if driver.spec.epochs is not None else "trials"
        return f"{self._spent(driver)}/{driver.budget} {unit}"

    def _line(self, driver: Driver) -> str:
        seconds = time.monotonic() - self._started
        best = "none yet" if self._best is None else number(self._sign * self._best[1])
        parts = [self._done(driver)]
        if driver.spec.epochs is not None:
            parts.append(counted(len(self._with_result), "trial"))
        trained = (self._spent(driver) - self._before) / driver.spec.trial_epochs  # full trainings
        rate = trained / seconds if seconds > 0 else 0.0
        parts += [f"best {best}", f"{rate:.3g} trials/s", f"{self._failed} failed"]
        return ", ".join(parts)


def _where(execution: Execution) -> str:
    """Where trials run, if not in this process."""
    if execution.cluster is not None:
        return "on a Dask cluster; "
    return "" if execution.workers is None else f"workers {execution.workers}; "


def _trial_line(outcome: Outcome) -> str:
    done = outcome.state == State.DONE
    result = number(outcome.value) if done else f"failed ({outcome.reason}): {headline(outcome.error)}"
    reached = f" to epoch {outcome.epochs}" if outcome.epochs > 1 else ""
    return f"trial {outcome.number}{reached}: {result} ({params_text(outcome.params)})"
