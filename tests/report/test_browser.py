"""Reports of real runs in a real browser."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from reported_studies import ENDING, FORMULA, HOSTILE, IMAGE, LINK, MARKUP, REPORTS, SCRIPT

pytestmark = pytest.mark.ci
VIEWS = {"desktop": (1280, False), "dark": (1280, True), "phone": (360, False)}
Reports = Callable[[str], Path]
Opened = Any  # see conftest
Open = Callable[..., Opened]


def keep(opened: Opened, name: str) -> None:
    """A screenshot, to be looked at by people."""
    if folder := os.environ.get("HPO_SCREENSHOTS"):
        opened.page.evaluate("scrollTo(0, 0)")
        opened.page.screenshot(path=Path(folder) / f"{name}.png", full_page=True)


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("kind", REPORTS)
def test_a_report_draws_every_figure_and_asks_for_nothing(kind: str, view: str, reports: Reports, opened: Open) -> None:
    width, dark = VIEWS[view]
    found = opened(reports(kind), width, dark)
    found.unfold("details.folded")
    count = found.draw_all()
    keep(found, f"{kind}-{view}")
    assert count >= 3
    assert min(found.marks()) > 5, found.marks()
    assert found.noise == []
    assert found.requests == [found.file.as_uri()]
    assert found.page.evaluate("document.documentElement.scrollWidth") <= width


def test_figures_are_drawn_only_when_they_come_near(reports: Reports, opened: Open) -> None:
    found = opened(reports("hostile"))
    found.page.wait_for_function("() => document.querySelector('.drawing').dataset.drawn")
    drawn = found.page.locator(".drawing[data-drawn]").count()
    assert 1 <= drawn < found.page.locator(".drawing").count()


NAMED = {
    "hostile": (SCRIPT, IMAGE, ENDING, LINK, MARKUP, FORMULA, "\\u202egnp.exe", "\\x1b[31mred", "{{ 7 * 7 }}"),
    "comparison": (SCRIPT, IMAGE, ENDING, LINK, FORMULA),
}


@pytest.mark.parametrize("kind", NAMED)
def test_names_come_out_as_text_only(kind: str, reports: Reports, opened: Open) -> None:
    found = opened(reports(kind))
    found.unfold("details")
    found.draw_all()
    foreign = "main :is(img, iframe, object, embed, b, i, base, form, a), main script:not([type='application/json'])"
    assert found.page.locator(foreign).count() == 0
    styled = "svg :is(a, [style*='font-weight: bold'], [style*='font-style: italic'])"
    assert found.page.locator(styled).count() == 0
    text = found.page.evaluate("document.body.innerText")
    assert [name for name in NAMED[kind] if name not in text] == []
    assert not {"\u202e", "\x1b"} & set(found.page.content())
    drawn = "\n".join(found.page.locator("svg text").all_text_contents())
    assert "&lt;" not in drawn  # escaped once, not twice
    assert "<" in drawn
    assert found.noise == []


def test_what_the_mouse_shows_is_text_too(reports: Reports, opened: Open) -> None:
    found = opened(reports("hostile"))
    drawing = found.page.locator("[data-name$=-heatmap]").first
    drawing.scroll_into_view_if_needed()
    points = drawing.locator(".scatterlayer path.point")
    points.first.wait_for()
    seen = set()
    for point in points.all():
        box = point.bounding_box()
        found.page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
        found.page.wait_for_timeout(80)  # plotly looks every 50 ms
        seen.update(drawing.locator(".hoverlayer text").all_text_contents())
        assert drawing.locator(".hoverlayer :is(a, [style*='font-weight: bold'])").count() == 0
    assert sum(any(name[:8] in text for text in seen) for name in HOSTILE) >= 4, seen
    assert found.noise == []


def test_a_folded_study_is_drawn_when_it_is_opened(reports: Reports, opened: Open) -> None:
    found = opened(reports("comparison"))
    folded = found.page.locator("details.folded")
    assert folded.count() == 2
    drawing = folded.first.locator(".drawing").first
    assert drawing.get_attribute("data-drawn") is None
    folded.first.locator("summary").first.click()
    drawing.scroll_into_view_if_needed()
    drawing.locator("svg.main-svg").first.wait_for()
    assert found.noise == []


def test_the_policy_stops_what_is_not_ours(reports: Reports, opened: Open) -> None:
    found = opened(reports("hostile"))
    loaded: list[str] = []
    found.page.on("requestfinished", lambda request: loaded.append(request.url))
    found.page.evaluate("""() => {
        window.stopped = [];
        document.addEventListener("securitypolicyviolation", event => stopped.push(event.effectiveDirective));
        const script = document.createElement("script");
        script.textContent = "window.ran = true";
        const image = new Image();
        image.src = "https://example.com/x.png";
        const link = document.createElement("link");
        Object.assign(link, {rel: "stylesheet", href: "https://example.com/x.css"});
        document.body.append(script, image, link);
        const inner = document.createElement("div");
        inner.innerHTML = "<img src=data: onerror='window.ran = true'>";
        document.body.append(inner);
        fetch("https://example.com/").catch(() => {});
        setTimeout(() => { new Function("window.ran = true")(); }, 0);  // later: here the debugger allows it
    }""")
    found.page.wait_for_function("() => stopped.length >= 6")
    kinds = set(found.page.evaluate("stopped"))
    assert {"script-src-elem", "script-src-attr", "script-src", "img-src", "style-src-elem", "connect-src"} <= kinds
    assert found.page.evaluate("window.ran") is None
    assert loaded == []


def rows(found: Opened, column: int) -> list[Any]:
    """The shown cells of a column of the first table of trials."""
    script = """column => [...document.querySelectorAll('.trials')[0].querySelectorAll('tbody tr:not([hidden])')]
        .map(row => row.cells[column].textContent)"""
    return list(found.page.evaluate(script, column))


def test_trials_are_filtered_by_any_cell(reports: Reports, opened: Open) -> None:
    found = opened(reports("hostile"))
    part = found.page.locator(".trials").first
    assert part.locator("output").inner_text() == "60 of 60 trials"
    part.locator("input").fill("  FAILED ")
    states = rows(found, 1)
    assert 0 < len(states) < 60
    assert set(states) == {"failed (exception)"}
    assert part.locator("output").inner_text() == f"{len(states)} of 60 trials"
    part.locator("input").fill(ENDING)
    assert 0 < len(rows(found, 0)) < 60
    part.locator("input").fill("in no cell")
    assert part.locator("output").inner_text() == "0 of 60 trials"
    part.locator("input").fill("")
    assert rows(found, 0) == [str(number) for number in range(60)]


def test_trials_are_sorted_by_key_and_click_those_without_a_value_last(reports: Reports, opened: Open) -> None:
    found = opened(reports("hostile"))
    part = found.page.locator(".trials").first
    button = part.get_by_role("button", name="value", exact=True)
    button.focus()
    found.page.keyboard.press("Enter")
    values = [float(text) for text in rows(found, 2) if text]
    assert values == sorted(values)
    assert all(rows(found, 2)[: len(values)])
    head = part.locator("th").nth(2)
    assert head.get_attribute("aria-sort") == "ascending"
    button.click()
    assert [float(text) for text in rows(found, 2) if text] == sorted(values, reverse=True)
    assert all(rows(found, 2)[: len(values)])
    assert head.get_attribute("aria-sort") == "descending"
    assert part.locator("th[aria-sort=none]").count() == part.locator("th").count() - 1


def test_the_button_changes_page_and_drawings_between_light_and_dark(reports: Reports, opened: Open) -> None:
    found = opened(reports("hostile"))
    found.draw_all()

    def colours() -> list[str]:
        script = """[getComputedStyle(document.body).backgroundColor,
            getComputedStyle(document.querySelector('.drawing svg .xtick text')).fill]"""
        return list(found.page.evaluate(script))

    light = colours()
    found.page.get_by_role("button", name="Dark colours").click()
    found.page.wait_for_timeout(200)
    dark = colours()
    assert light[0] == "rgb(255, 255, 255)"
    assert dark[0] == "rgb(17, 17, 17)"
    assert dark[1] != light[1]
    found.page.get_by_role("button", name="Light colours").click()
    found.page.wait_for_timeout(200)
    assert colours() == light
    assert found.noise == []


def test_everything_is_drawn_for_printing(reports: Reports, opened: Open) -> None:
    found = opened(reports("hostile"), dark=True)
    found.page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert min(found.marks()) > 5
    assert found.page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    found.page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert found.page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(17, 17, 17)"
    assert found.page.pdf()[:5] == b"%PDF-"
    assert found.noise == []


def test_every_part_has_a_name_for_screen_readers(reports: Reports, opened: Open) -> None:
    found = opened(reports("hostile"))
    assert found.page.evaluate("document.documentElement.lang") == "en"
    for role in ("banner", "navigation", "main", "contentinfo"):
        assert found.page.get_by_role(role).count() == 1  # type: ignore[arg-type]
    nameless = """[...document.querySelectorAll('[role=img], [role=region], nav, section, figure')].filter(node =>
        !(node.getAttribute('aria-label') ?? document.getElementById(node.getAttribute('aria-labelledby'))?.textContent)
    ).length"""
    assert found.page.evaluate(nameless) == 0
    links = found.page.evaluate("[...document.querySelectorAll('a')].map(a => a.getAttribute('href'))")
    assert links
    assert all(link.startswith("#") and found.page.locator(f"[id='{link[1:]}']").count() == 1 for link in links)
