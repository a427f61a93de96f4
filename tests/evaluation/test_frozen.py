"""The default is what was written down before the figures were made."""

import hashlib
from pathlib import Path

from oddlog.evaluation import frozen


def test_fit_ships_the_default_that_is_frozen() -> None:
    assert frozen.shipped() == frozen.frozen(), "another default: python -m oddlog.evaluation.frozen, and say so"


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
