"""Where jobs run: on this machine or on a cluster."""

import contextlib
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Final

from hpo.errors import ClusterError, UsageError
from hpo.execution import Execution
from hpo.executors.base import Executor
from hpo.objective import Objective
from hpo.values import brief

CONNECT_SECONDS: Final = 10.0  # to find the scheduler


@contextlib.contextmanager
def connected(execution: Execution) -> Iterator[Execution]:
    """`execution` with a running client for its cluster, if it names one.

    A client that is made here, for an address, is closed at the end; one that was given stays open.

    Raises:
        UsageError: Dask is not installed, or the cluster is not one.
        ClusterError: its scheduler cannot be reached.
    """
    cluster = execution.cluster
    if cluster is None:
        yield execution
        return
    try:
        import distributed
    except ImportError as error:
        raise UsageError(
            f"a Dask cluster was given, but Dask is not installed ({error}): pip install 'hpo-arena[dask]'"
        ) from error
    if isinstance(cluster, distributed.Client):
        if cluster.asynchronous:
            raise UsageError("the Dask client is asynchronous, expected distributed.Client(address)")
        if cluster.status != "running":
            raise ClusterError(f"the Dask client is {cluster.status}: connect it again")
        yield execution
        return
    client = _client(cluster)
    try:
        yield replace(execution, cluster=client)
    finally:
        with contextlib.suppress(Exception):  # of a scheduler that has gone
            client.close(timeout=CONNECT_SECONDS)


def make_executor(objective: Objective, execution: Execution) -> Executor:
    """What runs the jobs of `objective`: a `connected` cluster if there is one, else what the objective chooses.

    Raises:
        UsageError: the objective cannot be sent.
    """
    if execution.cluster is None:
        return objective.executor(execution)
    from hpo.executors.dask.executor import DaskExecutor

    return DaskExecutor(objective, execution)


def _client(address: Any) -> Any:
    """A client of the scheduler at `address`, which is looked at first: a client would try it for a while."""
    import distributed
    from distributed.comm import get_address_host_port

    if not isinstance(address, str):
        raise UsageError(
            f"executor is {brief(address)} ({type(address).__name__}), expected a dask.distributed.Client, or the "
            "address of a scheduler such as 'tcp://127.0.0.1:8786'"
        )
    try:
        _, port = get_address_host_port(address)
        if not 0 < port < 2**16:
            raise ValueError(f"port {port}")
        return distributed.Client(address, timeout=CONNECT_SECONDS, set_as_default=False)
    except (OSError, TimeoutError) as error:
        raise ClusterError(
            f"no Dask scheduler answers at {address} within {CONNECT_SECONDS:g} s: start one with `dask scheduler`, "
            f"or check the address ({type(error).__name__}: {error})"
        ) from error
    except (ValueError, TypeError) as error:
        raise UsageError(
            f"{brief(address)} is no address of a Dask scheduler ({error}), expected one such as 'tcp://127.0.0.1:8786'"
        ) from error
