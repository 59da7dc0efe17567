"""How long the command line and the package take to start, beside Optuna's; medians of interleaved processes.

Run as `python scripts/bench_startup.py [--quick]`.
"""

import argparse
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path

TARGET_SECONDS = 0.3


def command(name: str) -> str:
    """The command of this environment."""
    found = shutil.which(name, path=str(Path(sys.executable).parent))
    if found is None:
        sys.exit(f"no command {name!r} beside {sys.executable}: install the package first")
    return found


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="3 repeats instead of 15")
    repeats = 3 if parser.parse_args().quick else 15
    rows = {
        "hpo --help": [command("hpo"), "--help"],
        "optuna --help": [command("optuna"), "--help"],
        "python -c 'import hpo'": [sys.executable, "-c", "import hpo"],
        "python -c 'import optuna'": [sys.executable, "-c", "import optuna"],
        "python -c 'pass'": [sys.executable, "-c", "pass"],
    }
    times: dict[str, list[float]] = {label: [] for label in rows}
    for _ in range(repeats + 1):  # the first round only warms the disk cache
        for label, arguments in rows.items():
            begin = time.perf_counter()
            subprocess.run(arguments, check=True, capture_output=True)
            times[label].append(time.perf_counter() - begin)
    medians = {label: statistics.median(measured[1:]) for label, measured in times.items()}
    for label, seconds in medians.items():
        print(f"{label:<28} {seconds * 1000:7.0f} ms")
    verdict = "met" if medians["hpo --help"] <= TARGET_SECONDS else "NOT met"
    print(f"hpo --help within {TARGET_SECONDS * 1000:.0f} ms: {verdict}")


if __name__ == "__main__":
    main()
