"""How often drift is said where nothing drifts, and how long it takes to say it where something does.

    python benchmarks/drift.py [--lines 600000] [--days 42] [--usual] [--hours 24 48]

Usual days are those of the simulated shop before its incidents: learned from for some hours or days, and the rest of
them followed as they come, asked once a day. Then lasting changes are made to the lines of the last week, learned from
the two weeks before it: a message of payments that is worded anew, a warning instead of a debug line of the cart, twice
the mails.
"""

from __future__ import annotations

import argparse
import gzip
import re
import tempfile
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl

import oddlog
from oddlog.datasets import simulate
from oddlog.model import Model
from oddlog.pipeline.drifting import Drift
from oddlog.pipeline.live.streaming import Streaming

START = datetime(2026, 3, 2, 6, tzinfo=UTC)
LEARNED_HOURS = (4, 12, 24, 48, 168, 336)
_TIME = re.compile(r'"ts":"([^"]+)"')


def lines_of(folder: Path) -> list[tuple[datetime, str]]:
    """Return all lines in order of time."""
    found: list[tuple[datetime, str]] = []
    for path in sorted(folder.iterdir()):
        with gzip.open(path, "rt") if path.suffix == ".gz" else path.open() as file:
            timed = ((_TIME.search(line), line.rstrip("\n")) for line in file)
            found += [(datetime.fromisoformat(told[1]), line) for told, line in timed if told]
    return sorted(found)


def followed(model: Model, lines: list[tuple[datetime, str]], hours: float) -> Iterator[tuple[datetime, Drift]]:
    """Judge lines as they come; yield what has drifted after each so many hours."""
    stream, step, position = Streaming(model), timedelta(hours=hours), 0
    until = lines[0][0] + step
    batch: list[str] = []
    for time, text in lines:
        if time >= until:
            stream.push(_frame(batch, position), time.timestamp())
            stream.tick(time.timestamp())
            position += len(batch)
            batch = []
            if (drift := stream.drift()) is not None:
                yield until, drift
            until += step
        batch.append(text)


def _frame(texts: list[str], position: int) -> pl.DataFrame:
    number = pl.int_range(position + 1, position + len(texts) + 1, dtype=pl.UInt64, eager=True)
    return pl.DataFrame(
        {
            "source": pl.repeat("shop", len(texts), eager=True),
            "position": number,
            "line": number,
            "text": pl.Series(texts, dtype=pl.String),
            "count": pl.repeat(1, len(texts), dtype=pl.UInt32, eager=True),
        }
    )


def fit(folder: Path, lines: list[tuple[datetime, str]]) -> Model:
    log = folder / "learned.log"
    log.write_text("\n".join(text for _, text in lines) + "\n")
    return oddlog.fit(log, session="none", window="600s", detectors=["new-event"])


def usual(folder: Path, lines: list[tuple[datetime, str]], learned_hours: Sequence[int]) -> None:
    print("| learned from | days followed | figures | most evidence | said to have drifted |\n|---|---|---|---|---|")
    for hours in learned_hours:
        until = START + timedelta(hours=hours)
        model = fit(folder, [one for one in lines if one[0] < until])
        rest = [one for one in lines if one[0] >= until]
        said: dict[tuple[str, str], str] = {}
        most, watched, days = 0.0, 0, 0
        for time, drift in followed(model, rest, 24):
            days += 1
            most, watched = max(most, drift.evidence), drift.watched
            for one in drift.drifted:
                what = f"{one.of} of {one.service or 'all'} after {(time - until).days} d: {one.says}"
                said.setdefault((one.service, one.of), what)
        told = "; ".join(said.values()) or "nothing"
        print(f"| {hours} h | {days} | {watched} | {most:.2f} | {len(said)}: {told} |", flush=True)


def worded(text: str) -> list[str]:
    return [text.replace("charging ", "capture requested: ")]


def louder(text: str) -> list[str]:
    return [text.replace('"DEBUG"', '"WARNING"')] if '"service":"cart"' in text and "loaded with" in text else [text]


def twice(text: str) -> list[str]:
    return [text, text] if '"service":"mailer"' in text else [text]


def changed(folder: Path, lines: list[tuple[datetime, str]]) -> None:
    print("\n| change | first said after | as | learning on proposed after | all that was said in a week |")
    print("|---|---|---|---|---|")
    at = lines[-1][0] - timedelta(days=7)
    model = fit(folder, [one for one in lines if at - timedelta(days=14) <= one[0] < at])
    ways: dict[str, Callable[[str], list[str]]] = {
        "a message worded anew": worded,
        "a debug line becomes a warning": louder,
        "twice the mails": twice,
    }
    for name, way in ways.items():
        rest = [(time, text) for time, old in lines if time >= at for text in way(old)]
        first, proposed, said = "never | ", "never", set()
        for time, drift in followed(model, rest, 1):
            since = (time - at).total_seconds() / 3600
            if drift.drifted and first.startswith("never"):
                one = drift.drifted[0]
                first = f"{since:.0f} h | {one.of} of {one.service or 'all'}: {one.says}"
            if drift.proposal and proposed == "never":
                proposed = f"{since:.0f} h"
            said |= {f"{one.of} of {one.service or 'all'}" for one in drift.drifted}
        print(f"| {name} | {first} | {proposed} | {', '.join(sorted(said))} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lines", type=int, default=600_000)
    parser.add_argument("--days", type=int, default=42)
    parser.add_argument("--hours", type=int, nargs="*", default=LEARNED_HOURS, help="learned from")
    parser.add_argument("--usual", action="store_true", help="usual days only")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="oddlog-bench-") as folder:
        shop = simulate(Path(folder, "shop"), lines=options.lines, days=options.days)
        lines = lines_of(shop.train)
        if not options.usual:
            changed(Path(folder), lines)
        usual(Path(folder), lines, options.hours)


if __name__ == "__main__":
    main()
