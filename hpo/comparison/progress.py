"""What a comparison shows on stderr: a line for each searcher, live in a terminal, every 10 % elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from hpo.driver import Driver
from hpo.progress import REFRESH_SECONDS, Display
from hpo.text import headline, number
from hpo.trial import Outcome, Progress, State


@dataclass
class _Line:
    """One searcher on the task under way.

    Attributes:
        spent: units by its runs, so far.
        total: units that they may spend.
        best: signed value of its best trial that was trained fully; None: there is none.
        under_way: units newly trained by evaluations that have not ended, by study and evaluation.
        tenths: of the total, that were shown.
    """

    spent: int
    total: int
    best: float | None = None
    under_way: dict[tuple[int, int], int] = field(default_factory=dict)
    tenths: int = 0

    @property
    def done(self) -> int:
        return self.spent + sum(self.under_way.values())


class Board(Display):
    """Shows the runs of one task after another; a watcher of the loop.

    Args:
        enabled: whether anything is shown at all.
    """

    def __init__(self, enabled: bool = True) -> None:
        super().__init__(enabled)
        self._lines: dict[str, _Line] = {}
        self._labels: dict[int, str] = {}

    def begin_task(self, task: str, unit: str, totals: dict[str, tuple[int, int]], failed: int = 0) -> None:
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
        if self._enabled and sys.stderr.isatty() and self._live is None:
            from rich.console import Console
            from rich.live import Live

            self._live = Live(console=Console(stderr=True), auto_refresh=False, transient=True)
            self._live.start()

    def follow(self, drivers: dict[str, list[Driver]]) -> None:
        """Say whose the studies are that are driven next; label to drivers."""
        for label, its in drivers.items():
            for driver in its:
                self._labels[driver.study] = label
                best = driver.store.best(driver.study, driver.spec.direction)
                if best is not None and best.value is not None and best.epochs == driver.spec.trial_epochs:
                    self._better(driver, best.value)

    def progress(self, driver: Driver, event: Progress) -> None:
        """See `loop.Watcher`."""
        line = self._lines[self._labels[driver.study]]
        line.under_way[driver.study, event.job.evaluation] = event.epoch - event.job.start
        self._show()

    def outcomes(self, driver: Driver, outcomes: Sequence[Outcome]) -> None:
        """See `loop.Watcher`."""
        line = self._lines[self._labels[driver.study]]
        for outcome in outcomes:
            line.under_way.pop((driver.study, outcome.evaluation), None)
            line.spent += outcome.charged
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
        self._show()

    def stopped(self) -> None:
        """Forget what is under way: it runs again."""
        for line in self._lines.values():
            line.under_way.clear()
        self.close()

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
            self._live.update(self._table(), refresh=True)

    def _text(self, label: str, line: _Line) -> str:
        best = "none yet" if line.best is None else number(self._sign * line.best)
        failed = f", {self._failed} failed in all" if self._failed else ""
        return f"{self._task}: {label} {line.done}/{line.total} {self._unit}, best {best}{failed}"

    def _table(self) -> Any:
        from rich.text import Text

        from hpo.text import printable

        return Text("\n".join(printable(self._text(label, line)) for label, line in self._lines.items()))
