from __future__ import annotations

import csv
import gzip
import hashlib
import json
import re
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import pytest

from oddlog.datasets import Simulated, simulate
from oddlog.datasets.simulator.shop.messages import HOSTS, LIFECYCLE, MESSAGES
from oddlog.errors import ConfigError, InputError
from oddlog.types import LEVELS, Tally


@dataclass
class Shop:
    """The simulated logs, read line by line with nothing but the standard library."""

    made: Simulated
    tally: Tally
    logs: dict[str, list[dict]] = field(default_factory=dict)  # source -> records

    def table(self, name):
        with (self.made.folder / name).open(newline="") as file:
            return list(csv.DictReader(file))

    def json(self, name):
        return json.loads((self.made.folder / name).read_text())

    def records(self, period):
        return [r for source, log in self.logs.items() if source.startswith(period) for r in log]

    def traces(self, period):
        found = defaultdict(list)
        for record in self.records(period):
            if "trace_id" in record:
                found[record["trace_id"]].append(record)
        return found

    def incident_of_trace(self):
        return {row["key"]: row["incident"] for row in self.table("traces.csv")}


def read_log(path: Path) -> list[bytes]:
    data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    assert data.endswith(b"\n")
    return data[:-1].split(b"\n")


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    tally = Tally()
    made = simulate(tmp_path_factory.mktemp("simulate") / "shop", seed=0, tally=tally)
    shop = Shop(made, tally)
    for period in (made.train, made.today):
        for path in sorted(period.iterdir()):
            shop.logs[f"{period.name}/{path.name}"] = [json.loads(line) for line in read_log(path)]
    return shop


def pattern_of(text: str) -> re.Pattern[str]:
    parts = [re.escape(part) if i % 2 == 0 else part for i, part in enumerate(re.split(r"\{(\w+)\}", text))]
    for i in range(1, len(parts), 2):
        parts[i] = f"(?P={parts[i]})" if parts[i] in parts[1:i:2] else f"(?P<{parts[i]}>.+)"
    return re.compile("".join(parts))


def f1(found: set, odd: set) -> float:
    return 2 * len(found & odd) / (len(found) + len(odd))


def digest(folder: Path) -> str:
    total = hashlib.sha256()
    for path in sorted(folder.rglob("*.*")):
        lines = read_log(path)
        total.update(f"{path.relative_to(folder)} {len(lines)}\n".encode() + b"\n".join(lines))
    return total.hexdigest()


# --- the logs -------------------------------------------------------------------------------------------------


def test_each_period_has_one_file_per_service_and_the_gateways_is_compressed(shop):
    names = {f"{service}.log" for service in HOSTS} - {"gateway.log"} | {"gateway.log.gz"}
    assert {path.name for path in shop.made.train.iterdir()} == names
    assert {path.name for path in shop.made.today.iterdir()} == names


def test_as_many_lines_come_out_as_were_asked_for_within_two_percent(shop):
    lines = sum(len(log) for log in shop.logs.values())
    assert shop.made.lines == lines
    assert lines == pytest.approx(60_000, rel=0.02)
    assert len(shop.records("train")) / lines == pytest.approx(0.75, abs=0.02)


def test_each_record_has_time_level_service_host_and_message_and_stands_in_its_services_file(shop):
    for source, log in shop.logs.items():
        service = source.split("/")[1].split(".")[0]
        for record in log:
            assert record["ts"].endswith("Z")
            assert record["level"] in LEVELS
            assert record["service"] == service
            assert record["host"] in HOSTS[service]
            assert record["msg"]


def test_each_file_is_in_the_order_of_time_and_today_begins_where_training_ends(shop):
    for log in shop.logs.values():
        times = [record["ts"] for record in log]
        assert times == sorted(times)
    starts = {p: sorted(min(r["ts"] for r in t) for t in shop.traces(p).values()) for p in ("train", "today")}
    assert starts["train"][0] >= "2026-03-02T06:00:00.000000Z"
    assert starts["train"][-1] < "2026-03-03T09:00:00.000000Z" <= starts["today"][0]
    assert starts["today"][-1] < "2026-03-03T18:00:00.000000Z"


def test_each_line_is_one_of_the_known_messages_and_its_fields_repeat_what_the_text_says(shop):
    known = [(m.service, m.level, pattern_of(m.text)) for m in MESSAGES.values()]
    known += [(service, level, pattern_of(text)) for level, text, _ in LIFECYCLE for service in HOSTS]
    written_by = defaultdict(list)
    for service, level, pattern in known:
        written_by[service, level].append(pattern)
    used = set()
    for record in shop.records("t"):
        patterns = written_by[record["service"], record["level"]]
        found = next((match for p in patterns if (match := p.fullmatch(record["msg"]))), None)
        assert found, record
        used.add(found.re.pattern)
        said = found.groupdict()
        for name in said.keys() & record.keys():
            assert str(record[name]) == said[name], record
    assert used == {pattern.pattern for _, _, pattern in known}


