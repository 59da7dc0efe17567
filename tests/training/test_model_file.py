"""Files that are no saved models, or no longer: each is refused by its name, and nothing in it runs."""

import contextlib
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from saved_models import job, table

from hpo.errors import DataError, NotFoundError
from hpo.training.model_file import digest_of
from hpo.training.objective import SimpleNNObjective
from hpo.training.saved import load_model


@pytest.fixture(scope="module")
def content() -> bytes:
    params = {"normalization": "batch", "preprocessing": "whiten", "width": 8}
    found = SimpleNNObjective(table(), target="kind", ignore="price").model_file(job(params), study="s", scores=None)
    assert found is not None
    return found


class Malicious:
    """Unpickled, it would create a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return Path.touch, (self.path,)


def refused(path: Path, match: str = ".") -> None:
    with pytest.raises(DataError, match=match) as caught:
        load_model(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("wrapped", ["pickle", "archive", "inside"])
def test_code_in_a_file_is_not_run(wrapped: str, content: bytes, tmp_path: Path) -> None:
    path, trace = tmp_path / "model.pt", tmp_path / "trace"
    if wrapped == "pickle":
        path.write_bytes(pickle.dumps(Malicious(trace)))
    elif wrapped == "archive":
        torch.save(Malicious(trace), path)
    else:
        path.write_bytes(content)
        state = torch.load(path, weights_only=True)
        torch.save(state | {"params": Malicious(trace)}, path)
    refused(path)
    assert not trace.exists()


def test_no_bit_may_have_flipped(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "model.pt"
    path.write_bytes(content)
    x = table().head(9)
    expected = load_model(path).predict_proba(x)
    directory = content.rindex(b"PK\x01\x02") + 38  # a record that claims to be a folder reads as nothing
    for place in (directory, *np.linspace(0, len(content) - 1, 150).astype(int)):
        flipped = bytearray(content)
        flipped[place] ^= 16
        path.write_bytes(flipped)
        with contextlib.suppress(DataError):  # unless it pads the archive
            assert np.array_equal(load_model(path).predict_proba(x), expected)


@pytest.mark.parametrize("share", [0.0, 0.001, 0.5, 0.99])
def test_a_file_cut_short_is_refused(share: float, content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "model.pt"
    path.write_bytes(content[: int(share * len(content))])
    refused(path)


@pytest.mark.parametrize("other", ["text", "archive", "weights", "module", "folder"])
def test_files_of_other_programs_are_refused(other: str, tmp_path: Path) -> None:
    path = tmp_path / "model.pt"
    if other == "text":
        path.write_text("size,colour\n1,red\n")
    elif other == "archive":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("readme.txt", "hello")
    elif other == "weights":
        torch.save(torch.nn.Linear(2, 3).state_dict(), path)
    elif other == "module":
        torch.save(torch.nn.Linear(2, 3), path)
        refused(path, "more is in it than plain tensors")  # torch's own words advise to run it
    else:
        path.mkdir()
    refused(path)


def test_a_missing_file_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="no saved model"):
        load_model(tmp_path / "model.pt")


def without(key: str) -> Callable[[dict[str, Any]], None]:
    return lambda state: state.pop(key)


def narrow(state: dict[str, Any]) -> None:
    state["state_dict"]["output.weight"] = torch.zeros(2, 7)


def expanded(state: dict[str, Any]) -> None:
    state["state_dict"]["output.weight"] = torch.zeros(1).expand(2, 10**18)


ALTERED: dict[str, tuple[Callable[[dict[str, Any]], Any], str]] = {
    "newer": (
        lambda state: state.update(format=2, hpo="9.0"),
        r"format 2, written by hpo 9\.0.*install the hpo",
    ),
    "no params": (without("params"), "params is nothing, expected dict"),
    "epochs": (lambda state: state.update(epochs="3"), "epochs is str, expected int"),
    "no weights": (lambda state: state["state_dict"].clear(), r"found none, expected size"),
    "narrow": (narrow, r"weights .output.weight.: found size \(2, 7\), expected size \(2, 8\)"),
    "expanded": (expanded, "is no plain tensor"),
    "width": (lambda state: state["settings"].update(widths=[8, 9]), r"found size \(8,\), expected size \(9,\)"),
    "huge": (lambda state: state["settings"].update(widths=[8, 10**9]), "expected an integer >= 1 and <= 1024"),
    "setting": (lambda state: state["settings"].update(colour="red"), "settings are .*'colour'"),
    "schema": (lambda state: state.update(schema="[]"), "does not fit 0 inputs"),
    "no json": (lambda state: state.update(schema="["), "no model that hpo saved"),
    "transform": (lambda state: state["transform"].update(medians=torch.zeros(2).double()), "does not fit 6 inputs"),
    "step": (lambda state: state["transform"].update(colour=torch.zeros(2)), "unexpected keyword argument 'colour'"),
    "indicators": (lambda state: state["transform"]["indicators"].fill_(99), "does not fit 6 inputs"),
    "classes": (lambda state: state.update(classes=["a"]), "1 classes do not fit"),
    "more classes": (lambda state: state.update(classes=["a", "b", "c"]), r"found size \(2,\), expected size \(3,\)"),
    "metric": (lambda state: state.update(metric="rmse"), "do not fit"),
    "scale": (lambda state: state.update(target_scale=0.0), "no numbers to scale with"),
}


@pytest.mark.parametrize(("alter", "match"), ALTERED.values(), ids=ALTERED)
def test_parts_that_do_not_fit_are_refused(
    alter: Callable[[dict[str, Any]], Any], match: str, content: bytes, tmp_path: Path
) -> None:
    path = tmp_path / "model.pt"
    path.write_bytes(content)
    state = torch.load(path, weights_only=True)
    alter(state)
    torch.save(state, path)
    refused(path)
    with contextlib.suppress(KeyError, BufferError):  # whoever alters a file may make its digest right
        torch.save(state | {"digest": digest_of(state)}, path)
    refused(path, match)
