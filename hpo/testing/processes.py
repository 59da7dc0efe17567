"""Whether a searcher's trials are the same in every process."""

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Sequence

from hpo.registry import make_searcher
from hpo.testing.checks import usual
from hpo.testing.simulation import EPOCHS, Simulation, require
from hpo.values import canonical


def fingerprints(names: Sequence[str]) -> dict[str, str]:
    """For each searcher, as `make_searcher` takes it, a digest of the trials of one seed."""
    result = {}
    for name in names:
        _, searcher = make_searcher(name)
        space = usual(lambda searcher=searcher: searcher)  # type: ignore[misc]
        run = Simulation(searcher.bind(space, seed=5, epochs=EPOCHS if searcher.needs_epochs else None)).run([6, 5, 1])
        result[name] = hashlib.sha256(canonical(run).encode()).hexdigest()
    return result


def check_processes(names: Sequence[str], hash_seeds: Sequence[int] = (1, 2)) -> None:
    """The same seed gives the same trials in fresh processes that order their sets differently.

    Takes all searchers at once, since starting a process and importing costs more than the check.
    """
    code = "import json, sys; from hpo.testing import fingerprints; print(json.dumps(fingerprints(sys.argv[1:])))"
    here = fingerprints(names)
    for hash_seed in hash_seeds:
        process = subprocess.run(  # noqa: S603
            [sys.executable, "-c", code, *names],
            env=os.environ | {"PYTHONHASHSEED": str(hash_seed)},
            capture_output=True,
            text=True,
        )
        require(process.returncode == 0, f"the fresh process failed:\n{process.stderr}")
        there = json.loads(process.stdout.splitlines()[-1])
        differing = [name for name in names if there[name] != here[name]]
        require(not differing, f"other trials in a process with PYTHONHASHSEED={hash_seed}: {', '.join(differing)}")
