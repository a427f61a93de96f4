"""Rules and the budget on the page and by `/v1`: set with who, heeded, taken back; nonsense is refused."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from oddlog.cli.beginning import Told
from oddlog.cli.overlay import Heeding
from oddlog.feedback import Answers, beside
from oddlog.pipeline.learning.checkpointing import packed, unpacked
from oddlog.sources import read_blocks
from oddlog.types import LiveIncident, Tally
from served_page import Page
from small_shop import shop_lines


@pytest.fixture
def heeding(page: Page, tmp_path: Path) -> Heeding:
    """What has the worker's stream go by what is set, with one rule of the configuration."""
    book = tmp_path / "rules.toml"
    book.write_text('[[never]]\nname = "lost parcels"\nmatch = "lost: carrier"\n')
    model = page.watching._where
    answers = Answers.load(beside(model, "answers"))
    return Heeding(model, answers, page.worker.stream, Told("5/day", book))


def brought(page: Page, *lines: str) -> list[LiveIncident]:
    path = page.spool._folder / "more.log"
    path.write_text("".join(f"{line}\n" for line in lines))
    stream = page.worker.stream
    stream.push(pl.concat(list(read_blocks(str(path), Tally()))), 0.0)
    stream.tick(10.0)
    return stream.incidents(every=True)


def form(page: Page, **fields: str) -> tuple[int, str]:
    answer = page.client.post("/rules", data=fields, follow_redirects=True)
    return answer.status_code, answer.text


def test_a_rule_is_added_by_the_form_heeded_at_once_and_taken_back(page: Page, heeding: Heeding):
    heeding()
    text = page.client.get("/rules").text
    assert "never a line “lost: carrier”" in text
    assert "the configuration" in text
    status, text = form(page, kind="never", match="receipt sent", name="receipts", level="WARNING", who="anna")
    assert (status, "in a moment" in text, "anna" in text) == (200, True, True)
    heeding()
    assert "in a moment" not in page.client.get("/rules").text
    told = brought(page, *shop_lines(3, 9))
    assert [(one.incident.key, one.change) for one in told if one.incident.key.startswith("rule")] == [
        ("rule receipts", "new")
    ]
    assert "broken, 3 lines" in page.client.get("/rules").text
    (row,) = (one for one in page.client.get("/v1/rules").json()["rules"] if one["number"])
    assert (row["kind"], row["who"], row["is_broken"], row["seen"]) == ("never", "anna", True, 3)
    assert page.client.post(f"/rules/{row['number']}/undo", data={"who": "ben"}).status_code == 200
    heeding()
    assert [one.change for one in page.worker.stream.incidents()] == ["withdrawn"]
    assert "receipts" not in page.client.get("/rules").text
    assert page.client.post(f"/rules/{row['number']}/undo").status_code == 400


def test_the_budget_is_set_shows_what_it_held_back_and_is_taken_back(page: Page, heeding: Heeding):
    heeding()
    assert page.client.get("/v1/rules").json()["budget"]["per_day"] == 5
    number = page.client.post("/v1/rules", json={"kind": "budget", "fields": {"per_day": 1}}).json()["number"]
    page.client.post("/v1/rules", json={"kind": "never", "fields": {"match": "receipt sent", "level": "INFO"}})
    heeding()
    told = brought(page, *shop_lines(3, 9, broken=1))
    assert len([one for one in told if one.notable]) == 1
    page.store.save("m", told)
    shown = page.client.get("/v1/rules").json()["budget"]
    assert (shown["per_day"], shown["number"]) == (1, number)
    assert shown["held"] == len(shown["held_ids"]) >= 1
    assert "the budget of 1 a day is spent" in page.client.get("/rules").text
    page.client.delete(f"/v1/rules/{number}")
    heeding()
    assert page.worker.stream.gate.budget.per_day == 5
    status, _ = form(page, kind="budget", per_day="0")
    heeding()
    assert (status, page.worker.stream.gate.budget) == (200, None)


