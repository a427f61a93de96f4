from __future__ import annotations

import csv
import hashlib
import importlib.util
import json
import re
from collections import Counter, defaultdict
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from oddlog.datasets import read_labels, simulate_datacentre
from oddlog.datasets.simulator import datacentre as datacentre_room
from oddlog.datasets.simulator.datacentre.estate import HOSTS
from oddlog.datasets.simulator.datacentre.messages import LIFECYCLE, MESSAGES, ODDMENTS
from oddlog.datasets.simulator.datacentre.plan import Plan
from oddlog.datasets.simulator.datacentre.unknown import NEW_MESSAGES
from oddlog.datasets.simulator.draws import Draws
from oddlog.errors import ConfigError
from oddlog.types import LEVELS

SOURCE = Path(datacentre_room.__file__).parent
KNOWN = {
    "error-spike", "failed-log-ins", "slow-responses", "exhaustion", "missing-steps", "silent-service", "ramp",
}  # fmt: skip
UNKNOWN = {
    "wrong-order", "retry-storm", "clock-jump", "exfiltration", "duplicated-consumer", "port-scan",
    "certificate-expired", "replication-lag", "cold-cache",
}  # fmt: skip


def when(record):
    return datetime.fromisoformat(record["ts"])


def pattern_of(text):
    parts = [re.escape(part) if i % 2 == 0 else part for i, part in enumerate(re.split(r"\{(\w+)\}", text))]
    for i in range(1, len(parts), 2):
        parts[i] = f"(?P<{parts[i]}>.+)"
    return re.compile("".join(parts))


def masked(record):
    return record["service"], record["level"], re.sub(r"[\w.\-/]*\d[\w.\-/]*", "#", record["msg"])


# --- the logs -------------------------------------------------------------------------------------------------


def test_each_period_has_one_file_per_service(datacentre):
    names = {f"{service}.log" for service in HOSTS}
    assert {path.name for path in datacentre.made.train.iterdir()} == names
    assert {path.name for path in datacentre.made.today.iterdir()} == names


def test_as_many_entries_come_out_as_were_asked_for_within_four_percent(datacentre):
    lines = sum(len(log) for log in datacentre.logs.values())
    assert datacentre.made.lines == lines
    assert lines == pytest.approx(100_000, rel=0.04)


def test_each_record_has_time_level_service_host_and_message_and_stands_in_its_services_file(datacentre):
    for source, log in datacentre.logs.items():
        service = source.split("/")[1].removesuffix(".log")
        for record in log:
            assert record["ts"].endswith("Z")
            assert record["level"] in LEVELS
            assert record["service"] == service
            assert record["host"] in HOSTS[service]
            assert record["msg"]
            assert "{" not in record["msg"]


def test_each_line_is_one_of_the_known_messages_and_its_fields_repeat_what_the_text_says(datacentre):
    written_by = defaultdict(list)
    for message in (*MESSAGES.values(), *ODDMENTS):
        written_by[message.service, message.level].append(pattern_of(message.text))
    for level, text, _ in LIFECYCLE:
        for service in HOSTS:
            written_by[service, level].append(pattern_of(text))
    setting = pattern_of("setting 'upstream.{service}' is missing, release default is used")
    for record in datacentre.records("t"):
        patterns = [*written_by[record["service"], record["level"]], setting]
        said = next((match.groupdict() for p in patterns if (match := p.fullmatch(record["msg"]))), None)
        assert said is not None, record
        for name in said.keys() & record.keys() - {"service"}:
            assert str(record[name]) == said[name], record


def test_no_message_is_without_anyone_who_writes_it():
    source = "".join(path.read_text() for path in SOURCE.glob("*.py") if path.name != "messages.py")
    built = {f"{service}.certificate" for service in ("identity", "billing", "documents")}  # named in `expired`
    assert {name for name in MESSAGES if f'"{name}"' not in source} - built <= {"postgres.commit", "postgres.rollback"}


def test_training_is_the_first_seventy_percent_of_the_time(datacentre):
    change = datetime.fromisoformat("2026-03-04T02:24:00Z")
    starts = {p: [min(when(r) for r in t) for t in datacentre.traces(p).values()] for p in ("train", "today")}
    late = timedelta(minutes=12)  # a wrong clock
    assert max(starts["train"]) < change + late
    assert min(starts["today"]) > change - late


