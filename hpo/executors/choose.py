"""Which executor runs an objective's trials."""

from hpo.execution import Execution
from hpo.executors.base import Executor
from hpo.objective import Objective


def make_executor(objective: Objective, execution: Execution) -> Executor:
    """The executor for `execution`: on a Dask cluster if it has one, else the objective's own on this machine."""
    if execution.cluster is None:
        return objective.executor(execution)
    from hpo.executors.dask import DaskExecutor

    return DaskExecutor(objective, execution)
