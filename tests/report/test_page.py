"""The page itself: complete, inert, and no larger than it may be."""

import base64
import hashlib
import html
import json
import re
from html.parser import HTMLParser
from typing import Any

import plotly.graph_objects as go
import pytest
from reported_studies import HOSTILE, SCRIPT

from hpo.report import page
from hpo.report.figure import Figure, Table, label
from hpo.report.page import Section
from hpo.report.trial_table import TrialTable


def figure(name: str = "a", rows: int = 3, points: int = 3) -> Figure:
    """A drawing whose every text is `name`."""
    table = Table((name, "number"), tuple((name, index / 7) for index in range(rows)))
    trace = go.Scatter(x=list(range(points)), y=[0.5] * points, name=label(name), text=[label(name)] * 2)
    return Figure("key", name, f"How to read {name}.", table, lambda: go.Figure([trace], {"title": label(name)}))


def section(name: str = "a", **more: Any) -> Section:
    rows = ((0, name, None), (1, name, 0.5))
    trials = TrialTable(("trial", name, "value"), rows, f"All of {name}.", f"`hpo export {name}`")
    return Section(name, name, [figure(name)], {name: name}, (f"{name} beats all.",), trials, **more)


class Elements(HTMLParser):
    """The elements of a page with their attributes, and the texts of its scripts."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[str] = []
        self.words: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        if tag == "script":
            self.scripts.append("")

    def handle_data(self, data: str) -> None:
        if self.cdata_elem == "script":
            self.scripts[-1] += data
        else:
            self.words.append(data)

    def attributes(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.found if name == tag]


@pytest.fixture(scope="module")
def hostile() -> str:
    return page.render("".join(HOSTILE), [section(name, folded=index % 2 == 1) for index, name in enumerate(HOSTILE)])


@pytest.fixture(scope="module")
def plain() -> Elements:
    return Elements(page.render("", [section("") for _ in HOSTILE]))


def test_no_name_makes_an_element_or_an_attribute(hostile: str, plain: Elements) -> None:
    found = Elements(hostile)
    tags = [tag for tag, _ in found.found]
    without_verdicts = [tag for tag, _ in plain.found]
    assert set(tags) <= set(without_verdicts) | {"details", "summary"}
    names = {name for _, attributes in found.found for name in attributes}
    assert names <= {name for _, attributes in plain.found for name in attributes} | {"class"}
    assert not any(name.startswith("on") for name in names)
    assert tags.count("script") == without_verdicts.count("script") == 2 * len(HOSTILE) + 2
    assert tags.count("b") == tags.count("img") == 0


def test_every_name_is_shown_as_it_is_but_for_unseen_characters(hostile: str) -> None:
    words = "".join(Elements(hostile).words)
    for name in HOSTILE:
        assert name.replace("\u202e", "\\u202e").replace("\x1b", "\\x1b") in words
    assert not {"\u202e", "\x1b"} & set(hostile)


def test_data_is_the_same_after_the_way_through_the_page(hostile: str) -> None:
    tables = [json.loads(text) for text in Elements(hostile).scripts[:-2] if text.startswith('{"head"')]
    assert [table["head"][1] for table in tables] == list(HOSTILE)
    assert [table["rows"][1] for table in tables] == [[1, name, 0.5] for name in HOSTILE]


@pytest.mark.parametrize("text", [*HOSTILE, "</SCRIPT >", "<!-- <script>", "\u2028\u2029", "&lt;", "a/b\\/c"])
def test_a_data_block_ends_nothing_and_loses_nothing(text: str) -> None:
    block = page.data_block(json.dumps({text: [text]}, ensure_ascii=False))
    assert not set("<>&\u2028\u2029") & set(block)
    assert json.loads(block) == {text: [text]}


def test_the_policy_names_the_two_scripts_and_allows_no_other_source(hostile: str) -> None:
    found = Elements(hostile)
    policy = next(m["content"] for m in found.attributes("meta") if m.get("http-equiv") == "Content-Security-Policy")
    assert policy is not None
    scripts = [
        text for text, kind in zip(found.scripts, found.attributes("script"), strict=True) if kind.get("type") is None
    ]
    hashes = [base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in scripts]
    rules = dict(rule.split(" ", 1) for rule in policy.split("; "))
    assert rules.pop("script-src") == " ".join(f"'sha256-{found}'" for found in hashes)
    assert len(hashes) == 2
    assert rules == {
        "default-src": "'none'",
        "style-src": "'unsafe-inline'",
        "img-src": "data: blob:",
        "base-uri": "'none'",
        "form-action": "'none'",
    }
    assert hostile.index("Content-Security-Policy") < hostile.index("<style>") < hostile.index("<script")


def test_nothing_is_loaded_and_links_stay_in_the_page(hostile: str) -> None:
    found = Elements(hostile)
    assert [attributes for tag, attributes in found.found if "src" in attributes or tag in ("link", "iframe")] == []
    anchors = {attributes["id"] for _, attributes in found.found if "id" in attributes}
    links = [attributes["href"] or "" for attributes in found.attributes("a")]
    assert links
    assert {link[1:] for link in links} <= anchors
    assert all(link[0] == "#" for link in links)
    style = re.search(r"<style>(.*?)</style>", hostile, re.DOTALL)
    assert style is not None
    assert "url(" not in style[1]
    assert "@import" not in style[1]


def test_every_anchor_is_there_once(hostile: str) -> None:
    anchors = [attributes["id"] for _, attributes in Elements(hostile).found if "id" in attributes]
    assert len(anchors) == len(set(anchors))


def test_a_page_is_a_function_of_what_is_in_it() -> None:
    assert page.render("t", [section()]) == page.render("t", [section()])


def test_what_would_make_a_page_too_large_is_left_out_and_named(monkeypatch: pytest.MonkeyPatch) -> None:
    most = len(page.render("t", [Section("s", "study name", [])]).encode()) + 60_000
    monkeypatch.setattr(page, "MAX_BYTES", most)
    large = [figure(f"figure {index}", points=1_000) for index in range(10)]
    text = page.render("t", [Section("s", "study name", large)])
    drawn = text.count('class="drawing"')
    assert 0 < drawn < 10
    why = "Left out, as the page would be larger than 8 MB: `hpo report &#39;study name&#39;` has it."
    assert text.count(why) == 10 - drawn
    assert len(text.encode()) <= most


def test_a_figure_without_a_drawing_is_its_table() -> None:
    table = Table(("fact", "value"), ((SCRIPT, None), ("seed", 7), ("x", 1 / 3), ("text", "two\nlines")))
    only = Figure("key", "Winner", "What won.", table)
    text = page.render("t", [Section("s", "s", [only])])
    assert 'class="drawing"' not in text
    assert f"<td>{html.escape(SCRIPT, quote=False).replace(chr(39), '&#39;')}</td><td></td>" in text
    assert "<td>7</td>" in text
    assert "<td>0.333333</td>" in text
    assert '<td class="lines">two\nlines</td>' in text


def test_columns_of_numbers_are_set_as_such() -> None:
    table = Table(("trial", "value", "name", "none"), ((1, 0.5, "a", None), (2, None, 3, None)))
    assert table.numeric == [True, True, False, False]
    text = page.render("t", [Section("s", "s", [Figure("key", "A", "B.", table)])])
    assert '<td class="number">1</td><td class="number">0.5</td><td>a</td><td></td>' in text
    assert '<th scope="col" class="number">value</th><th scope="col">name</th>' in text
