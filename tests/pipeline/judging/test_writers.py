"""The headline of an incident is what says most, and a service lacks nothing that it never writes."""

from __future__ import annotations

import json
from pathlib import Path

import oddlog
from oddlog.pipeline.judging.telling import Remark
from oddlog.pipeline.judging.writers import Writers

RECEIVED, PAID, SAVED = "order received", "order paid", "card of customer saved"
REFUSED, ABANDONED = "processor answered 502", "payment abandoned"


def line(second: int, what: str, **fields: str) -> str:
    time = f"2026-03-{2 + second // 86_400:02d}T{second // 3600 % 24:02d}:{second // 60 % 60:02d}:{second % 60:02d}Z"
    return json.dumps({"ts": time, "level": "INFO", "msg": what, **fields})


def order(n: int, *steps: str) -> list[str]:
    levels = {REFUSED: "ERROR", ABANDONED: "WARNING"}
    return [
        line(20 * n + i, what, order=f"o{n:06x}", level=levels.get(what, "INFO"), service="shop")
        for i, what in enumerate(steps)
    ]


def test_what_failed_is_told_before_what_few_usual_sessions_have(tmp_path: Path):
    usual = [order(n, RECEIVED, *([PAID] if n % 5 > 1 else [SAVED, REFUSED, ABANDONED])) for n in range(1_000)]
    (tmp_path / "train.log").write_text("\n".join(one for session in usual for one in session))
    today = [order(n, RECEIVED, PAID) for n in range(1_000, 1_040)]
    today[20] = order(1_020, RECEIVED, REFUSED, REFUSED, ABANDONED)
    (tmp_path / "today.log").write_text("\n".join(one for session in today for one in session))
    model = oddlog.fit(tmp_path / "train.log", session="order", detectors=["snn"], rates=False)
    found = model.detect(tmp_path / "today.log")
    [incident] = [one for one in found.incidents if one.key == "o0003fc"]
    assert [(one.kind, one.text.split("”")[0][1:]) for one in incident.reasons] == [
        ("count_off", "processor answered <*>"),
        ("missing_event", SAVED),
    ]


def test_a_service_lacks_nothing_that_only_others_write(tmp_path: Path):
    web = [line(s, f"GET /{s} answered {s % 7}", service="web") for s in range(0, 6 * 3600, 15)]
    kernel = [line(s, f"DROP from 192.0.2.{s % 9} port {s % 5}", service="kernel") for s in range(7, 6 * 3600, 40)]
    (tmp_path / "train.log").write_text("\n".join(sorted(web + kernel)))
    killed = line(6 * 3600 + 1_800, "Out of memory: killed process 4711", service="kernel", level="ERROR")
    later = [line(s, f"GET /{s} answered 1", service="web") for s in range(6 * 3600, 7 * 3600, 15)]
    (tmp_path / "today.log").write_text("\n".join(sorted([*later, killed])))
    model = oddlog.fit(tmp_path / "train.log", session="none", window="60s", detectors=["snn", "new-event"])
    found = model.detect(tmp_path / "today.log")
    [incident] = [one for one in found.incidents if one.services == ("kernel",) and one.new_types]
    assert incident.reasons[0].kind == "unseen_template"
    assert not [one for one in incident.reasons if "GET" in one.text]


def test_of_what_was_expected_only_what_the_service_writes_is_told():
    expected = Remark("unexpected_event", 0, 9, 1, {"expected": [3, 4], "probability": [0.5, 0.3], "seen": 0.01})
    [told] = Writers(frozenset({3})).remarks([expected])
    assert (told.facts["expected"], told.facts["probability"], told.facts["seen"]) == ([4], [0.3], 0.01)
    assert Writers(frozenset({3, 4})).remarks([expected]) == []
    other = Remark("out_of_range", 0, 3, 1, {"value": 2.0})
    assert Writers(frozenset({3})).remarks([other]) == [other]
