"""An objective on its way into a worker."""

import functools
import pickle
from collections.abc import Callable

from hpo.errors import UsageError
from hpo.objective import Objective


def pack(objective: Objective) -> bytes:
    """A pickled function without arguments that makes the objective.

    What is defined in a script or notebook, or inside another function, goes along as code; of a module, its name.

    Raises:
        UsageError: it holds what cannot be sent.
    """
    import cloudpickle

    try:
        packed: bytes = cloudpickle.dumps(functools.partial(_itself, objective))
        return packed
    except Exception as error:  # of any object that the function holds
        path = str(objective.describe().get("function", "__main__:"))
        if objective.direction is not None and not path.startswith("__main__:") and "<" not in path:
            from hpo.resolve import stored_objective

            return pickle.dumps(functools.partial(stored_objective, objective.describe(), objective.direction))
        raise UsageError(
            f"objective {objective.name!r} cannot be sent to a worker process ({type(error).__name__}: {error}): make "
            "what it holds inside the function, or put it into a module and give it as module:function"
        ) from error


def unpack(content: bytes) -> Objective:
    """The objective in a worker; raises whatever importing the user's code does."""
    make: Callable[[], Objective] = pickle.loads(content)  # noqa: S301 # from our own parent
    return make()


def _itself(objective: Objective) -> Objective:
    return objective
