"""The interface between the loop and whatever runs jobs."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from hpo.trial import Job, Outcome, Progress

Event = tuple[Job, Progress | Outcome]

FINISH_SECONDS: Final = 30.0  # for what is under way when the user asks to stop


class Executor(ABC):
    """Runs jobs of any number of studies; every job submitted ends in exactly one Outcome unless cancelled."""

    @property
    @abstractmethod
    def busy(self) -> bool:
        """Whether a job is under way or waits."""

    @abstractmethod
    def submit(self, jobs: Sequence[Job]) -> None:
        """Take on `jobs`; returns at once."""

    @abstractmethod
    def wait(self, timeout: float) -> list[Event]:
        """What happened within about `timeout` seconds; longer where one step of the objective takes longer.

        May be nothing, while epochs that were charged before are trained again.
        """

    @abstractmethod
    def cancel(self, jobs: Iterable[Job]) -> None:
        """Give up `jobs`: no event of theirs follows."""

    def finish(self) -> float:
        """Begin nothing new; the seconds that what is under way deserves to end, 0 where it is best cancelled now.

        What had not begun gives no event. `wait` goes on telling of the rest, until `busy` is false.
        """
        return 0.0

    def release(self, study: int, keep: Callable[[int], bool]) -> None:
        """Let go of the paused trials of `study` but those that `keep` says may be continued.

        One that is continued all the same is trained again from its seed.
        """

    def forget(self, trials: Iterable[tuple[int, int]]) -> None:
        """Let go of some paused trials, by study and number; see `release`."""
        gone = set(trials)
        for study in {study for study, _ in gone}:

            def keep(number: int, study: int = study) -> bool:
                return (study, number) not in gone

            self.release(study, keep)

    def close(self) -> None:
        """Give back everything; no call follows."""
