"""The page as a reader sees it, and what it must never hold."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import itertools
import os
import re
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest

import oddlog
from oddlog.model import Model
from oddlog.pipeline import Detection
from oddlog.pipeline.learning.labels import Labels
from oddlog.reports.cards import MOST_CARDS, MOST_ROWS
from oddlog.reports.elements import visible
from oddlog.reports.judging import judge, judged
from oddlog.reports.page import headline, render
from oddlog.types import Incident, LineRef, Reason
from small_shop import shop_lines

HOSTILE = [
    "<script>alert(1)</script>",
    "</td></table></style><img src=http://192.0.2.1/x onerror=alert(1)>",
    '" onmouseover="alert(1)" x="',
    "' style='background:url(https://example.com/a)' y='",
    "<!-- <![CDATA[ ]]> --> &lt;b&gt; &#x3c;i&#x3e;",
    "red \x1b[31m title \x1b]0;x\x07 invoice\u202efdp.exe",
]


def incident(i: int, **changes) -> Incident:
    start = datetime(2026, 3, 3, 7, tzinfo=UTC) + timedelta(seconds=i)
    return dataclasses.replace(
        Incident(
            id=f"{i:016x}",
            key=f"ord-{i}",
            keys=(f"ord-{i}",),
            n_windows=1,
            start=start,
            end=start + timedelta(seconds=30),
            severity=50 / (1 + i / 10),
            score=5.0,
            p_value=1e-5,
            pattern=f"{i:016x}",
            services=("shop.ship",),
            hosts=("host-1",),
            reasons=(
                Reason("unseen_template", f"never seen before: “Order <*> lost in case {i}” (1 line)", {"seen": 1}),
            ),
            lines=(LineRef("/logs/odd.log", 7, f"Order ord-{i} lost", 3.0),),
        ),
        **changes,
    )


def with_incidents(found: Detection, incidents) -> Detection:
    return dataclasses.replace(found, incidents=tuple(incidents))


def page_of(found: Detection, model: Model, judged=None) -> str:
    assert found.overview is not None
    return render(found, found.overview, model, judged)


@pytest.fixture(scope="module")
def shop_page(shop_found: Detection, shop_model: Model) -> str:
    return page_of(shop_found, shop_model)


def test_the_verdict_comes_first_in_one_sentence(as_seen, shop_page: str, shop_found: Detection):
    text = as_seen(shop_page).text
    assert "oddlog: 1 incident, critical" in text
    assert "1 incident, critical." in text
    assert "632 lines of 3 Mar 2026, 06:13:21 – 09:19:45 UTC were judged." in text
    assert "3 odd (2 %)" in text
    assert shop_found.says in text


def test_a_card_shows_reasons_what_was_expected_and_lines_in_context(as_seen, shop_page: str):
    seen = as_seen(shop_page)
    assert "never seen before: Order ‹› lost: carrier refused parcel ‹› (3 lines in 3 sessions)" in seen.text
    assert "Expected against seen, in ord-200060" in seen.text
    rows = re.findall(r"<tr>(?:(?!</tr>).)*missing_event(?:(?!</tr>).)*</tr>", shop_page)
    assert [as_seen(row).text for row in rows] == [
        "Order ‹› handed to carrier ‹›missing01100 %",
        "Order ‹› receipt sentmissing01100 %",
    ]
    odd = re.findall(r'<tr class="odd">.*?</tr>', shop_page)
    assert [as_seen(row).text for row in odd] == [
        "odd.log:31606:33:25.432ERRORshop.shipodd: Order ord-200060 lost: carrier refused parcel 895973"
    ]
    assert "1 odd line; shown: all 4 lines of it" in seen.text


def test_variables_are_set_apart(shop_page: str):
    assert "Order <i>ord-200060</i> lost: carrier refused parcel <i>895973</i>" in shop_page


def test_the_page_fetches_nothing_and_runs_nothing(as_seen, shop_page: str):
    seen = as_seen(shop_page)
    assert not {"script", "link", "iframe", "object", "embed", "img", "form", "base", "foreignobject"} & {
        tag.lower() for tag, _ in seen.tags
    }
    for _, attributes in seen.tags:
        assert not [name for name in attributes if name.startswith("on") or name in ("src", "srcset", "style", "data")]
        assert (attributes.get("href") or "#").startswith("#")
    style = re.search(r"<style>(.*?)</style>", shop_page, re.DOTALL)[1]
    assert not re.search(r"url\(|@import|@font-face|https?:", style)
    policy = next(a["content"] for tag, a in seen.tags if tag == "meta" and "http-equiv" in a)
    assert policy.startswith("default-src 'none'; style-src 'sha256-")


def test_the_policy_admits_the_style_that_is_there(shop_page: str):
    style = re.search(r"<style>(.*?)</style>", shop_page, re.DOTALL)[1]
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert f"sha256-{digest}" in shop_page.replace("&#x27;", "'")


def test_every_link_leads_somewhere_and_every_label_is_there(as_seen, shop_page: str):
    seen = as_seen(shop_page)
    ids = [a["id"] for _, a in seen.tags if "id" in a]
    assert len(ids) == len(set(ids))
    links = {a["href"][1:] for tag, a in seen.tags if tag == "a"}
    labels = {a["aria-labelledby"] for _, a in seen.tags if "aria-labelledby" in a}
    assert links
    assert links | labels <= set(ids)


def test_every_figure_says_what_it_shows_and_headings_skip_no_level(as_seen, shop_page: str):
    seen = as_seen(shop_page)
    figures = [a for tag, a in seen.tags if tag == "svg"]
    assert len(figures) > 3
    assert all(a["aria-label"] and a["role"] in ("img", "group") for a in figures)
    levels = [int(tag[1]) for tag, _ in seen.tags if re.fullmatch(r"h\d", tag)]
    assert levels[0] == 1
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels))


def test_hostile_lines_of_a_log_are_text(as_seen, shop_model: Model, tmp_path: Path):
    lines = shop_lines(60, 2, start=80_000)
    bad = [f"2026-03-03 07:00:0{i},000 ERROR shop.{'web'}: {text}" for i, text in enumerate(HOSTILE)]
    bad.append("2026-03-03 07:00:09,000 ERROR shop.web: " + "z" * 1_000_000)
    log = tmp_path / "<img src=x>.log"
    log.write_text("\n".join([*lines, *bad]) + "\n")
    found = shop_model.detect(log, overview=True)
    text = page_of(found, shop_model)
    seen = as_seen(text)
    assert not {"script", "img"} & {tag for tag, _ in seen.tags}
    assert not [name for _, attributes in seen.tags for name in attributes if name.startswith("on")]
    assert "<script>alert(1)</script>" in seen.text
    assert '" onmouseover="alert(1)" x="' in seen.text
    assert "<img src=x>.log" in seen.text
    for character in "\x1b\x07\u202e":
        assert character not in text
    assert len(text) < 1_000_000


def test_hostile_names_and_reasons_are_text(as_seen, shop_found: Detection, shop_model: Model):
    for bad in HOSTILE:
        one = incident(
            0,
            key=bad,
            services=(bad, "x" * 100_000),
            hosts=(bad,) * 9,
            reasons=(Reason("rate", f"“{bad}” {bad}"), Reason("gap", bad)),
            lines=(LineRef(bad, 1, bad * 3, 1.0),),
        )
        found = dataclasses.replace(with_incidents(shop_found, [one]), notes=(bad,))
        text = page_of(found, shop_model)
        seen = as_seen(text)
        assert not {"script", "img"} & {tag for tag, _ in seen.tags}
        assert not [name for _, attributes in seen.tags for name in attributes if name.startswith("on")]
        assert visible(bad) in seen.text
        assert len(text) < 300_000


def test_three_thousand_incidents_make_a_page_that_opens(as_seen, shop_found: Detection, shop_model: Model):
    text = page_of(with_incidents(shop_found, map(incident, range(3_000))), shop_model)
    seen = as_seen(text)
    assert len(text.encode()) < 3_000_000
    assert sum(tag == "article" for tag, _ in seen.tags) == MOST_CARDS
    assert "2,950 less pressing incidents in a table" in seen.text
    assert "3,000 incidents, 3 of them critical" in seen.text
    assert "Order ‹› lost in case 2999" in seen.text


def test_what_is_left_out_is_counted(as_seen, shop_found: Detection, shop_model: Model):
    text = page_of(with_incidents(shop_found, map(incident, range(MOST_CARDS + MOST_ROWS + 7))), shop_model)
    assert "7 more incidents of less weight left out" in as_seen(text).text
    assert len(text.encode()) < 3_000_000


def test_nothing_odd_is_said_as_such(as_seen, shop_found: Detection, shop_model: Model):
    quiet = dataclasses.replace(
        with_incidents(shop_found, []), scores=shop_found.scores.with_columns(is_anomaly=pl.lit(value=False))
    )
    text = as_seen(page_of(quiet, shop_model)).text
    assert "Nothing odd." in text
    assert "all of it looks like what the model has learned to be usual" in text
    assert "0 odd (0 %)" in text


@pytest.mark.parametrize(
    ("severities", "says"),
    [
        ([], "Nothing odd"),
        ([50], "1 incident, critical"),
        ([20, 3], "2 incidents, 1 of them high"),
        ([7, 6], "2 incidents, all medium"),
        ([1] * 1200, "1,200 incidents, all low"),
    ],
)
def test_the_headline_counts_the_gravest(severities: list[float], says: str):
    assert headline([incident(i, severity=s) for i, s in enumerate(severities)]) == says


def test_labels_bring_the_curve_and_the_four_counts(as_seen, shop_found: Detection, shop_model: Model):
    keys = shop_found.scores["key"].unique(maintain_order=True)
    anomalous = keys.is_in(["ord-200060", "ord-200061", "ord-200062", keys[0]])
    agreed = judge(shop_found.scores, Labels(keys, anomalous.cast(pl.Int8).to_numpy()))
    seen = as_seen(page_of(shop_found, shop_model, agreed))
    assert "anomalous31" in seen.text
    assert "usual0119" in seen.text
    assert "precision1.0000recall0.7500" in seen.text
    assert any("receiver" in (a.get("aria-label") or "").lower() for _, a in seen.tags)
    points = next(a["points"] for tag, a in seen.tags if tag == "polyline").split()
    assert (points[0], points[-1]) == ("44,262", "294,12")  # from corner to corner
    unmatched = judge(shop_found.scores, Labels(pl.Series(["elsewhere"]), np.array([1], np.int8)))
    assert "No label names a window" in as_seen(page_of(shop_found, shop_model, unmatched)).text


def test_without_labels_there_is_no_such_section(shop_page: str):
    assert 'id="labels"' not in shop_page


def test_lines_without_a_time_are_told_without_a_time_line(as_seen, tmp_path: Path):
    lines = [line.split(" ", 2)[2] for line in shop_lines(200, 1)]
    log = tmp_path / "plain.log"
    log.write_text("\n".join(lines) + "\n")
    model = oddlog.fit(log, detectors=["snn", "new-event"], session="none", window="20")
    text = as_seen(page_of(model.detect(log, overview=True), model)).text
    assert "No line has a time, so nothing can be drawn over time." in text
    assert "no times" in text


def test_the_same_detection_gives_the_same_bytes_in_any_process(
    shop_page: str, shop_model: Model, odd_log: Path, tmp_path: Path
):
    shop_model.save(tmp_path / "a.model")
    code = (
        "import oddlog; from oddlog.reports import write_report\n"
        f"m = oddlog.load({str(tmp_path / 'a.model')!r})\n"
        f"write_report(m.detect({str(odd_log)!r}, overview=True), m, {str(tmp_path / 'a.html')!r})"
    )
    subprocess.run([sys.executable, "-c", code], check=True, env={**os.environ, "PYTHONHASHSEED": "7"})
    assert (tmp_path / "a.html").read_text(encoding="utf-8") == shop_page


def test_a_curve_of_thousands_of_points_is_drawn_to_its_end(as_seen, shop_found: Detection, shop_model: Model):
    draw = np.random.default_rng(0)
    label = draw.integers(0, 2, 5_000).astype(np.int8)
    score = draw.normal(label, 1.0)
    seen = as_seen(page_of(shop_found, shop_model, judged(score, score > 1, label)))
    points = next(a["points"] for tag, a in seen.tags if tag == "polyline").split()
    assert (points[0], points[-1], len(points)) == ("44,262", "294,12", 400)


def titles_of(text: str, kind: str) -> list[str]:
    return re.findall(rf'<rect[^>]*class="{kind}"[^>]*><title>([^<]*)</title>', text)


def test_the_bars_over_time_sum_up_to_what_was_read(shop_page: str, shop_found: Detection):
    said = [re.search(r": ([\d,]+) (.*)", title) for title in titles_of(shop_page, "bar ")]
    lines = [int(one[1]) for one in said if one[2] in ("line", "lines")]
    assert sum(lines) == shop_found.lines == 632
    assert sum(int(re.search(r": (\d+) errors?", title)[1]) for title in titles_of(shop_page, "bar error")) == 3
    assert (
        sum(
            int(re.search(r": (\d+) odd win", title)[1])
            for title in titles_of(shop_page, "bar odd")
            if "odd win" in title
        )
        == 3
    )


def test_reasons_that_the_table_holds_are_told_once_and_others_are_kept(
    as_seen, shop_found: Detection, shop_model: Model
):
    (one,) = shop_found.incidents
    count = Reason("missing_event", "“Order <*> receipt sent” is missing", {"seen": 0, "usual": 1, "usual_share": 1.0})
    next_event = Reason("unexpected_event", "expected “a” (98 %), saw “b”", {"probability": 0.98})
    first, slow = Reason("gap", "first of all"), Reason("out_of_range", "4,200 ms; usually at most 220 ms")
    found = with_incidents(shop_found, [dataclasses.replace(one, reasons=(first, count, next_event, slow))])
    text = as_seen(page_of(found, shop_model)).text
    assert "first of all" in text
    assert "expected a (98 %), saw b" in text
    assert "4,200 ms; usually at most 220 ms" in text
    assert "Order ‹› receipt sent is missing" not in text
    elsewhere = with_incidents(shop_found, [dataclasses.replace(one, id="0" * 16, reasons=(first, count))])
    assert "Order ‹› receipt sent is missing" in as_seen(page_of(elsewhere, shop_model)).text


def test_an_incident_that_nothing_more_is_known_of_shows_its_lines(as_seen, shop_found: Detection, shop_model: Model):
    text = as_seen(page_of(with_incidents(shop_found, [incident(3)]), shop_model)).text
    assert "odd.log:7odd: Order ord-3 lost" in text
    assert f"oddlog feedback {3:016x} usual|anomalous|mute -m MODEL" in text


def test_what_was_answered_before_is_told(as_seen, shop_found: Detection, shop_model: Model):
    known = incident(1, answer="anomalous", notes=("ticket OPS-12",))
    found = dataclasses.replace(with_incidents(shop_found, [known]), hidden=(incident(2, answer="usual"),))
    text = as_seen(page_of(found, shop_model)).text
    assert "called anomalous before" in text
    assert "ticket OPS-12" in text
    assert "1 incident answered before in a table" in text
    alone = as_seen(page_of(dataclasses.replace(found, incidents=()), shop_model)).text
    assert "Nothing odd but what was answered before." in alone
    assert "what is odd was called usual or muted before" in alone


def test_logs_without_one_error_have_no_chart_of_errors(as_seen, shop_model: Model, small_log: Path):
    text = as_seen(page_of(shop_model.detect(small_log, overview=True), shop_model)).text
    assert "Lines per min2,084 lines" in text
    assert "Errors per" not in text


def test_scores_far_beyond_the_threshold_do_not_flatten_the_others(shop_found: Detection, shop_model: Model):
    score = pl.when(pl.col("is_anomaly")).then(pl.col("threshold") * 400.0).otherwise(pl.col("score")).alias("score")
    text = page_of(dataclasses.replace(shop_found, scores=shop_found.scores.with_columns(score)), shop_model)
    assert "the highest is 400.0 × the threshold" in text
    assert re.findall(r"<title>[^<]*: 400\.00 × threshold</title>", text)
    stems = {re.search(r'y2="([\d.]+)"', one)[1] for one in re.findall(r'<line[^>]*class="stem odd"/>', text)}
    limit = re.search(r'<line[^>]*y1="([\d.]+)"[^>]*class="limit"/>', text)[1]
    assert len(stems) == 1
    assert float(limit) - float(stems.pop()) > 20
