"""A file of any content is a model that predicts, or refused; neither a bit nor a bomb in it does more."""

import copy
import io
import json
import pickle
import warnings
import zipfile

import numpy as np
import pytest
import torch
from fuzzing import attempt, damaged, data, deep, fuzz, scalars, texts
from hypothesis import given
from hypothesis import strategies as st
from saved_models import job, table

from hpo.errors import DataError, HpoError
from hpo.training.model_file import digest_of
from hpo.training.objective import SimpleNNObjective
from hpo.training.saved import load_model

pytestmark = pytest.mark.ci


@pytest.fixture(scope="module")
def content():
    params = {"normalization": "batch", "preprocessing": "whiten", "width": 8}
    found = SimpleNNObjective(table(), target="kind", ignore="price").model_file(job(params), study="s", scores=None)
    assert found is not None
    return found


@pytest.fixture(scope="module")
def state(content):
    return torch.load(io.BytesIO(content), weights_only=True)


@pytest.fixture(scope="module")
def read(content, tmp_path_factory):
    """Reads a file and predicts with what was read."""
    path = tmp_path_factory.mktemp("models") / "model.pt"
    x = table().head(9)

    def outcome(written):
        path.write_bytes(written)
        model = attempt(load_model, path)
        if isinstance(model, HpoError):
            assert isinstance(model, DataError)
            return model
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "texts that the model was not trained on")  # as some altered schemas say
            return attempt(model.predict_proba, x)

    outcome.expected = outcome(content)
    return outcome


@given(st.data())
@fuzz(400)
def test_damaged_bytes_are_refused_or_of_no_account(content, read, data):
    found = read(data.draw(damaged(content)))
    assert isinstance(found, HpoError) or np.array_equal(found, read.expected)


def entries(content):
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return {info.filename: archive.read(info) for info in archive.infolist()}


def packed(parts, compression=zipfile.ZIP_STORED):
    written = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(written, "w", compression) as archive:
        warnings.simplefilter("ignore")  # of names that are there twice
        for name, part in parts:
            archive.writestr(zipfile.ZipInfo(name), part, compression)
    return written.getvalue()


@given(st.data())
@fuzz(300)
def test_an_archive_of_other_entries_is_refused_or_of_no_account(content, read, data):
    parts = list(entries(content).items())
    for _ in range(data.draw(st.integers(1, 3))):
        i, j = (data.draw(st.integers(0, len(parts) - 1)) for _ in range(2))
        kind = data.draw(st.sampled_from(["drop", "rename", "damage", "double", "swap", "add"]))
        name, part = parts[i]
        if kind == "drop" and len(parts) > 1:
            del parts[i]
        elif kind == "rename":
            parts[i] = (data.draw(st.sampled_from([name + "x", parts[j][0], "data.pkl", "archive/../x"])), part)
        elif kind == "damage":
            parts[i] = (name, data.draw(damaged(part)))
        elif kind == "double":
            parts.append((name, data.draw(damaged(part))))
        elif kind == "swap":
            parts[i], parts[j] = (name, parts[j][1]), (parts[j][0], part)
        else:
            parts.append((data.draw(st.sampled_from(["archive/extra", "archive/data/99", "archive/code/x.py"])), b"x"))
    found = read(packed(parts, data.draw(st.sampled_from([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED]))))
    assert isinstance(found, HpoError) or np.array_equal(found, read.expected)


tensors = st.sampled_from(
    [
        torch.zeros(0),
        torch.zeros(3),
        torch.full((8, 8), torch.nan),
        torch.zeros(3, dtype=torch.int64),
        torch.zeros((2, 2), dtype=torch.complex64),
        torch.zeros(1).expand(10**6),
        torch.zeros((10**9, 0)),
        torch.zeros(3, dtype=torch.float64),
        torch.tensor(1.0),
        torch.eye(3).to_sparse(),
        torch.zeros(10**12, device="meta"),
    ]
)
others = st.one_of(scalars, data, tensors, st.sampled_from([deep(30), deep(300), b"bytes", {1: 2}, (), {1, 2}]))


