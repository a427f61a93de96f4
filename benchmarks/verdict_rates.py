"""What the default's verdict would be at other false-alarm rates, and if it asked for a level as well.

    python benchmarks/verdict_rates.py nova time-usual --data ../shared/data
    python benchmarks/verdict_rates.py hdfs landauer --data ../shared/data --seeds 5

The model is learned once; only the threshold is moved: to 1 in 1,000, to the rate that the usual windows hold
(``2.5 / n``), and to half of that. Then, at the model's own threshold: odd; odd and with a line of WARNING or above;
and such a line alone. The last number is that of false alarms. Cases are the bench's: sessions, or windows of a stream;
of a session of several windows the highest level counts. See docs/decisions/rate-by-number.md and level-in-verdict.md.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np
import polars as pl

from oddlog.calibration import lowest_rate
from oddlog.datasets import find_set
from oddlog.evaluation import metrics
from oddlog.evaluation.catalogue import catalogue
from oddlog.evaluation.cells import Cell, Outcome, run
from oddlog.evaluation.resampling import f1_interval
from oddlog.evaluation.scoring import Cases, cases_of
from oddlog.types import LEVELS, Bool

DEFAULT = "snn+dae+ocsvm+new-event"
WARNING = LEVELS.index("WARNING")


def told(name: str, odd: Bool, cases: Cases) -> None:
    counts = metrics.counted(odd, cases.label, cases.weight)
    low, high = f1_interval(odd, cases.label, cases.weight, cases.block)
    false = int((odd & (cases.label == 0)).sum())
    print(
        f"{name:34} F1 {counts.f1:.3f} ({low:.3f}–{high:.3f}) P {counts.precision:.3f} R {counts.recall:.3f} {false:,}"
    )


def grave(done: Outcome, cases: Cases) -> Bool:
    """Return which cases hold a line of WARNING or above [w]."""
    parts = [part for part in done.parts if len(part.windows)]
    frames = [
        pl.DataFrame({"key": p.windows.key, "level": np.maximum.reduceat(p.windows.level, p.windows.offsets[:-1])})
        for p in parts
    ]
    highest = pl.concat(frames).group_by("key").agg(pl.col("level").max())
    level = pl.DataFrame({"key": cases.key}).join(highest, on="key", how="left", maintain_order="left")["level"]
    found: Bool = level.fill_null(0).to_numpy() >= WARNING
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("set")
    parser.add_argument("protocol")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=1)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        of = find_set(arguments.set, arguments.data, folder)
        listed = catalogue(of)
        for seed in range(arguments.seeds):
            done = run(Cell(arguments.set, arguments.protocol, DEFAULT, seed, answers=1), of, listed)
            view = done.model.views[0]
            n = view.calibrator.n_usual
            proportion = listed.proportion if done.split.weigh else (0, 0)
            cases = cases_of(done.judged, proportion, by_session=listed.by_session)
            usual = int((cases.label == 0).sum())
            print(f"seed {seed}: {n:,.0f} usual windows; {usual:,} usual cases judged, {len(cases) - usual:,} others")
            score = np.nan_to_num(cases.score, nan=-np.inf)
            for rate in dict.fromkeys((view.rate, 1e-3, lowest_rate(n) / 2, lowest_rate(n))):
                told(f"1 in {1 / rate:,.0f}", score > view.calibrator.threshold(rate), cases)
            warned = grave(done, cases)
            told("odd", cases.odd, cases)
            told("odd and a line >= WARNING", cases.odd & warned, cases)
            told("a line >= WARNING", warned, cases)
            without = (~warned & (cases.label == 1)).sum()
            print(f"anomalous cases without such a line: {without:,} of {(cases.label == 1).sum():,}")


if __name__ == "__main__":
    main()
