"""How far two shortcuts get on a simulated folder: counting ERROR lines, and message types unseen in training.

Each is granted the threshold that is best on the labels themselves. What is flagged is judged four ways:

- per line: a line is flagged if it is an ERROR (unseen) itself, or if its service wrote n of them in its minute;
- per request: a request is flagged if it holds n of them; it is odd if it belongs to an incident;
- per window: a minute (of all services, or of one) is flagged if it holds n of them; it is odd if it holds a line
  of an incident, or lies in the stretch of a service that is silent;
- per incident: of the ten-minute windows (of one service) that are flagged, the share that meets an incident of
  that service is the precision; the share of incidents that meet a flagged window is the recall.

    python benchmarks/simulator_difficulty.py --entries 1000000 --days 14 --seeds 5
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator
from pathlib import Path

import polars as pl

from oddlog.datasets import LabelledIncidents, read_labels, simulate_datacentre

SHORTCUTS = ("count of ERROR lines", "unseen message types")
WAYS = ("line", "request", "window", "incident")


def records(folder: Path, period: str) -> pl.DataFrame:
    """Return source, line, time, service, trace, whether it is an ERROR, and the type of each line of a period."""
    parts = []
    for path in sorted((folder / period).glob("*.log*")):
        lines = pl.read_ndjson(path, infer_schema_length=None, schema=_FIELDS)
        parts.append(lines.with_row_index("line", 1).with_columns(source=pl.lit(f"{period}/{path.name}")))
    return pl.concat(parts).select(
        "source",
        "service",
        pl.col("line").cast(pl.UInt64),
        time=pl.col("ts").str.to_datetime(time_unit="us", time_zone="UTC"),
        trace="trace_id",
        error=pl.col("level").is_in(["ERROR", "CRITICAL"]),
        type=pl.concat_str("service", "level", pl.col("msg").str.replace_all(r"[\w.\-/]*[0-9][\w.\-/]*", "#")),
    )


_FIELDS = {"ts": pl.String, "level": pl.String, "service": pl.String, "trace_id": pl.String, "msg": pl.String}


def judged(folder: Path) -> dict[tuple[str, str], float]:
    """Return the best F1 of each shortcut, judged in each way."""
    labels = read_labels(folder).of("today")
    usual = records(folder, "train")["type"].unique()
    today = records(folder, "today").join(
        labels.lines.select("source", "line", odd=pl.lit(1)), ["source", "line"], "left"
    )
    today = today.with_columns(odd=pl.col("odd").is_not_null())
    traces = set(pl.read_csv(folder / "labels.csv", schema={"key": pl.String, "label": pl.Int8}).filter(label=1)["key"])
    found = {}
    for shortcut, hit in zip(SHORTCUTS, (pl.col("error"), ~pl.col("type").is_in(usual.implode())), strict=True):
        hits = today.with_columns(hit=hit)
        found[shortcut, "line"] = max(_lines(hits))
        found[shortcut, "request"] = max(_requests(hits, traces))
        found[shortcut, "window"] = max(_windows(hits, labels))
        found[shortcut, "incident"] = max(_incidents(hits, labels))
    return found


def f1(flagged: pl.Series, odd: pl.Series) -> float:
    """Return the F1 of two columns of bools."""
    return 2 * int((flagged & odd).sum()) / max(int(flagged.sum()) + int(odd.sum()), 1)


def _thresholds(counts: pl.Series) -> list[int]:
    return sorted({1, *(int(n) for n in counts.unique() if n)})[:60]


def _lines(hits: pl.DataFrame) -> Iterator[float]:
    yield f1(hits["hit"], hits["odd"])
    for by in ([], ["service"]):
        counts = hits.select(n=pl.col("hit").sum().over([*by, pl.col("time").dt.truncate("1m")]))["n"]
        yield from (f1(counts >= least, hits["odd"]) for least in _thresholds(counts))


def _requests(hits: pl.DataFrame, traces: set[str]) -> Iterator[float]:
    of = hits.filter(pl.col("trace").is_not_null()).group_by("trace").agg(n=pl.col("hit").sum())
    odd = of["trace"].is_in(list(traces))
    yield from (f1(of["n"] >= least, odd) for least in _thresholds(of["n"]))


def _silent(labels: LabelledIncidents, every: str) -> pl.DataFrame:
    """Return the windows in which a service is silent."""
    silent = labels.incidents.filter(pl.col("lines") == 0).explode("services").rename({"services": "service"})
    stretches = silent.with_columns(window=pl.datetime_ranges(pl.col("start").dt.truncate(every), "end", every))
    return stretches.explode("window").select("service", "window").unique()


def _windows(hits: pl.DataFrame, labels: LabelledIncidents) -> Iterator[float]:
    windows = hits.with_columns(window=pl.col("time").dt.truncate("1m"))
    silent = _silent(labels, "1m")
    for by in (["window"], ["service", "window"]):
        counted = windows.group_by(by).agg(n=pl.col("hit").sum(), odd=pl.col("odd").any())
        counted = counted.join(silent.select(by).unique().with_columns(gone=True), by, "full", coalesce=True)
        odd = counted["odd"].fill_null(value=False) | counted["gone"].fill_null(value=False)
        n = counted["n"].fill_null(0)
        yield from (f1(n >= least, odd) for least in _thresholds(n))


def _incidents(hits: pl.DataFrame, labels: LabelledIncidents) -> Iterator[float]:
    counted = hits.group_by("service", window=pl.col("time").dt.truncate("10m")).agg(n=pl.col("hit").sum())
    # which windows meet which incident: same service, and some of the time
    meets = counted.join(labels.incidents.explode("services").rename({"services": "service"}), "service").filter(
        (pl.col("window") < pl.col("end")) & (pl.col("window") + pl.duration(minutes=10) > pl.col("start"))
    )
    for least in _thresholds(counted["n"]):
        flagged = counted.filter(pl.col("n") >= least)
        met = meets.filter(pl.col("n") >= least)
        right = len(met.select("service", "window").unique()) / max(len(flagged), 1)
        recall = met["id"].n_unique() / max(len(labels.incidents), 1)
        yield 2 * right * recall / max(right + recall, 1e-9)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--entries", type=int, default=1_000_000)
    parser.add_argument("--days", type=float, default=14)
    parser.add_argument("--seeds", type=int, default=5)
    asked = parser.parse_args()
    print(f"| seed | entries | odd in training | odd today | shortcut | {' | '.join(f'per {way}' for way in WAYS)} |")
    print(f"|---|---|---|---|---|{'---|' * len(WAYS)}")
    for seed in range(asked.seeds):
        with tempfile.TemporaryDirectory() as folder:
            made = simulate_datacentre(Path(folder) / "dc", entries=asked.entries, days=asked.days, seed=seed)
            best = judged(made.folder)
            labels = read_labels(made.folder)
            odd = " | ".join(f"{labels.of(period).lines.height:,}" for period in ("train", "today"))
        for shortcut in SHORTCUTS:
            scores = " | ".join(f"{best[shortcut, way]:.2f}" for way in WAYS)
            print(f"| {seed} | {made.lines:,} | {odd} | {shortcut} | {scores} |", flush=True)


if __name__ == "__main__":
    main()