def test_entries_stand_in_the_order_in_which_they_arrive(datacentre):
    skewed = {host for one in datacentre.incidents("clock-jump") for host in one["hosts"]}
    for log in datacentre.logs.values():
        times = [record["ts"] for record in log if record["host"] not in skewed]
        assert times == sorted(times)


def test_context_fields_are_numbers_or_words_that_repeat_the_message(datacentre):
    usage = datacentre.logs["train/agent.log"][0]
    assert usage["msg"].startswith(f"cpu {usage['cpu_percent']} % memory {usage['memory_percent']} %")
    assert isinstance(usage["connections"], int)
    web = datacentre.logs["train/web.log"][0]
    assert web["msg"] == f"{web['method']} {web['path']} {web['status']}"
    assert {"client", "duration_ms", "bytes", "trace_id"} <= set(web)


def test_a_request_goes_through_several_services(datacentre):
    traces = datacentre.traces("train")
    services = Counter(len({r["service"] for r in trace}) for trace in traces.values())
    assert sum(n for count, n in services.items() if count >= 4) > 0.7 * len(traces)
    assert max(services) >= 9
    assert max(len(trace) for trace in traces.values()) < 40


def test_durations_add_up_along_a_request(datacentre):
    for trace in list(datacentre.traces("train").values())[:400]:
        answered = [r for r in trace if r["msg"].startswith("answered")]
        own = [r["duration_ms"] for r in trace if r["service"] in {"identity", "tracking"} and "duration_ms" in r]
        if answered:
            assert answered[0]["duration_ms"] + 1 >= max(own, default=0)
            first = min(when(r) for r in trace)
            assert answered[0]["duration_ms"] == pytest.approx(
                (when(answered[0]) - first) / timedelta(milliseconds=1), abs=1
            )


def test_nights_are_calm_and_weekends_differ(tmp_path):
    made = simulate_datacentre(tmp_path / "week", entries=110_000, days=7, incidents_in_training="none")
    by_day, by_hour = Counter(), Counter()
    for path in (*made.train.glob("web.log"), *made.today.glob("web.log")):
        for line in path.read_text().splitlines():
            at = datetime.fromisoformat(json.loads(line)["ts"])
            by_day[at.weekday()] += 1
            by_hour[at.hour] += 1
    assert by_hour[10] > 5 * by_hour[3] > 0
    assert by_day[6] < by_day[5] < 0.85 * by_day[0]


def test_addresses_are_those_set_aside_for_documentation(datacentre):
    clients = {record["client"] for record in datacentre.records("t") if "client" in record}
    assert all(re.fullmatch(r"(198\.51\.100|203\.0\.113)\.\d+", client) for client in clients)
    assert len(clients) > 300


# --- what is odd ----------------------------------------------------------------------------------------------


def test_known_kinds_stand_in_both_periods_and_unknown_ones_only_today(datacentre):
    kinds = {(i["period"], i["group"]): set() for i in datacentre.incidents()}
    for incident in datacentre.incidents():
        kinds[incident["period"], incident["group"]].add(incident["kind"])
    assert kinds == {("train", "known"): KNOWN, ("today", "known"): KNOWN, ("today", "unknown"): UNKNOWN}


def test_at_least_half_of_the_kinds_use_only_messages_and_levels_of_usual_training(datacentre):
    marked = datacentre.marked()
    usual = {
        masked(record)
        for source, log in datacentre.logs.items()
        if source.startswith("train")
        for number, record in enumerate(log, start=1)
        if (source, number) not in marked
    }
    new = defaultdict(set)
    for incident in datacentre.incidents():
        new[incident["kind"]] |= {masked(record) for record in datacentre.lines_of(incident)} - usual
    assert {kind for kind, messages in new.items() if messages} <= NEW_MESSAGES
    assert len(KNOWN | UNKNOWN) >= 2 * len(NEW_MESSAGES)


