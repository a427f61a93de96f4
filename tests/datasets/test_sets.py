"""Sets as folders: what each loader makes of raw files laid out as in the public records, with lines of our own."""

from __future__ import annotations

import csv
import gzip
import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from oddlog.datasets import KNOWN, alerts, prepare, read_set, systems
from oddlog.errors import InputError


def rows(path: Path) -> list[dict[str, str]]:
    with path.open() as file:
        return list(csv.DictReader(file))


def test_alerts_lose_their_label_column_and_gain_a_label(tmp_path: Path):
    raw = tmp_path / "bgl"
    raw.mkdir()
    line = "1117838570 2005.06.03 R02-M1 2005-06-03-15.42.50.363779 R02-M1 RAS KERNEL"
    (raw / "BGL.log").write_text(f"- {line} INFO cache fixed\nKERNDTLB {line} FATAL data TLB error\n")
    made = prepare("bgl", tmp_path, tmp_path / "sets")
    assert (made.root / "bgl.log").read_text() == f"- {line} INFO cache fixed\n- {line} FATAL data TLB error\n"
    assert rows(made.folder / "labels_lines.csv") == [
        {"source": "bgl.log", "line": "2", "label": "1", "kind": "KERNDTLB"}
    ]


def test_a_stream_of_types_becomes_lines_of_their_texts(tmp_path: Path):
    label = np.zeros(250, np.int8)
    label[:2], label[120] = -1, 1
    np.savez(tmp_path / "bgl_half2.npz", event=np.arange(250) % 2 + 7, label=label)
    (tmp_path / "bgl_half2_templates.csv").write_text("event,template_id,template\n7,1,core <*>\n8,2,\n")
    made = prepare("bgl-half2", tmp_path, tmp_path / "sets")
    lines = (made.root / "bgl.json").read_text().splitlines()
    assert (len(lines), lines[0], lines[1]) == (200, '{"message":"core <*>"}', '{"message":"unread i"}')
    assert [(row["line"], row["label"]) for row in rows(made.folder / "labels_lines.csv")] == [
        ("1", "-1"),
        ("2", "-1"),
        ("121", "1"),
    ]


def test_jobs_of_hadoop_lead_their_lines(tmp_path: Path):
    raw = tmp_path / "hadoop"
    for job, text in (("application_1_0001", "all is well"), ("application_1_0002", "no route to host")):
        (raw / job).mkdir(parents=True)
        (raw / job / f"container_{job[-6:]}_01.log").write_text(f"2015-10-17 15:37:56,547 INFO [main] a.B: {text}\n\n")
    text = "### WordCount\nNormal:\n+ application_1_0001\nNetwork disconnection: \n+ application_1_0002\n"
    (raw / "abnormal_label.txt").write_text(text)
    made = prepare("hadoop", tmp_path, tmp_path / "sets")
    first, _ = (made.root / "hadoop.tsv").read_text().splitlines()
    assert first == "application_1_0001\tcontainer_1_0001_01\t2015-10-17 15:37:56,547 INFO [main] a.B: all is well"
    assert rows(made.folder / "labels.csv") == [
        {"key": "application_1_0001", "label": "0", "kind": "normal"},
        {"key": "application_1_0002", "label": "1", "kind": "network disconnection"},
    ]


def test_labels_of_hadoop_that_name_no_usual_job_are_refused(tmp_path: Path):
    (tmp_path / "hadoop").mkdir()
    (tmp_path / "hadoop" / "abnormal_label.txt").write_text("nothing\n")
    with pytest.raises(InputError, match="names no usual job"):
        prepare("hadoop", tmp_path, tmp_path / "sets")
    assert list((tmp_path / "sets").iterdir()) == []


def test_instances_of_openstack_are_labelled_by_the_list_of_the_odd_ones(tmp_path: Path):
    raw = tmp_path / "openstack"
    raw.mkdir()
    ids = [f"{n}-0000-0000-0000-000000000000".rjust(36, "a") for n in (1, 2)]
    for name, one in zip(("normal1", "normal2", "abnormal"), (ids[0], ids[0], ids[1]), strict=True):
        (raw / f"openstack_{name}.log").write_text(
            f"2017-05-16 00:00:04.500 2931 INFO nova [instance: {one}] started\n"
        )
    (raw / "anomaly_labels.txt").write_text(f"The following VM instances were injected with anomalies:\n{ids[1]}\n")
    made = prepare("openstack", tmp_path, tmp_path / "sets")
    assert [(row["key"], row["label"]) for row in rows(made.folder / "labels.csv")] == [(ids[0], "0"), (ids[1], "1")]


def test_runs_of_nova_are_failed_usual_or_control(tmp_path: Path):
    raw = tmp_path / "openstack_nova"
    raw.mkdir()
    lines = [f"Test_1\t{n}\tnova/api\t2018-06-26 03:27:39.606 2283 INFO nova.api [-] step {n}" for n in (1, 2)]
    lines += ["Test_2\t1\tnova/api\t2018-06-26 04:27:39.606 2283 INFO nova.api [-] step"]
    (raw / "nova_runs.tsv.gz").write_bytes(gzip.compress(("\n".join(lines) + "\n").encode()))
    (raw / "runs.csv").write_text(
        "subsystem,test,round,label,fault_type,trigger_time\n"
        "Nova,Test_1,1,FAILURE,WRONG,2018-06-26 03:27:00.195098\n"
        "Nova,Test_1,2,NO_FAILURE,none,\nNova,Test_2,1,NO_FAILURE,WRONG,2018-06-26 04:27:00.195098\n"
    )
    made = prepare("nova", tmp_path, tmp_path / "sets")
    assert [(row["key"], row["label"], row["kind"]) for row in rows(made.folder / "labels.csv")] == [
        ("Test_1-1", "1", "WRONG"),
        ("Test_1-2", "0", ""),
        ("Test_2-1", "", "control"),
    ]
    [incident] = json.loads((made.folder / "incidents.json").read_bytes())
    assert (incident["start"], incident["end"]) == ("2018-06-26T03:27:00.195098Z", "2018-06-26T03:27:39.606000Z")


