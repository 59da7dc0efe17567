"""The file of a saved model: one `torch.save` of plain containers and tensors, and what is checked of it.

format          FORMAT
hpo             version that wrote it
params          the configuration as it was searched
settings        all hyperparameters, see `Settings`
state_dict      weights and running statistics, name to tensor, float32
transform       the fitted preparation, name to tensor, see `Transform`
schema          the table's columns, JSON text, see `Schema`
classes         names of the classes; empty for a regression
task            "classification" or "regression"
target          name of what is predicted
target_mean     of a regression: prediction = output * target_scale + target_mean
target_scale    > 0
metric          that was optimised
epochs          trained
seed            of the training
study           name of the study that it comes from
scores          validation, test, low, high: see `Study.save`; None: trained on all rows, so that none belongs to it
    digest          of all the others, see `digest_of`
"""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
import math
import pickle
import warnings
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import torch
from torch import Tensor

import hpo
from hpo.errors import DataError, NoPermissionError, NotFoundError
from hpo.text import printable
from hpo.torch_mode import own_mode
from hpo.training.hyperparameters import KNOWN, MAX_DEPTH, METRICS, Settings
from hpo.training.preparation import Transform
from hpo.training.schema import Schema
from hpo.values import brief

if TYPE_CHECKING:
    from hpo.training.data import Dataset
    from hpo.training.final import FinalModel

FORMAT: Final = 1
_MAGIC: Final = b"PK\x03\x04"  # of a zip archive, which torch.save writes
_SAVES: Final = "`hpo best --save`"  # what writes one
_TYPES: Final[Mapping[str, type | tuple[type, ...]]] = {
    "format": int,
    "hpo": str,
    "params": dict,
    "settings": dict,
    "state_dict": dict,
    "transform": dict,
    "schema": str,
    "classes": list,
    "task": str,
    "target": str,
    "target_mean": float,
    "target_scale": float,
    "metric": str,
    "epochs": int,
    "seed": int,
    "study": str,
    "scores": (dict, type(None)),
    "digest": str,
}
_OF_TENSORS: Final = ("state_dict", "transform")
_MOST_PARTS: Final = 1_000_000  # values in all the lists and dicts: one that is there many times counts every time


def pack(
    final: FinalModel,
    dataset: Dataset,
    *,
    params: Mapping[str, Any],
    metric: str,
    seed: int,
    study: str,
    scores: Mapping[str, Any] | None,
) -> bytes:
    """The content of the file."""
    settings = dataclasses.asdict(final.settings)
    content = io.BytesIO()
    state: dict[str, Any] = {
        "format": FORMAT,
        "hpo": hpo.__version__,
        "params": dict(params),
        "settings": {name: list(value) if isinstance(value, tuple) else value for name, value in settings.items()},
        "state_dict": {name: tensor.detach().contiguous() for name, tensor in final.model.state_dict().items()},
        "transform": {name: torch.from_numpy(array) for name, array in final.transform.to_arrays().items()},
        "schema": json.dumps(dataset.schema.to_json()),
        "classes": list(dataset.classes),
        "task": dataset.task,
        "target": dataset.target,
        "target_mean": float(final.data.target_mean),
        "target_scale": float(final.data.target_scale),
        "metric": metric,
        "epochs": final.epochs,
        "seed": seed,
        "study": study,
        "scores": scores,
    }
    torch.save(state | {"digest": digest_of(state)}, content)
    return content.getvalue()


def read(path: Path) -> bytes:
    """The content of a file that may be a saved model.

    Raises:
        NotFoundError: no such file.
        NoPermissionError: it may not be read.
        DataError: no file, or none that hpo saved.
    """
    name = shown(path)
    try:
        with path.open("rb") as file:
            head = file.read(len(_MAGIC))
            if head != _MAGIC:
                raise DataError(f"{name} is no saved model: {_SAVES} writes one")
            return head + file.read()
    except FileNotFoundError:
        raise NotFoundError(f"no saved model {name}: {_SAVES} writes one") from None
    except PermissionError:
        raise NoPermissionError(f"saved model {name} may not be read by this user: check its permissions") from None
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        raise DataError(f"saved model {name} cannot be read: {why}: give a file that {_SAVES} wrote") from None


@own_mode()
def unpack(content: bytes, path: Path) -> dict[str, Any]:
    """What the file has, every key of the expected type; nothing in it is executed.

    Raises:
        DataError: damaged, not a model that hpo saved, or of a newer format.
    """
    name = shown(path)
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            size = sum(part.file_size for part in archive.infolist())
        if size > len(content):  # torch.save compresses nothing
            raise ValueError(f"its {len(content)} bytes are said to hold {size}")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch's own about damaged files
            state = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except Exception as error:  # whatever zipfile and torch raise for what is not theirs
        reason = next(iter(str(error).splitlines()), "") or type(error).__name__
        if isinstance(error, pickle.UnpicklingError):  # torch's text goes on to advise running what the file says
            reason = "more is in it than plain tensors"
        raise refused(path, reason) from None
    if not isinstance(state, dict) or type(state.get("format")) is not int or "hpo" not in state:
        raise refused(path, "it has no format")
    if state["format"] > FORMAT:
        raise DataError(
            f"{name} has format {state['format']}, written by hpo {printable(state['hpo'])}; this is hpo "
            f"{hpo.__version__}, which knows formats up to {FORMAT}: install the hpo that wrote it"
        )
    for key, kind in _TYPES.items():
        if key not in state or not isinstance(state[key], kind) or isinstance(state[key], bool):
            found = type(state[key]).__name__ if key in state else "nothing"
            raise refused(path, f"{key} is {found}, expected {_kind(kind)}")
    for key in _OF_TENSORS:
        for part, tensor in state[key].items():
            if not _is_plain(tensor):
                raise refused(path, f"{key}[{brief(part)}] is no plain tensor")
    if _too_large(state):
        raise refused(path, f"more than {_MOST_PARTS} values")
    return state


