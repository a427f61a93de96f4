"""Tables for people say much in few words."""

from __future__ import annotations

from oddlog.cli.show import _shortened


def test_features_of_one_kind_are_told_as_one():
    assert _shortened(["text.0", "text.1", "text.2", "gap", "level[3]", "level[4]"]) == "text × 3, gap, level × 2"
    assert _shortened([]) == ""
