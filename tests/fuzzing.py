"""What fuzz tests share: how many examples, hostile values, and what a reader of foreign input may do with them.

In CI a few hundred examples of each, the same every time; `HYPOTHESIS_PROFILE=nightly` runs ten thousand others.
"""

import contextlib
import os
import resource
import signal
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from hpo.errors import HpoError

NIGHTLY = os.environ.get("HYPOTHESIS_PROFILE") == "nightly"
SECONDS = 60  # that one example may take: nothing here takes one, but machines may be busy
MEGABYTES = 200  # that one example may take
LONGEST = 20_000  # characters of a message
ALLOWANCE = 2_000_000_000  # bytes that an example is given before the system says no, to save the machine
EXIT_CODES = {2, 3, 4, 5, 65, 69, 73, 74, 75, 77, 78}  # of errors that a user can provoke
_STATUS = Path("/proc/self/status")


class HangError(BaseException):
    """An example took too long; not an `Exception`, so that nothing swallows it."""


def fuzz(ci, nightly=10_000, **more):
    """Settings for a test that runs `ci` examples in CI and `nightly` at night."""
    return settings(
        max_examples=nightly if NIGHTLY else ci,
        derandomize=not NIGHTLY,
        database=None,
        deadline=None,
        print_blob=NIGHTLY,
        suppress_health_check=list(HealthCheck),
        **more,
    )


def attempt(function, *arguments, seconds=SECONDS, **more):
    """What a function returns, or the error of hpo that it raises; anything else, a hang and a bomb are failures."""
    try:
        with bounded(seconds):
            return function(*arguments, **more)
    except HpoError as found:
        error = found
    assert error.exit_code in EXIT_CODES, repr(error)
    assert 0 < len(str(error)) < LONGEST, f"a message of {len(str(error))} characters: {str(error)[:200]}"
    return error


@contextlib.contextmanager
def bounded(seconds=SECONDS, megabytes=MEGABYTES):
    """The block fails if it takes longer or, at its greatest, so much more memory than there was before."""

    def hang(*_):
        raise HangError(f"more than {seconds} s")

    before = _reset_peak()
    limits = resource.getrlimit(resource.RLIMIT_DATA)
    resource.setrlimit(resource.RLIMIT_DATA, (_kib("VmData") * 1024 + ALLOWANCE, limits[1]))
    handler = signal.signal(signal.SIGALRM, hang)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, handler)
        resource.setrlimit(resource.RLIMIT_DATA, limits)
        grown = (_kib("VmHWM") - before) / 1024
        most["megabytes"] = max(most["megabytes"], grown)
        # here, since an error that is ours is no excuse
        assert grown < megabytes, f"{grown:.0f} MB more than before, expected at most {megabytes}"


most = {"megabytes": 0.0}  # that any example of this process took


def _reset_peak():
    """Memory in use, in KiB; from here on the peak is counted anew."""
    Path("/proc/self/clear_refs").write_text("5")
    return _kib("VmRSS")


def _kib(name):
    for line in _STATUS.read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1])
    raise AssertionError(f"{_STATUS} has no {name}")


NUMBERS = (
    0,
    -1,
    1,
    2,
    3,
    10**6,
    2**31,
    2**53,
    2**53 + 1,
    2**63 - 1,
    2**63,
    -(2**63),
    2**64,
    10**30,
    10**400,
    0.0,
    -0.0,
    0.5,
    0.1,
    1e-3,
    1e-300,
    5e-324,
    1e308,
    -1e308,
    float("inf"),
    float("-inf"),
    float("nan"),
)
TEXTS = (
    "",
    " ",
    "x",
    "-",
    "--",
    "-x",
    "--help",
    ".",
    "..",
    "../x",
    "a/b",
    "a:b",
    "x.toml",
    "x.pt",
    "x.csv",
    "x.db",
    "~",
    "\x00",
    "\n",
    "\r\n",
    "\x1b]0;title\x07",
    "[red]x[/red]",
    "<script>alert(1)</script>",
    "'; DROP TABLE studies; --",
    "%s%n",
    "%",
    "_",
    "=1+1",
    "@",
    "nan",
    "inf",
    "-inf",
    "1e999",
    "0x10",
    "1_0",
    "true",
    "None",
    "null",
    "{}",
    "[]",
    "__class__",
    "__tuple__",
    "é",
    "e\u0301",
    "\u202e",
    "\U0001f600",
    "\ud800",
    "\ufeff",
    "ß",
    "İ",
    "٣",
    "a" * 256,
    "a" * 10_000,
)

numbers = st.sampled_from(NUMBERS) | st.integers() | st.floats()
texts = st.sampled_from(TEXTS) | st.text(max_size=20)
scalars = st.none() | st.booleans() | numbers | texts


def _around(inner):
    return st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4)


data = scalars | _around(scalars) | _around(scalars | _around(scalars | _around(scalars)))


def deep(levels, inner=0):
    """Lists inside each other."""
    for _ in range(levels):
        inner = [inner]
    return inner


@st.composite
def damaged(draw, content):
    """Bytes with some bits flipped, parts cut out, doubled, overwritten or swapped."""
    found = bytearray(content)
    for _ in range(draw(st.integers(1, 4))):
        size = len(found)
        place = draw(st.integers(0, max(size - 1, 0)))
        length = draw(st.sampled_from([1, 2, 4, 16, 100, 4096]) | st.integers(0, size))
        kind = draw(st.sampled_from(["flip", "flip", "byte", "cut", "end", "double", "noise", "swap"]))
        if kind == "flip" and size:
            found[place] ^= 1 << draw(st.integers(0, 7))
        elif kind == "byte" and size:
            found[place] = draw(st.integers(0, 255))
        elif kind == "cut":
            del found[place : place + length]
        elif kind == "end":
            del found[place:]
        elif kind == "double":
            found[place:place] = found[place : place + length]
        elif kind == "noise":
            found[place:place] = draw(st.binary(max_size=40))
        elif kind == "swap":
            other = draw(st.integers(0, max(size - 1, 0)))
            one, two = bytes(found[place : place + 8]), bytes(found[other : other + 8])
            found[place : place + len(two)] = two
            found[other : other + len(one)] = one
    return bytes(found)
