"""Any Python function as an objective.

    f(params) -> value                       evaluated once a trial
    f(params, epochs) -> value               trains for `epochs`, anew at each rung, and is charged for it
    f(params, trial) -> value or None        reports while it runs, see `hpo.live_trial`; with or without epochs
    def f(params): ... yield value ...       one value after each epoch; paused and pulled on when promoted
    f(list of params) -> list of values      with batched=True

`seed` is passed to a function that has a parameter of this name; a generator may also take `epochs`, the most
that it will be pulled for. A generator takes no `trial`: what it yields is its report, and it is paused, not asked to
end.
"""

import copy
import functools
import hashlib
import inspect
import operator
import sys
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from hpo import seeding
from hpo.errors import UsageError
from hpo.execution import DEFAULT, Execution
from hpo.global_randomness import Randomness
from hpo.live_trial import LiveTrial
from hpo.objective import Objective, Run, Step
from hpo.trial import Job
from hpo.values import as_value, brief

if TYPE_CHECKING:
    from hpo.executors.base import Executor

RECOGNISED = ("epochs", "seed", "trial")


class FunctionObjective(Objective):
    """A user's function.

    Args:
        function: see the module's text. Its first parameter takes the configuration, a dict of plain values;
            Python's, NumPy's and torch's global generators are seeded for every trial.
        batched: whether it takes a list of configurations and returns a list of values, and, if it has a
            parameter `seed`, a list of seeds.
        direction: "maximize" or "minimize".
        path: the "module:name" that it was imported from, for a function that does not know it itself.

    Raises:
        UsageError: not callable, or parameters that hpo would not know how to fill.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        *,
        batched: bool = False,
        direction: str | None = None,
        path: str | None = None,
    ) -> None:
        if not callable(function):
            raise UsageError(f"objective is {brief(function)} ({type(function).__name__}), expected a function")
        self.function = function
        self.batched = batched
        self.direction = direction
        inner = _innermost(function)
        if _is(inner, inspect.iscoroutinefunction) or _is(inner, inspect.isasyncgenfunction):
            raise UsageError(f"objective {_called(function)!r} is asynchronous, expected a plain function or generator")
        self.is_generator = _is(inner, inspect.isgeneratorfunction)
        self.passes = _recognised(function, batched)
        if batched and (self.is_generator or "epochs" in self.passes):
            raise UsageError("a batched objective returns its values at once: it can neither yield nor take epochs")
        if "trial" in self.passes and (batched or self.is_generator):
            kind = "a batched objective is called once for many trials" if batched else "a generator yields its values"
            raise UsageError(f"{kind}: it takes no parameter 'trial', which is for a function that reports")
        self.has_epochs = self.is_generator or "epochs" in self.passes or "trial" in self.passes
        self.epochs_optional = "trial" in self.passes and "epochs" not in self.passes
        self.restarts = self.has_epochs and not self.is_generator
        self.name = _called(inner)
        module, name = getattr(inner, "__module__", "?"), getattr(inner, "__qualname__", type(inner).__qualname__)
        if found_at(module, name) is function:
            self.path = f"{module}:{name}"
        else:  # what stands there is another function, the one that was wrapped or bound: importing it would be wrong
            self.path = path or f"{module}:{name if '<' in name else f'<{name}>'}"

    def describe(self) -> dict[str, Any]:
        """Where the function is to be found, "module:name"; with <...> in it where that leads nowhere."""
        return {"function": self.path} | ({"batched": True} if self.batched else {})

    def source(self) -> str | None:
        """Hash of the function's source text; None where Python cannot find it."""
        try:
            text = inspect.getsource(_innermost(self.function))
        except (OSError, TypeError):
            return None
        return hashlib.sha256(text.encode()).hexdigest()

    def start(self, job: Job) -> "FunctionRun":
        """The trial before its first epoch."""
        return FunctionRun(self, job)

    def executor(self, execution: Execution = DEFAULT) -> "Executor":
        """In this process or in others; a batched function gets all that waits in one call."""
        if self.batched:
            from hpo.executors.batched import BatchedExecutor

            return BatchedExecutor(self)
        if execution.isolated:
            from hpo.executors.workers.executor import WorkersExecutor

            return WorkersExecutor(self, execution)
        return super().executor(execution)

    def check_execution(self, execution: Execution) -> None:
        """See `Objective.check_execution`."""
        if self.batched and (execution.isolated or execution.cluster is not None):
            raise UsageError(
                f"objective {self.name!r} is batched, one call for many trials in this process: leave out workers, "
                "fresh, trial_timeout, trial_memory and the cluster, or make it a function of one configuration"
            )
        if execution.cluster is not None:
            from hpo.executors.dask.packing import pack

            pack(self)  # refused before there is a study

    def call(self, params: Any, **known: Any) -> Any:
        """The function with those of `RECOGNISED` that it takes."""
        return self.function(params, **{name: known[name] for name in self.passes})

    def call_batch(self, jobs: Sequence[Job]) -> list[Any]:
        """What a batched function returns for `jobs`, in their order.

        Raises:
            TypeError: it returned no list, or one of another length.
        """
        params = [copy.deepcopy(dict(job.params)) for job in jobs]
        with Randomness(seeding.derive(*(job.seed for job in jobs))).active():
            values = self.call(params, seed=[job.seed for job in jobs])
        if not hasattr(values, "__len__") or isinstance(values, (str, bytes, dict, set, frozenset)):
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
        """See `Run.advance`; a plain function is called at once."""
        return self._pull(target) if self._objective.is_generator else iter([self._call(target)])

    def close(self) -> None:
        """Close the generator, so that its `finally` blocks run now."""
        if isinstance(self._generator, Generator):
            with self._randomness.active():
                self._generator.close()

    def _arguments(self) -> dict[str, Any]:
        return copy.deepcopy(dict(self._job.params))  # a function that edits its params changes no record

    def _call(self, target: int) -> Step:
        self._randomness = Randomness(self._job.seed)  # anew, whatever an earlier rung has drawn
        trial = self.live or LiveTrial(replace(self._job, target=target))
        with self._randomness.active():
            returned = self._objective.call(self._arguments(), epochs=target, seed=self._job.seed, trial=trial)
        if returned is None and trial.reports.last is not None:
            returned = trial.reports.last[1]
        return Step(target, as_value(returned, "the objective returned"), {})

    def _pull(self, target: int) -> Iterator[Step]:
        while self._epoch < target:
            with self._randomness.active():
                if self._generator is None:
                    made = self._objective.call(self._arguments(), epochs=self._job.epochs, seed=self._job.seed)
                    if not isinstance(made, Iterator):
                        found = f"{brief(made, 60)} ({type(made).__name__})"
                        raise TypeError(f"the objective wraps a generator but returned {found}, expected a generator")
                    self._generator = made
                try:
                    yielded = next(self._generator)
                except StopIteration:
                    return
            self._epoch += 1
            value = as_value(yielded, "the objective yielded")
            yield Step(self._epoch, value, {"value": value})


