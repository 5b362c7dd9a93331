"""The page in a real browser: Debian's Chromium, without a window. Screenshots go to a folder.

``EVOLVE_SHOTS=DIR`` keeps the screenshots where they can be looked at.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from evolve.core.errors import StoreError
from evolve.store.reader import open_reader
from evolve.view.web.bundle import write_bundle
from tests.command import start, write_config
from tests.view.hostile import NAME

pytestmark = [pytest.mark.browser, pytest.mark.timeout(600)]
expect.set_options(timeout=20_000)  # milliseconds; a busy machine is slow

CHROMIUM = "/usr/bin/chromium"
WIDE, NARROW = 1280, 400
#: For what a process that is being started has to do first.
PATIENCE_MS = 120_000
#: What Chromium says of a page that is not there, which is no mistake of the page.
ANSWERED = "the server responded with a status of"

Shot = Callable[[Page, str], None]
#: Opens a page of the given width and colour scheme, and watches what goes wrong in it.
Open = Callable[..., Page]


@pytest.fixture(scope="module")  # its event loop runs as long: no other module may meet it
def browser() -> Iterator[Browser]:
    """A browser; that it is missing is a failure."""
    assert Path(CHROMIUM).exists(), "no Chromium: apt-get install chromium fonts-dejavu-core"
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=CHROMIUM)
        yield opened
        opened.close()


@pytest.fixture
def shot(tmp_path: Path) -> Shot:
    """Take a screenshot of a whole page, which must fit its width."""
    folder = Path(os.environ.get("EVOLVE_SHOTS", tmp_path))
    folder.mkdir(parents=True, exist_ok=True)

    def take(page: Page, name: str) -> None:
        assert page.viewport_size is not None
        assert page.evaluate("document.documentElement.scrollWidth") <= page.viewport_size["width"]
        picture = page.screenshot(path=folder / f"{name}.png", full_page=True)
        assert len(picture) > 5000, "an empty picture"

    return take


@pytest.fixture
def open_page(browser: Browser) -> Iterator[Open]:
    """Open pages; at the end nothing may have gone wrong in them, or left this machine."""
    wrong: list[str] = []

    def opening(
        address: str, width: int = WIDE, scheme: str = "light", expected: str = ANSWERED
    ) -> Page:
        context = browser.new_context(
            viewport={"width": width, "height": 900},
            color_scheme="dark" if scheme == "dark" else "light",
        )
        page = context.new_page()
        page.on("pageerror", lambda error: wrong.append(f"error: {error}"))
        page.on("dialog", lambda dialog: wrong.append(f"dialog: {dialog.message}"))
        page.on(
            "console",
            lambda message: (
                wrong.append(f"console: {message.text}")
                if message.type in {"error", "warning"} and not re.search(expected, message.text)
                else None
            ),
        )
        page.on(
            "request",
            lambda request: (
                None
                if request.url.startswith(("http://127.0.0.1:", "file://"))
                else wrong.append(f"request: {request.url}")
            ),
        )
        page.goto(address)
        return page

    yield opening
    for context in browser.contexts:
        context.close()
    assert wrong == []


@contextmanager
def serving(folder: Path, *arguments: str) -> Iterator[str]:
    """Run `evolve view` in a folder; give the address it prints. Ctrl-C ends it quietly."""
    with start(folder, "view", "--port", "0", *arguments) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        try:
            printed = [process.stdout.readline(), process.stdout.readline()]
            address = printed[-1].strip()
            assert address.startswith("http://127.0.0.1:"), printed
            yield address
        finally:
            process.send_signal(signal.SIGINT)
            assert process.wait(20) == 0
            assert process.stderr.read() == ""


@pytest.fixture(scope="module")
def searching(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[Path, subprocess.Popen[str]]]:
    """A folder in which a run goes on for as long as tests look at it."""
    folder = tmp_path_factory.mktemp("searching")
    config = write_config(folder, slots=1, proposals=1, stop={"evaluations": 100_000})
    with start(folder, "run", config, "--db", "evolve.db") as process:
        yield folder, process
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)


@pytest.fixture(scope="module")
def live(searching: tuple[Path, subprocess.Popen[str]]) -> Iterator[str]:
    """The address of the page of the run that goes on."""
    folder, process = searching
    deadline = time.monotonic() + 60
    while not has_programs(folder / "evolve.db"):
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.2)
    with serving(folder, "latest", "--db", "evolve.db") as address:
        yield address


@pytest.fixture(scope="module")
def hostile(hostile_database: Path) -> Iterator[str]:
    """The address, without its token, and the token, of the hostile database's page."""
    with serving(hostile_database.parent, "--db", "evolve.db") as address:
        yield address


