"""How soon after a fault of OpenStack-Nova a single line could be odd, and what that would cost.

    python benchmarks/first_odd_line.py --data ../shared/data

The default learns from the usual runs of the first half (`time-usual`). Of each failed run after them: is there, within
a second of the fault, a line at all; one of a type never seen; one of WARNING or ERROR; one that is odd by the
product's verdict; one that would be odd with a lower bar for single lines; one whose type, with the one or two before
it, stands in no usual run? Beside it, how many of 1,000 lines of usual runs would be odd. Pairs and triples are learned
from the earlier half of the usual runs judged, and counted in the later one. See docs/decisions/first-odd-line.md;
*development*.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np
import polars as pl

from oddlog.datasets import find_set, read_incidents
from oddlog.evaluation.catalogue import Catalogue, catalogue
from oddlog.evaluation.cells import Cell, Outcome, run
from oddlog.incidents import alarming
from oddlog.pipeline.judging.odd import OddWindows
from oddlog.types import LEVELS

DEFAULT = "snn+dae+ocsvm+new-event"
SECOND_US = 1_000_000


def lines_of(done: Outcome, listed: Catalogue) -> pl.DataFrame:
    """Return ``row template level score alone odd time_us label case`` of the lines of runs, in order of time."""
    parts = []
    for part in done.parts:
        windows, events = part.windows, done.model.events
        grave = alarming([part.matcher.text_of(row) for row in np.arange(windows.template.max(initial=0) + 1)])
        score = events.score(windows.template, windows.level, grave[windows.template])
        guilty = OddWindows.of(part.view, windows, part.verdict).lines().select("source", "line", told=True)
        frame = pl.DataFrame(
            {
                "source": windows.source,
                "line": windows.line,
                "template": windows.template.astype(np.int64),
                "level": windows.level,
                "score": score,
                "alone": events.is_anomaly(windows.template, events.p_value(score)),
            }
        ).join(guilty, on=["source", "line"], how="left", maintain_order="left")
        names = dict(enumerate(part.sources))
        rows = [done.rows[names[s]][n - 1] for s, n in frame.select("source", "line").iter_rows()]
        parts.append(frame.with_columns(row=pl.Series(rows, dtype=pl.Int64)))
    every = pl.concat(parts).unique("row", keep="first")
    of = listed.lines[every["row"].to_numpy()]
    every = every.with_columns(
        of["time_us"], of["label"], of["case"], odd=pl.col("alone") | pl.col("told").is_not_null()
    )
    return every.filter(pl.col("case") >= 0).sort("case", "time_us", "row")


def with_company(lines: pl.DataFrame, n: int) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return the lines with ``strange``: its type and the `n` before it stand in no usual run of the earlier half.

    Also the lines of usual runs of the later half alone.
    """
    before = [f"before_{i}" for i in range(1, n + 1)]
    shifted = [pl.col("template").shift(i).over("case").fill_null(-1).alias(f"before_{i}") for i in range(1, n + 1)]
    lines = lines.with_columns(shifted)
    usual = lines.filter(pl.col("label") == 0)
    cases = usual.group_by("case").agg(pl.col("time_us").min()).sort("time_us")["case"]
    early = pl.col("case").is_in(cases.head(len(cases) // 2).to_list())
    known = usual.filter(early).select(*before, "template").unique().with_columns(known=True)
    lines = lines.join(known, on=[*before, "template"], how="left", maintain_order="left")
    lines = lines.with_columns(strange=pl.col("known").is_null())
    return lines, lines.filter(pl.col("label") == 0).filter(~early)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        of = find_set("nova", arguments.data, folder)
        listed = catalogue(of)
        done = run(Cell("nova", "time-usual", DEFAULT, answers=1), of, listed)
        lines = lines_of(done, listed)
        if of.incidents is None:
            raise SystemExit("The set has no incidents.json.")
        case = dict(zip(listed.cases["key"].to_list(), range(len(listed.cases)), strict=True))
        begins = {case[one["id"]]: one["start"].timestamp() * 1e6 for one in read_incidents(of.incidents).to_dicts()}
    starts = pl.DataFrame({"case": list(begins), "start_us": [int(one) for one in begins.values()]})
    k, usual = len(done.model.context.templates), lines.filter(pl.col("label") == 0)

    def told(what: str, odd: pl.Expr, lines: pl.DataFrame, usual: pl.DataFrame) -> None:
        after = (
            lines.filter(pl.col("label") == 1).join(starts, on="case").filter(pl.col("time_us") >= pl.col("start_us"))
        )
        soon = (pl.col("time_us") <= pl.col("start_us") + SECOND_US) & odd
        share = after.group_by("case").agg(soon.any().alias("soon"))["soon"].mean()
        print(f"{what:44} {share:.2f} {1000 * float(usual.select(odd.mean()).item()):8.2f}", flush=True)

    print(f"{'within a second of the fault, share of runs':44}      per 1,000 usual lines")
    told("any line", pl.lit(value=True), lines, usual)
    told("a type never seen", pl.col("template") >= k, lines, usual)
    for level in ("WARNING", "ERROR"):
        told(f"{level} or above", pl.col("level") >= LEVELS.index(level), lines, usual)
    told("odd by itself", pl.col("alone"), lines, usual)
    told("odd, or makes its run odd", pl.col("odd"), lines, usual)
    for bar in (0.55, 0.4, 0.2):
        told(f"score of a line >= {bar}", pl.col("score") >= bar, lines, usual)
    for n, name in ((1, "pair"), (2, "triple")):
        company = with_company(lines, n)
        told(f"a {name} of types that no usual run holds", pl.col("strange"), *company)
        grave = pl.col("strange") & (pl.col("level") >= LEVELS.index("WARNING"))
        told("the same, WARNING or above; or odd", grave | pl.col("odd"), *company)


if __name__ == "__main__":
    main()
