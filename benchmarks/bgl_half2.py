"""The second half of BGL by time, windows of 100 lines: `oddlog.fit` on the first share, `detect` on the rest.

    python benchmarks/bgl_half2.py ../shared/data/bgl [--shares 20,50] [--learn all,usual] [--levels] [--seeds 5]

The data are a stream of event types in order of time, with the text of each type's template; the lines are made of
these texts, so they have neither time nor service, and no level unless `--levels`: then types whose text fits lines of
the raw samples get the level that these lines have. The samples come from the whole log, half of the larger one are
alerts: a use of hindsight, and the types that are not in them have no level.

A window is anomalous if one of its lines is an alert. Learned is from all lines of the first share, as they are
(`all`), or from its windows without an alert (`usual`).

Printed are the verdicts of windows (`members`: by the default members, `new-event`: by this one alone), the windows
that hold a line odd by itself (`odd line`), and the order of what a person sees: types never seen in training, the most
pressing line first (novelty x level x words), and the incidents of the product. One is right if most of the windows it
shows are anomalous. After so many: how many were right, and which share of the anomalous windows the right ones show;
beside it the same in random order.
"""

from __future__ import annotations

import argparse
import gzip
import re
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import orjson
import polars as pl
from sklearn.metrics import roc_auc_score

import oddlog
from oddlog.datasets import bgl_stream
from oddlog.formats.levels import BY_WORD
from oddlog.incidents import alarming, pattern_of
from oddlog.pipeline.judging import merging
from oddlog.templates import Matcher, mask
from oddlog.types import LEVELS

WINDOW = bgl_stream.WINDOW
SHOWN = (5, 10, 20, 50, 100, 200, 500)
RANDOM_ORDERS = 20


def read(folder: Path) -> tuple[np.ndarray, np.ndarray, dict[int, str]]:
    """Return the event types, the alert labels (whole windows), and the text of each type."""
    events, label, texts = bgl_stream.read(folder)
    return events, label == 1, texts


def looked_up(folder: Path, texts: dict[int, str]) -> dict[int, str]:
    """Return the level of each type whose text fits raw lines: the most frequent one among these."""
    raw = pl.concat(
        pl.Series(gzip.decompress((folder / name).read_bytes()).decode("utf-8", errors="replace").splitlines())
        for name in ("bgl_raw_first_10k.log.gz", "bgl_raw_shuffled_20k.log.gz")
    )
    part = raw.str.splitn(" ", 10).struct.unnest()
    lines = pl.DataFrame({"level": part["field_8"], "message": part["field_9"].fill_null("").str.strip_chars()})
    some = lines.group_by("message", "level").len().sort("message", "level")
    left = np.ones(len(some), np.bool_)
    levels = {}
    # The most literal text first: a line belongs to one type.
    for event, text in sorted(texts.items(), key=lambda one: (-len(one[1].replace("<*>", "")), one[0])):
        if not re.search(r"[A-Za-z]{3}", text.replace("<*>", "")):
            continue
        pattern = "^" + ".*?".join(re.escape(piece) for piece in text.strip().split("<*>")) + "$"
        fits = some["message"].str.contains(pattern).to_numpy() & left
        if fits.any():
            left &= ~fits
            votes = some.filter(fits).group_by("level").agg(pl.col("len").sum()).sort("len", "level")
            levels[event] = BY_WORD.get(votes["level"][-1], "UNKNOWN")
    return {event: level for event, level in levels.items() if level != "UNKNOWN"}


def f1(odd: np.ndarray, truth: np.ndarray) -> dict[str, float]:
    """Return F1, precision and recall of verdicts."""
    hit, false, missed = (odd & truth).sum(), (odd & ~truth).sum(), (~odd & truth).sum()
    return {
        "F1": 2 * hit / max(2 * hit + false + missed, 1),
        "precision": hit / max(hit + false, 1),
        "recall": hit / max(hit + missed, 1),
    }


def best_f1(score: np.ndarray, truth: np.ndarray) -> float:
    """Return the F1 of the best threshold in hindsight."""
    order = np.argsort(-score, kind="stable")
    ends = np.append(np.diff(score[order]) != 0, True)  # ties fall on one side
    hit = np.cumsum(truth[order])
    return float((2 * hit / (np.arange(1, len(hit) + 1) + truth.sum()))[ends].max())