def has_programs(path: Path) -> bool:
    """Return whether a run has evaluated some programs."""
    if not path.exists():
        return False
    try:
        with open_reader(str(path)) as reader:
            return len(reader.leaderboard(reader.run().id, 20)) > 10
    except StoreError:
        return False


def number_of(page: Page, selector: str) -> int:
    """Return a whole number shown on a page."""
    return int(re.sub(r"\D", "", page.inner_text(selector)))


def listening(page: Page) -> None:
    """Wait until keys are listened to, and no field has them."""
    page.wait_for_load_state("load")
    expect(page.locator("#help-button")).to_be_visible()
    page.evaluate("document.activeElement.blur()")


def wait_for_more(page: Page, before: int) -> None:
    """Wait until the page shows more evaluations."""
    shown = "+document.querySelector('#evaluations').textContent.replace(/\\D/g, '')"
    page.wait_for_function(f"before => {shown} > before", arg=before)


def test_a_run_that_goes_on_updates_without_losing_anything(
    live: str, open_page: Open, shot: Shot
) -> None:
    page = open_page(live)
    page.wait_for_selector("#map [data-x]")
    before = number_of(page, "#evaluations")
    page.evaluate("document.body.dataset.mine = 'still here'; window.scrollTo(0, 60)")
    cell = page.locator("#map [data-x]").first
    cell.hover()
    expect(page.locator("#tip")).to_be_visible()
    wait_for_more(page, before)
    expect(page.locator("#tip")).to_be_visible()
    expect(page.locator("#tip")).to_contain_text("program")
    assert page.evaluate("document.body.dataset.mine") == "still here", "the page was loaded anew"
    assert page.evaluate("window.scrollY") == 60
    assert page.locator("#live").count() == 1
    shot(page, "live")


def test_a_row_that_keys_have_reached_outlives_an_update(live: str, open_page: Open) -> None:
    page = open_page(live)
    listening(page)
    page.keyboard.press("j")
    expect(page.locator("tr.current")).to_have_count(1)
    wait_for_more(page, number_of(page, "#evaluations"))
    expect(page.locator("tr.current")).to_have_count(1)


def test_the_list_of_runs_updates_and_keeps_what_was_ticked(
    searching: tuple[Path, subprocess.Popen[str]], live: str, open_page: Open, shot: Shot
) -> None:
    page = open_page(live)
    page.get_by_role("link", name="evolve, all runs").click()
    page.get_by_label("compare run 1").check()
    with start(searching[0], "run", "search.yaml", "--set", "seed=7") as process:
        evaluated = page.locator("#run-2 td").nth(5)
        expect(evaluated).to_have_text(re.compile("^[1-9]"), timeout=PATIENCE_MS)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
    expect(page.get_by_text("interrupted")).to_be_visible(timeout=PATIENCE_MS)
    expect(page.get_by_label("compare run 1")).to_be_checked()
    expect(page.get_by_label("compare run 2")).not_to_be_checked()
    shot(page, "runs-live")


def test_a_selection_outlives_an_update(live: str, open_page: Open) -> None:
    page = open_page(live)
    page.wait_for_selector("#map [data-x]")
    page.evaluate("getSelection().selectAllChildren(document.querySelector('#map-title'))")
    before = number_of(page, "#evaluations")
    wait_for_more(page, before)
    assert page.evaluate("getSelection().toString()") == "Archive"


