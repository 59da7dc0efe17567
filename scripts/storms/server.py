"""Runs the command line in forks of a process that has imported everything, so that a storm is not all imports.

    python -m storms.server

A line of JSON asks for an attempt, the answers are two lines: the number of its process, and its exit code as
`subprocess` counts.

    {"argv": arguments of hpo, "stderr": a file to append to, "shim": see `storms.layers.install`, or null}
"""

import functools
import gc
import json
import os
import sys
import traceback

import torch

import hpo.api
import hpo.cli
import hpo.cli.best
import hpo.cli.results
import hpo.cli.resume
import hpo.cli.run
import hpo.driver
import hpo.registry
import hpo.study
import hpo.training.data
import hpo.training.objective
import searchers.halving
import searchers.nas
import searchers.optuna  # noqa: F401
from hpo.environment import environment
from storms import layers, objectives  # noqa: F401


def attempt(argv: list[str], stderr: str, shim: dict | None) -> int:
    """In a child: the command, up to its exit code."""
    os.dup2(os.open(stderr, os.O_WRONLY | os.O_CREAT | os.O_APPEND), 2)
    os.dup2(os.open(os.devnull, os.O_RDWR), 1)
    os.dup2(1, 0)
    try:
        if shim is not None:
            layers.install(**shim)
        sys.argv = ["hpo", *argv]
        hpo.cli.main()
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 0
    except KeyboardInterrupt:
        return 130
    except BaseException:
        traceback.print_exc()
    return 1


def main() -> None:
    torch.set_num_threads(1)
    torch.optim.SGD([torch.zeros(1, requires_grad=True)])  # the first optimizer imports much of torch
    hpo.training.data.load_data("classification", 0)
    found = environment("cpu")
    hpo.api.environment = hpo.driver.environment = lambda device: found
    hpo.registry.entries = functools.cache(hpo.registry.entries)
    gc.freeze()  # children leave what is theirs and the parent's alike alone, and so need no copies
    print("ready", flush=True)
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            code = 1
            try:
                code = attempt(**json.loads(line))
                sys.stderr.flush()
            finally:
                os._exit(code)
        print(child, flush=True)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)


if __name__ == "__main__":
    main()
