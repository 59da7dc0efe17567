"""Random search: independent draws, each hyperparameter in its own scale, conditions respected.

Bergstra and Bengio, "Random Search for Hyper-Parameter Optimization", JMLR 13 (2012),
https://jmlr.org/papers/v13/bergstra12a.html
"""

from dataclasses import dataclass

from hpo.searcher import Needs, Searcher
from hpo.space_limits import round_size
from hpo.trial import Proposal


@dataclass(eq=False)
class Random(Searcher):
    """Independent uniform draws from the space."""

    @property
    def default_batch(self) -> int:
        """Draws do not depend on results, so a round may be as large as hardware likes and memory holds."""
        return round_size(len(self.space))

    def needs(self) -> Needs:
        """Nothing: results have no effect."""
        return Needs()

    def _ask(self, n: int) -> list[Proposal]:
        numbers = range(self.next_number, self.next_number + n)
        return [Proposal(self.space.sample(self.rng(number))) for number in numbers]
