"""What two modules must have in common to be trained as one: all but the numbers in their parameters and buffers."""

from __future__ import annotations

import dataclasses
import enum
import functools
import hashlib
import inspect
import sys
from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass
from types import BuiltinFunctionType, CodeType, FunctionType, MethodType, ModuleType, SimpleNamespace
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor, nn

from hpo.training.modules.dropout import Dropout, Masks

_HOOKS: Final = tuple(name for name in vars(nn.Module()) if "hook" in name)
_TENSORS: Final = ("_parameters", "_buffers", "_modules")
_PLAIN: Final = (type(None), bool, int, float, complex, str, bytes, torch.dtype, torch.device, torch.layout, enum.Enum)

_KNOWN: Final = ("torch", "builtins", "hpo", "abc", "typing")  # packages whose classes no build changes


class IncomparableError(Exception):
    """A module with something that cannot be compared; the text says what."""


@dataclass(frozen=True)
class Part:
    """A module or submodule, but for the numbers in its tensors.

    Attributes:
        where: its name in the whole.
        kind: its class.
        tensors: of each own parameter and buffer its name, the name under which it was found first, its shape, its
            type and whether it is trained.
        attributes: all others by name.
    """

    where: str
    kind: Hashable
    tensors: tuple[tuple[str, str, tuple[int, ...], torch.dtype, bool], ...]
    attributes: tuple[tuple[str, Hashable], ...]


@dataclass(frozen=True)
class Again:
    """A submodule under a second name.

    Attributes:
        where: this one.
        first: the one that it was found under before.
    """

    where: str
    first: str


Structure = tuple[Part | Again, ...]


def structure(module: nn.Module) -> Structure:
    """Equal for modules that differ in the numbers of parameters and buffers, and in dropout's probability, alone.

    Raises:
        IncomparableError: whether it equals others cannot be told.
    """
    first: dict[int, str] = {}  # the name that each tensor and module was found under first
    found: list[Part | Again] = []
    for name, each in module.named_modules(remove_duplicate=False):
        where = name or type(module).__name__
        if (known := first.setdefault(id(each), where)) != where:
            found.append(Again(where, known))
            continue
        if any(getattr(each, hook, None) for hook in _HOOKS if not isinstance(getattr(each, hook, None), bool)):
            raise IncomparableError(f"{where} has hooks")
        if isinstance(each, nn.RNNBase):
            raise IncomparableError(f"{where} is {type(each).__name__}, for which torch.vmap has no rule")
        tensors = tuple(
            (
                key,
                first.setdefault(id(tensor), f"{where}.{key}"),
                tuple(tensor.shape),
                tensor.dtype,
                tensor.requires_grad,
            )
            for key, tensor in (*each._parameters.items(), *each._buffers.items())
            if tensor is not None
        )
        found.append(Part(where, _Values(where).of(type(each)), tensors, _attributes(where, each)))
    return tuple(found)


def difference(first: Structure, second: Structure) -> str | None:
    """The attribute or class in which two structures differ; None if they do in tensors or submodules, too."""
    if len(first) != len(second):
        return None
    found = None
    for one, other in zip(first, second, strict=True):
        if one == other:
            continue
        if isinstance(one, Again) or isinstance(other, Again):
            return None
        if (one.where, one.tensors) != (other.where, other.tensors):
            return None
        found = found or _difference(one, other)
    return found


def _difference(one: Part, other: Part) -> str:
    if one.kind != other.kind:
        return f"the class of {one.where}, or what its methods refer to,"
    name, _ = min(set(one.attributes) ^ set(other.attributes), key=lambda attribute: attribute[0])
    return f"{one.where}.{name}"


def _attributes(where: str, module: nn.Module) -> tuple[tuple[str, Hashable], ...]:
    left = {key: value for key, value in vars(module).items() if key not in _HOOKS and key not in _TENSORS}
    if isinstance(module, Dropout):
        del left["p"]
    return tuple((key, _Values(f"{where}.{key}").of(value)) for key, value in sorted(left.items()))


