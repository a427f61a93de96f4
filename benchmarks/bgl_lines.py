"""Raw BGL line by line: learn from the first 10,000 lines (all usual), judge 20,000 shuffled ones (half alerts).

    python benchmarks/bgl_lines.py ../shared/data/bgl

The lines to judge are a sample without order from the whole log: windows of them mean nothing, so only what a line
says by itself is judged, by the score that `--line-scores` writes for lines of no odd window (`model.events`). The
first column, which is the label, is cut off by the format and is no part of the message. Alerts are half of the
sample and a twentieth of the log: precision is given for both shares.

Figures stand for all lines and for those whose type the model has never seen. `level`, the level alone (ERROR and above
is odd), and `new`, an unseen type alone, are the baselines.
"""

from __future__ import annotations

import argparse
import re
from pathlib import Path

import numpy as np
import polars as pl
from sklearn.metrics import average_precision_score, roc_auc_score

import oddlog
from oddlog.formats import by_name, parse_lines
from oddlog.incidents import alarming
from oddlog.sources import read_blocks
from oddlog.templates import Matcher, mask
from oddlog.types import LEVELS, Tally

TRUE_SHARE = 0.0734  # 348,460 of the 4,747,963 lines are alerts
TRAIN, TEST = "bgl_raw_first_10k.log.gz", "bgl_raw_shuffled_20k.log.gz"
ERROR = LEVELS.index("ERROR")


def figures(odd: np.ndarray, score: np.ndarray, truth: np.ndarray) -> str:
    """Return F1, precision (here, and at the log's share of alerts), recall, ROC AUC and average precision."""
    hit, false, missed = (odd & truth).sum(), (odd & ~truth).sum(), (~odd & truth).sum()
    n, n_usual = max(truth.sum(), 1), max((~truth).sum(), 1)
    rare = TRUE_SHARE * hit / n / max(TRUE_SHARE * hit / n + (1 - TRUE_SHARE) * false / n_usual, 1e-12)
    both = 0 < truth.sum() < len(truth)
    auc = roc_auc_score(truth, score) if both else np.nan
    ap = average_precision_score(truth, score) if both else np.nan
    f1 = 2 * hit / max(2 * hit + false + missed, 1)
    return (
        f"F1 {f1:.4f} | precision {hit / max(hit + false, 1):.4f}, at {TRUE_SHARE:.2%} {rare:.4f} | "
        f"recall {hit / n:.4f} | AUC {auc:.4f} | AP {ap:.4f} | odd per 1,000 usual {1000 * false / n_usual:.1f}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument(
        "--types", action="store_true", help="print the types that were called odd for nothing or missed"
    )
    arguments = parser.parse_args()
    model = oddlog.fit(arguments.data / TRAIN, session="none", window="100")
    lines = pl.concat(read_blocks(str(arguments.data / TEST), Tally()))
    truth = (lines["text"].str.splitn(" ", 2).struct.field("field_0") != "-").to_numpy()
    records = parse_lines(lines, by_name("bgl"), year=2005)
    masked = mask(records["message"])
    matcher = Matcher(model.context.templates)
    rows = matcher.rows(masked.distinct_key, masked.distinct_text)[masked.inverse]
    level = records["level"].to_physical().cast(pl.UInt8).fill_null(0).to_numpy()
    texts = [matcher.text_of(row) for row in range(len(model.context.templates) + matcher.n_unseen)]
    score = model.events.score(rows, level, alarming(texts)[rows])
    odd = model.events.is_anomaly(rows, model.events.p_value(score))
    new = rows >= len(model.context.templates)
    print(
        f"learned {len(model.context.templates)} types; {len(lines):,} lines to judge, {truth.mean():.1%} alerts, "
        f"{matcher.n_unseen} unseen types in {new.mean():.1%} of the lines"
    )
    for name, some in (("all lines", np.ones(len(lines), np.bool_)), ("types seen", ~new), ("types unseen", new)):
        print(f"{name}: {some.sum():,}, {truth[some].mean():.1%} alerts")
        print("  line verdict   ", figures(odd[some], score[some], truth[some]))
        print("  level >= ERROR ", figures((level >= ERROR)[some], level[some], truth[some]))
        print("  new            ", figures(new[some], new[some].astype(float), truth[some]))
    by_type = pl.DataFrame({"row": rows, "odd": odd, "alert": truth, "level": level, "new": new}).group_by("row")
    types = by_type.agg(
        pl.col("odd").mean(), pl.col("alert").mean(), pl.col("level").max(), pl.col("new").any(), n=pl.len()
    )
    mixed = types.filter((pl.col("alert") > 0) & (pl.col("alert") < 1))
    print(f"types that are alerts at times only: {len(mixed)} of {len(types)}, in {mixed['n'].sum():,} lines")
    for verdict, alert in ((True, False), (False, True)):
        wrong = types.filter((pl.col("odd") > 0.5) == verdict, (pl.col("alert") > 0.5) == alert).sort(
            "n", descending=True
        )
        print(f"odd {verdict}, alert {alert}: {len(wrong)} types, {wrong['n'].sum():,} lines")
        if arguments.types:
            for row, _, _, grade, unseen, n in wrong.head(25).iter_rows():
                text = re.sub(" +", " ", texts[row])[:110]
                print(f"  {n:6,} {LEVELS[grade]:8s} {'unseen' if unseen else 'seen':6s} {text}")


if __name__ == "__main__":
    main()
