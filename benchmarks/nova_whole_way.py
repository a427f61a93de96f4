"""OpenStack-Nova by time: raw lines in, `oddlog.fit` and `detect` as a user calls them, verdicts out.

    python benchmarks/nova_whole_way.py ../shared/data/openstack_nova [--seeds 5] [--misses]

Each of 439 tests ran twice: round 1 with a fault injected, round 2 without. Usual are the rounds 2 that did not
fail; learned is from the first half of them, by time. Detected is in all other runs: usual ones, FAILURE (mostly
round 1), and faulty runs that did not fail, which are the clean control: they too follow a restart of the services,
which alone writes some twenty types of lines that no round 2 has. A run is a session: the first column of the lines
says which (`--session column_1`). "later" counts only runs that begin after the last one learned from.

Beside it stands how many lines of level ERROR or above a run has, with the highest count among the runs learned from
as its threshold. Thresholds come from training alone.
"""

from __future__ import annotations

import argparse
import gzip
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
from sklearn.metrics import roc_auc_score

import oddlog

SESSION = "column_1"


def read(folder: Path) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return the lines (`run` is test and round) and the runs with what became of them."""
    with gzip.open(folder / "nova_runs.tsv.gz", "rt", encoding="utf-8", errors="replace", newline="\n") as file:
        raw = pl.Series("raw", file.read().removesuffix("\n").split("\n"))
    part = raw.str.splitn("\t", 4).struct.unnest()
    run = part["field_0"] + "-" + part["field_1"]
    lines = pl.DataFrame(
        {
            "run": run,
            "text": run + "\t" + part["field_2"] + "\t" + part["field_3"],
            "line_time": part["field_3"].str.head(26),
            "error": part["field_3"].str.contains(r"^\S+ \S+ \d+ (?:ERROR|CRITICAL) "),
        }
    )
    runs = pl.read_csv(folder / "runs.csv", infer_schema_length=None).select(
        run=pl.col("test") + "-" + pl.col("round").cast(pl.String),
        round="round",
        failed=pl.col("label") == "FAILURE",
        fault="fault_type",
        trigger=pl.col("trigger_time").str.head(26),
    )
    of_run = lines.group_by("run").agg(begin=pl.col("line_time").min(), errors=pl.col("error").sum(), n=pl.len())
    kind = pl.when("failed").then(pl.lit("failed")).when(pl.col("round") == 2).then(pl.lit("usual"))
    return lines, runs.join(of_run, on="run").with_columns(kind=kind.otherwise(pl.lit("held"))).sort("begin", "run")


def write(lines: pl.DataFrame, runs: pl.Series, path: Path) -> None:
    """Write the lines of these runs as they are, in the order of the data."""
    path.write_text("\n".join(lines.filter(pl.col("run").is_in(runs.implode()))["text"]) + "\n", encoding="utf-8")


def f1(odd: np.ndarray, truth: np.ndarray) -> dict[str, float]:
    """Return F1, precision and recall of verdicts."""
    hit, false, missed = (odd & truth).sum(), (odd & ~truth).sum(), (~odd & truth).sum()
    return {
        "F1": 2 * hit / max(2 * hit + false + missed, 1),
        "precision": hit / max(hit + false, 1),
        "recall": hit / max(hit + missed, 1),
    }


def compared(judged: pl.DataFrame, against: str, *, first_round: bool = False) -> dict[str, float]:
    """Return how well failed runs are told from those of the kind `against`, by score and by ERROR count."""
    some = judged.filter(pl.col("kind").is_in(["failed", against]))
    if first_round:
        some = some.filter(pl.col("round") == 1)
    truth = (some["kind"] == "failed").to_numpy()
    by_score = f1(some["is_anomaly"].to_numpy(), truth)
    by_errors = f1((some["errors"] > some["most_errors"]).to_numpy(), truth)
    return {
        "n_failed": truth.sum(),
        "n_other": (~truth).sum(),
        **by_score,
        "AUC": roc_auc_score(truth, some["score"].to_numpy()),
        **{f"ERROR {name}": value for name, value in by_errors.items()},
        "ERROR AUC": roc_auc_score(truth, some["errors"].to_numpy()),
    }


def by_line(alone: pl.DataFrame, together: pl.DataFrame, lines: pl.DataFrame, judged: pl.DataFrame) -> dict[str, float]:
    """Return how soon after the fault a line is odd, and how many lines of usual runs are.

    `alone` are the verdicts of lines by themselves; `together` counts also the lines that make their run odd,
    which is known at the run's end only.
    """
    text = lines.filter(pl.col("run").is_in(judged["run"].implode())).with_row_index("line", offset=1)
    text = text.select(pl.col("line").cast(pl.UInt64), "run")
    told = {}
    for name, found in (("alone", alone), ("together", together)):
        each = found.join(text, on="line").join(judged.select("run", "kind", "trigger"), on="run")
        each = each.with_columns(when=pl.col("trigger").str.to_datetime(time_zone="UTC", strict=False))
        after = each.filter((pl.col("kind") == "failed") & (pl.col("time") >= pl.col("when"))).sort("time", "line")
        first = (
            after.with_columns(nth=pl.int_range(pl.len()).over("run"))
            .filter("is_anomaly")
            .group_by("run")
            .agg(
                lines=pl.col("nth").min(),
                seconds=(pl.col("time").min() - pl.col("when").first()).dt.total_microseconds() / 1e6,
            )
        )
        told |= {
            f"odd per 1,000 usual lines ({name})": 1000 * each.filter(pl.col("kind") == "usual")["is_anomaly"].mean(),
            f"failed runs with an odd line ({name})": len(first) / max(after["run"].n_unique(), 1),
            f"lines before it, median ({name})": first["lines"].median(),
            f"seconds, median ({name})": first["seconds"].median(),
            f"seconds, 90 % ({name})": first["seconds"].quantile(0.9),
        }
    return told


def one_seed(lines: pl.DataFrame, runs: pl.DataFrame, seed: int, options: dict, *, misses: bool) -> dict[str, dict]:
    """Learn, detect, compare."""
    usual = runs.filter(pl.col("kind") == "usual")
    learned = usual.head(len(usual) // 2)
    others = runs.filter(~pl.col("run").is_in(learned["run"].implode()))
    with tempfile.TemporaryDirectory() as folder:
        train, test, told = (Path(folder, name) for name in ("train.log", "test.log", "lines.parquet"))
        write(lines, learned["run"], train)
        write(lines, others["run"], test)
        start = time.process_time()
        model = oddlog.fit(train, session=SESSION, seed=seed, **options)
        fitted = time.process_time()
        found = model.detect(test, line_scores=told)
        detected = time.process_time()
        together = pl.read_parquet(told)
        # Where no window is odd, only what lines say by themselves is left.
        replace(model, views=tuple(replace(view, threshold=np.inf) for view in model.views)).detect(
            test, line_scores=told
        )
        alone = pl.read_parquet(told)
    # A run of several windows is odd if one of them is.
    verdict = (
        found.scores.with_columns(run=pl.col("key").str.replace(r"#\d+$", ""))
        .group_by("run")
        .agg(pl.col("is_anomaly").any(), pl.col("score").max().fill_null(0.0).fill_nan(0.0), windows=pl.len())
    )
    judged = others.join(verdict, on="run").with_columns(most_errors=pl.lit(learned["errors"].max()))
    later = judged.filter(pl.col("begin") > learned["begin"].max())
    if misses:
        show(judged, found)
    return {
        "failed / usual": compared(judged, "usual"),
        "failed / usual, later": compared(later, "usual"),
        "failed / faulty but held, round 1": compared(judged, "held", first_round=True),
        "failed / faulty but held, round 1, later": compared(later, "held", first_round=True),
        "lines": by_line(alone, together, lines, judged),
        "cost": {
            "runs learned from": len(learned),
            "trimmed": model.training["views"]["sessions"]["trimmed"],
            "incidents": len(found.incidents),
            "fit CPU s": fitted - start,
            "detect klines per CPU s": found.lines / 1e3 / (detected - fitted),
        },
    }


def show(judged: pl.DataFrame, found: oddlog.Detection) -> None:
    """Print what was missed and what was called odd for nothing, and the notes."""
    of_lines = [incident for incident in found.incidents if not incident.n_windows]
    print(f"{len(found.incidents)} incidents, {len(of_lines)} of them of single lines")
    print("notes:", found.notes, dict(found.tally.counts))
    for kind, odd in (("failed", False), ("usual", True), ("held", True)):
        some = judged.filter((pl.col("kind") == kind) & (pl.col("is_anomaly") == odd))
        print(f"{kind}, odd {odd}: {len(some)} of {len(judged.filter(pl.col('kind') == kind))}")
        print(
            some.group_by("fault", "round").agg(pl.len(), pl.col("errors").mean()).sort("len", descending=True).head(12)
        )
    odd_usual = set(judged.filter((pl.col("kind") == "usual") & pl.col("is_anomaly"))["run"])
    for incident in found.incidents:
        if odd_usual & set(incident.keys):
            print(len(odd_usual & set(incident.keys)), incident.n_windows, incident.reasons[0].text[:200])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--recurring", default="usual", help="see oddlog fit")
    parser.add_argument("--detectors", default="")
    parser.add_argument("--misses", action="store_true", help="say what was missed and what was called odd for nothing")
    arguments = parser.parse_args()
    lines, runs = read(arguments.data)
    options: dict = {"recurring": arguments.recurring}
    if arguments.detectors:
        options["detectors"] = arguments.detectors.split(",")
    every = [one_seed(lines, runs, seed, options, misses=arguments.misses) for seed in range(arguments.seeds)]
    for part, first in every[0].items():
        print(f"{part}:")
        for name in first:
            values = np.array([seed[part][name] for seed in every], float)
            print(f"  {name:42s} {values.mean():9.4f} ± {values.std():.4f} (lowest {values.min():.4f})")


if __name__ == "__main__":
    main()
