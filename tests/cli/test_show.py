"""Tables for people say much in few words."""

from __future__ import annotations

import pytest

from oddlog.cli.show import _excerpt, _shortened, print_entry, several
from oddlog.types import LineRef


def test_features_of_one_kind_are_told_as_one():
    assert _shortened(["text.0", "text.1", "text.2", "gap", "level[3]", "level[4]"]) == "text × 3, gap, level × 2"
    assert _shortened([]) == ""


@pytest.mark.parametrize(
    ("text", "message", "room", "shown"),
    [
        ("08:00 INFO web: paid", "paid", 60, "08:00 INFO web: paid"),
        ("08:00 INFO web: " + "p" * 60, "p" * 60, 60, "p" * 60),
        ("08:00 INFO web: " + "p" * 61, "p" * 61, 60, "p" * 59 + "…"),
        ("08:00 first\n  at Pay.java:41", "first ⏎ refused", 20, "first ⏎ refused"),
        ("no header, and far too long to be shown", "", 20, "no header, and far …"),
    ],
)
def test_a_line_that_does_not_fit_is_shown_by_its_message(text: str, message: str, room: int, shown: str):
    assert _excerpt(LineRef("web.log", 1, text, 1.0, message), room) == shown


def test_one_is_one_and_more_are_several():
    assert [several(n, "source") for n in (1, 2, 1_000)] == ["1 source", "2 sources", "1,000 sources"]


def test_an_entry_fits_into_its_rows(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("COLUMNS", "80")
    print_entry("web.log  json (1.00)", "no time", "m" * 200, "")
    assert capsys.readouterr().out == f"web.log  json (1.00)\n    no time\n    {'m' * 75}…\n"
