"""The page in a real browser, opened from a file as a user would."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, Route, sync_playwright

from postcopy.migration import Journal
from postcopy.policy import Precopy
from postcopy.report import write_page
from tests.unit.report.conftest import move_guest

pytestmark = pytest.mark.browser

NASTY = "<script>document.title = 'owned'</script><img src=x onerror=\"document.title='owned'\">"


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("page") / "page.html"
    with Journal(path.with_name("journal.sqlite")) as journal:
        runs = [move_guest(journal, Precopy(give_up_after=3)), move_guest(journal, name=NASTY)]
    write_page(path, "A busy guest moves", runs, NASTY)
    return path


# The page comes first: no other event loop can run while Playwright's does.
@pytest.fixture(scope="module")
def browser(chromium: Path, path: Path) -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=chromium,
            args=["--no-sandbox"],  # as root there is none to be had
        )
        yield browser
        browser.close()


@dataclass
class Opened:
    """A page, and all that it tried or complained about."""

    page: Page
    requests: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)


def opened(browser: Browser, path: Path, width: int, *, dark: bool = False) -> Opened:
    context = browser.new_context(
        viewport={"width": width, "height": 900}, color_scheme="dark" if dark else "light"
    )
    page = context.new_page()
    seen = Opened(page)

    def only_the_file(route: Route) -> None:
        if route.request.url == path.as_uri():
            route.continue_()
        else:
            route.abort()

    def on_request(url: str) -> None:
        if url != path.as_uri() and not url.startswith("data:"):
            seen.requests.append(url)

    page.route("**/*", only_the_file)
    page.on("request", lambda request: on_request(request.url))
    page.on("websocket", lambda socket: seen.requests.append(socket.url))
    page.on("console", lambda message: seen.complaints.append(f"{message.type}: {message.text}"))
    page.on("pageerror", lambda error: seen.complaints.append(str(error)))
    page.goto(path.as_uri())
    page.wait_for_selector("html[data-drawn=all]", timeout=15_000)
    return seen


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", [400, 1400])
def test_the_charts_are_drawn_without_a_single_request(
    browser: Browser, path: Path, width: int, dark: bool
) -> None:
    seen = opened(browser, path, width, dark=dark)
    assert seen.requests == []
    assert seen.complaints == []
    assert seen.page.title() == "A busy guest moves"
    room = seen.page.locator(".charts").first.bounding_box()
    assert room is not None
    for number in range(2):
        figure = seen.page.locator(".charts").nth(number)
        box = figure.locator("svg").bounding_box()
        assert box is not None
        assert 0.95 * room["width"] <= box["width"] <= room["width"]
        assert box["height"] > 400
        for kind in ("mark-area", "mark-line", "mark-rect", "mark-rule"):
            line = figure.locator(f".{kind} path, .{kind} line").first
            assert line.count() == 1, kind
    scroll = seen.page.evaluate("document.documentElement.scrollWidth")
    assert scroll <= width
    seen.page.context.close()


def test_lines_have_colours_that_differ_by_scheme(browser: Browser, path: Path) -> None:
    colours = []
    for dark in (False, True):
        seen = opened(browser, path, 1000, dark=dark)
        colours.append(
            seen.page.evaluate(
                "[getComputedStyle(document.querySelector('.charts .mark-line path')).stroke,"
                " getComputedStyle(document.body).backgroundColor]"
            )
        )
        seen.page.context.close()
    (light_line, light_page), (dark_line, dark_page) = colours
    assert light_line.startswith("rgb(")
    assert light_line != dark_line
    assert light_page != dark_page


def test_pointing_at_a_moment_reads_its_values(browser: Browser, path: Path) -> None:
    seen = opened(browser, path, 1400)
    stage = seen.page.locator(".stage").first
    readout = stage.locator(".readout")
    assert not readout.is_visible()
    stage.scroll_into_view_if_needed()
    box = stage.bounding_box()
    assert box is not None
    seen.page.mouse.move(box["x"] + box["width"] * 0.4, box["y"] + 100)
    text = readout.inner_text()
    assert "pre-copy" in text
    assert "118 MB/s" in text
    assert "guest's writes" in text
    seen.page.mouse.move(0, 0)
    assert not readout.is_visible()
    seen.page.context.close()


def test_the_arrow_keys_read_values_too(browser: Browser, path: Path) -> None:
    seen = opened(browser, path, 1400)
    stage = seen.page.locator(".stage").nth(1)
    stage.focus()
    seen.page.keyboard.press("End")
    seen.page.keyboard.press("ArrowLeft")
    first = stage.locator(".readout").inner_text()
    seen.page.keyboard.press("ArrowLeft")
    assert stage.locator(".readout").inner_text() != first
    seen.page.keyboard.press("Escape")
    assert not stage.locator(".readout").is_visible()
    seen.page.context.close()


def test_the_figure_follows_the_window(browser: Browser, path: Path) -> None:
    seen = opened(browser, path, 1400)
    seen.page.set_viewport_size({"width": 400, "height": 900})
    # Not wait_for_function: that evaluates a string inside the page, which its policy forbids.
    seen.page.evaluate(
        """() => new Promise((done) => {
            const svg = document.querySelector(".charts svg");
            const look = () =>
                svg.getBoundingClientRect().width < 400 ? done() : requestAnimationFrame(look);
            look();
        })"""
    )
    assert seen.page.evaluate("document.documentElement.scrollWidth") <= 400
    assert seen.complaints == []
    seen.page.context.close()