def line_verdicts(
    model: oddlog.Model, texts: dict[int, str], levels: dict[int, str]
) -> tuple[np.ndarray, np.ndarray, dict[str, int]]:
    """Return score and verdict of a line of each type [largest type + 1], and the type of each pattern of one type."""
    types = sorted(texts)
    masked = mask(pl.Series([texts[event] for event in types]))
    matcher = Matcher(model.context.templates)
    rows = matcher.rows(masked.distinct_key, masked.distinct_text)[masked.inverse]
    level = np.array([LEVELS.index(levels.get(event, "UNKNOWN")) for event in types], np.uint8)
    words = alarming([matcher.text_of(int(row)) for row in rows])
    score, odd = np.zeros(max(types) + 1), np.zeros(max(types) + 1, np.bool_)
    score[types] = model.events.score(rows, level, words)
    odd[types] = model.events.is_anomaly(rows, model.events.p_value(score[types]))
    patterns: dict[str, list[int]] = {}
    for event, row in zip(types, rows.tolist(), strict=True):
        patterns.setdefault(pattern_of([matcher.key_of(row)]), []).append(event)
    return score, odd, patterns


def shown(windows_of: list[np.ndarray], truth: np.ndarray) -> dict[int, tuple[int, float]]:
    """Return how many of the first so many were right, and the recall of the windows [w] that these show."""
    seen = np.zeros(len(truth), np.bool_)
    told, right = {}, 0
    for n, windows in enumerate(windows_of, 1):
        if len(windows) and truth[windows].mean() > 0.5:
            right += 1
            seen[windows] = True
        if n in SHOWN or n == len(windows_of):
            told[n] = (right, float(seen[truth].mean()))
    return told


def table(title: str, windows_of: list[np.ndarray], truth: np.ndarray) -> list[str]:
    """Return `shown` as lines to print, beside the same in random order."""
    draw = np.random.default_rng(0)
    shuffled = ([windows_of[i] for i in draw.permutation(len(windows_of))] for _ in range(RANDOM_ORDERS))
    random = [shown(order, truth) for order in shuffled]
    lines = [f"  {title}, shown | right, recall | in random order"]
    for n, (right, recall) in shown(windows_of, truth).items():
        by_chance = np.mean([order[n] for order in random], axis=0)
        lines.append(f"    {n:5d} | {right:4d} {recall:.3f} | {by_chance[0]:6.1f} {by_chance[1]:.3f}")
    return lines


def answered(windows_of: list[np.ndarray], truth: np.ndarray) -> np.ndarray:
    """Return the windows [w] that stay odd after what is not right was called usual."""
    odd = np.zeros(len(truth), np.bool_)
    for windows in windows_of:
        if len(windows) and truth[windows].mean() > 0.5:
            odd[windows] = True
    return odd


