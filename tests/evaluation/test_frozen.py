"""The default is what was written down before the figures were made."""

import hashlib
from pathlib import Path

import pytest

from oddlog.evaluation import frozen


def test_fit_ships_the_default_that_is_frozen() -> None:
    assert frozen.differences() == [], "another default: python -m oddlog.evaluation.frozen, and say so"


def test_a_member_an_option_or_a_constant_that_differs_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frozen.joining, "GAIN", 0.5)
    monkeypatch.setattr(frozen, "DEFAULT", ("snn",))
    found = frozen.differences()
    assert found[0] == "members: ['snn', 'dae', 'ocsvm', 'new-event'] frozen, ['snn'] shipped"
    assert found[-1] == "rules.joining.GAIN: 0.02 frozen, 0.5 shipped"


def test_the_digest_is_that_of_the_file() -> None:
    path = Path(frozen.__file__).with_name(frozen.FILE)
    assert frozen.digest() == hashlib.sha256(path.read_bytes()).hexdigest()


def test_four_members_vote_and_three_may_join() -> None:
    told = frozen.frozen()
    assert told["members"] == ["snn", "dae", "ocsvm", "new-event"]
    assert told["candidates"] == ["lstm", "next-event", "values"]
    assert told["rules"]["joining"]["GAIN"] == 0.02
    assert told["options"]["dae"] == {
        "hidden": [64, 8, 64],
        "steps": 1500,
        "rate": 0.003,
        "final_rate": 1e-05,
        "noise": 0.1,
    }
