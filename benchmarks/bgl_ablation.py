"""Novelty x level x words on the second half of BGL by time, each factor switched on and off; and what answers add.

    python benchmarks/bgl_ablation.py ../shared/data/bgl

A window of 100 lines is odd if it holds a type that is new (not among the types of the first share of the lines: of all
its windows, no label seen, or of its usual windows, labels having left the others out), and has the level ERROR or
above, and holds a word of the product's list; a factor that is switched off asks nothing. Nothing is fitted and no
threshold chosen. The stream carries no levels: a type has the one of the raw lines that its text fits (`bgl_half2.py
--levels`); these samples come from the whole log, half of them alerts, so levels are hindsight, and the types that are
not in the samples have none. `unknown` says what becomes of those: no (they are not ERROR) or yes (they may be). The
truth about levels lies between.

Answers: the first false alarm (an odd window without an alert) has its telling types called usual when it ends; that
holds for later windows. *Muted*: anomalous windows that were odd before, and are no more. Intervals (95 %): fifty
stretches of time drawn anew.
"""

from __future__ import annotations

import argparse
from itertools import product
from pathlib import Path

import numpy as np

from bgl_half2 import WINDOW, looked_up, read
from oddlog.evaluation import metrics
from oddlog.evaluation.resampling import f1_interval, time_blocks
from oddlog.incidents import alarming
from oddlog.types import LEVELS

ERROR = LEVELS.index("ERROR")
ANSWERS = (5, 10, 50, 1_000_000)


def answered(telling: np.ndarray, windows: np.ndarray, truth: np.ndarray, most: int) -> tuple[np.ndarray, int]:
    """Return which windows [w] are odd when at most `most` answers are given, and how many were."""
    telling, odd, given = telling.copy(), np.zeros(len(windows), np.bool_), 0
    for i, events in enumerate(windows):
        found = telling[events]
        odd[i] = found.any()
        if odd[i] and not truth[i] and given < most:
            telling[events[found]] = False
            given += 1
    return odd, given


def row(name: str, telling: np.ndarray, windows: np.ndarray, truth: np.ndarray) -> str:
    """Return a line of the table: verdicts without an answer, then F1 after answers."""
    odd = telling[windows].any(axis=1)
    label, weight = truth.astype(np.int8), np.ones(len(truth))
    block = time_blocks(np.arange(len(truth)))
    counts = metrics.counted(odd, label)
    low, high = f1_interval(odd, label, weight, block)
    cells = [f"{counts.f1:.3f}", f"{low:.3f}–{high:.3f}", f"{counts.precision:.3f}", f"{counts.recall:.3f}"]
    for most in ANSWERS:
        after, given = answered(telling, windows, truth, most)
        f1 = metrics.counted(after, label).f1
        if most != ANSWERS[-1]:
            cells.append(f"{f1:.3f}")
            continue
        low, high = f1_interval(after, label, weight, block)
        muted = int((odd & ~after & truth).sum())
        cells += [f"{f1:.3f} ({low:.3f}–{high:.3f})", f"{given:,}", f"{muted:,}"]
    return f"| {name} | {' | '.join(cells)} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--shares", default="20,50")
    arguments = parser.parse_args()
    events, alert, texts = read(arguments.data)
    levels = looked_up(arguments.data, texts)
    size = max(texts) + 1
    words, level, known = (np.zeros(size, np.bool_) for _ in range(3))
    for event, text in texts.items():
        words[event] = alarming([text])[0]
        level[event] = LEVELS.index(levels.get(event, "UNKNOWN")) >= ERROR
        known[event] = event in levels
    windows, truth = events.reshape(-1, WINDOW).astype(np.int64), alert.reshape(-1, WINDOW).any(axis=1)
    print(
        f"{len(windows):,} windows, {truth.mean():.1%} anomalous; {len(texts)} types, {int(known.sum())} with a level,"
    )
    print(f"{int(level.sum())} of them ERROR or above; {int(words.sum())} with an alarming word")
    for learn, share in product(("all", "usual"), map(int, arguments.shares.split(","))):
        cut = len(windows) * share // 100
        later, odd = windows[cut:], truth[cut:]
        new = np.ones(size, np.bool_)
        new[np.unique(windows[:cut] if learn == "all" else windows[:cut][~truth[:cut]])] = False
        print(f"\n{learn} windows of the first {share} %; {len(later):,} windows judged, {odd.sum():,} anomalous\n")
        after = " | ".join(f"F1 after {n}" for n in ANSWERS[:-1])
        print("| new | level | words | unknown | F1 | 95 % | precision | recall", end="")
        print(f" | {after} | F1 after all | answers | muted |")
        print("|" + "---|" * 14)
        for by_new, by_level, by_words in product((True, False), repeat=3):
            if learn == "usual" and not by_new:
                continue  # the same as above
            for unknown in (False, True) if by_level else (False,):
                telling = np.ones(size, np.bool_)
                telling &= new if by_new else True
                telling &= (level | (unknown & ~known)) if by_level else True
                telling &= words if by_words else True
                marks = ["x" if on else "" for on in (by_new, by_level, by_words)]
                name = " | ".join([*marks, ("yes" if unknown else "no") if by_level else ""])
                print(row(name, telling, later, odd), flush=True)


if __name__ == "__main__":
    main()
