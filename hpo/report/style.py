"""How drawings look: one layout, colours that read on light and dark ground, axes of hyperparameters.

Drawings have no background of their own and set no colour of text or grid: the page does, for light and for dark.
All their traces are SVG (scatter, bar, box, heatmap); those that plotly draws with WebGL are blocked or lost in print.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from hpo.domains import Choice, Domain, Float, Int
from hpo.report.figure import label
from hpo.text import number, value_text
from hpo.values import canonical, plain

if TYPE_CHECKING:
    import plotly.graph_objects as go

# Okabe and Ito's colours, those too light for white or too dark for black replaced: each has a contrast of at least
# 3 to both grounds, and the first ones differ for colour-blind readers as well.
PALETTE: Final = ("#1F83C4", "#D55E00", "#009E73", "#CC79A7", "#B07D00", "#7E6BC4", "#3B9DB8")
BEST: Final = PALETTE[1]  # the best trial, in every drawing
MUTED: Final = "#888888"  # what is there for comparison only
SCALE: Final = ("#414487", "#2a788e", "#22a884", "#7ad151", "#dde318")  # bad to good: viridis, its darkest left out
CLEAR: Final = "rgba(0,0,0,0)"

HEIGHT: Final = 380  # pixels
MAX_TICKS: Final = 12
MAX_STEPS: Final = 10  # of a count that each have a tick; of more plotly chooses whole ones
NAME: Final = 40  # characters of a name on an axis
OPTION: Final = 18  # characters of an option at a tick
FAR = 10.0  # worst values so many times farther from the best than the better three quarters are left out of sight
_MARGIN: Final = {"l": 60, "r": 16, "t": 16, "b": 48}
_GREATEST: Final = 1e300  # plotly computes with floats, and what is near their end overflows


def color(index: int) -> str:
    """The colour of the series number `index`; they repeat."""
    return PALETTE[index % len(PALETTE)]


def faded(colour: str, alpha: float) -> str:
    """A colour "#rrggbb" that lets `alpha` in [0, 1] of itself be seen: for bands and crowds."""
    red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return f"rgba({red},{green},{blue},{alpha:g})"


def scale(maximized: bool) -> list[tuple[float, str]]:
    """The colours of a heat map's values as plotly takes them: the better the brighter."""
    colours = SCALE if maximized else SCALE[::-1]
    return [(i / (len(colours) - 1), colour) for i, colour in enumerate(colours)]


def layout(height: int = HEIGHT, **more: Any) -> dict[str, Any]:
    """The layout that all drawings begin with: as wide as its place, the legend below.

    Args:
        height: in pixels.
        more: other entries of plotly's layout; `margin` may name some sides only.
    """
    margin = _MARGIN | more.pop("margin", {})
    plot = max(height - margin["t"] - margin["b"], 1)
    return {
        "template": "none",
        "autosize": True,
        "height": height,
        "paper_bgcolor": CLEAR,
        "plot_bgcolor": CLEAR,
        "colorway": list(PALETTE),
        "hovermode": "closest",
        "margin": margin,
        "legend": {"orientation": "h", "x": 0, "xanchor": "left", "y": -52 / plot, "yanchor": "top"},
    } | more


def drawing(traces: Iterable[Any], height: int = HEIGHT, **more: Any) -> go.Figure:
    """A plotly figure of `traces` with the `layout`."""
    import plotly.graph_objects as go

    return go.Figure(list(traces), layout(height, **more))


def axis(title: object, /, **more: Any) -> dict[str, Any]:
    """A numeric axis of plotly's, with a title that may be foreign text."""
    return {
        "title": {"text": label(title, NAME), "standoff": 8},
        "automargin": True,
        "zeroline": False,
        "exponentformat": "power",
        "nticks": 6,
    } | more


def whole_axis(title: object, first: float, last: float, /, **more: Any) -> dict[str, Any]:
    """The axis of a count, from `first` to `last`, with ticks at whole numbers alone."""
    return axis(title, tickformat="d", **({"dtick": 1} if last - first <= MAX_STEPS else {}), **more)


def value_axis(title: object, window: tuple[float, float] | None, /, **more: Any) -> dict[str, Any]:
    """The axis of a metric, showing `window` of it with some air; None: all of it."""
    return axis(title, **({} if window is None else {"range": list(_padded(*window))}), **more)


