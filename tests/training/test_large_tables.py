"""Tall and wide tables fit into 4 GiB with all that is made of them."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from peak_memory import PEAK

PREPARE = f"""{PEAK}
import sys
from hpo.training.data import load_dataset
from hpo.training.hyperparameters import Preparation
from hpo.training.tables import TableSource

dataset = load_dataset(TableSource(sys.argv[1], "y"), 0, folds=5)
for how in (Preparation("robust", True), Preparation("whiten"), Preparation("standardize", False, 10)):
    for rows in ("holdout", 4, "development"):
        data = dataset.prepared(how, rows)
print(dataset.x.shape, data.train.x.shape[0], peak())
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="peak memory is read from /proc")
@pytest.mark.parametrize(("rows", "columns"), [(1_000_000, 20), (2_000, 10_000)])
def test_a_large_table_stays_within_four_gigabytes(rows: int, columns: int, tmp_path: Path) -> None:
    draws = np.random.default_rng(0)
    with (tmp_path / "t.csv").open("w") as file:
        file.write(",".join([f"c{i}" for i in range(columns)] + ["y"]) + "\n")
        values = draws.standard_normal((rows // 10, columns)).tolist()
        for label, row in enumerate(values * 10):
            file.write(",".join([f"{value:.8f}" for value in row] + [str(label % 3)]) + "\n")
    done = subprocess.run(
        [sys.executable, "-c", PREPARE, tmp_path / "t.csv"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    said = done.stdout.split()
    assert done.stdout.startswith(f"({rows}, {columns}) {rows * 8 // 10} ")
    assert int(said[-1]) < 4 * 2**20  # KiB
