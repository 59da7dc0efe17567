"""Text for people: numbers in few digits, foreign text without control characters."""

import unicodedata


def number(value: float | None) -> str:
    """A number in at most six significant digits."""
    return "-" if value is None else f"{value:.6g}"


def shown(text: object) -> str:
    """`text` with control characters written out, so that a name can neither move the cursor nor colour the screen."""
    return "".join(
        repr(c)[1:-1] if c not in "\n\t" and unicodedata.category(c) in ("Cc", "Cf", "Cs") else c for c in str(text)
    )


def value_text(value: object) -> str:
    """A hyperparameter's value for a table."""
    return number(value) if isinstance(value, float) else shown(value)


def duration(seconds: float) -> str:
    """Seconds as `12.3 s`, `4 min 05 s` or `2 h 03 min`."""
    if seconds < 60:
        return f"{seconds:.3g} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    return f"{minutes // 60} h {minutes % 60:02d} min"
