"""The journal through a journalctl that is made for these tests: no systemd runs where they do.

It reads a file in the export form that a real journalctl (252) writes, and knows the options that are used.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest

from oddlog.errors import ConfigError, InputError
from oddlog.sources.journald import AGAIN_S, ENDED, Journald, options_of
from oddlog.testing import check_source
from oddlog.types import Tally

JOURNALCTL = """#!{python}
import os, sys, time
asked = sys.argv[1:]
assert asked[:2] == ["--no-pager", "--output=export"], asked
after = next((word.partition("=")[2] for word in asked if word.startswith("--after-cursor=")), None)
unit = next((word.partition("=")[2] for word in asked if word.startswith("--unit=")), None)
if unit == "nowhere":
    sys.exit("Failed to add filter for units: Invalid argument")
at, out = 0, sys.stdout.buffer
seen = after is None
while True:
    with open({journal!r}, "rb") as file:
        file.seek(at)
        data = file.read()
    whole = data[: data.rfind(b"\\n\\n") + 2]
    at += len(whole)
    entries = [entry + b"\\n\\n" for entry in whole.split(b"\\n\\n") if entry]
    if "--lines=1" in asked:
        out.write(b"".join(entries[-1:]))
        break
    for entry in entries:
        if seen:
            out.write(entry)
        seen = seen or entry.startswith(b"__CURSOR=" + after.encode() + b"\\n")
    out.flush()
    if os.path.exists({journal!r} + ".die"):
        os.unlink({journal!r} + ".die")
        sys.exit("killed")
    time.sleep(0.005)
"""


def entry(i: int, message: str) -> bytes:
    head = f"__CURSOR=s=3f;i={i:x};b=9c\n__REALTIME_TIMESTAMP=17409024000{i:05d}\nPRIORITY=6\nSYSLOG_IDENTIFIER=shop\n"
    if "\n" in message:
        raw = message.encode()
        return head.encode() + b"MESSAGE\n" + len(raw).to_bytes(8, "little") + raw + b"\n\n"
    return f"{head}MESSAGE={message}\n\n".encode()


class Journal:
    def __init__(self, path: Path) -> None:
        self.path, self.n = path, 0
        path.touch()

    def write(self, *messages: str) -> None:
        with self.path.open("ab") as file:
            for message in messages:
                self.n += 1
                file.write(entry(self.n, message))

    def die(self) -> None:
        self.path.with_name(self.path.name + ".die").touch()


@pytest.fixture
def journal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Journal:
    made = Journal(tmp_path / "journal")
    program = tmp_path / "journalctl"
    program.write_text(JOURNALCTL.format(python=sys.executable, journal=str(made.path)))
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    return made


def messages(source: Journald, n: int) -> list[str]:
    found: list[str] = []
    for _ in range(500):
        found += [json.loads(text)["MESSAGE"] for text in source.poll(100, 0.02).lines["text"]]
        if len(found) >= n:
            break
    return found


def test_it_keeps_the_contract(journal: Journal):
    journal.write("one", "two", "three\n  at Pay.main")
    name = "journald/" + os.uname().nodename
    with_fields = []
    for i, said in enumerate(["one", "two", "three\n  at Pay.main"], 1):
        fields = {"__CURSOR": f"s=3f;i={i:x};b=9c", "__REALTIME_TIMESTAMP": f"17409024000{i:05d}", "PRIORITY": "6"}
        with_fields.append(json.dumps(fields | {"SYSLOG_IDENTIFIER": "shop", "MESSAGE": said}, separators=(",", ":")))
    check_source(lambda at: Journald(Tally(), position=at, from_start=True), [(name, text) for text in with_fields])


def test_only_what_comes_now_is_read_and_what_came_meanwhile_after_a_stop(journal: Journal):
    journal.write("before")
    first = Journald(Tally())
    journal.write("one", "two")
    assert messages(first, 2) == ["one", "two"]
    stopped = json.loads(json.dumps(first.state()))
    first.close()
    journal.write("three")
    second = Journald(Tally(), position=stopped)
    assert messages(second, 1) == ["three"]
    assert second.state()["line"] == 3
    second.close()


def test_reading_can_go_on_before_what_was_handed_over(journal: Journal):
    first = Journald(Tally())
    for i in range(3):
        journal.write(f"{i}")
        assert messages(first, 1) == [f"{i}"]
    place = first.state({}, 3)
    first.commit(place)
    first.close()
    assert place["line"] == 2
    second = Journald(Tally(), position=place)
    assert messages(second, 1) == ["2"]
    second.close()


def test_a_journalctl_that_ends_is_started_again_behind_the_last_entry(journal: Journal):
    now, tally = [0.0], Tally()
    source = Journald(tally, from_start=True, clock=lambda: now[0])
    journal.write("one")
    assert messages(source, 1) == ["one"]
    journal.die()
    for _ in range(500):
        if tally.counts[ENDED]:
            break
        source.poll(10, 0.02)
    assert tally.counts[ENDED] == 1
    assert "killed" in tally.examples[ENDED]
    journal.write("two")
    assert not len(source.poll(10, 0.02).lines)
    now[0] += AGAIN_S
    assert messages(source, 1) == ["two"]
    source.close()


@pytest.mark.usefixtures("journal")
def test_what_journalctl_refuses_is_told_with_how_to_try_it():
    with pytest.raises(InputError, match=r"Failed to add filter for units.*Try it yourself"):
        Journald(Tally(), options_of("journald://?unit=nowhere"))


def test_without_systemd_it_is_said(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(InputError, match="no journalctl"):
        Journald(Tally())


def test_a_url_that_makes_no_sense_is_refused_with_a_hint():
    with pytest.raises(ConfigError, match="Did you mean 'unit'"):
        options_of("journald://?units=x")
    with pytest.raises(ConfigError, match="names a machine"):
        options_of("journald://web-1/")
