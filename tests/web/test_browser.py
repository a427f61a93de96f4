"""The page in a real browser: the keyboard, answers, charts, a phone; and nothing of the policy is broken by us."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from test_pages import EVIL, passed

from oddlog.drift import Drifted, Figures
from oddlog.pipeline.drifting import Drift
from oddlog.types import Reason
from served_page import Page
from stored_incidents import live

sync_api = pytest.importorskip("playwright.sync_api")
CHROMIUM = shutil.which("chromium")
if CHROMIUM is None:
    pytest.skip("no Chromium is installed (apt-get install chromium)", allow_module_level=True)
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]
PHONE = {"width": 390, "height": 844}
PAGES = ("/", "/incidents", "/timeline", "/templates", "/sources", "/rules", "/model", "/answers")


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


class Browsing:
    """A window of the browser; whatever it complains of is kept."""

    def __init__(self, chromium: Any, address: str, **options: Any) -> None:
        self.context = chromium.new_context(base_url=address, **options)
        self.context.set_default_timeout(20_000)
        self.tab = self.context.new_page()
        self.complaints: list[str] = []
        self.elsewhere: list[str] = []
        self.tab.on(
            "console", lambda said: self.complaints.append(said.text) if said.type in ("error", "warning") else None
        )
        self.tab.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.tab.on(
            "request", lambda asked: None if asked.url.startswith(address) else self.elsewhere.append(asked.url)
        )


@pytest.fixture
def browsing(chromium: Any, page: Page) -> Iterator[Browsing]:
    page.store.save("m", [live(n, severity=float(60 - n)) for n in range(1, 70)], passed=passed())
    opened = Browsing(chromium, page.serve())
    yield opened
    opened.context.close()
    assert opened.complaints == []
    assert opened.elsewhere == []


def test_incidents_are_answered_by_keys_and_taken_back(browsing: Browsing, page: Page):
    tab = browsing.tab
    tab.goto("/incidents?order=pressing")
    tab.keyboard.press("j")
    tab.keyboard.press("j")
    assert tab.locator(".row.at").get_attribute("data-id") == f"{2:016x}"
    tab.keyboard.press("u")
    row = tab.locator(f"#i{2:016x}")
    row.get_by_text("called usual").wait_for()
    assert [word.answer for _, word, state in page.watching.answers() if state == "holds"] == ["usual"]
    tab.keyboard.press("z")
    row.get_by_role("button", name="usual").wait_for()
    assert [state for _, _, state in page.watching.answers()] == ["undone"]
    tab.keyboard.press("k")
    tab.keyboard.press("Enter")
    tab.wait_for_url(f"**/incidents/{1:016x}")


def test_an_incident_is_answered_with_a_note_and_a_name_that_is_remembered(browsing: Browsing, page: Page):
    tab = browsing.tab
    tab.goto(f"/incidents/{3:016x}")
    tab.get_by_label("Why").fill("nightly backup")
    tab.get_by_label("By").fill("anna")
    tab.get_by_role("button", name="mute").click()
    tab.get_by_text("Muted").wait_for()
    assert tab.get_by_text("anna").is_visible()
    ((_, given, _),) = page.watching.answers()
    assert (given.answer, given.who, given.note, given.until is not None) == ("mute", "anna", "nightly backup", True)
    tab.goto(f"/incidents/{4:016x}")
    assert tab.get_by_label("By").input_value() == "anna"


def test_more_incidents_are_fetched_as_one_goes_on(browsing: Browsing):
    tab = browsing.tab
    tab.goto("/incidents")
    assert tab.locator(".row").count() == 50
    tab.get_by_text("Show more").click()
    tab.locator(".row").nth(68).wait_for()
    assert tab.locator(".row").count() == 69
    assert tab.get_by_text("Show more").count() == 0


def test_charts_are_drawn_and_types_are_searched_as_one_types(browsing: Browsing):
    tab = browsing.tab
    tab.goto("/timeline?range=1h")
    tab.locator(".chart canvas").nth(2).wait_for()
    tab.goto("/templates?kind=all")
    tab.get_by_label("With the words").press_sequentially("charged")
    tab.locator("#types tbody tr").first.wait_for()
    sync_api.expect(tab.locator("#types tbody tr")).to_have_count(1)
    assert "charged" in tab.locator("#types tbody").inner_text()


def test_what_is_odd_now_comes_by_itself(browsing: Browsing, page: Page):
    tab = browsing.tab
    tab.clock.install()
    tab.goto("/")
    assert "69 incidents" in tab.locator("h1").inner_text()
    page.store.save("m", [live(80, severity=99.0)])
    tab.clock.run_for(11_000)
    tab.get_by_text("70 incidents going on").wait_for()


def test_a_refusal_is_said_and_what_was_shown_stays(browsing: Browsing):
    tab = browsing.tab
    tab.goto(f"/incidents/{5:016x}")
    tab.locator("#answer input[name=id]").evaluate("field => field.value = 'nope'")
    tab.get_by_role("button", name="anomalous").click()
    tab.locator("#said").get_by_text("no such incident").wait_for()
    assert tab.get_by_role("button", name="anomalous").is_visible()
    browsing.complaints = [
        said for said in browsing.complaints if "400" not in said
    ]  # the browser tells of the refusal


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_page_is_wider_than_a_phone(chromium: Any, page: Page, scheme: str):
    page.store.save("m", [live(1, services=("a-service-with-a-long-name" * 4,))], passed=passed("word " * 60))
    opened = Browsing(chromium, page.serve(), viewport=PHONE, color_scheme=scheme, has_touch=True)
    for address in (*PAGES, f"/incidents/{1:016x}"):
        opened.tab.goto(address)
        assert opened.tab.evaluate("document.documentElement.scrollWidth") <= PHONE["width"], address
        dark = opened.tab.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(15, 18, 21)"
        assert dark == (scheme == "dark")
    opened.context.close()
    assert opened.complaints == []


def test_what_has_drifted_is_learned_on_by_a_click_on_a_phone(
    chromium: Any, page: Page, monkeypatch: pytest.MonkeyPatch
):
    since = datetime(2026, 3, 9, 7, tzinfo=UTC)
    one = Drifted("pay" * 9, "types", f'"{EVIL} {"word " * 30}": usual 2 %, now 31 %', since, 40.0, 0.31, 0.02)
    page.worker.drift = Drift((one,), (Figures("pay" * 9, 4.0, 2.0, 0.0, 0.0, 0.1, 0.01),), 9, 1.0)
    done: list[tuple[str, str]] = []
    monkeypatch.setattr(page.watching.choosing, "do", lambda word, model: done.append((word, model)))
    opened = Browsing(chromium, page.serve(), viewport=PHONE, has_touch=True, java_script_enabled=False)
    opened.tab.goto("/model")
    assert "usual 2 %, now 31 %" in opened.tab.locator("#drift").inner_text()
    assert opened.tab.locator("#drift tbody tr").first.locator("td").first.inner_text().startswith('"<script>')
    box = opened.tab.locator("main").bounding_box()
    assert box is not None
    assert box["width"] <= PHONE["width"]
    with opened.tab.expect_navigation(url="**/model"):  # to where it is already
        opened.tab.locator(".proposal button").tap()
    assert done == [("learn", "")]
    opened.context.close()
    assert opened.complaints == []


def test_nothing_that_logs_hold_runs_in_the_browser(chromium: Any, page: Page):
    reasons = (Reason("x", EVIL),)
    page.store.save("m", [live(1, reasons=reasons, services=(EVIL,), hosts=(EVIL,))], passed=passed(EVIL, EVIL, EVIL))
    opened = Browsing(chromium, page.serve())
    asked: list[str] = []
    opened.tab.on("dialog", lambda dialog: (asked.append(dialog.message), dialog.dismiss()))
    for address in (*PAGES, f"/incidents/{1:016x}"):
        opened.tab.goto(address)
        opened.tab.mouse.move(300, 300)
    opened.context.close()
    assert (asked, opened.complaints, opened.elsewhere) == ([], [], [])


def test_a_rule_is_added_and_removed_without_and_with_scripts(chromium: Any, page: Page):
    address = page.serve()
    for scripts in (False, True):
        opened = Browsing(chromium, address, java_script_enabled=scripts)
        tab = opened.tab
        tab.goto("/rules")
        never = tab.get_by_role("form", name="A line that must never come")
        never.get_by_label("its message matches").fill("OutOfMemoryError")
        never.get_by_label("called").fill(f"memory {scripts}")
        never.get_by_role("button", name="Add").click()
        row = tab.get_by_role("row", name=f"memory {scripts}")
        assert "never a line “OutOfMemoryError”" in row.inner_text()
        row.get_by_role("button", name="Remove").click()
        tab.get_by_text("None yet.").wait_for()
        tab.get_by_label("told a day, at most").fill("5")
        tab.get_by_role("button", name="Set").click()
        tab.get_by_text("back to what held before").wait_for()
        tab.get_by_role("button", name="Remove").click()
        tab.get_by_text("as the service was started").wait_for()
        opened.context.close()
        assert opened.complaints == []


def test_without_scripts_everything_can_be_read_and_answered(chromium: Any, page: Page):
    page.store.save("m", [live(1)])
    opened = Browsing(chromium, page.serve(), java_script_enabled=False)
    opened.tab.goto("/")
    opened.tab.locator(".row .what").click()
    opened.tab.get_by_role("button", name="anomalous").click()
    opened.tab.get_by_text("Confirmed").wait_for()
    opened.context.close()