def test_the_shop_knows_more_than_a_hundred_message_types():
    assert len({message.text for message in MESSAGES.values()}) >= 100


def test_a_request_goes_through_several_services_in_4_to_15_lines_or_a_few_more(shop):
    traces = shop.traces("train")
    lengths = Counter(len(trace) for trace in traces.values())
    assert min(lengths) >= 4
    assert max(lengths) <= 22
    assert sum(n for length, n in lengths.items() if length <= 15) > 0.9 * len(traces)
    services = Counter(len({record["service"] for record in trace}) for trace in traces.values())
    assert min(services) >= 2
    assert max(services) >= 7


def test_requests_come_in_a_daily_rhythm(shop):
    by_hour = Counter(min(r["ts"] for r in t)[:13] for t in shop.traces("train").values())
    assert by_hour["2026-03-02T19"] > 5 * by_hour["2026-03-03T03"] > 0


def test_latencies_are_skewed_to_the_long_side(shop):
    took = sorted(r["duration_ms"] for r in shop.records("train") if r["msg"].startswith("answered 201"))
    median, mean = took[len(took) // 2], sum(took) / len(took)
    assert mean > 1.2 * median > 0


def test_addresses_are_those_set_aside_for_documentation(shop):
    addresses = {record["client"] for record in shop.records("t") if "client" in record}
    assert all(re.fullmatch(r"(192\.0\.2|198\.51\.100|203\.0\.113)\.\d+", address) for address in addresses)
    assert len(addresses) > 500


# --- what is odd ----------------------------------------------------------------------------------------------


def test_every_trace_has_one_label_and_only_today_holds_odd_ones(shop):
    labels = shop.table("labels.csv")
    keys = [row["key"] for row in labels]
    assert len(set(keys)) == len(keys) == shop.made.traces
    assert set(keys) == set(shop.traces("t"))
    odd = {row["key"] for row in labels if row["label"] == "1"}
    assert odd <= set(shop.traces("today"))
    assert len(odd) == shop.made.anomalous_traces
    assert odd == {key for key, incident in shop.incident_of_trace().items() if incident}
    assert {row["label"] for row in labels} == {"0", "1"}


def test_the_marked_lines_are_those_of_the_odd_traces_and_the_new_warning(shop):
    incident = shop.incident_of_trace()
    marked = {(row["source"], int(row["line"])): row["kind"] for row in shop.table("labels_lines.csv")}
    expected = {
        (source, number): incident.get(record.get("trace_id"), "") or "error-storm"
        for source, log in shop.logs.items()
        for number, record in enumerate(log, start=1)
        if incident.get(record.get("trace_id")) or record["msg"].startswith("processor.api is not set")
    }
    assert marked == expected
    assert all(source.startswith("today/") for source, _ in marked)


def test_the_incidents_file_agrees_with_the_logs(shop):
    incidents = {incident["id"]: incident for incident in shop.json("incidents.json")}
    assert tuple(incidents.values()) == tuple(json.loads(json.dumps(shop.made.incidents)))
    assert set(incidents) == {"error-storm", "log-in-attack"}
    of_trace = shop.incident_of_trace()
    kinds = Counter(row["kind"] for row in shop.table("labels_lines.csv"))
    for kind, incident in incidents.items():
        traces = [trace for key, trace in shop.traces("today").items() if of_trace[key] == kind]
        starts = [min(record["ts"] for record in trace) for trace in traces]
        assert incident["start"] <= min(starts) <= max(starts) < incident["end"]
        assert incident["traces"] == len(traces)
        assert incident["lines"] == kinds[kind]
        touched = {record["service"] for trace in traces for record in trace}
        assert set(incident["services"]) <= touched
        assert shop.tally.counts[f"traces: {kind}"] == len(traces)
    assert incidents["log-in-attack"]["address"] == "198.51.100.7"
    assert incidents["error-storm"]["hosts"] == ["payments-1", "payments-2", "payments-3"]


def test_in_the_storm_every_charge_fails_three_times_and_no_confirmation_is_sent(shop):
    incident = shop.incident_of_trace()
    storm = [trace for key, trace in shop.traces("today").items() if incident[key] == "error-storm"]
    assert len(storm) >= 40
    for trace in storm:
        said = [record["msg"] for record in trace]
        assert sum("processor answered 502" in text for text in said) == 3
        assert sum("will be tried again" in text for text in said) == 2
        assert sum("rolled back: payment failed" in text for text in said) == 1
        assert any(r["service"] == "gateway" and r.get("status") == 500 for r in trace)
        assert not any(record["service"] == "mailer" for record in trace)


def test_no_one_can_pay_while_the_storm_lasts_and_many_can_before_and_after(shop):
    incident = shop.incident_of_trace()
    storm, paid = [], []
    for key, trace in shop.traces("today").items():
        start = min(record["ts"] for record in trace)
        if incident[key] == "error-storm":
            storm.append(start)
        if any(re.search(r"payment \S+ captured", record["msg"]) for record in trace):
            paid.append(start)
    assert not [start for start in paid if min(storm) <= start <= max(storm)]
    assert len([start for start in paid if start < min(storm)]) > 20
    assert len([start for start in paid if start > max(storm)]) > 20


def test_the_storm_follows_a_deployment_and_ends_with_the_next_one(shop):
    deployed = {
        version: min(r["ts"] for r in shop.records("today") if r.get("version") == version)
        for version in ("3.8.0", "3.7.2")
    }
    incident = shop.incident_of_trace()
    storm = [min(r["ts"] for r in t) for k, t in shop.traces("today").items() if incident[k] == "error-storm"]
    assert deployed["3.8.0"] < min(storm) < deployed["3.7.2"]


def test_no_request_holds_a_message_that_training_has_not_and_one_new_warning_stands_beside_them(shop):
    usual = {masked(record) for record in shop.records("train")}
    of_requests = {masked(record) for trace in shop.traces("today").values() for record in trace}
    assert of_requests <= usual
    unseen = {masked(record)[1:] for record in shop.records("today")} - {word[1:] for word in usual}
    assert unseen == {("WARNING", "processor.api is not set, release default v# is used")}


def test_the_attack_is_one_address_with_hundreds_of_users_in_ten_minutes(shop):
    incident = shop.incident_of_trace()
    attack = [trace for key, trace in shop.traces("today").items() if incident[key] == "log-in-attack"]
    assert len(attack) == 420
    assert {r["client"] for trace in attack for r in trace if "client" in r} == {"198.51.100.7"}
    assert len({r["user"] for trace in attack for r in trace if "user" in r}) > 300
    starts = sorted(datetime.fromisoformat(min(r["ts"] for r in trace)) for trace in attack)
    assert 500 < (starts[-1] - starts[0]).total_seconds() <= 600
    assert not [r for r in shop.records("train") if r.get("client") == "198.51.100.7"]
    odd = {row["key"] for row in shop.table("labels_clients.csv") if row["label"] == "1"}
    assert odd == {"198.51.100.7"}


def test_each_request_of_the_attack_reads_like_a_mistyped_password(shop):
    scenario = {row["key"]: (row["scenario"], row["incident"]) for row in shop.table("traces.csv")}
    seen = defaultdict(list)
    for key, trace in shop.traces("t").items():
        name, incident = scenario[key]
        if name == "log-in, password mistyped":
            seen[incident].append(tuple(masked(record) for record in sorted(trace, key=lambda r: r["ts"])))
    attack, usual = seen["log-in-attack"], set(seen[""])
    assert {line for lines in attack for line in lines} <= {line for lines in usual for line in lines}
    assert sum(lines in usual for lines in attack) > 0.97 * len(attack)


# --- what only looks odd --------------------------------------------------------------------------------------


def masked(record: dict) -> tuple[str, str, str]:
    return record["service"], record["level"], re.sub(r"\d+", "#", record["msg"])


@pytest.mark.parametrize("period", ["train", "today"])
def test_harmless_look_alikes_stand_in_both_periods(shop, period):
    incident = shop.incident_of_trace()
    usual = [trace for key, trace in shop.traces(period).items() if not incident[key]]
    failed = [t for t in usual if any(r.get("status", 0) >= 500 for r in t)]
    assert len(failed) >= 5
    hours = {min(r["ts"] for r in trace)[:13] for trace in failed}
    assert len(hours) >= 4
    retried = [t for t in usual if any("will be tried again" in r["msg"] for r in t)]
    assert any(any("captured" in r["msg"] for r in trace) for trace in retried)
    mistyped = Counter(r["user"] for t in usual for r in t if "wrong password" in r["msg"])
    assert 1 <= max(mistyped.values()) <= 6
    assert sum(sum(r["level"] == "ERROR" for r in trace) >= 4 for trace in usual) >= 50
    texts = [r["msg"] for r in shop.records(period)]
    for once in ("certificate of shop.example.com expires", "reconciliation finished", "clock differs"):
        assert any(text.startswith(once) for text in texts)
    kinds = Counter(row["kind"] for row in shop.json("harmless.json") if row["period"] == period)
    assert set(kinds) == {
        "single-500", "mistyped-password", "payment-retry", "noisy-errors", "rare-warning", "busy-address",
        "deployment", "burst", "batch-job",
    }  # fmt: skip
    assert kinds["deployment"] >= 2


def test_a_harmless_deployment_says_what_the_harmful_one_says(shop):
    said = {
        version: {masked(r)[1:] for r in shop.records("t") if "trace_id" not in r and r.get("version") == version}
        for version in ("3.8.0", "4.4.1", "5.12.1")
    }
    assert said["3.8.0"] == said["4.4.1"] == said["5.12.1"]
    assert len(said["3.8.0"]) == 3


# --- how hard it is -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("only_storm", [False, True])
def test_counting_errors_alone_stays_below_f1_of_point_six(shop, only_storm):
    traces, incident = shop.traces("today"), shop.incident_of_trace()
    odd = {key for key in traces if incident[key] and (incident[key] == "error-storm" or not only_storm)}
    errors = {key: sum(r["level"] == "ERROR" for r in trace) for key, trace in traces.items()}
    for least in range(1, 12):
        assert f1({key for key, n in errors.items() if n >= least}, odd) < 0.60


def test_unseen_templates_alone_stay_below_f1_of_point_six(shop):
    usual = {masked(record) for record in shop.records("train")}
    traces, incident = shop.traces("today"), shop.incident_of_trace()
    odd = {key for key in traces if incident[key]}
    found = {key for key, trace in traces.items() if any(masked(record) not in usual for record in trace)}
    assert f1(found, odd) < 0.60


# --- the same every time --------------------------------------------------------------------------------------


def test_the_same_seed_gives_the_same_bytes_on_every_machine(tmp_path):
    made = simulate(tmp_path / "shop", lines=20_000, days=0.5, seed=7)
    assert made.lines == 20317
    assert digest(made.folder) == "f957981c2c389a758ed8eb97a4e9696ebd93e9613a0de746b8a40edbdde51d33"


def test_another_seed_gives_other_lines_but_the_same_incidents(tmp_path):
    one, two = (simulate(tmp_path / str(seed), lines=20_000, days=0.5, seed=seed) for seed in (1, 2))
    assert digest(one.folder) != digest(two.folder)
    assert [(i["id"], i["start"], i["end"]) for i in one.incidents] == [
        (i["id"], i["start"], i["end"]) for i in two.incidents
    ]


def test_written_in_many_stretches_the_files_are_still_in_the_order_of_time(tmp_path, monkeypatch):
    monkeypatch.setattr("oddlog.datasets.simulator.shop.STRETCH_LINES", 900)
    made = simulate(tmp_path / "shop", lines=20_000, days=0.5)
    for path in [*made.train.iterdir(), *made.today.iterdir()]:
        times = [json.loads(line)["ts"] for line in read_log(path)]
        assert times == sorted(times)
    marked = csv.DictReader((made.folder / "labels_lines.csv").read_text().splitlines())
    labels = csv.DictReader((made.folder / "labels.csv").read_text().splitlines())
    odd = {row["key"] for row in labels if row["label"] == "1"}
    logs = {f"today/{path.name}": read_log(path) for path in made.today.iterdir()}
    for row in marked:
        record = json.loads(logs[row["source"]][int(row["line"]) - 1])
        assert record.get("trace_id") in odd or "processor.api" in record["msg"]


# --- the user's mistakes --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"lines": 10}, "A simulation of 10 lines is too small. Ask for 20000 or more."),
        ({"days": 0}, "A simulation of 0 days is not possible. From 0.25 to 366."),
        ({"days": float("nan")}, "A simulation of nan days is not possible. From 0.25 to 366."),
        ({"seed": -1}, "The seed -1 is negative. Seeds start at 0."),
    ],
)
def test_arguments_out_of_range_are_refused_in_one_line(tmp_path, wrong, message):
    with pytest.raises(ConfigError) as error:
        simulate(tmp_path / "shop", **wrong)
    assert str(error.value) == message
    assert not list(tmp_path.iterdir())


def test_a_folder_that_holds_something_is_left_alone(tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(InputError, match=r"is not an empty folder\. Name a new one, or delete it first\."):
        simulate(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_a_failure_half_way_leaves_nothing(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("oddlog.datasets.simulator.shop.write_json", full)
    with pytest.raises(InputError, match="No space left on device"):
        simulate(tmp_path / "shop", lines=20_000, days=0.5)
    assert not list(tmp_path.iterdir())