def indexed(domain: Domain) -> bool:
    """Whether values stand at their index: options, and great integers that floats would not tell apart."""
    if isinstance(domain, Choice):
        return True
    great = isinstance(domain, Int) and max(abs(domain.low), abs(domain.high)) > 2**53
    return great and (domain.size or 0) <= 2**20


def axis_of(name: str, domain: Domain, /, width: int = OPTION, ticks: int = 6, **more: Any) -> dict[str, Any]:
    """The axis of a hyperparameter: all its range, log where the space is, options in their order.

    Trials stand on it at `position`.

    Args:
        name: its title.
        domain: its values.
        width: characters of an option that are shown.
        ticks: about how many ticks it has where not each of its values can have one.
        more: other entries of plotly's axis.
    """
    more = {"range": axis_range(domain)} | more
    if indexed(domain):
        return axis(name, **_ticks(domain, width, ticks) | more)
    if is_log(domain):
        first, last = more["range"]
        more = {"type": "log", **({"dtick": math.ceil((last - first) / ticks)} if last - first > 1.5 else {})} | more
    few = _ticks(domain, width, ticks) if domain.size is not None and domain.size <= MAX_TICKS else {}
    return axis(name, **{"nticks": ticks} | few | more)


def axis_range(domain: Domain) -> list[float]:
    """Where the axis of a hyperparameter begins and ends, in plotly's words: of a log axis exponents of 10."""
    if indexed(domain):
        assert domain.size is not None
        return [-0.5, domain.size - 0.5]
    assert isinstance(domain, (Float, Int))
    low, high = float(domain.low), float(domain.high)
    return list(_padded(math.log10(low), math.log10(high)) if domain.log else _padded(low, high))


def position(domain: Domain, value: Any) -> float:
    """Where a value stands on the axis: a number itself, an option at its index, so that 1, "1" and True stay apart."""
    return float(domain.grid_index(value, 0)) if indexed(domain) else float(value)


def scale_ticks(domain: Domain, count: int = 5) -> list[tuple[float, str]]:
    """Up to about `count` ticks for an axis of one's own: place in [0, 1], as `Domain.encode` has it, and text."""
    size = domain.size
    if indexed(domain) or (size is not None and size <= count):
        assert size is not None
        values = [domain.grid_value(i, 0) for i in spread(size, count)]
    else:
        assert isinstance(domain, (Float, Int))
        values = _round_values(domain, count)
    text = text_of(domain) if isinstance(domain, Choice) else number
    return [(domain.encode(value), text(value)) for value in values]


def text_of(domain: Domain) -> Callable[[Any], str]:
    """What writes values of a hyperparameter, not yet escaped; options with equal texts, as 1 and "1", become JSON."""
    if not isinstance(domain, Choice):
        return value_text
    told = Counter(map(value_text, domain.options))
    return lambda value: canonical(plain(value)) if told[value_text(value)] > 1 else value_text(value)


def span_text(domain: Domain, low: float, high: float) -> str:
    """A stretch of a hyperparameter's axis between two positions, in words."""
    if isinstance(domain, Float):
        return f"{number(low)} to {number(high)}"
    first, last = math.ceil(low), math.floor(high)
    if not indexed(domain):
        return str(first) if first >= last else f"{first} to {last}"
    text = text_of(domain)
    ends = [text(domain.grid_value(i, 0)) for i in (first, last)]
    return ends[0] if first == last else f"{ends[0]} … {ends[1]}"


def window_of(
    values: Sequence[float] | np.ndarray, maximized: bool, far: float = FAR
) -> tuple[tuple[float, float], int] | None:
    """What a drawing of finite values shows of their axis, and how many of them lie outside.

    All of them, unless the worst are more than `far` times as far from the best as the better three quarters: one
    training that diverged would else press all others onto a line. Nor is anything beyond 1e300, where plotly's
    floats overflow. None: no values.
    """
    found = np.asarray(values, dtype=np.float64)
    if not found.size:
        return None
    best, worst = (found.max(), found.min()) if maximized else (found.min(), found.max())
    best, worst = float(best), float(worst)  # whose arithmetic becomes infinite without a warning
    reach = float(np.quantile(found, 0.25 if maximized else 0.75, method="nearest")) - best
    if reach and abs(worst - best) > far * abs(reach) and math.isfinite(best + 2 * reach):
        worst = best + 2 * reach
    low, high = (min(max(end, -_GREATEST), _GREATEST) for end in sorted((best, worst)))
    return (low, high), int(((found < low) | (found > high)).sum())