def test_an_incident_stands_where_and_when_it_says(datacentre):
    for incident in datacentre.incidents():
        start, end = (datetime.fromisoformat(incident[name]) for name in ("start", "end"))
        assert start < end
        lines = datacentre.lines_of(incident)
        assert len(lines) == incident["lines"]
        assert {r["service"] for r in lines} & set(incident["services"]) or not lines
        skew = timedelta(minutes=12 if incident["kind"] == "clock-jump" else 2)
        assert all(start - skew <= when(r) <= end + skew for r in lines)
        assert set(incident["expected_reasons"]) <= {
            "unseen_template", "missing_event", "unexpected_event", "count_off", "out_of_range", "rate", "ramp",
            "silence", "concentration", "error_share",
        }  # fmt: skip


def test_labels_of_requests_and_of_lines_agree(datacentre):
    of_trace = {row["key"]: row["incident"] for row in datacentre.table("traces.csv")}
    labels = {row["key"]: row["label"] == "1" for row in datacentre.table("labels.csv")}
    assert labels == {key: bool(incident) for key, incident in of_trace.items()}
    assert set(labels) == set(datacentre.traces("t"))
    assert sum(labels.values()) == datacentre.made.anomalous_traces
    marked = datacentre.marked()
    for source, log in datacentre.logs.items():
        for number, record in enumerate(log, start=1):
            if "trace_id" in record:
                assert marked.get((source, number), "") == of_trace[record["trace_id"]]


def test_direct_lines_are_those_that_show_it_themselves(datacentre):
    direct = {(row["source"], int(row["line"])) for row in datacentre.table("labels_lines.csv") if row["direct"] == "1"}
    assert 0.2 * len(datacentre.marked()) < len(direct) < 0.9 * len(datacentre.marked())
    [spike] = [one for one in datacentre.incidents("error-spike") if one["period"] == "today"]
    for (source, number), name in datacentre.marked().items():
        record = datacentre.logs[source][number - 1]
        if name == spike["id"] and record["level"] == "ERROR":
            assert (source, number) in direct


def test_training_holds_few_odd_lines(datacentre):
    odd = read_labels(datacentre.made.folder).of("train").lines.height
    assert 0 < odd < 0.04 * len(datacentre.records("train"))  # each kind once; .6 % of the million


def test_training_can_be_kept_free_of_incidents(tmp_path):
    made = simulate_datacentre(tmp_path / "dc", entries=30_000, days=2, incidents_in_training="none")
    labels = read_labels(made.folder)
    assert labels.of("train").incidents.is_empty()
    assert labels.of("train").lines.is_empty()
    assert labels.of("today").incidents.height == 16


# --- each kind is what it says --------------------------------------------------------------------------------


def test_a_silent_source_says_nothing_while_it_lasts_and_talks_before_and_after(datacentre):
    for incident in datacentre.incidents("silent-service"):
        [service] = incident["services"]
        times = [r["ts"] for r in datacentre.logs[f"{incident['period']}/{service}.log"]]
        # a request that began before may still be written in the seconds after
        begun = (datetime.fromisoformat(incident["start"]) + timedelta(minutes=1)).isoformat()
        assert not [t for t in times if begun < t < incident["end"]]
        assert [t for t in times if t < incident["start"]]
        assert [t for t in times if t > incident["end"]]
        assert incident["lines"] == 0


def test_failed_log_ins_come_from_one_address_where_no_customer_lives(datacentre):
    for incident in datacentre.incidents("failed-log-ins"):
        lines = datacentre.lines_of(incident)
        assert {r["client"] for r in lines if "client" in r} == {incident["entity"]}
        assert len([r for r in lines if "wrong password" in r["msg"] or "failed password" in r["msg"]]) >= 50


