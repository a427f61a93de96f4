"""From raw lines to explained incidents, and every number of a reason counted again by hand."""

from __future__ import annotations

import gzip
import io
import re
import sys
from collections import Counter, defaultdict
from pathlib import Path

import numpy as np
import polars as pl
import pytest

import oddlog
from made_windows import windows_of
from oddlog.errors import ConfigError, InputError, LabelError, TooLittleDataError
from oddlog.explain import percent
from oddlog.pipeline import events
from oddlog.pipeline.judging.detection import Detection
from oddlog.templates import Matcher, mask
from small_shop import shop_lines


@pytest.fixture(scope="module")
def found(small_model: Path, odd_log: Path) -> Detection:
    return oddlog.load(small_model).detect(odd_log)


def orders(path: Path) -> dict[str, list[str]]:
    """Return the lines of each order, as `grep` would."""
    lines = defaultdict(list)
    for line in path.read_text().splitlines():
        lines[re.search(r"ord-\d+", line)[0]].append(line)
    return lines


def test_the_lost_orders_are_odd_and_no_other(found: Detection, odd_log: Path):
    lost = {order for order, lines in orders(odd_log).items() if any("lost" in line for line in lines)}
    assert len(lost) == 3
    assert set(found.scores.filter("is_anomaly")["key"]) == lost


def test_they_are_one_incident_that_shows_the_telling_lines(found: Detection, odd_log: Path):
    assert len(found.incidents) == 1
    incident = found.incidents[0]
    assert incident.n_windows == 3
    assert incident.services[0] == "shop.ship"
    text = odd_log.read_text().splitlines()
    assert any("lost: carrier refused parcel" in line.text for line in incident.lines)
    for line in incident.lines:
        assert line.source == str(odd_log)
        assert line.text == text[line.line - 1]


def test_every_number_in_a_reason_can_be_counted_in_the_raw_lines(found: Detection, small_log: Path, odd_log: Path):
    incident = found.incidents[0]
    here, usual = orders(odd_log)[incident.key], orders(small_log)
    words = {"lost": "lost: carrier", "receipt": "receipt sent", "carrier": "handed to carrier"}
    counted = [r for r in incident.reasons if r.kind != "unexpected_event"]  # that one is a model's, see below
    told = {kind: r for r in counted for kind, word in words.items() if word in r.text}
    assert set(told) == set(words)
    assert told["lost"].kind == "unseen_template"
    everywhere = odd_log.read_text().splitlines()  # what is new is counted in the whole incident
    assert told["lost"].numbers["seen"] == sum(words["lost"] in line for line in everywhere) == 3
    assert told["lost"].text.endswith("(3 lines in 3 sessions)")
    assert sum("lost" in line for line in here) == 1
    assert not any("lost" in line for lines in usual.values() for line in lines)
    for kind in ("receipt", "carrier"):
        assert told[kind].kind == "missing_event"
        assert told[kind].numbers["seen"] == sum(words[kind] in line for line in here) == 0
        share = sum(any(words[kind] in line for line in lines) for lines in usual.values()) / len(usual)
        assert told[kind].numbers["usual_share"] == pytest.approx(share, abs=0.02)  # less what was trimmed
        counts = sorted(n for lines in usual.values() if (n := sum(words[kind] in line for line in lines)))
        assert told[kind].numbers["usual_p99"] == counts[int(0.99 * len(counts))]
        per_order = Counter(sum(words[kind] in line for line in lines) for lines in usual.values())
        assert told[kind].numbers["usual"] == per_order.most_common(1)[0][0] == 1


def test_what_is_new_and_repeats_is_counted_as_often(small_model: Path, odd_log: Path, tmp_path: Path):
    repeated = re.sub(r"(Order ord-\d+ lost: .*)", r"message repeated 4 times: [ \1 ]", odd_log.read_text())
    (tmp_path / "repeated.log").write_text(repeated)
    (incident,) = oddlog.load(small_model).detect(tmp_path / "repeated.log").incidents
    (told,) = [one for one in incident.reasons if one.kind == "unseen_template"]
    assert told.text.endswith("(12 lines in 3 sessions)")