def test_lines_of_the_pod_with_the_fault_are_labelled(tmp_path: Path):
    raw = tmp_path / "trainticket"
    pod, other = "ts-food-service-64469b5b48-25zj6", "ts-order-service-7b8889bf4-abcde"

    def minute(path: Path, *told: tuple[str, str, str]) -> None:
        path.parent.mkdir(parents=True)
        with path.open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["Timestamp", "TimeUnixNano", "Node", "PodName", "Container", "TraceID", "SpanID", "Log"])
            for time, who, text in told:
                log = json.dumps({"log": f"16:43:10.000 {text}\n", "stream": "stdout"})
                writer.writerow([f"2023-01-29T{time}Z", "1", "n", who, "server", "t1", "s1", log])
            file.write("broken off\n")

    minute(raw / "construct_data/2023-01-29/log/08_00_log.csv", ("08:00:00.000000001", pod, "INFO x: usual"))
    minute(
        raw / "rca_data/2023-01-29/log/08_43_log.csv",
        ("08:43:10.000000001", pod, "ERROR x: no food"),
        ("08:43:11.000000001", other, "INFO x: usual"),
        ("08:50:11.000000001", pod, "INFO x: usual again"),
    )
    fault = {"inject_time": "2023-01-29 08:43:04", "inject_pod": pod, "inject_type": "return"}
    (raw / "rca_data/2023-01-29/2023-01-29-fault_list.json").write_text(json.dumps({"08": [fault]}))
    made = prepare("trainticket", tmp_path, tmp_path / "sets")
    assert made.sources == ("test/pods.json", "train/pods.json")
    first = json.loads((made.root / "test/pods.json").read_text().splitlines()[0])
    assert (first["level"], first["service"], first["message"]) == (
        "ERROR",
        "ts-food-service",
        "16:43:10.000 ERROR x: no food",
    )
    assert [row["line"] for row in rows(made.folder / "labels_lines.csv")] == ["1"]
    [incident] = json.loads((made.folder / "incidents.json").read_bytes())
    assert (incident["services"], incident["end"]) == (["ts-food-service"], "2023-01-29T08:46:04Z")


def test_the_simulators_shop_is_a_set(tmp_path: Path):
    made = prepare("shop", tmp_path, tmp_path / "sets")
    assert made.labelled_by == "session"
    assert {source.split("/")[0] for source in made.sources} == {"train", "today"}
    assert pl.read_csv(made.line_labels).height > 100


def test_every_known_set_says_what_it_is_and_whose_terms_it_comes_under():
    for name, one in KNOWN.items():
        assert one.about.name == name
        assert one.about.title
        assert one.about.terms


def test_a_folder_of_ones_own_needs_no_more_than_logs_and_labels(tmp_path: Path):
    (tmp_path / "app.log").write_text("a\n")
    (tmp_path / "labels.csv").write_text("key,label\nx,1\n")
    found = read_set(tmp_path)
    assert (found.sources, found.labelled_by, found.about.session) == (("app.log",), "session", "auto")


@pytest.mark.parametrize(
    ("content", "told"),
    [("{", "cannot be read"), ("[]", "holds no table"), ('{"sesion": "x"}', "'sesion', which means nothing here")],
)
def test_a_description_that_makes_no_sense_is_told(tmp_path: Path, content: str, told: str):
    (tmp_path / "app.log").write_text("a\n")
    (tmp_path / "set.json").write_text(content)
    with pytest.raises(InputError, match=told):
        read_set(tmp_path)


def test_a_folder_without_logs_is_told(tmp_path: Path):
    with pytest.raises(InputError, match="holds no logs"):
        read_set(tmp_path)


def test_systems_stand_side_by_side_thinned_with_the_labels_of_the_lines_that_are_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    raw = tmp_path / "raw"
    (raw / "bgl").mkdir(parents=True)
    texts = [f"{'KERN' if n == 3 else '-'} 1 2005.06.03 host time host RAS KERNEL INFO line {n}" for n in range(1, 7)]
    for name in ("bgl_raw_first_10k.log.gz", "bgl_raw_shuffled_20k.log.gz"):
        (raw / "bgl" / name).write_bytes(gzip.compress(("\n".join(texts) + "\n").encode()))

    def write_other(_raw: Path, to: Path) -> None:
        (to / "app.log").write_text("a\nb\n")
        (to / "labels_lines.csv").write_text("source,line\napp.log,2\n")

    monkeypatch.setattr(systems, "PARTS", {"bgl": (alerts.write_samples, "bgl"), "app": (write_other, "")})
    monkeypatch.setattr(systems, "MOST_LINES", 6)
    made = prepare("systems", raw, tmp_path / "sets")
    assert made.sources == ("app/app.log", "bgl/test/shuffled.log", "bgl/train/first.log")
    kept = (made.root / "bgl/test/shuffled.log").read_text().splitlines()
    assert [line.rsplit(" ", 1)[1] for line in kept] == ["1", "3", "5"]
    assert kept[1].startswith("- ")
    assert rows(made.folder / "labels_lines.csv") == [
        {"source": "bgl/test/shuffled.log", "line": "2", "label": "1", "kind": "KERN"},
        {"source": "bgl/train/first.log", "line": "2", "label": "1", "kind": "KERN"},
        {"source": "app/app.log", "line": "2", "label": "1", "kind": ""},
    ]