def test_maintenance_is_set_as_a_file_says_it(page: Page, heeding: Heeding):
    fields = {"from": "2026-03-02T07:00:00Z", "to": "2026-03-02T23:00:00Z", "name": "move"}
    assert page.client.post("/v1/rules", json={"kind": "maintenance", "fields": fields}).status_code == 201
    status, text = form(page, kind="maintenance", **{"from": "22:00", "to": "02:00", "days": "sat, sun"})
    assert (status, "nothing is told sat, sun from 22:00 to 02:00 UTC" in text) == (200, True)
    heeding()
    assert [one.name for one in page.worker.stream.gate.maintenance] == ["move", "maintenance"]
    told = brought(page, *shop_lines(3, 9, broken=1))
    assert told
    assert not any(one.notable for one in told)
    assert any("not told: move" in one.incident.notes for one in told)


@pytest.mark.usefixtures("heeding")
def test_maintenance_is_announced_for_a_time_from_now_on_and_what_is_over_says_so(page: Page):
    status, text = form(page, kind="maintenance", host="db-*", **{"for": "2h"})
    assert (status, "nothing of db-* is told from 2026-03-03 14:00 to 2026-03-03 16:00 UTC" in text) == (200, True)
    assert [one["stands"] for one in page.client.get("/v1/rules").json()["rules"] if one["number"]] == ["on"]
    page.clock.pass_by(hours=3)
    assert [one["stands"] for one in page.client.get("/v1/rules").json()["rules"] if one["number"]] == ["over"]
    form(
        page,
        kind="maintenance",
        match="refused",
        service="pay-*",
        source="http/*",
        pattern="f" * 16,
        **{"for": "30min"},
    )
    said = page.client.get("/v1/rules").json()["rules"][-1]["says"]
    assert said.startswith(f"nothing of pay-* from http/* that says “refused” of the pattern {'f' * 16} is told from")


@pytest.mark.usefixtures("heeding")
@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"kind": "never"}, "matches nothing"),
        ({"kind": "never", "match": "("}, "no regular expression"),
        ({"kind": "never", "match": "x", "name": "lost parcels"}, "is a rule called"),
        ({"kind": "never", "match": "x" * 600}, "longer than 500"),
        ({"kind": "limit", "match": "x", "within": "soon", "most": "3"}, "no duration"),
        ({"kind": "limit", "match": "x", "within": "5min", "most": "many"}, "no number"),
        *(
            ({"kind": "limit", "within": "5min", "most": n}, "no number of lines")
            for n in ("inf", "nan", "1e30", "2.7")
        ),
        ({"kind": "budget", "per_day": "-1"}, "no number of incidents"),
        ({"kind": "budget", "per_day": "nan"}, "no number of incidents"),
        ({"kind": "maintenance", "from": "soon", "to": "later"}, "names no time"),
        ({"kind": "sometimes", "match": "x"}, "no rule of the kind"),
    ],
)
def test_what_makes_no_sense_is_refused_and_nothing_is_set(page: Page, fields: dict[str, str], says: str):
    status, text = form(page, **fields)
    assert (status, says in text) == (400, True)
    assert not any(one.number for one in page.watching.ruling.rules())


@pytest.mark.parametrize(
    "body",
    [
        {"kind": "never", "fields": {"match": "x", "nope": 1}},
        {"kind": "budget", "fields": {"per_day": "5"}},
        {"kind": "limit", "fields": {"match": "x", "most": 1.5, "within": "5min"}},
        {"kind": "limit", "fields": {"match": "x", "most": 10**30, "within": "5min"}},
        {"kind": "maintenance", "fields": {"from": 5, "to": 6}},
    ],
)
def test_v1_refuses_what_makes_no_sense(page: Page, body: dict):
    assert page.client.post("/v1/rules", json=body).status_code == 400


def test_what_was_set_holds_after_a_restart_and_by_commands_too(page: Page, heeding: Heeding):
    page.client.post("/v1/rules", json={"kind": "never", "fields": {"match": "receipt sent", "name": "receipts"}})
    heeding()
    brought(page, *shop_lines(3, 9))
    state = page.worker.stream.state()
    again = type(page.worker.stream)(page.worker.stream.model)
    Heeding(page.watching._where, Answers(), again, Told("", None))
    again.restore(unpacked(packed(state)))
    assert [(rule.name, is_broken) for rule, is_broken, _ in again.rules] == [("receipts", True)]
