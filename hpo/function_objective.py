"""Any Python function as an objective.

    f(params) -> value                       evaluated once a trial
    f(params, epochs) -> value               trains for `epochs`, anew at each rung, and is charged for it
    def f(params): ... yield value ...       one value after each epoch; paused and pulled on when promoted
    f(list of params) -> list of values      with batched=True

`seed` is passed to a function that has a parameter of this name; a generator may also take `epochs`, the most
that it will be pulled for.
"""

import copy
import hashlib
import inspect
import math
import numbers
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from hpo import seeding
from hpo.errors import UsageError
from hpo.global_randomness import Randomness
from hpo.objective import Objective, Run, Step
from hpo.trial import Job
from hpo.values import plain

if TYPE_CHECKING:
    from hpo.executors.base import Executor

RECOGNISED = ("epochs", "seed")


class FunctionObjective(Objective):
    """A user's function.

    Args:
        function: see the module's text. Its first parameter takes the configuration, a dict of plain values;
            Python's, NumPy's and torch's global generators are seeded for every trial.
        batched: whether it takes a list of configurations and returns a list of values, and, if it has a
            parameter `seed`, a list of seeds.
        direction: "maximize" or "minimize".

    Raises:
        UsageError: not callable, or parameters that hpo would not know how to fill.
    """

    def __init__(self, function: Callable[..., Any], *, batched: bool = False, direction: str | None = None) -> None:
        if not callable(function):
            raise UsageError(f"objective is {function!r} ({type(function).__name__}), expected a function")
        self.function = function
        self.batched = batched
        self.direction = direction
        inner = inspect.unwrap(getattr(function, "func", function))  # through functools.partial and decorators
        self.is_generator = any(map(inspect.isgeneratorfunction, (inner, getattr(inner, "__call__", None))))  # noqa: B004
        self.passes = _recognised(function, batched)
        if batched and (self.is_generator or "epochs" in self.passes):
            raise UsageError("a batched objective returns its values at once: it can neither yield nor take epochs")
        self.has_epochs = self.is_generator or "epochs" in self.passes
        self.restarts = self.has_epochs and not self.is_generator
        self.name = getattr(inner, "__name__", type(inner).__name__).strip("<>")
        self.path = f"{getattr(inner, '__module__', '?')}:{getattr(inner, '__qualname__', type(inner).__qualname__)}"

    def describe(self) -> dict[str, Any]:
        """Module and name of the function."""
        return {"function": self.path} | ({"batched": True} if self.batched else {})

    def source(self) -> str | None:
        """Hash of the function's source text; None where Python cannot find it."""
        try:
            text = inspect.getsource(inspect.unwrap(getattr(self.function, "func", self.function)))
        except (OSError, TypeError):
            return None
        return hashlib.sha256(text.encode()).hexdigest()

    def start(self, job: Job) -> "FunctionRun":
        """The trial before its first epoch."""
        return FunctionRun(self, job)

    def executor(self) -> "Executor":
        """In this process; a batched function gets all that waits in one call."""
        if not self.batched:
            return super().executor()
        from hpo.executors.batched import BatchedExecutor

        return BatchedExecutor(self)

    def call(self, params: Any, **known: Any) -> Any:
        """The function with those of `epochs` and `seed` that it takes."""
        return self.function(params, **{name: known[name] for name in self.passes})

    def call_batch(self, jobs: Sequence[Job]) -> list[Any]:
        """What a batched function returns for `jobs`, in their order.

        Raises:
            TypeError: it returned no list, or one of another length.
        """
        params = [copy.deepcopy(dict(job.params)) for job in jobs]
        with Randomness(seeding.derive(*(job.seed for job in jobs))).active():
            values = self.call(params, seed=[job.seed for job in jobs])
        if not hasattr(values, "__len__") or isinstance(values, (str, bytes, dict)):
            raise TypeError(f"the batched objective returned {type(values).__name__}, expected a list of values")
        if len(values) != len(jobs):
            raise TypeError(f"the batched objective returned {len(values)} values for {len(jobs)} configurations")
        return list(values)


class FunctionRun(Run):
    """One trial of a function: its generator, if it is one, and the global random generators as it sees them."""

    def __init__(self, objective: FunctionObjective, job: Job) -> None:
        self._objective = objective
        self._job = job
        self._randomness = Randomness(job.seed)
        self._generator: Iterator[Any] | None = None
        self._epoch = 0

    def advance(self, target: int) -> Iterator[Step]:
        """See `Run.advance`."""
        return self._pull(target) if self._objective.is_generator else self._call(target)

    def close(self) -> None:
        """Close the generator, so that its `finally` blocks run now."""
        if self._generator is not None:
            with self._randomness.active():
                self._generator.close()  # type: ignore[attr-defined]

    def _arguments(self) -> dict[str, Any]:
        return copy.deepcopy(dict(self._job.params))  # a function that edits its params changes no record

    def _call(self, target: int) -> Iterator[Step]:
        self._randomness = Randomness(self._job.seed)  # anew, whatever an earlier rung has drawn
        with self._randomness.active():
            returned = self._objective.call(self._arguments(), epochs=target, seed=self._job.seed)
        yield Step(target, as_value(returned, "returned"), {})

    def _pull(self, target: int) -> Iterator[Step]:
        while self._epoch < target:
            with self._randomness.active():
                if self._generator is None:
                    self._generator = iter(
                        self._objective.call(self._arguments(), epochs=self._job.epochs, seed=self._job.seed)
                    )
                try:
                    yielded = next(self._generator)
                except StopIteration:
                    return
            self._epoch += 1
            value = as_value(yielded, "yielded")
            yield Step(self._epoch, value, {"value": value})


def as_value(value: Any, did: str) -> float:
    """A real scalar as a float: int, float, NumPy scalar, tensor without dimensions.

    Raises:
        TypeError: anything else, named by its type; an integer that no float equals.
    """
    found = plain(value)
    if type(found).__module__.partition(".")[0] == "torch" and getattr(found, "ndim", None) == 0:
        found = found.item()
    if isinstance(found, bool) or not isinstance(found, numbers.Real) or not hasattr(found, "__float__"):
        raise TypeError(f"the objective {did} {_short(value)} ({type(value).__name__}), expected a number")
    result = float(found)
    if math.isfinite(result) and result != found:
        raise TypeError(f"the objective {did} {_short(value)}, which no float equals: return a float")
    return result


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _recognised(function: Callable[..., Any], batched: bool) -> tuple[str, ...]:
    """Which of `epochs` and `seed` the function takes."""
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except ValueError:  # a builtin without a signature takes the configuration alone
        return ()
    positional = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD, p.VAR_POSITIONAL)]
    if not positional:
        raise UsageError(f"objective {function!r} takes no argument, expected f(params)")
    rest = [p for p in parameters if p is not positional[0]]
    for parameter in rest:
        needed = parameter.default is parameter.empty and parameter.kind not in (
            parameter.VAR_POSITIONAL,
            parameter.VAR_KEYWORD,
        )
        if needed and parameter.name not in RECOGNISED:
            raise UsageError(
                f"objective {function!r} has a parameter {parameter.name!r}: after the configuration only "
                f"{' and '.join(RECOGNISED)} are recognised; bind others with functools.partial or a default"
            )
    taken: Mapping[str, inspect.Parameter] = {p.name: p for p in rest if p.kind is not p.VAR_KEYWORD}
    return tuple(name for name in RECOGNISED if name in taken)