def median(values: np.ndarray) -> float:
    """Of one value or more, which may be close to the greatest floats."""
    with np.errstate(over="ignore"):
        return float(np.median(values))


def outside_text(outside: int) -> str:
    """The sentence of a caption about values that a `window_of` leaves out; empty if there are none."""
    if not outside:
        return ""
    count, verb = ("1 value", "lies") if outside == 1 else (f"{outside:,} values", "lie")
    return f" {count} far worse than the others {verb} outside the drawing: double-click it to see all."


def spread(count: int, limit: int, head: int = 1) -> list[int]:
    """`limit` of the indices 0 to count - 1: the first `head`, and of the others evenly many, the last among them.

    All of them where there are no more than `limit`, which is greater than `head` >= 1.
    """
    if count <= limit:
        return list(range(count))
    rest = limit - head
    return [*range(head), *(head - 1 + round(i * (count - head) / rest) for i in range(1, rest + 1))]


def beside(place: int) -> float:
    """Where point number `place` of a crowd stands in [-0.5, 0.5), far from those before and after it."""
    return (place * 0.6180339887498949) % 1 - 0.5  # the golden ratio's multiples are spread evenly


def hover(text: object) -> str:
    """Foreign text within a hover template, where plotly would fill in %{...}."""
    return label(text).replace("%{", "% {")


def is_log(domain: Domain) -> bool:
    """Whether its axis is logarithmic."""
    return isinstance(domain, (Float, Int)) and domain.log and not indexed(domain)


def _padded(low: float, high: float) -> tuple[float, float]:
    """An interval with 4 % of air on either side; a single value gets air of its own magnitude."""
    half = (high / 2 - low / 2) or abs(low) / 20 or 0.5
    if max(abs(low), abs(high)) > _GREATEST:
        return low, high
    return low - 0.08 * half, high + 0.08 * half


def _ticks(domain: Domain, width: int, count: int) -> dict[str, Any]:
    """Ticks at values of a countable domain: at all of up to MAX_TICKS, else at about `count`."""
    assert domain.size is not None
    values = [domain.grid_value(i, 0) for i in spread(domain.size, domain.size if domain.size <= MAX_TICKS else count)]
    text = text_of(domain)
    return {
        "tickmode": "array",
        "tickvals": [position(domain, value) for value in values],
        "ticktext": [tick_label(domain, text(value), width) for value in values],
    }


def tick_label(domain: Domain, text: str, width: int) -> str:
    """A tick's text for plotly; of great integers side by side the last digits tell."""
    from_end = isinstance(domain, Int) and indexed(domain) and len(text) > width
    return f"…{text[1 - width :]}" if from_end else label(text, width)


def _round_values(domain: Float | Int, count: int) -> list[Any]:
    """Values of few digits in a range; where it is too narrow for two of them, its ends."""
    kind: Callable[[float], Any] = int if isinstance(domain, Int) else float
    candidates = _decades(domain.low, domain.high, count) if domain.log else _steps(domain.low, domain.high, count)
    found = sorted({kind(value) for value in candidates if value == kind(value) and domain.low <= value <= domain.high})
    return found if len(found) > 1 else [domain.low, domain.high]


def _steps(low: float, high: float, count: int) -> Iterable[float]:
    """Multiples of 1, 2 or 5 times a power of ten, at most about `count` from low to high."""
    rough = (high - low) / count if isinstance(low, int) else high / count - low / count
    power = 10.0 ** math.floor(math.log10(rough))
    step = power * next(factor for factor in (1, 2, 5, 10) if factor * power >= rough * 0.999)
    first = math.ceil(low / step)
    return (float(f"{(first + i) * step:.12g}") for i in range(count + 1))


def _decades(low: float, high: float, count: int) -> Iterable[float]:
    """Powers of ten, every so many that there are at most about `count`; 1, 2 and 5 times them over a short range."""
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    stride = max(1, math.ceil((last - first) / count))
    factors = (1, 2, 5) if last - first <= 2 else (1,)
    return (float(f"{factor}e{power}") for power in range(first, min(last, 308) + 1, stride) for factor in factors)
