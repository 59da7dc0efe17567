"""Searchers for the tests of `hpo.diagnosis`, found by this module's name."""

from dataclasses import dataclass

from hpo.searcher import Needs, Searcher
from hpo.trial import Proposal


@dataclass(eq=False)
class Deaf(Searcher):
    """Says that it learns after 10 results, and draws at random all the same."""

    def needs(self):
        return Needs(10, 20, "10 at random, and as many that it has learned for")

    def _ask(self, n):
        return [self._proposal(number) for number in range(self.next_number, self.next_number + n)]

    def _proposal(self, number):
        return Proposal(self.space.sample(self.rng(number)))


@dataclass(eq=False)
class Keen(Deaf):
    """Learns: after 10 results it stays near the best."""

    def _start(self):
        self._results = []

    def _tell(self, results):
        self._results += [(result.value, result.params) for result in results if result.value is not None]

    def _proposal(self, number):
        if len(self._results) < 10:
            return super()._proposal(number)
        best = max(self._results, key=lambda result: result[0])[1]
        u = self.space.encode(best) + 0.05 * self.rng(number).standard_normal(len(self.space))
        return Proposal(self.space.decode(u.clip(0, 1 - 1e-9)))


@dataclass(eq=False)
class Blind(Deaf):
    """Says that results have no effect."""

    def needs(self):
        return Needs(10, 20, blind="its eyes are shut")


@dataclass(eq=False)
class Mute(Deaf):
    """Does not say what it needs."""

    def needs(self):
        return None


@dataclass(eq=False)
class Broken(Deaf):
    """Cannot say what it needs."""

    def needs(self):
        raise ZeroDivisionError("no needs")