@given(st.data())
@fuzz(500)
def test_a_model_of_other_values_predicts_or_is_refused(state, read, data):
    """Even with the digest that belongs to the other values."""
    found = copy.deepcopy(state)
    for _ in range(data.draw(st.integers(1, 2))):
        key = data.draw(st.sampled_from(sorted(found)))
        inner = found[key]
        if key == "schema" and data.draw(st.booleans()):
            found[key] = altered_schema(state["schema"], data.draw)
        elif isinstance(inner, dict) and inner and data.draw(st.integers(0, 4)):
            part = data.draw(st.sampled_from(sorted(inner, key=str)) | texts)
            near = st.sampled_from([0, 1, -1, 0.5, 2, 10**6, [8], [10**6], ["relu"], "sgd", None, True])
            inner[part] = data.draw(others | near)
        else:
            found[key] = data.draw(others)
    try:
        found["digest"] = digest_of(found)
    except Exception:
        found["digest"] = "0" * 32
    written = io.BytesIO()
    try:
        torch.save(found, written)
    except Exception:  # half a surrogate pair, say: no file of it can be made
        return
    read(written.getvalue())


def altered_schema(text, draw):
    found = json.loads(text)
    at = found
    while isinstance(at, (dict, list)) and at:
        key = draw(st.sampled_from(list(at) if isinstance(at, dict) else list(range(len(at)))))
        if draw(st.booleans()) or not isinstance(at[key], (dict, list)):
            at[key] = draw(scalars | data)
            break
        at = at[key]
    return json.dumps(found)


@given(data | tensors)
@fuzz(200)
def test_other_files_of_torch_are_refused(read, found):
    written = io.BytesIO()
    try:
        torch.save(found, written)
    except Exception:
        return
    assert isinstance(read(written.getvalue()), DataError)
    assert isinstance(read(pickle.dumps(0)), DataError)


def laughs(levels=12):
    found = ["ha" * 10]
    for _ in range(levels):
        found = [found] * 10
    return found


def bombs(state):
    """Small files that claim to be large."""
    parts = entries(saved(state))
    stored = max((name for name in parts if "/data/" in name), key=lambda name: len(parts[name]))
    weights = state["state_dict"] | {next(iter(state["state_dict"])): torch.zeros(10**8)}
    return {
        "compressed": lambda: packed(entries(saved(state | {"state_dict": weights})).items(), zipfile.ZIP_DEFLATED),
        "compressed part": lambda: packed((parts | {stored: bytes(3 * 10**8)}).items(), zipfile.ZIP_DEFLATED),
        "compressed pickle": lambda: packed(
            (parts | {next(n for n in parts if n.endswith("data.pkl")): bytes(3 * 10**8)}).items(), zipfile.ZIP_DEFLATED
        ),
        "laughs in params": lambda: saved(state | {"params": {"x": laughs()}}),
        "laughs in classes": lambda: saved(state | {"classes": laughs()}),
        "laughs in scores": lambda: saved(state | {"scores": {"x": laughs()}}),
        "laughs in settings": lambda: saved(state | {"settings": {"x": laughs()}}),
        "wide": lambda: signed(
            state | {"settings": state["settings"] | {"widths": [10**6] * 2, "activations": ["relu"] * 2}}
        ),
        "deep": lambda: signed(
            state | {"settings": state["settings"] | {"widths": [4096] * 30, "activations": ["relu"] * 30}}
        ),
        "nested schema": lambda: signed(state | {"schema": "[" * 100_000}),
        "numbers in the schema": lambda: signed(state | {"schema": "9" * 1_000_000}),
        "epochs": lambda: saved(state | {"epochs": 10**10_000}),
    }


def saved(state):
    written = io.BytesIO()
    torch.save(state, written)
    return written.getvalue()


def signed(state):
    return saved(state | {"digest": digest_of(state)})


BOMBS = (
    "compressed",
    "compressed part",
    "compressed pickle",
    "laughs in params",
    "laughs in classes",
    "laughs in scores",
    "laughs in settings",
    "wide",
    "deep",
    "nested schema",
    "numbers in the schema",
    "epochs",
)


@pytest.mark.parametrize("kind", BOMBS)
def test_a_bomb_takes_neither_time_nor_memory(state, read, kind):
    assert isinstance(read(bombs(state)[kind]()), DataError)
