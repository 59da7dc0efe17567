"""A table of any bytes is data to learn from, or refused with what is wrong with it."""

import gzip
from pathlib import Path

import pytest
from fuzzing import TEXTS, attempt, damaged, fuzz, numbers, texts
from hypothesis import given
from hypothesis import strategies as st

from hpo.errors import HpoError
from hpo.training.objective import SimpleNNObjective
from hpo.training.saved import load_model

pytestmark = pytest.mark.ci


@pytest.fixture(scope="module")
def read(home):
    """Reads a table to train on, and to predict; the warnings that both give are allowed."""
    model = load_model("model.pt")
    content = Path("flowers.csv").read_bytes()

    def outcome(written, suffix=".csv", **settings):
        path = Path(f"table{suffix}")
        path.write_bytes(written)
        found = attempt(train, str(path), **({"target": "kind"} | settings))
        if suffix == ".csv":
            attempt(predict, model, path)
        return found

    outcome.content = content
    assert not isinstance(outcome(content), HpoError)
    assert not isinstance(outcome(gzip.compress(content), ".csv.gz"), HpoError)
    return outcome


@pytest.fixture(autouse=True)
def _quiet(recwarn):
    """Warnings of hpo's own are for the user, and no failures."""
    import warnings

    warnings.simplefilter("default")


def train(path, **settings):
    objective = SimpleNNObjective(path, **settings)
    _ = objective.dataset
    objective.notices()
    return objective


def predict(model, path):
    from hpo.training.reading import read_table

    return model.predict(read_table(path, []))


@given(st.data())
@fuzz(200)
def test_damaged_bytes_are_a_table_or_refused(read, data):
    read(data.draw(damaged(read.content)))


@given(st.data())
@fuzz(100)
def test_a_damaged_archive_is_a_table_or_refused(read, data):
    read(data.draw(damaged(gzip.compress(read.content, mtime=0))), ".csv.gz")


cells = st.one_of(texts, numbers.map(str), st.sampled_from([*TEXTS, '"', '"x', 'a"b', "1,5", "yes", "no", "NA", ""]))
settings = st.fixed_dictionaries(
    {},
    optional={
        "target": st.sampled_from(["kind", "leaves", "id", "side"]) | texts,
        "task": st.sampled_from(["classification", "regression"]) | texts,
        "split": st.sampled_from(["side", "kind"]) | texts,
        "group": st.sampled_from(["side", "id"]) | texts,
        "ignore": st.sampled_from(["id", "kind"]) | texts,
        "folds": st.integers(-2, 7) | st.integers(),
    },
)


@given(st.data(), settings)
@fuzz(300)
def test_a_table_of_other_cells_is_a_table_or_refused(read, data, settings):
    rows = [line.split(",") for line in read.content.decode().splitlines()]
    for _ in range(data.draw(st.integers(0, 4))):
        row = data.draw(st.sampled_from(rows))
        kind = data.draw(st.sampled_from(["set", "set", "set", "column", "drop", "add", "rows"]))
        place = data.draw(st.integers(0, max(len(row) - 1, 0)))
        if kind == "set" and row:
            row[place] = data.draw(cells)
        elif kind == "column":
            cell = data.draw(cells)
            for each in rows[1:]:
                each[place:][:1] and each.__setitem__(place, cell)
        elif kind == "drop" and row:
            del row[place]
        elif kind == "add":
            row.append(data.draw(cells))
        else:
            del rows[data.draw(st.integers(1, 60)) :]
    text = "\n".join(",".join(row) for row in rows)
    read(text.encode(errors="surrogatepass"), **settings)


BOMBS = {
    "zeros": (lambda: gzip.compress(bytes(10**9)), ".csv.gz"),
    "one line": (lambda: b"x" * 5_000_000, ".csv"),
    "commas": (lambda: b"kind" + b"," * 3_000 + b"\n" + b"," * 3_000, ".csv"),
    "quote": (lambda: b'kind,x\n"' + b"a\n" * 5_000_000, ".csv"),
    "digits": (lambda: b"kind,x\n" + b"a,%s\nb,2\n" % (b"9" * 100_000) * 20, ".csv"),
}


@pytest.mark.parametrize("kind", BOMBS)
def test_a_bomb_takes_neither_time_nor_memory(read, kind):
    make, suffix = BOMBS[kind]
    read(make(), suffix)