def number_in(line: str, word: str) -> float:
    return float(re.search(rf"{word} ([\d.]+)", line)[1])


@pytest.fixture(scope="module")
def dear_log(odd_log: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The log with the lost orders, each of which cost 93,511.25 EUR."""
    lost = {order for order, lines in orders(odd_log).items() if any("lost" in line for line in lines)}
    path = tmp_path_factory.mktemp("logs") / "dear.log"
    path.write_text(
        "".join(
            re.sub(r"charged [\d.]+", "charged 93511.25", line) if re.search(r"ord-\d+", line)[0] in lost else line
            for line in odd_log.read_text().splitlines(keepends=True)
        )
    )
    return path


def test_a_value_out_of_range_is_told_with_numbers_that_stand_in_the_raw_lines(
    small_model: Path, small_log: Path, dear_log: Path
):
    (incident,) = oddlog.load(small_model).detect(dear_log).incidents
    assert incident.members["values"] <= 0.001
    told = next(r for r in incident.reasons if r.kind == "out_of_range")
    line = dear_log.read_text().splitlines()[told.numbers["line"] - 1]
    assert incident.key in line
    assert told.numbers["value"] == number_in(line, "charged") == 93511.25
    usual = [number_in(text, "charged") for text in small_log.read_text().splitlines() if "charged" in text]
    # the one session left open when the log ended was not learned from
    for name, share in (("low", 0.01), ("high", 0.99)):
        near = np.quantile(usual, [share - 0.003, share + 0.003], method="nearest")
        assert near[0] - 0.01 <= told.numbers[name] <= near[1] + 0.01
    low, high = (f"{told.numbers[name]:.3g}" for name in ("low", "high"))
    assert told.text == f"“Order <*> charged [<*>] EUR”: 93,511 (usually {low}–{high})"


def test_what_was_expected_is_told_with_the_probabilities_of_the_model(small_model: Path, dear_log: Path):
    model = oddlog.load(small_model)
    (incident,) = model.detect(dear_log).incidents
    told = next(r for r in incident.reasons if r.kind == "unexpected_event")
    line = dear_log.read_text().splitlines()[told.numbers["line"] - 1]
    assert incident.key in line
    assert "lost: carrier refused parcel" in line
    expected, seen = told.numbers["expected_1_p"], told.numbers["seen_p"]
    assert told.text == (
        f"expected “Order <*> handed to carrier <*>” ({percent(expected)}), "
        f"saw “Order <*> lost: carrier refused parcel <*>” ({percent(seen)})"
    )
    # The same session, made by hand from its raw lines, asked of the member itself.
    matcher = Matcher(model.context.templates)
    session = orders(dear_log)[incident.key]
    masked = mask(pl.Series([line.split(": ", 1)[1] for line in session]))
    rows = matcher.rows(masked.distinct_key, masked.distinct_text)[masked.inverse]
    member = next(one for one in model.views[0].members if one.name == "next-event")
    by_hand = member.expectations(windows_of([rows.tolist()]))
    assert by_hand.event[0] == session.index(line)
    assert model.context.templates.text[by_hand.expected[0, 0]] == "Order <*> handed to carrier <*>"
    assert by_hand.probability[0, 0] == pytest.approx(expected, rel=1e-4)
    assert by_hand.seen[0] == pytest.approx(seen, rel=1e-3)


def test_what_members_make_of_an_incident_is_told_by_name(small_model: Path, dear_log: Path):
    model = oddlog.load(small_model)
    (incident,) = model.detect(dear_log).incidents
    assert list(incident.members) == [member.name for member in model.views[0].members]
    assert model.views[0].voting == ("snn", "dae", "ocsvm", "new-event")
    assert model.views[0].shown == ("lstm", "next-event", "values")


def test_line_scores_name_the_line_and_the_reason(small_model: Path, odd_log: Path, tmp_path: Path):
    path = tmp_path / "lines.parquet"
    oddlog.load(small_model).detect(odd_log, line_scores=path, scores=tmp_path / "scores.parquet")
    lines = pl.read_parquet(path)
    assert lines.columns == ["source", "line", "time", "template", "score", "p_value", "is_anomaly", "reason"]
    text = odd_log.read_text().splitlines()
    assert lines["line"].to_list() == list(range(1, len(text) + 1))
    odd = lines.filter("is_anomaly")
    assert [n for n, line in enumerate(text, 1) if "lost" in line] == odd["line"].to_list()
    assert odd["reason"].str.starts_with("unseen_template in ord-").all()
    assert pl.read_parquet(tmp_path / "scores.parquet")["is_anomaly"].sum() == 3
    assert {p.name for p in tmp_path.iterdir()} == {"lines.parquet", "scores.parquet"}


def test_line_scores_also_tell_of_odd_entities(tmp_path: Path):
    def line(minute: int, second: int, user: str, what: str) -> str:
        return f"2026-03-01T{minute // 60:02d}:{minute % 60:02d}:{second:02d}Z INFO auth: user={user} {what}"

    def lines_of(minutes: range, user: str = "") -> list[str]:
        steps = ("opened the page", "logged in", "closed the page")
        return [line(m, i, user or f"u{(m + i) % 7}", step) for m in minutes for i, step in enumerate(steps)]

    (tmp_path / "usual.log").write_text("\n".join(lines_of(range(600))))
    # As many lines of each kind as ever, but all of one user.
    (tmp_path / "odd.log").write_text("\n".join([*lines_of(range(690, 700)), *lines_of(range(700, 710), "u3")]))
    model = oddlog.fit(
        tmp_path / "usual.log", session="none", entity=r"user=(\w+)", window="10m", detectors=["snn", "new-event"]
    )
    model.detect(tmp_path / "odd.log", line_scores=tmp_path / "lines.parquet")
    lines = pl.read_parquet(tmp_path / "lines.parquet")
    assert lines["line"].to_list() == list(range(1, 61))
    odd = lines.filter("is_anomaly")
    assert odd["line"].to_list() == list(range(31, 61))
    assert odd["reason"].unique().to_list() == ["count_off in u3@2026-03-01T11:40:00Z"]


def test_a_window_that_nothing_uses_is_told(small_log: Path):
    model = oddlog.fit(small_log, window="60s", detectors="snn, new-event")
    assert model.training["notes"] == [
        "--window 60s is not used: sessions were found. For windows instead: --session none"
    ]
    assert [member.name for member in model.views[0].members] == ["snn", "new-event"]


def test_no_false_alarm_at_all_cannot_be_asked_for(small_log: Path):
    with pytest.raises(ConfigError, match="no rate of false alarms"):
        oddlog.fit(small_log, false_alarms=0)


def test_gzip_and_a_split_over_files_change_nothing(small_model: Path, odd_log: Path, tmp_path: Path, found: Detection):
    lines = odd_log.read_text().splitlines(keepends=True)
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "a.log.gz").write_bytes(gzip.compress("".join(lines[::2]).encode()))
    (tmp_path / "logs" / "b.log").write_text("".join(lines[1::2]))
    again = oddlog.load(small_model).detect(tmp_path / "logs")
    assert again.scores.equals(found.scores)
    assert [r.text for r in again.incidents[0].reasons] == [r.text for r in found.incidents[0].reasons]


def test_lines_that_run_backwards_in_time_are_judged_all_the_same(
    small_model: Path, odd_log: Path, tmp_path: Path, found: Detection
):
    backwards = tmp_path / "backwards.log"
    backwards.write_text("\n".join(reversed(odd_log.read_text().splitlines())) + "\n")
    again = oddlog.load(small_model).detect(backwards)
    assert again.scores.equals(found.scores)


def test_standard_input_is_a_source_like_any_other(
    small_model: Path, odd_log: Path, monkeypatch: pytest.MonkeyPatch, found: Detection
):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(odd_log.read_bytes())))
    again = oddlog.load(small_model).detect("-")
    assert again.scores.equals(found.scores)
    assert "lost: carrier refused" in " ".join(line.text for line in again.incidents[0].lines)


def test_spilling_to_disk_changes_nothing(
    small_model: Path, odd_log: Path, monkeypatch: pytest.MonkeyPatch, found: Detection, small_log: Path
):
    monkeypatch.setitem(events.EventStore.__init__.__kwdefaults__, "rows_in_memory", 100)
    again = oddlog.load(small_model).detect(odd_log)
    assert again.scores.equals(found.scores)
    assert again.incidents == found.incidents
    assert oddlog.fit(small_log).id == oddlog.load(small_model).id


def test_options_leave_records_out(small_log: Path, odd_log: Path, small_model: Path):
    model = oddlog.fit(small_log, exclude="service = 'shop.mail'", detectors=["new-event"])
    assert not any("receipt" in text for text in model.context.templates.text)
    late = oddlog.load(small_model).detect(odd_log, since="2026-03-03T09:00:00")
    assert len(late.scores) == 60
    assert late.incidents == ()


def test_a_share_of_the_time_is_learned_from(small_log: Path):
    half = oddlog.fit(small_log, train_share=0.5, detectors=["new-event"])
    whole = oddlog.fit(small_log, detectors=["new-event"])
    assert half.training["records"] == pytest.approx(whole.training["records"] / 2, rel=0.01)
    assert half.training["end"] < whole.training["end"]


def test_labelled_anomalies_leave_training_and_choose_the_threshold(odd_log: Path, small_log: Path, tmp_path: Path):
    both = tmp_path / "both.log"
    both.write_text(small_log.read_text() + odd_log.read_text())
    lost = [order for order, lines in orders(odd_log).items() if any("lost" in line for line in lines)]
    (tmp_path / "labels.csv").write_text("key,label\n" + "".join(f"{o},anomalous\n" for o in lost))
    model = oddlog.fit(both, labels=tmp_path / "labels.csv", detectors=["snn", "new-event"])
    facts = model.training["views"]["sessions"]
    assert facts["anomalous_by_label"] == 3
    assert set(model.detect(both).scores.filter("is_anomaly")["key"]) >= set(lost)


@pytest.fixture(scope="module")
def with_lost_orders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A log of 400 usual and 30 lost orders in turn, and their labels."""
    folder = tmp_path_factory.mktemp("labelled")
    parts = [shop_lines(80, 10 + i, start=9_000 * i, broken=6) for i in range(5)]
    (folder / "orders.log").write_text("\n".join(line for part in parts for line in part) + "\n")
    lost = {order: any("lost" in line for line in lines) for order, lines in orders(folder / "orders.log").items()}
    (folder / "labels.csv").write_text("key,label\n" + "".join(f"{order},{odd:d}\n" for order, odd in lost.items()))
    return folder / "orders.log", folder / "labels.csv"


@pytest.mark.parametrize("name", ["svm", "cart", "logistic", "boosting"])
def test_detectors_that_learn_from_labels_are_fitted_saved_loaded_and_find_the_like(
    name: str, with_lost_orders: tuple[Path, Path], odd_log: Path, tmp_path: Path
):
    log, labels = with_lost_orders
    oddlog.fit(log, labels=labels, detectors=name).save(tmp_path / "one.model")
    model = oddlog.load(tmp_path / "one.model")
    facts = model.training["views"]["sessions"]
    assert facts["says"].count(f"29 anomalous by label {name} learned from") == 1  # one is cut off
    assert facts["validation_f1"] == 1.0
    found = model.detect(odd_log).scores.filter("is_anomaly")["key"].to_list()
    assert sorted(found) == ["ord-200060", "ord-200061", "ord-200062"]
    again = oddlog.update(model, odd_log)  # what was labelled is remembered
    assert again.training["views"]["sessions"]["anomalous_by_label"] == 29
    assert set(again.detect(odd_log).scores.filter("is_anomaly")["key"]) == set(found)


def test_detect_tells_members_the_texts_of_types_that_the_model_has_never_seen(
    with_lost_orders: tuple[Path, Path], tmp_path: Path
):
    log, labels = with_lost_orders
    model = oddlog.fit(log, labels=labels, detectors="logistic")
    parts = [shop_lines(20, 30 + i, start=80_000 + 9_000 * i, broken=int(i < 2)) for i in range(3)]
    later = "\n".join(line for part in parts for line in part) + "\n"
    later = later.replace("Order ord-3000020 lost: carrier refused parcel", "The carrier of ord-3000020 refused again,")
    later = later.replace(
        "Order ord-3100020 lost: carrier refused parcel", "The cover of ord-3100020 got a blue label,"
    )
    (tmp_path / "later.log").write_text(later)
    score = dict(model.detect(tmp_path / "later.log").scores.select("key", "score").iter_rows())
    refused, blue = (score[f"ord-{seed}00020"] for seed in (30, 31))
    assert refused > blue


def test_a_detector_that_learns_from_labels_asks_for_them_before_anything_is_read(tmp_path: Path):
    with pytest.raises(
        LabelError, match=r"^The detector 'svm' learns from labels, and none are given\. Give some with"
    ):
        oddlog.fit(tmp_path / "missing.log", detectors=["snn", "svm"])
    with pytest.raises(LabelError, match=r"^The detectors 'svm' and 'cart' learn from labels"):
        oddlog.fit(tmp_path / "missing.log", detectors=["cart", "svm"][::-1])


def test_labels_that_match_nothing_are_the_cause_that_is_told(small_log: Path, tmp_path: Path):
    (tmp_path / "labels.csv").write_text("key,label\nnobody,1\n")
    with pytest.raises(LabelError, match="None of the 1 keys"):
        oddlog.fit(small_log, labels=tmp_path / "labels.csv", detectors="cart")


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("key,label\nnobody,1\n", "None of the 1 keys"),
        ("key,label\nnobody,maybe\n", "neither usual nor anomalous"),
        ("key\nnobody\n", "has no two columns"),
    ],
)
def test_labels_that_say_nothing_are_refused(small_log: Path, tmp_path: Path, content: str, says: str):
    path = tmp_path / "labels.csv"
    path.write_text(content)
    with pytest.raises(LabelError, match=says):
        oddlog.fit(small_log, labels=path, detectors=["new-event"])


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("key,label\na,0\nb,usual\n", r"All 2 labels in .* are usual\. Labels help only with both kinds; leave"),
        ("key,label\na,0\n", r"The one label in .* is usual\."),
        ("key,label\na,\nb,\n", r"holds keys, but no label\. Give a CSV"),
    ],
)
def test_labels_without_an_anomaly_are_refused_before_anything_is_read(tmp_path: Path, content: str, says: str):
    (tmp_path / "labels.csv").write_text(content)
    with pytest.raises(LabelError, match=says):
        oddlog.fit("nowhere.log", labels=tmp_path / "labels.csv")