@dataclass(frozen=True)
class Stream:
    """Windows of event types, which are anomalous, and what the types say."""

    events: np.ndarray  # [w, 100]
    anomalous: np.ndarray  # [w]
    texts: dict[int, str]
    levels: dict[int, str]

    def write(self, some: np.ndarray, path: Path) -> None:
        """Write a line of JSON for each event of some windows."""
        line = {
            event: orjson.dumps(
                ({"level": self.levels[event]} if event in self.levels else {}) | {"message": text}
            ).decode()
            for event, text in self.texts.items()
        }
        events = pl.Series(some.ravel().astype(np.int64))
        lines = events.replace_strict(list(line), list(line.values()), return_dtype=pl.String)
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def one(stream: Stream, share: int, learn: str, options: dict) -> tuple[dict[str, float], list[str]]:
    """Learn and detect once; return the figures, and the tables of what a person sees."""
    cut = len(stream.events) * share // 100
    learned, later, truth = stream.events[:cut], stream.events[cut:], stream.anomalous[cut:]
    if learn == "usual":
        learned = learned[~stream.anomalous[:cut]]
    with tempfile.TemporaryDirectory() as folder:
        train, test = Path(folder, "train.json"), Path(folder, "test.json")
        stream.write(learned, train)
        stream.write(later, test)
        start = time.process_time()
        model = oddlog.fit(train, session="none", window=str(WINDOW), **options)
        fitted = time.process_time()
        found = model.detect(test)
        detected = time.process_time()
    windows = found.scores.with_columns(number=pl.col("key").str.extract(r"#(\d+)$").cast(pl.Int64))
    verdict = windows.drop_nulls("number").sort("number", maintain_order=True)
    assert len(verdict) == len(truth), (len(verdict), len(truth))
    assert (verdict["n_events"] == WINDOW).all()
    odd, score = verdict["is_anomaly"].to_numpy(), np.nan_to_num(verdict["score"].to_numpy(), nan=0.0)
    line_score, line_odd, patterns = line_verdicts(model, stream.texts, stream.levels)
    known, most = np.unique(learned), line_score[later].max(axis=1)
    new = [event for event in np.unique(later).tolist() if event not in known]
    by_type = [(later == event).any(axis=1).nonzero()[0] for event in sorted(new, key=lambda e: (-line_score[e], e))]
    by_incident = [
        np.isin(later, patterns[incident.pattern]).any(axis=1).nonzero()[0]
        if not incident.n_windows
        else np.array([int(key.rsplit("#", 1)[1]) for key in incident.keys], np.int64)
        for incident in found.incidents
    ]
    facts = model.training["views"]["windows"]
    figures = {
        "windows": len(truth),
        "anomalous": truth.mean(),
        "usual windows with a type never seen": (~np.isin(later, known)).any(axis=1)[~truth].mean(),
        "windows learned from": facts["windows"],
        "trimmed": facts["trimmed"],
        **{f"verdict {name}": value for name, value in f1(odd, truth).items()},
        "verdict AUC": roc_auc_score(truth, score),
        "verdict best F1 in hindsight": best_f1(score, truth),
        **{f"odd line {name}": value for name, value in f1(line_odd[later].any(axis=1), truth).items()},
        "most pressing line AUC": roc_auc_score(truth, most),
        "most pressing line best F1 in hindsight": best_f1(most, truth),
        "incidents": len(found.incidents),
        "F1 after an answer to each incident": f1(answered(by_incident, truth), truth)["F1"],
        "F1 after an answer to each new type": f1(answered(by_type, truth), truth)["F1"],
        "fit CPU s": fitted - start,
        "detect klines per CPU s": found.lines / 1e3 / (detected - fitted),
    }
    return figures, table("types never seen", by_type, truth) + table("incidents", by_incident, truth)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--shares", default="20,50")
    parser.add_argument("--learn", default="all,usual")
    parser.add_argument("--members", default="members,new-event")
    parser.add_argument("--levels", action="store_true", help="look levels up in the raw samples")
    parser.add_argument("--recurring", default="usual", help="see oddlog fit")
    parser.add_argument("--seeds", type=int, default=5)
    arguments = parser.parse_args()
    merging.MOST_KEYS = 1_000_000  # an incident names a hundred windows to a person; here all of them count
    events, alert, texts = read(arguments.data)
    levels = looked_up(arguments.data, texts) if arguments.levels else {}
    stream = Stream(events.reshape(-1, WINDOW), alert.reshape(-1, WINDOW).any(axis=1), texts, levels)
    print(f"{len(events):,} lines, {len(texts)} types, {len(levels)} of them with a level")
    for learn in arguments.learn.split(","):
        for share in map(int, arguments.shares.split(",")):
            for members in arguments.members.split(","):
                options: dict = {"recurring": arguments.recurring}
                if members != "members":
                    options["detectors"] = members.split("+")
                seeds = arguments.seeds if members == "members" else 1
                every = [one(stream, share, learn, {**options, "seed": seed}) for seed in range(seeds)]
                print(f"\nlearned from {share} %, {learn} windows, {members}, {seeds} seeds:")
                for name in every[0][0]:
                    values = np.array([figures[name] for figures, _ in every])
                    print(f"  {name:42s} {values.mean():12.4f} ± {values.std():.4f}")
                print("\n".join(every[0][1]), flush=True)


if __name__ == "__main__":
    main()