def _innermost(function: Callable[..., Any]) -> Any:
    """The function inside functools.partial and decorators."""
    while isinstance(function, functools.partial):
        function = function.func
    return inspect.unwrap(function)


def _is(function: Any, kind: Callable[[Any], bool]) -> bool:
    return kind(function) or kind(getattr(function, "__call__", None))  # noqa: B004  (of a callable object)


def found_at(module: str, name: str) -> Any:
    """What an imported module has under a dotted name; None where there is nothing."""
    try:
        return operator.attrgetter(name)(sys.modules[module])
    except (KeyError, AttributeError):
        return None


def _called(function: Callable[..., Any]) -> str:
    """The name of a function, for messages: `lambda` of one that has none."""
    inner = _innermost(function)
    return str(getattr(inner, "__name__", type(inner).__name__)).strip("<>")


def _recognised(function: Callable[..., Any], batched: bool) -> tuple[str, ...]:
    """Which of `RECOGNISED` the function takes."""
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except ValueError:  # a builtin without a signature takes the configuration alone
        return ()
    positional = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD, p.VAR_POSITIONAL)]
    if not positional:
        raise UsageError(f"objective {_called(function)!r} takes no argument, expected f(params)")
    rest = [p for p in parameters if p is not positional[0]]
    for parameter in rest:
        named = parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY)
        collects = parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
        needed = parameter.default is parameter.empty and not collects
        if needed and not (named and parameter.name in RECOGNISED):
            raise UsageError(
                f"objective {_called(function)!r} has a parameter {parameter.name!r}: after the configuration only "
                f"{', '.join(RECOGNISED)} are recognised; bind others with functools.partial or a default"
            )
    taken = {p.name for p in rest if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)} - _bound(function)
    return tuple(name for name in RECOGNISED if name in taken)


def _bound(function: Callable[..., Any]) -> set[str]:
    """Names that `functools.partial` has given a value, which stays."""
    names: set[str] = set()
    while isinstance(function, functools.partial):
        names |= set(function.keywords)
        function = function.func
    return names
