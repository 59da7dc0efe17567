"""What a comparison shows on stderr: a line for each searcher, live in a terminal, every 10 % elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from hpo.comparison.estimate import rough
from hpo.driver import Driver
from hpo.progress import REFRESH_SECONDS, Display
from hpo.text import headline, number
from hpo.trial import Outcome, Progress, State

LEFT_AFTER_SECONDS = 3.0  # of training: then the time that is left is shown
_TELLING_SECONDS = 0.5  # between the first event and the latest: events come in bursts


@dataclass
class _Line:
    """One searcher on the task under way.

    Attributes:
        done: units by its runs, those of evaluations that have not ended included.
        total: units that they may spend.
        best: signed value of its best trial that was trained fully; None: there is none.
        under_way: units newly trained by evaluations that have not ended, by study and evaluation.
        tenths: of the total, that were shown.
    """

    done: int
    total: int
    best: float | None = None
    under_way: dict[tuple[int, int], int] = field(default_factory=dict)
    tenths: int = 0


class Board(Display):
    """Shows the runs of one task after another; a watcher of the loop.

    Args:
        enabled: whether anything is shown at all.
    """

    def __init__(self, enabled: bool = True) -> None:
        super().__init__(enabled)
        self._task = self._unit = ""
        self._lines: dict[str, _Line] = {}
        self._labels: dict[int, str] = {}
        self._marks: list[tuple[float, int]] = []  # time and units done: at the start, the first event, the latest

    def begin_task(self, task: str, unit: str, totals: dict[str, tuple[int, int]], failed: int) -> None:
        """Show a task from now on.

        Args:
            task: its name.
            unit: what is spent.
            totals: label to units spent and to be spent in all.
            failed: trials that failed before.
        """
        self._task, self._unit = task, unit
        self._lines = {label: _Line(spent, total) for label, (spent, total) in totals.items()}
        for line in self._lines.values():
            line.tenths = self._tenths_of(line)
        self._failed = failed
        self._shown_at = 0.0
        self._marks = []
        if self._enabled and sys.stderr.isatty() and self._live is None:
            from rich.console import Console
            from rich.live import Live

            self._live = Live(console=Console(stderr=True), auto_refresh=False, transient=True)
            self._live.start()

    @property
    def pace(self) -> float | None:
        """Seconds that a unit of this task took, all runs together; None: nothing was trained.

        Where it can be told from later events, what came before the first one is left out: helpers start in it.
        """
        if not self._marks:
            return None
        now, done = self._marks[-1]
        then, before = self._marks[0]
        if len(self._marks) > 2 and now - self._marks[1][0] >= _TELLING_SECONDS and done > self._marks[1][1]:
            then, before = self._marks[1]
        return (now - then) / (done - before) if done > before else None

    def follow(self, drivers: dict[str, list[Driver]]) -> None:
        """Say whose the studies are that are driven next; label to drivers."""
        if not self._marks:
            self._mark()
        for label, its in drivers.items():
            for driver in its:
                self._labels[driver.study] = label
                best = driver.store.best(driver.study, driver.spec.direction)
                if best is not None and best.value is not None and best.epochs == driver.spec.trial_epochs:
                    self._better(driver, best.value)

    def progress(self, driver: Driver, event: Progress) -> None:
        """See `loop.Watcher`."""
        line, key = self._lines[self._labels[driver.study]], (driver.study, event.job.evaluation)
        trained = event.epoch - event.job.start
        line.done += trained - line.under_way.get(key, 0)
        line.under_way[key] = trained
        self._mark()
        self._show()

    def outcomes(self, driver: Driver, outcomes: Sequence[Outcome]) -> None:
        """See `loop.Watcher`."""
        line = self._lines[self._labels[driver.study]]
        for outcome in outcomes:
            line.done += outcome.charged - line.under_way.pop((driver.study, outcome.evaluation), 0)
            if outcome.state == State.FAILED:
                self._failed += 1
                if self._first_failure and outcome.error:
                    self._first_failure = False
                    what = headline(outcome.error)
                    self.note(
                        f"trial {outcome.number} of study {driver.name} failed ({outcome.reason}): {what}; further "
                        "failures are counted"
                    )
            elif outcome.value is not None and outcome.epochs == driver.spec.trial_epochs:
                self._better(driver, outcome.value)
        self._mark()
        self._show()

    def stopped(self) -> None:
        """Forget what is under way: it runs again."""
        for line in self._lines.values():
            line.done -= sum(line.under_way.values())
            line.under_way.clear()
        self.close()

    def _mark(self) -> None:
        """Note how far it is; the first two marks stay."""
        self._marks[2:] = []
        self._marks.append((time.monotonic(), sum(line.done for line in self._lines.values())))

    def _better(self, driver: Driver, value: float) -> None:
        line = self._lines[self._labels[driver.study]]
        self._sign = 1.0 if driver.spec.direction == "maximize" else -1.0
        line.best = self._sign * value if line.best is None else max(line.best, self._sign * value)

    @staticmethod
    def _tenths_of(line: _Line) -> int:
        return 10 * line.done // line.total if line.total else 10

    def _show(self) -> None:
        if not self._enabled:
            return
        if self._live is None:
            for label, line in self._lines.items():
                if (tenths := self._tenths_of(line)) > line.tenths:
                    line.tenths = tenths
                    self.note(self._text(label, line))
        elif time.monotonic() - self._shown_at >= REFRESH_SECONDS:
            self._shown_at = time.monotonic()
            self._update(self._table())

    def _text(self, label: str, line: _Line) -> str:
        best = "none yet" if line.best is None else number(self._sign * line.best)
        failed = f", {self._failed} failed in all" if self._failed else ""
        return f"{self._task}: {label} {line.done}/{line.total} {self._unit}, best {best}{failed}"

    def _left(self) -> str | None:
        """How long the task will take from now on; None: nobody knows yet."""
        if (pace := self.pace) is None or self._marks[-1][0] - self._marks[0][0] < LEFT_AFTER_SECONDS:
            return None
        left = sum(max(0, line.total - line.done) for line in self._lines.values())
        return f"{self._task}: about {rough(pace * left)} left" if left else None

    def _table(self) -> Any:
        from rich.text import Text

        from hpo.text import printable

        lines = [self._text(label, line) for label, line in self._lines.items()]
        return Text("\n".join(printable(line) for line in [*lines, self._left()] if line is not None))
