"""Reports of real runs, and a browser to open them."""

import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from reported_studies import REPORTS

from hpo.report.build import write_report

CHROMIUM = "/usr/bin/chromium"
ARGUMENTS = ["--no-sandbox", "--disable-background-networking", "--disable-quic", "--disable-gpu"]


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """Where a store may be made; its folder tells a name."""
    folder = tmp_path / "somebodys-folder"
    folder.mkdir()
    return folder / "hpo.db"


@pytest.fixture(scope="session")
def reports(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The page of a kind of run, by name; each is made once."""
    made: dict[str, Path] = {}

    def page(kind: str) -> Path:
        if kind not in made:
            folder = tmp_path_factory.mktemp(kind)
            write_report(REPORTS[kind](folder / "hpo.db"), folder / "report.html")
            made[kind] = folder / "report.html"
        return made[kind]

    return page


@dataclass
class Opened:
    """A page in the browser, and what it did that it should not."""

    page: Any
    file: Path
    noise: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    def listen(self) -> None:
        self.page.on("console", lambda message: self.noise.append(f"console {message.type}: {message.text}"))
        self.page.on("pageerror", lambda error: self.noise.append(f"error: {error}"))
        self.page.on("dialog", self._dialog)
        self.page.context.on("request", lambda request: self.requests.append(request.url))

    def _dialog(self, dialog: Any) -> None:
        self.noise.append(f"dialog: {dialog.message}")
        dialog.dismiss()

    def unfold(self, which: str) -> None:
        self.page.evaluate("which => document.querySelectorAll(which).forEach(node => node.open = true)", which)

    def draw_all(self) -> int:
        """Scroll to every drawing, as a reader does; how many there are."""
        drawings = self.page.locator(".drawing")
        for index in range(drawings.count()):
            drawings.nth(index).scroll_into_view_if_needed()
            self.page.wait_for_function("i => document.querySelectorAll('.drawing')[i].dataset.drawn", arg=index)
        self.page.wait_for_timeout(100)
        return int(drawings.count())

    def marks(self) -> list[int]:
        """How many shapes and texts each drawing has."""
        script = """[...document.querySelectorAll('.drawing')].map(node => node.querySelector('.failed') ? 0
            : node.querySelectorAll('svg.main-svg :is(path, rect, circle, text, image)').length)"""
        return list(self.page.evaluate(script))


def _browser_missing(why: str) -> None:
    if os.environ.get("CI_BROWSER"):
        pytest.fail(f"{why}, and CI_BROWSER says that there must be one")
    pytest.skip(why)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Chromium, for the tests of a module: while Playwright runs, no other asyncio loop can."""
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        _browser_missing("Playwright is not installed (extra ci)")
    if not shutil.which(CHROMIUM):
        _browser_missing(f"no browser at {CHROMIUM}")
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield started
        started.close()


@pytest.fixture
def opened(browser: Any) -> Iterator[Callable[..., Opened]]:
    """A file in a fresh page: `opened(path, width=360, dark=True)`."""
    contexts = []

    def open_file(file: Path, width: int = 1280, dark: bool = False) -> Opened:
        phone = width < 600
        context = browser.new_context(
            viewport={"width": width, "height": 740 if phone else 900},
            color_scheme="dark" if dark else "light",
            has_touch=phone,
            is_mobile=phone,
        )
        contexts.append(context)
        found = Opened(context.new_page(), file)
        found.listen()
        found.page.goto(file.as_uri())
        return found

    yield open_file
    for context in contexts:
        context.close()