def test_labels_of_anomalies_alone_are_explained_before_anything_is_read(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    (tmp_path / "labels.csv").write_text("key,label\na,1\nb,1\n")
    with pytest.raises(oddlog.errors.InputError):
        oddlog.fit("nowhere.log", labels=tmp_path / "labels.csv")
    (told,) = caplog.messages
    assert told.startswith("All 2 labels in ")
    assert told.endswith("but the threshold is that without labels.")


def test_a_rate_that_so_few_sessions_cannot_hold_is_said(small_log: Path):
    model = oddlog.fit(small_log, false_alarms="0.01/day", detectors=["new-event"])
    notes = model.training["views"]["sessions"]["notes"]
    assert any("Too few usual sessions for this false-alarm rate" in note for note in notes)


@pytest.mark.parametrize(
    ("options", "error", "says"),
    [
        ({"session": "no_such_field"}, ConfigError, "no_such_field"),
        ({"session": "(["}, ConfigError, r"\(\["),
        ({"window": "soon"}, ConfigError, "--window 60s or --window 100"),
        ({"detectors": ["sn"]}, ConfigError, "Did you mean 'snn'"),
        ({"detectors": []}, ConfigError, "No detector was named"),
        ({"exclude": "level ="}, ConfigError, "Write it as in SQL"),
        ({"exclude": "lvl = 'INFO'"}, ConfigError, "Did you mean 'level'"),
        ({"false_alarms": "few"}, ConfigError, "5/day"),
        ({"threshold": "sgima"}, ConfigError, "Did you mean 'sigma'"),
        ({"train_share": 1.5}, ConfigError, "between 0 and 1"),
        ({"since": "2030-01-01"}, TooLittleDataError, "--since"),
        ({"format": "jsn"}, oddlog.errors.FormatError, "Did you mean 'json'"),
    ],
)
def test_a_wrong_option_is_one_clear_line(small_log: Path, options: dict[str, object], error: type, says: str):
    with pytest.raises(error, match=says):
        oddlog.fit(small_log, **options)


def test_the_threshold_is_found_as_asked_and_told_and_an_update_keeps_the_way(small_log: Path, odd_log: Path):
    threshold = {}
    for way in ("pot", "quantile", "budget", "sigma", "sigma:1"):
        model = oddlog.fit(small_log, detectors=["snn"], threshold=way, rates=False)
        facts = model.training["views"]["sessions"]
        assert facts["threshold_by"] == way
        threshold[way] = model.views[0].threshold
        told = {"quantile": "by counting", "sigma": "odd is beyond mean + 3 standard", "sigma:1": "mean + 1 standard"}
        assert told.get(way, "odd is 1 in ") in facts["says"]
        odd = model.detect(odd_log).scores.filter("is_anomaly")["key"]
        assert {"ord-200060", "ord-200061", "ord-200062"} <= set(odd)
    # five alarms a day are fewer than one in a thousand of a log of hours, and no usual order here is odd at all
    assert threshold["budget"] > threshold["pot"] > threshold["quantile"] == threshold["sigma"]
    updated = oddlog.update(model, odd_log)
    assert updated.training["views"]["sessions"]["threshold_by"] == "sigma:1"


def test_one_line_is_too_little_to_learn_from(tmp_path: Path):
    (tmp_path / "one.log").write_text("2026-03-02 08:00:00,000 INFO [web] hello\n")
    with pytest.raises(TooLittleDataError, match="Too little to learn from"):
        oddlog.fit(tmp_path / "one.log")


def test_labels_that_leave_nothing_usual_are_told_as_the_cause(small_log: Path, tmp_path: Path):
    usual = oddlog.fit(small_log, detectors=["snn"]).detect(small_log).scores["key"]
    labels = tmp_path / "labels.csv"
    labels.write_text("key,label\n" + "".join(f"{key},1\n" for key in usual))
    with pytest.raises(
        TooLittleDataError, match=r"0 finished sessions are too few .* anomalous by label\. Check --labels"
    ):
        oddlog.fit(small_log, detectors=["snn"], labels=labels)


def test_the_other_files_are_still_read_when_one_cannot_be(small_model: Path, odd_log: Path, tmp_path: Path):
    (tmp_path / "core.log").write_bytes(bytes(range(256)) * 100)
    again = oddlog.load(small_model).detect([tmp_path / "core.log", odd_log])
    assert len(again.incidents) == 1
    assert again.tally.counts["sources passed over"] == 1
    with pytest.raises(InputError):
        oddlog.load(small_model).detect(tmp_path / "core.log")


def test_detecting_on_the_training_log_finds_next_to_nothing(small_model: Path, small_log: Path):
    again = oddlog.load(small_model).detect(small_log)
    assert again.scores["is_anomaly"].sum() <= 4  # 1 % of 400: what was trimmed, or rare by itself
