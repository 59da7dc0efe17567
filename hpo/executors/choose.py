"""Where jobs run: on this machine or on a cluster."""

from hpo.errors import UsageError
from hpo.execution import Execution
from hpo.executors.base import Executor
from hpo.function_objective import FunctionObjective
from hpo.objective import Objective


def make_executor(objective: Objective, execution: Execution) -> Executor:
    """What runs the jobs of `objective`: a Dask cluster if `execution` names one, else what the objective chooses.

    Raises:
        UsageError: `distributed` is not installed, the cluster is not one, or the objective is not for one.
        ClusterError: its scheduler cannot be reached.
    """
    if execution.cluster is None:
        return objective.executor(execution)
    if isinstance(objective, FunctionObjective) and objective.batched:
        raise UsageError(
            f"objective {objective.name!r} is batched, one call for many trials in this process: leave out the "
            "cluster, or make it a function of one configuration"
        )
    try:
        import distributed  # noqa: F401
    except ImportError as error:
        raise UsageError(
            f"a Dask cluster was given, but Dask is not installed ({error}): pip install 'hpo-arena[dask]'"
        ) from error
    from hpo.executors.dask.executor import DaskExecutor

    return DaskExecutor(objective, execution)