def _too_large(state: Mapping[str, Any]) -> bool:
    """Whether there are too many values to look at: a list in itself, or in lists that are in lists."""
    stack: list[Iterator[Any]] = [iter(state.values())]
    for _ in range(_MOST_PARTS):
        while stack and (value := next(stack[-1], stack)) is stack:
            stack.pop()
        if not stack:
            return False
        if isinstance(value, (list, tuple, set, dict)):
            stack.append(iter(value.values() if isinstance(value, dict) else value))
    return True


def settings_of(state: Mapping[str, Any]) -> Settings:
    """The settings; raises ValueError for anything that is illegal."""
    found, names = dict(state["settings"]), {field.name for field in dataclasses.fields(Settings)}
    if set(found) != names:
        raise ValueError(f"settings are {sorted(map(str, found))}, expected {sorted(names)}")
    for name in names - {"widths", "activations"}:
        found[name] = KNOWN[name].accept(found[name])
    for names_of, name in (("widths", "width"), ("activations", "activation")):
        found[names_of] = tuple(map(KNOWN[name].accept, found[names_of]))
    if not 1 <= len(found["widths"]) == len(found["activations"]) <= MAX_DEPTH:
        raise ValueError(f"{len(found['widths'])} widths and {len(found['activations'])} activations")
    return Settings(**found)


def transform_of(state: Mapping[str, Any], schema: Schema) -> Transform:
    """The preparation; raises ValueError or TypeError for one that does not fit the inputs."""
    transform = Transform.from_arrays({name: tensor.numpy() for name, tensor in state["transform"].items()})
    d, marked = len(schema.inputs), transform.indicators
    width = d + len(marked)
    vectors = [getattr(transform, name) for name in ("low", "high", "scale", "shift", "mean")]
    matrix = transform.matrix
    fits = (
        transform.medians.shape == (d,)
        and marked.dtype == np.int64
        and marked.ndim == 1
        and bool(((marked >= 0) & (marked < d)).all())
        and all(vector is None or vector.shape == (width,) for vector in vectors)
        and (matrix is None or (matrix.ndim == 2 and len(matrix) == width))
        and all(array is None or array.dtype == np.float64 for array in (transform.medians, *vectors, matrix))
    )
    if not fits:
        raise ValueError(f"the preparation does not fit {d} inputs")
    return transform


def check_task(state: Mapping[str, Any]) -> None:
    """Raise ValueError if task, metric, classes and target do not fit each other."""
    task, classes = state["task"], state["classes"]
    if task not in METRICS or state["metric"] not in METRICS[task]:
        raise ValueError(f"task {task!r} and metric {state['metric']!r} do not fit")
    named = all(isinstance(name, str) for name in classes) and len(set(classes)) == len(classes)
    if not named or (len(classes) < 2) != (task == "regression"):
        raise ValueError(f"{len(classes)} classes do not fit task {task!r}")
    if not (math.isfinite(state["target_mean"]) and 0 < state["target_scale"] < math.inf):
        raise ValueError("mean and scale of the target are no numbers to scale with")


def digest_of(state: Mapping[str, Any]) -> str:
    """What identifies all that a file has but its digest: 32 hexadecimal digits.

    The archive's own checksums are not enough: torch does not look at them, and its list of records has none.
    """
    said = hashlib.blake2b(digest_size=16)
    for key in sorted(_TYPES.keys() - {"digest"}):
        if key not in _OF_TENSORS:
            said.update(json.dumps([key, state[key]], sort_keys=True).encode())
            continue
        for name, tensor in sorted(state[key].items()):
            said.update(json.dumps([key, name, str(tensor.dtype), list(tensor.shape)]).encode())
            said.update(tensor.numpy().data)
    return said.hexdigest()


def check_digest(state: Mapping[str, Any]) -> None:
    """Raise ValueError if something has changed since the file was written."""
    if digest_of(state) != state["digest"]:
        raise ValueError("its content is not what was written")


def refused(path: Path, why: object) -> DataError:
    """The error about a file that looks like a saved model, and is none, or none any more."""
    reason = printable(" ".join(str(why).split()))
    return DataError(f"{shown(path)} is damaged, or no model that hpo saved ({reason}): {_SAVES} writes it anew")


def shown(path: Path) -> str:
    """A path in a message."""
    return printable(repr(str(path)))


def _is_plain(tensor: Any) -> bool:
    """Whether it is a tensor that holds all that it claims to."""
    return (
        isinstance(tensor, Tensor)
        and tensor.layout == torch.strided
        and tensor.device.type == "cpu"
        and tensor.dtype in (torch.float32, torch.float64, torch.int64)
        and tensor.is_contiguous()
    )


def _kind(kind: type | tuple[type, ...]) -> str:
    return " or ".join(each.__name__ for each in (kind if isinstance(kind, tuple) else (kind,)))
