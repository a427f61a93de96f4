"""Grouping accuracy on the 16 systems of loghub, one configuration for all, with Drain3 beside it.

    python benchmarks/grouping_accuracy.py [--data ../shared/data/loghub_2k] [--no-held-out] [--no-peer]

A line is grouped right when the set of lines in its predicted group equals the set of lines of its true template
(Zhu et al., ICSE-SEIP 2019, section IV-A). The message is the column `Content`, the line without its header.

*Raw lines* is the same from the raw file, with the format found and the header cut by `oddlog.formats`.

*Held out*: rules and merge thresholds are chosen anew on 15 systems and tested on the 16th. From all rules, each
one that the 15 systems do not miss is dropped, then the best thresholds of the grid are taken. That is fair to the
choice, not to the invention: whoever wrote the rules had seen all 16.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Iterable
from functools import cache
from pathlib import Path

import numpy as np
import polars as pl

from oddlog.formats import detect_format, parse_lines
from oddlog.sources import file_changed, read_blocks
from oddlog.templates import mask, mine, rules
from oddlog.templates.miner import MIN_NAMES, MIN_WORDS, merge
from oddlog.types import Tally

ALL_RULES = dict(rules.RULES)
NEVER = 1 << 30
GRID = [(words, names) for words in (4, 6, 10, 15, NEVER) for names in (3, 4, 6, NEVER)]


class Bench:
    """The systems' messages and true templates, and what each configuration makes of them."""

    def __init__(self, data: Path) -> None:
        self.names = sorted(p.name for p in data.iterdir() if p.is_dir())
        self.frames = {
            name: pl.read_csv(data / name / f"{name}_2k.log_structured.csv", infer_schema=False) for name in self.names
        }
        self.raw = {name: data / name / f"{name}_2k.log" for name in self.names}
        self.accuracy = cache(self._accuracy)
        self._masked = cache(self._mask)

    def groups(self, name: str, kept: frozenset[str], words: int, names: int) -> pl.Series:
        """Return the template of each message of a system."""
        text, inverse = self._masked(name, kept)
        return merge(text, min_words=words, min_names=names).gather(inverse)

    def _mask(self, name: str, kept: frozenset[str]) -> tuple[pl.Series, np.ndarray]:
        # The mask has no options on purpose; the ablation takes rules away from it for a moment.
        rules.RULES.clear()
        rules.RULES.update({rule: ALL_RULES[rule] for rule in ALL_RULES if rule in kept})
        try:
            masked = mask(self.frames[name]["Content"])
        finally:
            rules.RULES.clear()
            rules.RULES.update(ALL_RULES)
        order = masked.distinct_text.arg_sort().to_numpy()
        return masked.distinct_text.gather(order), np.argsort(order)[masked.inverse]

    def _accuracy(self, name: str, kept: frozenset[str], words: int, names: int) -> float:
        return grouping(self.groups(name, kept, words, names), self.frames[name]["EventId"])[0]

    def mean(self, systems: Iterable[str], kept: frozenset[str], words: int, names: int) -> float:
        """Return the mean grouping accuracy of some systems."""
        return statistics.fmean(self.accuracy(name, kept, words, names) for name in systems)

    def held_out(self, name: str) -> tuple[float, frozenset[str], int, int]:
        """Choose rules and thresholds on the other systems; return the accuracy on this one, and the choice."""
        others = [other for other in self.names if other != name]
        kept, limits = frozenset(ALL_RULES), (MIN_WORDS, MIN_NAMES)
        for rule in ALL_RULES:
            if self.mean(others, kept - {rule}, *limits) >= self.mean(others, kept, *limits):
                kept -= {rule}
        limits = max(GRID, key=lambda grid: (round(self.mean(others, kept, *grid), 6), grid))
        return self.accuracy(name, kept, *limits), kept, *limits


def grouping(predicted: pl.Series, true: pl.Series) -> tuple[float, float, float]:
    """Return the shares of lines that are grouped right, fused with another template, split from their own."""
    lines = pl.DataFrame({"predicted": predicted, "true": true}).with_columns(
        n_predicted=pl.len().over("predicted"), n_true=pl.len().over("true"), n_both=pl.len().over("predicted", "true")
    )
    fused, split = pl.col("n_both") < pl.col("n_predicted"), pl.col("n_both") < pl.col("n_true")
    return lines.select((~fused & ~split).mean(), fused.mean().alias("fused"), split.mean().alias("split")).row(0)


def as_parsed(path: Path) -> pl.Series:
    """Return the template of each raw line: format found by itself, header cut by it, the product's whole way."""
    lines = pl.concat(list(read_blocks(str(path), Tally())))
    year = file_changed(str(path)).year
    records = parse_lines(lines, detect_format(lines["text"], year=year), year=year)
    masked = mask(records["message"])
    count = np.bincount(masked.inverse)
    templates = mine(masked.distinct_key, masked.distinct_text, count, np.zeros(len(count), np.uint8))
    return pl.Series(templates.rows_of(masked.key))


def drain3(messages: pl.Series) -> pl.Series:
    """Return the cluster of each message, Drain3 with its default parameters and masks like its example's."""
    from drain3_peer import drain3_miner  # noqa: PLC0415 -- the peer is optional

    miner = drain3_miner()
    first = [miner.add_log_message(message)["cluster_id"] for message in messages.fill_null("")]
    return pl.Series(first)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    repository = Path(__file__).resolve().parents[1]
    parser.add_argument("--data", type=Path, default=repository.parent / "shared" / "data" / "loghub_2k")
    parser.add_argument("--no-held-out", action="store_true", help="skip the choice on 15 systems (minutes)")
    parser.add_argument("--no-peer", action="store_true", help="skip Drain3")
    args = parser.parse_args()
    bench = Bench(args.data)
    rows = []
    for name in bench.names:
        true = bench.frames[name]["EventId"]
        predicted = bench.groups(name, frozenset(ALL_RULES), MIN_WORDS, MIN_NAMES)
        right, fused, split = grouping(predicted, true)
        row = {"system": name, "true": true.n_unique(), "found": predicted.n_unique()}
        row |= {"accuracy": right, "fused": fused, "split": split}
        parsed = as_parsed(bench.raw[name])
        row |= {"raw lines": grouping(parsed, true)[0] if len(parsed) == len(true) else float("nan")}
        if not args.no_held_out:
            held, kept, words, names = bench.held_out(name)
            dropped = " ".join(rule for rule in ALL_RULES if rule not in kept)
            row |= {"held out": held, "chosen": f"{words}/{names}, without {dropped}".replace(str(NEVER), "never")}
        if not args.no_peer:
            row["Drain3"] = grouping(drain3(bench.frames[name]["Content"]), true)[0]
        rows.append(row)
    show(pl.DataFrame(rows))


def show(table: pl.DataFrame) -> None:
    columns = [
        c
        for c in ("system", "true", "found", "accuracy", "fused", "split", "raw lines", "held out", "Drain3")
        if c in table
    ]
    print("| " + " | ".join(columns) + " |\n|" + "---|" * len(columns))
    means = {c: table[c].mean() if table[c].dtype.is_float() else "" for c in columns} | {"system": "**mean**"}
    for row in [*table.select(columns).iter_rows(named=True), means]:
        print("| " + " | ".join(f"{v:.3f}" if isinstance(v, float) else str(v) for v in row.values()) + " |")
    for system, chosen in table.select("system", "chosen").iter_rows() if "chosen" in table else ():
        print(f"{system}: {chosen}")


if __name__ == "__main__":
    main()
