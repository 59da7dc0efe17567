"""Text for people: numbers in few digits, foreign text without control characters."""

import shlex
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from pathlib import Path

MAX_LISTED = 100  # of a configuration or a list in one line
_UNSEEN = ("Cc", "Cf", "Cs", "Zl", "Zp")  # control, format, surrogate, line and paragraph separator


def composed(name: str) -> str:
    """`name` in Unicode's composed form (NFC): an accented letter is one character, however it was typed."""
    return unicodedata.normalize("NFC", name)


def number(value: float | None) -> str:
    """A number in at most six significant digits."""
    return "-" if value is None else f"{value:.6g}"


def counted(count: int, what: str) -> str:
    """`1 trial`, `2,000 trials`."""
    return f"{count:,} {what}{'s' * (count != 1)}"


def states_text(counts: Mapping[str, int]) -> str:
    """How many trials are in each state, as in `12 done, 1 failed`."""
    return ", ".join(f"{n} {state}" for state, n in sorted(counts.items())) or "no trials"


def printable(text: object) -> str:
    """`text` with control characters written out, so that a name can neither move the cursor nor colour the screen."""
    return "".join(repr(c)[1:-1] if c not in "\n\t" and unicodedata.category(c) in _UNSEEN else c for c in str(text))


def overwritten(text: str) -> str:
    """What is left of a text in which carriage returns went back to write lines again, as progress bars do."""
    return "\n".join(line.removesuffix("\r").rpartition("\r")[2] for line in text.split("\n"))


def value_text(value: object) -> str:
    """A hyperparameter's value in one line."""
    return number(value) if isinstance(value, float) else printable(value).replace("\n", "\\n").replace("\t", "\\t")


def headline(error: str | None) -> str:
    """What a traceback says in one line: exception and beginning of its message."""
    lines = (error or "").rsplit("Traceback (most recent call last):\n", 1)[-1].splitlines()
    told = [line.strip() for line in lines if line.strip() and not line.startswith(" ")]
    return printable(next(iter(told or lines[-1:]), "").strip())


def command(
    name: str, study: str | None, store: Path, default: Path, *more: object, options: Sequence[str] = ()
) -> str:
    """What to type for command `name` of a study, with `more` arguments: `hpo show --store runs.db tpe-0 3`.

    Args:
        name: of the command.
        study: its first argument, or a comparison; None: it has none.
        store: that it is in.
        default: the store that is meant without `--store`.
        more: arguments that follow.
        options: with their values; they stand before the arguments, of which one may begin with a hyphen.
    """
    words = ["hpo", name, *([] if store == default else ["--store", str(store)]), *options]
    if study is not None:
        words += ["--", study] if study.startswith("-") else [study]
    return f"`{' '.join(shlex.quote(word) for word in [*words, *map(str, more)])}`"


def params_text(params: Mapping[str, object]) -> str:
    """A configuration in one line, the beginning of a long one."""
    return listed([f"{printable(name)}={value_text(params[name])}" for name in islice(params, MAX_LISTED)], len(params))


def listed(texts: Iterable[str], count: int, between: str = ", ") -> str:
    """The first `MAX_LISTED` of `count` texts in one line, and how many there are in all."""
    more = f"{between}... ({count:,} in all)" if count > MAX_LISTED else ""
    return between.join(islice(texts, MAX_LISTED)) + more


def duration(seconds: float) -> str:
    """Seconds as `12.3 s`, `4 min 05 s` or `2 h 03 min`."""
    if seconds < 60:
        return f"{seconds:.3g} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    return f"{minutes // 60} h {minutes % 60:02d} min"