class _Values:
    """Values in a comparable form.

    Args:
        where: what messages call the value.
    """

    def __init__(self, where: str) -> None:
        self._where = where
        self._open: list[Any] = []  # what is being looked into, outermost first: some refer to themselves

    def of(self, value: Any) -> Hashable:
        """Equal for equal values, of whatever they are made.

        Raises:
            IncomparableError: a kind of value about which that cannot be told.
        """
        if isinstance(value, _PLAIN):
            return type(value), repr(value)  # keeps 1 and True, 0.0 and -0.0 apart, and NaN equal to itself
        if isinstance(value, Masks):
            return "masks"
        for depth, outer in enumerate(self._open):
            if outer is value:
                return "again", depth
        self._open.append(value)
        try:
            return self._within(value)
        finally:
            self._open.pop()

    def _within(self, value: Any) -> Hashable:
        if isinstance(value, (tuple, list)):
            return type(value), tuple(map(self.of, value))
        if isinstance(value, Mapping):
            return type(value), tuple((self.of(key), self.of(each)) for key, each in value.items())
        if isinstance(value, (set, frozenset)):
            return type(value), frozenset(map(self.of, value))
        if isinstance(value, (slice, range, np.generic, np.dtype)):
            return type(value), repr(value)
        if isinstance(value, (Tensor, np.ndarray)) and not isinstance(value, nn.Parameter):
            array = value.detach().cpu().numpy() if isinstance(value, Tensor) else value
            if array.dtype != object:
                content = hashlib.blake2b(np.ascontiguousarray(array).tobytes()).digest()
                return type(value), array.shape, array.dtype.str, content
        if isinstance(value, functools.partial):
            return "partial", self.of(value.func), self.of(value.args), self.of(value.keywords)
        if isinstance(value, type):
            return self._of_class(value)
        if isinstance(value, FunctionType):
            return self._of_function(value)
        if _is_lasting(value):
            return type(value).__name__, id(value)
        if isinstance(value, MethodType):
            return "method", self.of(value.__func__), self.of(value.__self__)
        if isinstance(value, (property, staticmethod, classmethod)):
            parts = (value.fget, value.fset) if isinstance(value, property) else (value.__func__,)
            return type(value), tuple(map(self.of, parts))
        if isinstance(value, SimpleNamespace):
            return SimpleNamespace, self.of(vars(value))
        if dataclasses.is_dataclass(value):
            return self.of(type(value)), self.of([getattr(value, field.name) for field in dataclasses.fields(value)])
        raise IncomparableError(f"{self._where} is {type(value).__name__}, which cannot be compared")

    def _of_class(self, kind: type) -> Hashable:
        if _importable(kind):
            return ("class", id(kind)) if kind.__module__.partition(".")[0] in _KNOWN else _class_state(kind)
        own = {key: value for key, value in vars(kind).items() if key not in ("__dict__", "__weakref__", "__doc__")}
        return "class", kind.__qualname__, self.of(kind.__bases__), self.of(own)

    def _of_function(self, function: FunctionType) -> Hashable:
        """A function made anew in each call of `build` is the same if its code and what it refers to are."""
        if _importable(function):
            return "function", id(function), _globals_of(function)
        cells = []
        for cell in function.__closure__ or ():
            try:
                cells.append(self.of(cell.cell_contents))
            except ValueError:  # not filled yet
                cells.append("empty")
        defaults = self.of(function.__defaults__), self.of(function.__kwdefaults__)
        return "function", function.__code__, tuple(cells), defaults, _globals_of(function)


def _class_state(kind: type) -> Hashable:
    """A user's class, with the values that it and its methods refer to, which `build` may have changed."""
    found: list[Hashable] = [id(kind)]
    for each in kind.__mro__:
        if each.__module__.partition(".")[0] in _KNOWN:
            continue
        for key, value in vars(each).items():
            if isinstance(value, FunctionType):
                found.append((key, _globals_of(value)))
            elif not key.startswith("__") and (state := _state(f"{each.__name__}.{key}", value)) is not None:
                found.append((key, state))
    return "class", tuple(found)


def _globals_of(function: FunctionType, seen: frozenset[int] = frozenset()) -> Hashable:
    """The values of its module that a function's code names, and those that functions which it names do."""
    found: list[Hashable] = []
    for name in dict.fromkeys(_names_of(function.__code__)):
        value = function.__globals__.get(name, inspect)  # which is not looked into
        if isinstance(value, FunctionType):
            if id(value) not in seen and value.__module__.partition(".")[0] not in _KNOWN:
                found.append((name, _globals_of(value, seen | {id(value)})))
        elif (state := _state(f"the global {name}", value)) is not None:
            found.append((name, state))
    return tuple(found)


def _names_of(code: CodeType) -> Iterator[str]:
    """What a code names, and the functions made inside it."""
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _names_of(constant)


def _state(where: str, value: Any) -> Hashable | None:
    """What of a value that code refers to by its name may be another after the next `build`; None: nothing.

    Raises:
        IncomparableError: that cannot be told.
    """
    if isinstance(value, (nn.Module, ModuleType, type, FunctionType, MethodType, functools.partial, property)):
        return None  # of these what the name stands for counts, not what it holds
    try:
        if isinstance(value, _PLAIN) or not hasattr(value, "__dict__") or _is_compared(value):
            return _Values(where).of(value)
        return _Values(where).of(type(value)), _Values(where).of(vars(value))  # settings of a class of their own
    except IncomparableError:
        package = type(value).__module__.partition(".")[0]
        if not _is_compared(value) and (package in _KNOWN or package in sys.stdlib_module_names):
            return None  # a logger, a lock
        raise


def _is_compared(value: Any) -> bool:
    """Whether its content is compared, of a kind that holds nothing else."""
    kinds = (Mapping, tuple, list, set, frozenset, SimpleNamespace, Tensor, np.ndarray)
    return isinstance(value, kinds) or dataclasses.is_dataclass(value)


def _is_lasting(value: Any) -> bool:
    """Whether it is a module, a function of C or an operator of torch, which live as long as the process."""
    if isinstance(value, BuiltinFunctionType):
        return isinstance(value.__self__, (ModuleType, type)) or value.__self__ is None
    operator = type(value).__module__ == "torch._ops"
    return operator or isinstance(value, ModuleType) or inspect.ismethoddescriptor(value)


def _importable(value: Any) -> bool:
    """Whether it stands in its module under its name, so that every call of `build` finds the very same."""
    found: Any = sys.modules.get(value.__module__)
    for name in value.__qualname__.split("."):
        found = getattr(found, name, None)
    return found is value
