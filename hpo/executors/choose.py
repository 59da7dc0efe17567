"""Where jobs run: on this machine or on a cluster."""

from hpo.errors import UsageError
from hpo.execution import Execution
from hpo.executors.base import Executor
from hpo.objective import Objective


def make_executor(objective: Objective, execution: Execution) -> Executor:
    """What runs the jobs of `objective`: a Dask cluster if `execution` names one, else what the objective chooses.

    Raises:
        UsageError: `distributed` is not installed, or the cluster is not one.
        ClusterError: its scheduler cannot be reached.
    """
    if execution.cluster is None:
        return objective.executor(execution)
    try:
        import distributed  # noqa: F401
    except ImportError as error:
        raise UsageError(
            f"a Dask cluster was given, but Dask is not installed ({error}): pip install 'hpo-arena[dask]'"
        ) from error
    from hpo.executors.dask.executor import DaskExecutor

    return DaskExecutor(objective, execution)
