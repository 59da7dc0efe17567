"""Axes, colours and what of the values is in sight."""

import math

import numpy as np
import pytest

from hpo import Choice, Float, Int
from hpo.report import style

GROUNDS = ("#ffffff", "#111111")


def luminance(colour):
    """Relative luminance of WCAG 2."""
    shares = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [share / 12.92 if share <= 0.04045 else ((share + 0.055) / 1.055) ** 2.4 for share in shares]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("ground", GROUNDS)
@pytest.mark.parametrize("colour", [*style.PALETTE, style.MUTED])
def test_colours_have_a_contrast_of_three_to_light_and_dark(colour, ground):
    high, low = sorted((luminance(colour), luminance(ground)), reverse=True)
    assert (high + 0.05) / (low + 0.05) >= 3


def test_a_drawing_has_no_ground_and_no_text_colour_of_its_own():
    layout = style.layout(margin={"t": 99})
    assert layout["paper_bgcolor"] == layout["plot_bgcolor"] == "rgba(0,0,0,0)"
    assert "font" not in layout
    assert layout["margin"] == {"l": 60, "r": 16, "t": 99, "b": 48}


def test_the_axis_is_logarithmic_where_the_space_is():
    axis = style.axis_of("rate", Float(1e-4, 1, log=True))
    assert axis["type"] == "log"
    assert axis["range"] == pytest.approx([-4.16, 0.16])
    assert "type" not in style.axis_of("x", Float(0, 1))
    assert style.axis_of("size", Int(1, 64, log=True))["type"] == "log"


def test_integers_have_whole_ticks():
    axis = style.axis_of("depth", Int(0, 10, step=5))
    assert axis["tickvals"] == [0, 5, 10]
    assert axis["ticktext"] == ["0", "5", "10"]


def test_options_with_equal_texts_stand_apart():
    domain = Choice([1, "1", True, 1.0, "True", None])
    assert [style.position(domain, option) for option in domain.options] == [0, 1, 2, 3, 4, 5]
    axis = style.axis_of("x", domain)
    assert axis["tickvals"] == [0, 1, 2, 3, 4, 5]
    assert axis["ticktext"] == ["1", '"1"', "true", "1.0", '"True"', "None"]
    assert axis["range"] == [-0.5, 5.5]


def test_great_integers_that_no_float_tells_apart_stand_at_their_index():
    domain = Int(2**62, 2**62 + 3)
    assert [style.position(domain, 2**62 + i) for i in range(4)] == [0, 1, 2, 3]
    assert style.axis_of("x", domain, width=5)["ticktext"] == ["…7904", "…7905", "…7906", "…7907"]


def test_of_many_options_a_few_have_ticks():
    axis = style.axis_of("x", Choice(list(range(1_000))), ticks=4)
    assert axis["ticktext"] == ["0", "333", "666", "999"]


def test_foreign_text_on_an_axis_is_escaped():
    axis = style.axis_of("<b>x</b>", Choice(["<i>", "a"]))
    assert axis["title"]["text"] == "&lt;b&gt;x&lt;/b&gt;"
    assert axis["ticktext"] == ["&lt;i&gt;", "a"]
    assert style.hover("<%{x}") == "&lt;% {x}"


@pytest.mark.parametrize(
    ("domain", "expected"),
    [
        (Float(0, 1), [(i / 5, f"{i / 5:g}") for i in range(6)]),
        (Float(1e-4, 1, log=True), [(i / 4, text) for i, text in enumerate(["0.0001", "0.001", "0.01", "0.1", "1"])]),
        (Float(1e-300, 1e300, log=True), [(i / 5, f"1e{120 * i - 300:+d}") for i in range(6)]),
        (Float(-1e307, 1e307), [(i / 4, f"{(i - 2) / 2 * 1e307:g}") for i in range(5)]),
        (Int(1, 3), [(1 / 6, "1"), (1 / 2, "2"), (5 / 6, "3")]),
        (Choice(["a", "b"]), [(1 / 4, "a"), (3 / 4, "b")]),
        (Float(0.31, 0.38, log=True), [(0, "0.31"), (1, "0.38")]),
    ],
    ids=repr,
)
def test_ticks_of_an_own_axis_stand_where_their_values_are_encoded(domain, expected):
    ticks = style.scale_ticks(domain)
    assert [text for _, text in ticks] == [text for _, text in expected]
    assert [place for place, _ in ticks] == pytest.approx([place for place, _ in expected], abs=1e-12)


def test_spread_keeps_the_head_and_the_last():
    assert style.spread(3, 5) == [0, 1, 2]
    assert style.spread(101, 11) == [*range(0, 101, 10)]
    assert style.spread(10_000, 4, head=2) == [0, 1, 5_000, 9_999]
    for count, limit, head in [(1_001, 1_000, 30), (20_000, 300, 30), (7, 6, 2)]:
        kept = style.spread(count, limit, head)
        assert len(set(kept)) == limit
        assert kept == sorted(kept)
        assert kept[:head] == list(range(head))
        assert kept[-1] == count - 1


def test_all_values_are_in_sight_where_none_is_far_from_the_others():
    assert style.window_of([3.0, 1.0, 2.0], maximized=True) == ((1.0, 3.0), 0)
    assert style.window_of([5.0], maximized=False) == ((5.0, 5.0), 0)
    assert style.window_of([], maximized=False) is None


def test_values_that_are_far_worse_are_out_of_sight_but_never_the_better_ones():
    values = np.array([1.0, 2.0, 3.0, 4.0, 1e9])
    assert style.window_of(values, maximized=False) == ((1.0, 7.0), 1)  # the better three quarters reach 3 from 1
    assert style.window_of(-values, maximized=True) == ((-7.0, -1.0), 1)
    assert style.window_of(values, maximized=True) == ((1.0, 1e9), 0)


def test_the_greatest_floats_do_no_harm():
    assert style.window_of([-1.7e308, 0.0, 1.7e308], maximized=True) == ((-1e300, 1e300), 2)
    assert style.window_of([1.7e308], maximized=True) == ((1e300, 1e300), 1)
    assert all(math.isfinite(end) for end in style.value_axis("x", (-1e300, 1e300))["range"])


@pytest.mark.parametrize(
    ("domain", "low", "high", "text"),
    [
        (Float(0, 1), 0.25, 0.5, "0.25 to 0.5"),
        (Int(1, 100), 10.5, 20.5, "11 to 20"),
        (Int(1, 100), 10.5, 11.5, "11"),
        (Choice(["a", "b", "c"]), -0.5, 1.5, "a … b"),
        (Choice([1, "1"]), 0.5, 1.5, '"1"'),
    ],
    ids=repr,
)
def test_a_stretch_of_an_axis_in_words(domain, low, high, text):
    assert style.span_text(domain, low, high) == text


def test_a_short_count_has_its_ticks_at_whole_numbers() -> None:
    assert style.whole_axis("epoch", 1, 2)["dtick"] == 1
    assert "dtick" not in style.whole_axis("epoch", 1, 200)