def test_slow_responses_are_many_times_as_slow_with_the_same_messages(datacentre):
    for incident in datacentre.incidents("slow-responses"):
        service = incident["services"][0]
        usual, slow = defaultdict(list), defaultdict(list)
        for record in datacentre.logs[f"train/{service}.log"]:
            usual[masked(record)].append(record.get("duration_ms", 0))
        for record in datacentre.lines_of(incident):
            if record["service"] == service:
                slow[masked(record)].append(record.get("duration_ms", 0))
        for kind, took in slow.items():
            median = sorted(usual[kind])[len(usual[kind]) // 2]
            if median > 4 and len(took) >= 10:
                assert sorted(took)[len(took) // 2] > 2.5 * median


def test_a_missing_step_is_always_there_otherwise(datacentre):
    of_trace = {row["key"]: row for row in datacentre.table("traces.csv")}
    for incident in datacentre.incidents("missing-steps"):
        gap = ".+".join(re.escape(part) for part in re.match(r"'(.*)' is missing", incident["what"])[1].split("…"))
        traces = {
            k: t for k, t in datacentre.traces(incident["period"]).items() if of_trace[k]["incident"] == incident["id"]
        }
        assert traces
        assert not [r for trace in traces.values() for r in trace if re.fullmatch(gap, r["msg"])]


def test_a_ramp_lasts_six_hours_and_grows(datacentre):
    for incident in datacentre.incidents("ramp"):
        start, end = (datetime.fromisoformat(incident[name]) for name in ("start", "end"))
        assert end - start == timedelta(hours=6)
        assert 7 <= start.hour <= 16
        lines = sorted(datacentre.lines_of(incident), key=when)
        if "slow" in incident["what"]:
            service = incident["services"][0]
            took = [r["duration_ms"] for r in lines if r["service"] == service and "duration_ms" in r]
            assert sum(took[len(took) // 2 :]) > 1.3 * sum(took[: len(took) // 2])
        else:
            early, late = start + timedelta(hours=2), end - timedelta(hours=2)
            assert sum(when(r) > late for r in lines) > 1.5 * sum(when(r) < early for r in lines)


def test_exhaustion_rises_until_something_fails(datacentre):
    for incident in datacentre.incidents("exhaustion"):
        lines = datacentre.lines_of(incident)
        name = next(n for n in ("memory", "disk", "connections") if n in incident["what"].lower())
        key = "connections" if name == "connections" else f"{name}_percent"
        reporter = "postgres" if name == "connections" else "agent"
        figures = [r[key] for r in sorted(lines, key=when) if key in r and r["service"] == reporter]
        assert figures[-1] > figures[0]
        assert len(figures) >= 3
        assert any(r["level"] in {"CRITICAL", "ERROR"} for r in lines)


def test_a_wrong_clock_moves_the_times_of_one_host_only(datacentre):
    [incident] = datacentre.incidents("clock-jump")
    minutes = int(re.search(r"is (\d+) minutes", incident["what"])[1])
    traces = defaultdict(list)
    for record in datacentre.lines_of(incident):
        if "trace_id" in record:
            traces[record["trace_id"]].append(record)
    for trace in traces.values():
        there = [when(r) for r in trace if r["host"] == incident["entity"]]
        elsewhere = [when(r) for r in trace if r["host"] != incident["entity"]]
        if there and elsewhere:
            assert abs(min(there) - min(elsewhere)) > timedelta(minutes=minutes - 1)


def test_exfiltrated_documents_are_many_times_as_large(datacentre):
    [incident] = datacentre.incidents("exfiltration")
    usual = sorted(r["bytes"] for r in datacentre.logs["train/web.log"])[-50]
    large = [r["bytes"] for r in datacentre.lines_of(incident) if r["service"] == "web"]
    assert sorted(large)[len(large) // 2] > 2 * usual
    assert {r["client"] for r in datacentre.lines_of(incident) if "client" in r} == {incident["entity"]}


# --- what only looks odd --------------------------------------------------------------------------------------


def test_look_alikes_stand_in_both_periods(datacentre):
    kinds = defaultdict(set)
    for one in datacentre.json("harmless.json"):
        kinds[one["period"]].add(one["kind"])
    both = {
        "single-failure", "lone-slow-request", "mistyped-password", "unreadable-barcode", "refused-connection",
        "nightly-jobs", "deployment", "maintenance", "rare-message", "burst", "backup", "lost-connections",
    }  # fmt: skip
    assert kinds["train"] == both
    assert kinds["today"] | {"backup"} == both | {"first-seen-today"}  # the third day begins after the backup


def test_some_harmless_messages_are_seen_for_the_first_time_today(datacentre):
    usual = {masked(r) for r in datacentre.records("train")}
    marked = datacentre.marked()
    fresh = {
        masked(record)
        for source, log in datacentre.logs.items()
        if source.startswith("today")
        for number, record in enumerate(log, start=1)
        if (source, number) not in marked and masked(record) not in usual
    }
    assert 10 <= len(fresh) <= 45
    assert {level for _, level, _ in fresh} >= {"INFO", "WARNING", "ERROR"}


def test_a_machine_under_maintenance_is_silent_as_announced(datacentre):
    for period in ("train", "today"):
        [one] = [h for h in datacentre.json("harmless.json") if (h["kind"], h["period"]) == ("maintenance", period)]
        host = one["what"].split()[0]
        assert any(r["msg"].startswith(f"maintenance of {host} begins") for r in datacentre.records(period))
        during = [r for r in datacentre.records(period) if r["host"] == host and one["start"] < r["ts"] < one["end"]]
        assert [r for r in during if "trace_id" not in r] == []


def test_usual_traffic_holds_single_failures_of_every_service_and_lone_slow_requests(datacentre):
    of_trace = {row["key"]: row["incident"] for row in datacentre.table("traces.csv")}
    usual = [trace for key, trace in datacentre.traces("train").items() if not of_trace[key]]
    failed = Counter(r["upstream"] for t in usual for r in t if r["service"] == "portal" and r["level"] == "ERROR")
    assert {"identity", "booking", "pricing", "tracking", "search", "billing", "documents", "storage"} <= set(failed)
    assert sum(failed.values()) < 0.02 * len(usual)
    took = sorted(r["duration_ms"] for t in usual for r in t if r["service"] == "web" and r["status"] == 200)
    assert took[-10] > 8 * took[len(took) // 2]


# --- how hard it is -------------------------------------------------------------------------------------------


def test_counting_errors_and_unseen_messages_alone_stay_below_f1_of_point_six(datacentre):
    path = Path(__file__).resolve().parents[4] / "benchmarks/simulator_difficulty.py"
    spec = importlib.util.spec_from_file_location("simulator_difficulty", path)
    difficulty = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(difficulty)
    best = difficulty.judged(datacentre.made.folder)
    assert set(best) == {(s, w) for s in difficulty.SHORTCUTS for w in difficulty.WAYS}
    assert all(0 < score < 0.60 for score in best.values()), best


# --- the same every time --------------------------------------------------------------------------------------


def digest(folder):
    total = hashlib.sha256()
    for path in sorted(folder.rglob("*.*")):
        total.update(f"{path.relative_to(folder)}\n".encode() + path.read_bytes())
    return total.hexdigest()


@pytest.fixture(scope="module")
def in_all_shapes(tmp_path_factory):
    return simulate_datacentre(tmp_path_factory.mktemp("shapes") / "dc", entries=30_000, days=2, seed=7, shape="all")


def test_the_same_seed_gives_the_same_bytes_on_every_machine_in_every_shape(in_all_shapes):
    assert in_all_shapes.lines == 33755
    assert digest(in_all_shapes.folder) == "adfe9b6db94af3580e57b5d54882bc090082171a1b8e00b0d39a4452026dbca5"


def test_written_in_many_stretches_the_entries_are_still_in_order_and_labelled(tmp_path, monkeypatch):
    monkeypatch.setattr("oddlog.datasets.simulator.datacentre.STRETCH_LINES", 9_000)
    made = simulate_datacentre(tmp_path / "dc", entries=30_000, days=2, seed=2, incidents_in_training="none")
    skewed = {host for one in made.incidents if one["kind"] == "clock-jump" for host in one["hosts"]}
    tables = {
        name: csv.DictReader((made.folder / name).read_text().splitlines())
        for name in ("labels.csv", "labels_lines.csv")
    }
    odd = {row["key"] for row in tables["labels.csv"] if row["label"] == "1"}
    marked = {(row["source"], row["line"]) for row in tables["labels_lines.csv"]}
    for path in (*made.train.iterdir(), *made.today.iterdir()):
        records = [json.loads(line) for line in path.read_text().splitlines()]
        times = [record["ts"] for record in records if record["host"] not in skewed]
        assert times == sorted(times)
        for number, record in enumerate(records, start=1):
            if "trace_id" in record:
                assert ((f"{path.parent.name}/{path.name}", str(number)) in marked) == (record["trace_id"] in odd)


def test_another_seed_gives_other_incidents():
    one, two = (Plan.of(30_000, 2, Draws(seed), known_in_training=True) for seed in (1, 2))
    assert [i.incident.what for i in one.incidents] != [i.incident.what for i in two.incidents]


def test_all_shapes_hold_the_same_entries_line_by_line(in_all_shapes):
    made = in_all_shapes
    for path in made.train.glob("*.log"):
        records = [json.loads(line) for line in path.read_text().splitlines()]
        lines = (made.folder / "syslog/train" / path.name).read_text().splitlines()
        assert len(lines) == len(records)
        assert all(line.endswith(record["msg"]) for line, record in zip(lines, records, strict=True))
    assert [path.name for path in (made.folder / "access/train").iterdir()] == ["web.log"]
    web = [json.loads(line) for line in (made.train / "web.log").read_text().splitlines()]
    access = (made.folder / "access/train/web.log").read_text().splitlines()
    for line, record in zip(access, web, strict=True):
        found = re.fullmatch(
            r'(\S+) - u\d+ \[(.+)\] "(\S+) (\S+) HTTP/1\.1" (\d+) (\d+) "-" "[^"]+" (\d+\.\d{3})', line
        )
        said = [record[name] for name in ("client", "method", "path", "status", "bytes")]
        assert [found[1], found[3], found[4], int(found[5]), int(found[6])] == said
        assert round(float(found[7]) * 1000) == record["duration_ms"]


def test_one_shape_alone_holds_the_lines_and_labels_it_has_beside_the_others(in_all_shapes, tmp_path):
    alone = simulate_datacentre(tmp_path / "dc", entries=30_000, days=2, seed=7, shape="syslog")
    for path in (*alone.train.iterdir(), *alone.today.iterdir()):
        assert path.read_bytes() == (in_all_shapes.folder / "syslog" / path.relative_to(alone.folder)).read_bytes()
    for name in ("labels_lines.csv", "incidents.json"):
        assert (alone.folder / name).read_bytes() == (in_all_shapes.folder / name).read_bytes()


def test_syslog_has_the_priority_of_its_level_and_devices_write_the_old_form(in_all_shapes):
    syslog = in_all_shapes.folder / "syslog/train"
    first = (syslog / "identity.log").read_text().splitlines()[0]
    assert re.match(r"<13[0-5]>1 2026-03-02T\S+Z app-0[45] identity \d+ - \[entry@32473 ", first)
    severity = {"DEBUG": 7, "INFO": 6, "NOTICE": 5, "WARNING": 4, "ERROR": 3, "CRITICAL": 2}
    for name in ("portal", "firewall"):
        records = [json.loads(line) for line in (in_all_shapes.train / f"{name}.log").read_text().splitlines()]
        for line, record in zip((syslog / f"{name}.log").read_text().splitlines(), records, strict=True):
            assert line.startswith(f"<{16 * 8 + severity[record['level']]}>")
    assert re.match(r"<\d+>Mar  2 \d\d:\d\d:\d\d fw-0[12] firewall: ", (syslog / "firewall.log").read_text())


# --- the user's mistakes --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"entries": 10}, "10 entries are too few for 14 days. Ask for 210000 or more, or fewer days."),
        ({"days": 1}, "A data centre of 1 days is not possible. From 2 to 366."),
        ({"days": float("nan")}, "A data centre of nan days is not possible. From 2 to 366."),
        ({"seed": -1}, "The seed -1 is negative. Seeds start at 0."),
        ({"shape": "xml"}, "There is no shape 'xml'. There are: access, all, json, syslog."),
        ({"incidents_in_training": "some"}, "Incidents in training are not 'some'. There are: known, none."),
    ],
)  # fmt: skip
def test_arguments_out_of_range_are_refused_in_one_line(tmp_path, wrong, message):
    with pytest.raises(ConfigError) as error:
        simulate_datacentre(tmp_path / "dc", **wrong)
    assert str(error.value) == message
    assert not list(tmp_path.iterdir())
