"""What each page shows, by its HTML; that log text stays text; that answers are taken and taken back."""

from __future__ import annotations

import re
import time
from datetime import timedelta
from html.parser import HTMLParser

import polars as pl
import pytest

from oddlog.pipeline.drifting import Drift
from oddlog.types import TIME, LineRef, Passed, Reason
from stored_incidents import AT, incident, live

pytest.importorskip("jinja2")
from served_page import Page

EVIL = '<script>alert(1)</script><img src=x onerror=alert(2)> " onmouseover="x \' {{7*7}} \x1b[31m \u202egnp'
ADDRESSES = ("/", "/incidents", "/timeline", "/templates", "/templates?kind=all", "/sources", "/model", "/answers")


class Tags(HTMLParser):
    """Collects elements and attributes."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))


def passed(text: str = "boom <*>", source: str = "http/shop", service: str = "shop") -> Passed:
    minute = int(AT.timestamp() // 60)
    verdicts = pl.DataFrame({"key": ["a"], "end": [AT]}).with_columns(pl.col("end").cast(TIME))
    return Passed(
        minutes=pl.DataFrame({"minute": [minute], "service": [service], "lines": [60], "errors": [6], "unseen": [3]}),
        scores=pl.DataFrame({"minute": [minute], "view": ["sessions"], "windows": [9], "odd": [1], "top": [2.5]}),
        types=pl.DataFrame({"day": [minute // 1440], "key": ["ab" * 8], "lines": [3], "first": [minute * 60.0], "last": [minute * 60.0]}),
        texts=pl.DataFrame({"key": ["ab" * 8], "text": [text], "level": ["ERROR"], "service": [service]}),
        sources=pl.DataFrame({"name": [source], "lines": [60], "errors": [6], "event": [minute * 60.0]}),
        verdicts=verdicts,
    )  # fmt: skip


@pytest.mark.parametrize("address", ADDRESSES)
def test_every_page_is_whole_before_anything_has_happened(page: Page, address: str):
    answer = page.client.get(address)
    assert answer.status_code == 200
    assert answer.text.startswith("<!DOCTYPE html>")
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    assert "unsafe" not in answer.headers["Content-Security-Policy"]
    assert answer.headers["X-Frame-Options"] == "DENY"


def test_what_goes_on_is_told_first_and_the_most_pressing_of_it_on_top(page: Page):
    page.store.save(
        "m", [live(1, severity=5.0), live(2, severity=50.0), live(3, "over", severity=60.0)], passed=passed()
    )
    text = page.client.get("/").text
    assert "2 incidents going on" in text
    places = [text.index(f'id="i{n:016x}"') for n in (2, 1, 3)]
    assert places == sorted(places)
    part = page.client.get("/now", headers={"HX-Request": "true"}).text
    assert "<html" not in part
    assert "2 incidents going on" in part


def test_log_text_stays_text_on_every_page(page: Page):
    fields = {
        "reasons": (Reason(EVIL, f"never seen before: “{EVIL}”"), Reason("x", EVIL)),
        "services": (EVIL,), "hosts": (EVIL,), "keys": (EVIL,), "key": EVIL, "notes": (EVIL,),
        "lines": (LineRef(EVIL, 1, EVIL, 1.0, EVIL),), "members": {EVIL: 0.1},
    }  # fmt: skip
    near = {
        "key": EVIL, "noun": "sessions", "n_lines": 1,
        "differences": [{"text": EVIL, "kind": EVIL, "seen": 1, "usual": 0, "share": 0.0, "p99": 0}],
        "lines": [{"source": EVIL, "line": 1, "time": None, "level": EVIL, "service": EVIL, "host": EVIL,
                   "message": EVIL, "text": EVIL, "odd": True, "gap": 0}],
    }  # fmt: skip
    page.store.save("m", [live(1, **fields)], near={f"{1:016x}": near}, passed=passed(EVIL, EVIL, EVIL))
    page.watching.answer(f"{1:016x}", "anomalous", who=EVIL, note=EVIL)
    for address in (*ADDRESSES, f"/incidents/{1:016x}", "/incidents?answer="):
        text = page.client.get(address).text
        for tag, attributes in Tags(text).tags:
            assert tag not in ("script", "img") or attributes["src"].startswith("/static/"), address
            assert not [name for name in attributes if name.startswith("on")], address
        assert "\x1b" not in text
        assert "\u202e" not in text
        assert "49" not in re.findall(r"' (\S+) ", text)


def test_an_answer_holds_at_once_and_can_be_taken_back(page: Page):
    page.store.save("m", [live(1), live(2)])
    id_ = f"{1:016x}"
    form = {"id": id_, "answer": "usual", "who": "anna", "note": "nightly backup"}
    row = page.client.post("/answers", data=form | {"at": "row"}, headers={"HX-Request": "true"})
    assert (row.status_code, "called usual" in row.text, "Undo" in row.text) == (200, True, True)
    assert "1 incident going on" in page.client.get("/").text
    told = page.client.get(f"/incidents/{id_}").text
    assert "Called usual" in told
    assert "anna" in told
    assert "nightly backup" in told
    listed = page.client.get("/answers").text
    assert "anna" in listed
    undone = page.client.post("/answers/1/undo", data={"at": "list", "who": "ben"}, headers={"HX-Request": "true"})
    assert "undone" in undone.text
    assert "2 incidents going on" in page.client.get("/").text
    assert page.client.post("/answers/1/undo", data={}).status_code == 400


def test_without_scripts_an_answer_leads_back_to_the_incident(page: Page):
    page.store.save("m", [live(1)])
    answer = page.client.post(
        "/answers", data={"id": f"{1:016x}", "answer": "mute", "hours": "8"}, follow_redirects=False
    )
    assert (answer.status_code, answer.headers["location"]) == (303, f"/incidents/{1:016x}")
    assert "1 incident going on" not in page.client.get("/").text
    page.clock.pass_by(hours=9)
    assert "1 incident going on" in page.client.get("/").text


@pytest.mark.parametrize(
    "form",
    [
        {},
        {"id": "nope", "answer": "usual"},
        {"id": f"{1:016x}", "answer": "fine"},
        {"id": f"{1:016x}", "answer": "mute", "hours": "-1"},
    ],
)
def test_an_answer_that_makes_no_sense_is_refused_in_words(page: Page, form: dict[str, str]):
    page.store.save("m", [live(1)])
    answer = page.client.post("/answers", data=form)
    assert answer.status_code == 400
    assert page.watching.answers() == []


def test_a_form_larger_than_any_is_refused(page: Page):
    assert page.client.post("/answers", data={"note": "x" * 20_000}).status_code == 413


@pytest.mark.parametrize(
    "address",
    ["/incidents?state=nope", "/incidents?answer=x", "/incidents?since=tomorrow", "/incidents?after=zzz", "/timeline?range=1y",
     "/templates?kind=odd", "/incidents?order=x", "/incidents?urgency=x", "/incidents?since=9999-12-31T23:59:59-23:00"],
)  # fmt: skip
def test_a_filter_that_makes_no_sense_is_refused_in_words(page: Page, address: str):
    page.store.save("m", [live(1)])
    answer = page.client.get(address)
    assert answer.status_code == 400
    assert "There are" in answer.text or "Write" in answer.text or "Give" in answer.text


def test_incidents_are_filtered_and_shown_page_by_page(page: Page):
    page.store.save("m", [live(n, services=("pay" if n % 2 else "web",)) for n in range(120)])
    text = page.client.get("/incidents?service=pay").text
    assert "60 incidents" in text
    further = re.search(r'hx-get="(/incidents\?[^"]+)"', text)[1].replace("&amp;", "&")
    more = page.client.get(further, headers={"HX-Request": "true"}).text
    assert "<html" not in more
    shown = re.findall(r'id="i(\w+)"', text + more)
    assert len(shown) == len(set(shown)) == 60
    since = (AT + timedelta(minutes=118)).strftime("%Y-%m-%dT%H:%M")
    assert "2 incidents" in page.client.get(f"/incidents?since={since}").text


def test_a_row_says_where_also_of_lines_that_name_no_service(page: Page):
    pods = ("pay", "pay", "web", "mail", "cart", "stock")
    lines = tuple(LineRef(f"/pods/shop_{n}/{pod}/0.log", n, "x", 5.0) for n, pod in enumerate(pods))
    nowhere: tuple[str, ...] = ()
    page.store.save("m", [live(1, services=nowhere), live(2, services=nowhere, hosts=nowhere, lines=lines)])
    text = page.client.get("/incidents").text
    assert '<a class="chip" title="host" href="/incidents?host=h1">h1</a>' in text
    assert re.findall('came from">([^<]*)', text) == ["pay/0.log", "web/0.log", "mail/0.log"]
    assert '<span class="more">+2</span>' in text
    assert 'came from">pay/0.log</span>' in page.client.get(f"/incidents/{2:016x}").text


def test_ten_thousand_incidents_are_shown_page_by_page(page: Page):
    page.store.save("m", [live(n, "over") for n in range(10_000)])
    text = page.client.get("/incidents").text
    assert "10,000 incidents" in text
    assert len(re.findall(r'class="row ', text)) == 50
    assert len(text) < 200_000
    for path in ("/", "/incidents", "/incidents?service=pay&answer=open", f"/incidents/{5_000:016x}", "/timeline"):
        began = time.process_time()
        assert page.client.get(path).status_code == 200
        assert time.process_time() - began < 0.3, path  # seconds of CPU, here and in the threads that answer


def test_types_are_told_apart_by_what_training_had(page: Page):
    page.store.save("m", [], passed=passed())
    new = page.client.get("/templates").text
    assert "boom" in new
    assert "never" in new
    assert "boom" not in page.client.get("/templates?words=nothing").text
    assert "Order" in page.client.get("/templates?kind=all").text


def test_sources_rates_and_the_model_are_told(page: Page):
    page.store.save("m", [live(1)], passed=passed())
    assert "http/shop" in page.client.get("/sources").text
    page.worker.drift = Drift(watched=12, judged=3, least=17)
    model = page.client.get("/model").text
    assert "Windows are judged by the threshold that was learned." in model
    assert "3 of 17 hours" in model  # and no other word on it, whatever the figures of the day
    assert not [word for word in ("Nothing has", "oddlog update", 'class="off"') if word in model]
    assert "snn, new-event" in model
    assert "windows that are odd" in model
    assert "shop" in page.client.get("/timeline?service=shop").text
    rates = page.client.get("/v1/rates?range=1h").json()
    assert (sum(rates["lines"]), max(rates["top"]), len(rates["time"])) == (60.0, 2.5, 60)
    assert [one["id"] for one in rates["incidents"]] == [f"{1:016x}"]


def test_an_incident_that_is_not_there_is_said_to_be_so(page: Page):
    for id_ in ("nope", "..%2f..%2fetc%2fpasswd", "%00", "a" * 5_000):
        answer = page.client.get(f"/incidents/{id_}")
        assert answer.status_code == 404
        assert "passwd" not in answer.text


def test_shippers_that_ask_who_this_is_are_not_shown_a_page(page: Page):
    answer = page.client.get("/", headers={"Accept": "application/json"})
    assert answer.json()["name"] == "oddlog"
    assert incident(1).id
