"""The second half of BGL by time, windows of 100 lines: `oddlog.fit` on the first share, `detect` on the rest.

    python benchmarks/bgl_half2.py ../shared/data/bgl [--shares 20,50] [--learn all,usual] [--levels] [--seeds 5]

The data are a stream of event types in order of time, with the text of each type's template; the lines are made of
these texts, so they have neither time nor service, and no level unless `--levels`: then types whose text fits lines of
the raw samples get the level that these lines have. The samples come from the whole log, half of the larger one are
alerts: a use of hindsight, and the types that are not in them have no level.

A window is anomalous if one of its lines is an alert. Learned is from all lines of the first share, as they are
(`all`), or from its windows without an alert (`usual`).

Printed are the verdicts of windows (`members`: by the default members, `new-event`: by this one alone), the windows that
hold a line odd by itself (`lines`), and what a person sees who reads incidents in the order of the product, or in
random order: after so many, which share of the anomalous windows they have been shown, and which share of the
windows shown was anomalous.
"""

from __future__ import annotations

import argparse
import gzip
import re
import tempfile
import time
from pathlib import Path

import numpy as np
import orjson
import polars as pl
from sklearn.metrics import roc_auc_score

import oddlog
from oddlog.formats.levels import BY_WORD
from oddlog.incidents import alarming, pattern_of
from oddlog.pipeline import merging
from oddlog.templates import Matcher, mask
from oddlog.types import LEVELS

WINDOW = 100
SHOWN = (5, 10, 20, 50, 100, 200, 500)
RANDOM_ORDERS = 20


def read(folder: Path) -> tuple[np.ndarray, np.ndarray, dict[int, str]]:
    """Return the event types, the alert labels (whole windows), and the text of each type."""
    data = np.load(folder / "bgl_half2.npz")
    whole = len(data["event"]) // WINDOW * WINDOW
    texts = dict(pl.read_csv(folder / "bgl_half2_templates.csv").select("event", "template").iter_rows())
    unread = (event for event in np.unique(data["event"]).tolist() if not (texts.get(event) or "").strip())
    # A type without a text gets a word of its own, without a digit: digits are masked.
    texts |= {event: "unread " + "".join(chr(97 + int(digit)) for digit in str(event)) for event in unread}
    return data["event"][:whole], data["label"][:whole] == 1, texts


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


def write(events: np.ndarray, texts: dict[int, str], levels: dict[int, str], path: Path) -> None:
    """Write a line of JSON for each event."""
    line = {
        event: orjson.dumps(({"level": levels[event]} if event in levels else {}) | {"message": text}).decode()
        for event, text in texts.items()
    }
    series = pl.Series(events.astype(np.int64)).replace_strict(list(line), list(line.values()), return_dtype=pl.String)
    path.write_text("\n".join(series) + "\n", encoding="utf-8")


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


def shown(windows_of: list[np.ndarray], truth: np.ndarray) -> dict[int, tuple[float, float]]:
    """Return recall and precision of the windows [w] in the first so many incidents."""
    seen = np.zeros(len(truth), np.bool_)
    told = {}
    for n, windows in enumerate(windows_of, 1):
        seen[windows] = True
        if n in SHOWN or n == len(windows_of):
            told[n] = (float(seen[truth].mean()), float(truth[seen].mean()) if seen.any() else 1.0)
    return told


def answered(windows_of: list[np.ndarray], truth: np.ndarray) -> np.ndarray:
    """Return the windows [w] that stay odd after every incident that shows mostly usual windows was called usual."""
    odd = np.zeros(len(truth), np.bool_)
    for windows in windows_of:
        odd[windows] |= truth[windows].mean() > 0.5 if len(windows) else False  # noqa: PLR2004 -- most of them
    return odd


