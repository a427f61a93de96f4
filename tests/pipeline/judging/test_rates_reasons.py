"""pipeline/judging/rates_reasons.py: why counts are odd, in words that alarm nobody without need."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from oddlog.pipeline.judging.rates_reasons import Stretch, _rate
from oddlog.rates.levels import SPANS
from oddlog.testing import context


@pytest.mark.parametrize(
    ("member", "usual", "says"),
    [
        (
            "z-score",
            20.0,
            "12× usual for this hour: 240 ERROR lines of pay in 10 min, 20 expected, at most 7 in training",
        ),
        ("z-score", 0.2, "240 ERROR lines of pay in 10 min, usual for this hour 0.02 a minute, at most 7 in training"),
        ("z-score", 0.0, "240 ERROR lines of pay in 10 min, usual for this hour none, at most 7 in training"),
        (
            "average",
            0.5,
            "240 ERROR lines of pay in 10 min, in the two hours before 0.05 a minute, at most 7 in training",
        ),
    ],
)
def test_a_multiple_is_told_only_of_what_usually_comes(member: str, usual: float, says: str):
    most = np.full((len(SPANS), 1), 7.0)
    watch = SimpleNamespace(season=SimpleNamespace(grain="day"), members={member: SimpleNamespace(most=most)})
    stretch = Stretch(member, 0, 0, 0, 9, 9, SPANS[1], 1.0, 9.0, 240.0, usual, "errors", "pay", "", "", -1)
    told = _rate(stretch, watch, context().templates)  # type: ignore[arg-type] - what it reads of it
    assert told.text == says.replace("10 min", f"{SPANS[1]} min").replace(
        "0.02 a", f"{usual / SPANS[1]:.2g} a"
    ).replace("0.05 a", f"{usual / SPANS[1]:.2g} a")