def test_from_the_map_to_a_program_and_on(live: str, open_page: Open, shot: Shot) -> None:
    page = open_page(live)
    page.route(re.compile("/live"), lambda route: route.fulfill(status=204))  # nothing is new
    page.wait_for_load_state("networkidle")
    cell = page.locator("#map [data-x]").first
    tip = str(cell.get_attribute("data-tip"))
    program = tip.splitlines()[0].removeprefix("program ")
    cell.click()
    expect(page).to_have_url(re.compile(rf"/programs/{program}$"))
    expect(page.locator("h1")).to_have_text(f"Program {program}")
    assert page.locator(".source .kd, .source .k").count() > 0, "not highlighted"
    shot(page, "program")
    listening(page)
    page.keyboard.press("u")
    expect(page.locator("h1")).to_have_text("Programs")
    listening(page)
    page.keyboard.press("j")
    page.keyboard.press("j")
    expect(page.locator("tr.current")).to_have_count(1)
    page.keyboard.press("Enter")
    expect(page.locator("h1")).to_have_text(re.compile(r"Program \d+"))
    page.get_by_role("link", name="Lineage").click()
    expect(page.locator(".tree .node.end")).to_have_count(1)
    page.locator(".steps details").first.click()
    expect(page.locator(".steps .diff").first).to_be_visible()
    shot(page, "lineage")


def test_keys_move_on_the_map_and_open_the_help(live: str, open_page: Open, shot: Shot) -> None:
    page = open_page(live)
    listening(page)
    page.keyboard.press("m")
    first = page.evaluate("document.activeElement.id")
    assert first
    expect(page.locator("#tip")).to_be_visible()
    moved = set()
    for key in ("ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown"):
        page.keyboard.press(key)
        moved.add(page.evaluate("document.activeElement.id"))
    assert moved - {first, ""}
    page.keyboard.press("?")
    expect(page.locator("#help")).to_be_visible()
    shot(page, "help")
    page.keyboard.press("Escape")
    expect(page.locator("#help")).not_to_be_visible()


def test_search_and_paging(live: str, open_page: Open, shot: Shot) -> None:
    page = open_page(live)
    page.get_by_role("link", name="Programs", exact=True).click()
    expect(page.locator("h1")).to_have_text("Programs")
    listening(page)
    page.keyboard.press("/")
    expect(page.locator("#search")).to_be_focused()
    page.keyboard.type("zebra")
    page.keyboard.press("Enter")
    expect(page.get_by_text("Nothing matches")).to_be_visible()
    page.get_by_role("link", name="Show all programs").click()
    expect(page.locator("#search")).to_have_value("")
    listening(page)
    page.get_by_label("order").select_option("oldest")
    expect(page).to_have_url(re.compile("order=oldest"))
    expect(page.locator("#programs tbody tr").first.locator("a")).to_have_text("1")
    while page.locator("[data-next]").count() == 0:  # the run has made 50 programs soon
        page.wait_for_timeout(500)
        page.reload()
    listening(page)
    page.keyboard.press("n")
    expect(page.locator("#programs tbody tr").first.locator("a")).to_have_text("51")
    listening(page)
    page.keyboard.press("p")
    expect(page.locator("#programs tbody tr").first.locator("a")).to_have_text("1")
    shot(page, "programs")


@pytest.mark.parametrize(
    ("width", "scheme"), [(WIDE, "light"), (WIDE, "dark"), (NARROW, "light"), (NARROW, "dark")]
)
def test_hostile_texts_do_nothing_and_fit(
    hostile: str, open_page: Open, shot: Shot, width: int, scheme: str
) -> None:
    page = open_page(hostile, width, scheme)
    base = hostile.partition("/?")[0]
    for name, path in {
        "runs": "/",
        "run": "/runs/1",
        "programs": "/runs/1/programs",
        "lineage": "/runs/1/lineage",
        "failures": "/runs/1/failures",
        "spending": "/runs/1/spending",
        "settings": "/runs/1/settings",
        "program": "/programs/2",
        "compare": "/compare?run=1&run=2",
        "not-here": "/programs/999",
    }.items():
        page.goto(base + path)
        for summary in page.locator("details > summary").all()[:12]:
            summary.click()
        page.wait_for_timeout(50)
        assert page.evaluate("window.hacked") is None, path
        assert page.locator("main img:not(.pictures img), main style, main iframe").count() == 0
        shot(page, f"hostile-{name}-{width}-{scheme}")
    page.goto(f"{base}/programs/2")
    drawn = page.locator(".pictures img")
    drawn.scroll_into_view_if_needed()
    expect(drawn).to_have_js_property("complete", value=True)
    assert drawn.evaluate("each => each.naturalWidth") > 0
    expect(page.locator("h3 code").first).to_have_text(NAME)
    page.locator("details[hx-get*=call]").first.locator("summary").click()
    expect(page.locator(".part pre").first).to_contain_text("<script>window.hacked=1</script>")
    assert page.evaluate("window.hacked") is None