def one(
    events: np.ndarray,
    alert: np.ndarray,
    texts: dict[int, str],
    levels: dict[int, str],
    share: int,
    learn: str,
    detectors: list[str] | None,
    seed: int,
    options: dict,
) -> tuple[dict[str, float], list[str]]:
    """Learn and detect once; return the figures, and lines to print about the order of incidents."""
    cut = len(events) // WINDOW * share // 100 * WINDOW
    kept = np.ones(cut, np.bool_)
    if learn == "usual":
        kept = np.repeat(~alert[:cut].reshape(-1, WINDOW).any(axis=1), WINDOW)
    later = events[cut:].reshape(-1, WINDOW)
    truth = alert[cut:].reshape(-1, WINDOW).any(axis=1)
    with tempfile.TemporaryDirectory() as folder:
        train, test = Path(folder, "train.json"), Path(folder, "test.json")
        write(events[:cut][kept], texts, levels, train)
        write(events[cut:], texts, levels, test)
        start = time.process_time()
        model = oddlog.fit(train, session="none", window=str(WINDOW), detectors=detectors, seed=seed, **options)
        fitted = time.process_time()
        found = model.detect(test)
        detected = time.process_time()
    number = found.scores["key"].str.extract(r"#(\d+)$").cast(pl.Int64).to_numpy()
    verdict = found.scores[np.argsort(number, kind="stable")]
    assert len(verdict) == len(truth), (len(verdict), len(truth))
    assert (verdict["n_events"] == WINDOW).all()
    odd, score = verdict["is_anomaly"].to_numpy(), np.nan_to_num(verdict["score"].to_numpy(), nan=0.0)
    line_score, line_odd, patterns = line_verdicts(model, texts, levels)
    odd_line, most = line_odd[later].any(axis=1), line_score[later].max(axis=1)
    known = np.isin(later, np.unique(events[:cut][kept]))
    by_incident = [
        np.flatnonzero(np.isin(later, patterns[incident.pattern]).any(axis=1))
        if not incident.n_windows
        else np.array([int(key.rsplit("#", 1)[1]) for key in incident.keys], np.int64)
        for incident in found.incidents
    ]
    facts = model.training["views"]["windows"]
    figures = {
        "windows": len(truth),
        "anomalous": truth.mean(),
        "usual windows with an event never seen": (~known).any(axis=1)[~truth].mean(),
        "windows learned from": facts["windows"],
        "trimmed": facts["trimmed"],
        **{f"verdict {name}": value for name, value in f1(odd, truth).items()},
        "verdict AUC": roc_auc_score(truth, score),
        "verdict best F1 in hindsight": best_f1(score, truth),
        **{f"odd line {name}": value for name, value in f1(odd_line, truth).items()},
        "most pressing line AUC": roc_auc_score(truth, most),
        "most pressing line best F1 in hindsight": best_f1(most, truth),
        "incidents": len(found.incidents),
        "after an answer to each incident F1": f1(answered(by_incident, truth), truth)["F1"],
        "fit CPU s": fitted - start,
        "detect klines per CPU s": found.lines / 1e3 / (detected - fitted),
    }
    told = ["    shown | recall and precision of the windows shown, in order | in random order"]
    draw = np.random.default_rng(seed)
    random = [
        shown([by_incident[i] for i in draw.permutation(len(by_incident))], truth) for _ in range(RANDOM_ORDERS)
    ]
    for n, (recall, precision) in shown(by_incident, truth).items():
        chance = np.mean([order[n] for order in random], axis=0)
        told.append(f"    {n:5d} | {recall:.3f} {precision:.3f} | {chance[0]:.3f} {chance[1]:.3f}")
    return figures, told


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
    print(f"{len(events):,} lines, {len(texts)} types, {len(levels)} of them with a level")
    for learn in arguments.learn.split(","):
        for share in map(int, arguments.shares.split(",")):
            for members in arguments.members.split(","):
                detectors = None if members == "members" else members.split("+")
                every, told = [], []
                for seed in range(arguments.seeds if detectors is None else 1):
                    options = {"recurring": arguments.recurring}
                    figures, orders = one(events, alert, texts, levels, share, learn, detectors, seed, options)
                    every.append(figures)
                    told = told or orders
                print(f"\nlearned from {share} %, {learn} windows, {members}, seeds 0 to {len(every) - 1}:")
                for name in every[0]:
                    values = np.array([figures[name] for figures in every])
                    print(f"  {name:42s} {values.mean():12.4f} ± {values.std():.4f}")
                print("\n".join(told), flush=True)


if __name__ == "__main__":
    main()
