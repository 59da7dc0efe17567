"""Checks that a searcher keeps the contract of `hpo.searcher`; authors of searchers call them in their own tests.

    @pytest.mark.parametrize("check", CHECKS.values(), ids=CHECKS)
    def test_my_searcher_keeps_the_contract(check):
        check(lambda: MySearcher(setting=3))

Every check takes a function that makes an unbound searcher, drives it as the loop does, and raises
AssertionError. `check_searcher` runs them all; `check_processes` takes the names of searchers and starts fresh
processes; `check_never_repeats` is for searchers that promise it.

Spaces that a searcher refuses at `bind` with MismatchError are left out, but one at least it has to accept.
Choose settings with which a model takes over after a few trials: most checks run at most 20.
"""

from hpo.testing.checks import CHECKS, Make, check_never_repeats, check_searcher
from hpo.testing.processes import check_processes, fingerprints
from hpo.testing.simulation import Simulation

__all__ = [
    "CHECKS",
    "Make",
    "Simulation",
    "check_never_repeats",
    "check_processes",
    "check_searcher",
    "fingerprints",
]