def test_dark_is_dark_and_texts_have_contrast(hostile: str, open_page: Open) -> None:
    for scheme in ("light", "dark"):
        page = open_page(hostile, WIDE, scheme)
        page.goto(hostile.partition("/?")[0] + "/programs/2")
        ratios = page.evaluate(CONTRASTS)
        assert len(ratios) > 8
        assert min(ratio for _, ratio in ratios) >= 4.5, sorted(ratios, key=lambda each: each[1])[
            :3
        ]
        ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert (sum(map(int, re.findall(r"\d+", ground)[:3])) < 200) is (scheme == "dark")


#: The contrast of every text with the nearest background that is not transparent (WCAG 2).
CONTRASTS = """() => {
  const parts = (color) => color.match(/[\\d.]+/g).map(Number);
  const light = (color) => {
    const [r, g, b] = parts(color).slice(0, 3).map((c) => {
      c /= 255; return c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const ground = (element) => {
    for (; element; element = element.parentElement) {
      const color = getComputedStyle(element).backgroundColor;
      const all = parts(color);
      if (all.length < 4 || all[3] > 0) return color;
    }
    return "rgb(255, 255, 255)";
  };
  const found = {};
  for (const element of document.querySelectorAll("body *")) {
    const own = [...element.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim());
    if (!own || !element.offsetParent) continue;
    const pair = [getComputedStyle(element).color, ground(element)];
    const [a, b] = pair.map(light).sort((x, y) => y - x);
    found[`${element.tagName}.${element.className} ${pair}`] = (a + 0.05) / (b + 0.05);
  }
  return Object.entries(found);
}"""


def test_a_server_that_ends_is_noticed(hostile_database: Path, open_page: Open) -> None:
    with serving(hostile_database.parent, "2", "--db", "evolve.db") as address:
        page = open_page(address, expected="ERR_CONNECTION_REFUSED|htmx:error")
        expect(page.locator("#offline")).not_to_be_visible()
    expect(page.locator("#offline")).to_be_visible(timeout=60_000)
    expect(page.locator("#offline")).to_contain_text("No answer from evolve view")


def test_a_static_copy_opens_from_disk(
    hostile_database: Path, tmp_path: Path, open_page: Open, shot: Shot
) -> None:
    folder = tmp_path / "copy"
    written = write_bundle(str(hostile_database), folder, None, 5)
    files = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert all(re.fullmatch(r"(static/)?[a-z0-9-]+\.(html|css|js|svg|png)", name) for name in files)
    assert written == sum(name.endswith(".html") for name in files)
    page = open_page((folder / "index.html").as_uri())
    shot(page, "copy-runs")
    page.locator("#runs a").last.click()
    page.wait_for_selector("#map [data-x]")
    page.locator("#map [data-x]").first.hover()
    expect(page.locator("#tip")).to_be_visible()
    shot(page, "copy-run")
    page.locator("#map [data-x]").first.click()
    expect(page.locator("h1")).to_have_text(re.compile(r"Program \d+"))
    assert page.locator(".diff").count() > 0
    for summary in page.locator("details > summary").all():
        summary.click()
    assert page.evaluate("window.hacked") is None
    shot(page, "copy-program")
    for name in sorted(name for name in files if name.endswith(".html")):
        page.goto((folder / name).as_uri())
        assert page.evaluate("window.hacked") is None, name
        for link in page.locator("a[href]:not([href^='#'])").all():
            assert link.get_attribute("href") in files, (name, link.get_attribute("href"))
