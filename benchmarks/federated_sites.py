"""What the benchmarks of federations deal to sites: HDFS, OpenStack (Nova campaign), BGL, or one of each.

A site has only its own usual windows to learn from, and its own message types: whatever else the test holds is a type
unseen by it, known by its text. No label is seen before the test.

==============  ====================================================================================================
hdfs            5,583 random usual sessions (1 % of the whole HDFS_v1) dealt to the sites; test: all other sessions,
                re-weighted to 2.93 % of anomalies, at every site
nova            runs of the first half of the usual ones, by time; test: all other usual runs, and the failed ones
bgl             windows of 100 lines without an alert of the first half; test: every second window of the second half
three           one site of each, each tested on its own
==============  ====================================================================================================

Dealt by `kind` (a Dirichlet draw of .1 over groups of windows with the same set of message types: some sites hardly see
some kinds), by `time` (one stretch after the other) or, Nova only, by `service` (the service that wrote the lines: a
session is what one service logged in a run, and the test the same of other runs).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np
import polars as pl

import hdfs_members
import nova_whole_way
from oddlog.datasets import bgl_stream
from oddlog.features.text import embed
from oddlog.formats import by_name, parse_lines
from oddlog.templates import Matcher, mask, mine
from oddlog.types import F64, I8, I64, LINES, NO_TIME, Context, Templates, Windows

SCARCE = 20  # windows that a site has at least


@dataclass(frozen=True)
class Told:
    """Windows of one log with labels, and the text of every type in it."""

    windows: Windows
    label: I8  # [w]
    texts: tuple[str, ...]  # [k]


@dataclass(frozen=True)
class Task:
    """What one site has to learn from, and what it is tested on."""

    learned: Windows
    context: Context
    test: Windows
    label: I8
    weight: F64
    unseen: tuple[str, ...]  # texts of the types behind the context's

    @classmethod
    def of(cls, told: Told, learned: I64, test: I64, weight: F64) -> Task:
        """Return the site that learns from some windows; types that are in none of them are unseen."""
        own = told.windows.take(learned)
        seen, count = np.unique(own.template, return_counts=True)
        rest = np.setdiff1d(np.arange(len(told.texts)), seen)
        order = np.concatenate([seen, rest])
        row = np.empty(len(order), np.uint32)
        row[order] = np.arange(len(order))
        texts = tuple(told.texts[i] for i in seen)
        k = len(texts)
        plain = np.arange(k)
        templates = Templates(
            texts, np.zeros(k, np.uint8), count, plain.astype(np.uint64), plain.astype(np.uint32), embed(texts)
        )
        later = told.windows.take(test)
        return cls(
            replace(own, template=row[own.template]),
            Context(templates),
            replace(later, template=row[later.template]),
            told.label[test],
            weight,
            tuple(told.texts[i] for i in rest),
        )


@dataclass(frozen=True)
class Draw:
    """The sites, and all of them in one place."""

    sites: list[Task]
    central: Callable[[int], Task]  # as the site of this number is tested
    one_test: bool = True  # whether that is the same for all


def draw(folder: Path, name: str, n: int, split: str, seed: int) -> Draw:
    """Return the sites of a benchmark."""
    if name == "three":
        return _three([(name, _read(folder, name, "time")) for name in ("hdfs", "nova", "bgl")], seed)
    return _dealt(_read(folder, name, split), name, n, split, seed)


def _three(logs: list[tuple[str, Told]], seed: int) -> Draw:
    """Return a site for each log; in one place all of their types stand side by side."""
    types = np.cumsum([0, *(len(told.texts) for _, told in logs)])
    first = np.cumsum([0, *(len(told.windows) for _, told in logs)])
    shifted = [
        replace(told.windows, template=told.windows.template + np.uint32(at))
        for (_, told), at in zip(logs, types[:-1], strict=True)
    ]
    texts = tuple(text for _, told in logs for text in told.texts)
    joint = Told(Windows.concat(shifted), np.concatenate([told.label for _, told in logs]), texts)
    cut = [_cut(told, name, np.random.default_rng(seed)) for name, told in logs]
    every = np.concatenate([learned + at for (learned, _, _), at in zip(cut, first[:-1], strict=True)])
    sites = [Task.of(told, *parts) for (_, told), parts in zip(logs, cut, strict=True)]
    return Draw(sites, lambda i: Task.of(joint, every, cut[i][1] + first[i], cut[i][2]), one_test=False)


def _dealt(told: Told, name: str, n: int, split: str, seed: int) -> Draw:
    rng = np.random.default_rng(seed)
    learned, test, weight = _cut(told, name, rng)
    windows = told.windows.take(learned)
    if split == "service":  # of what one service logs only that is its site's
        service, of_test = windows.service.astype(int), told.windows.take(test)
        which = np.minimum.reduceat(service, windows.offsets[:-1])
        tested = np.minimum.reduceat(of_test.service.astype(int), of_test.offsets[:-1])
        each = [(learned[which == i], tested == i) for i in np.unique(which) if (which == i).sum() >= 100]
        tasks = [Task.of(told, own, test[there], weight[there]) for own, there in each]
        return Draw(tasks, lambda i: Task.of(told, learned, test[each[i][1]], weight[each[i][1]]), one_test=False)
    of = np.arange(len(learned)) * n // len(learned) if split == "time" else _by_kind(windows, n, rng)
    return Draw(
        [Task.of(told, learned[of == i], test, weight) for i in range(n)],
        lambda _i: Task.of(told, learned, test, weight),
    )


def _cut(told: Told, name: str, rng: np.random.Generator) -> tuple[I64, I64, F64]:
    """Return which windows are learned from, in order of time, which are tested on, and their weights."""
    usual = np.flatnonzero(told.label == 0)
    if name == "hdfs":
        learned = rng.permutation(usual)[: hdfs_members.USUAL]
        test = np.setdiff1d(np.arange(len(told.label)), learned)
        weight = hdfs_members.reweighted(told.label[test])
    else:
        half = np.median(told.windows.start[usual]) if name == "nova" else told.windows.start[len(told.label) // 2]
        learned = usual[told.windows.start[usual] < half]
        test = np.setdiff1d(np.flatnonzero(told.label >= 0), learned)
        if name == "bgl":
            test = test[told.windows.start[test] >= half][::2]
        weight = np.ones(len(test))
    learned = learned[np.lexsort((told.windows.end[learned], told.windows.start[learned]))]
    return learned, test, weight


def _by_kind(windows: Windows, n: int, rng: np.random.Generator) -> I64:
    """Return the site of each window: of each kind, shares drawn from a Dirichlet distribution of .1."""
    kinds = [
        frozenset(np.unique(windows.template[a:b]).tolist())
        for a, b in zip(windows.offsets[:-1], windows.offsets[1:], strict=True)
    ]
    number = {kind: i for i, kind in enumerate(dict.fromkeys(kinds))}
    kind = np.array([number[one] for one in kinds])
    site = np.empty(len(kinds), np.int64)
    fewest = min(100, len(kinds) // (4 * n))
    while True:
        for one in range(len(number)):
            site[kind == one] = rng.choice(n, (kind == one).sum(), p=rng.dirichlet(np.full(n, 0.1)))
        if np.bincount(site, minlength=n).min() >= max(fewest, SCARCE):
            return site


@cache
def _read(folder: Path, name: str, split: str) -> Told:
    if name == "hdfs":
        data = hdfs_members.read(folder / "hdfs")
        return Told(data.windows, data.label, data.context.templates.text)
    return _nova(folder / "openstack_nova", by_service=split == "service") if name == "nova" else _bgl(folder / "bgl")


def _bgl(folder: Path) -> Told:
    events, label, text = bgl_stream.read(folder)
    types, template = np.unique(events, return_inverse=True)
    n = len(events) // bgl_stream.WINDOW
    of_line = label.reshape(n, bgl_stream.WINDOW)
    alert = np.where((of_line == 1).any(1), 1, np.where((of_line == -1).any(1), -1, 0)).astype(np.int8)
    windows = _windows(np.repeat(np.arange(n), bgl_stream.WINDOW), template, np.arange(n), np.arange(n))
    return Told(windows, alert, tuple(text[event] for event in types.tolist()))


def _nova(folder: Path, *, by_service: bool) -> Told:
    """Return the runs, or what each service logged in each run; runs with a fault that did not fail are label -1."""
    lines, runs = nova_whole_way.read(folder)
    raw = lines.select(run="run", file=pl.col("text").str.split("\t").list.get(1), text=pl.col("text"))
    text = raw["text"].str.splitn("\t", 3).struct.field("field_2")
    n = len(text)
    frame = pl.DataFrame(
        {
            "source": pl.repeat("nova", n, eager=True),
            "position": np.arange(n, dtype=np.uint64),
            "line": np.arange(n, dtype=np.uint64),
            "text": text,
            "count": np.ones(n, np.uint32),
        },
        schema=LINES,
    )
    records = parse_lines(frame, by_name("openstack"), year=2018).select("time", "message", "line", "level")
    records = records.with_columns(run=raw["run"].gather(records["line"]), file=raw["file"].gather(records["line"]))
    masked = mask(records["message"])
    count = np.bincount(masked.inverse, minlength=len(masked.distinct_key))
    templates = mine(masked.distinct_key, masked.distinct_text, count, np.zeros(len(count), np.uint8))
    rows = Matcher(templates).rows(masked.distinct_key, masked.distinct_text)
    service = pl.col("file").str.split("/").list.get(0)
    session = pl.concat_str("run", service, separator="/") if by_service else pl.col("run")
    events = records.with_columns(
        template=pl.Series(rows[masked.inverse]), session=session, service=service.rank("dense") - 1
    ).sort("session", "time", "line")
    found = events.group_by("session", maintain_order=True).agg(
        pl.len(), pl.col("run").first(), start=pl.col("time").min(), end=pl.col("time").max()
    )
    kind = found.join(runs.select("run", "kind"), on="run", how="left", maintain_order="left")["kind"]
    label = kind.replace_strict({"usual": 0, "failed": 1}, default=-1, return_dtype=pl.Int8).to_numpy()
    of_event = np.repeat(np.arange(len(found)), found["len"].to_numpy())
    start, end = (found[name].to_physical().to_numpy() for name in ("start", "end"))
    windows = _windows(of_event, events["template"].to_numpy(), start, end)
    return Told(
        replace(
            windows,
            level=events["level"].to_physical().to_numpy().astype(np.uint8),
            service=events["service"].to_numpy().astype(np.uint16),
        ),
        label,
        templates.text,
    )


def _windows(of_event: I64, template: I64, start: I64, end: I64) -> Windows:
    w, e = len(start), len(of_event)
    offsets = np.concatenate([[0], np.cumsum(np.bincount(of_event, minlength=w))]).astype(np.int64)
    return Windows(
        key=pl.Series("key", np.arange(w)).cast(pl.String),
        start=start,
        end=end,
        closed_by=np.ones(w, np.uint8),
        weight=np.ones(w),
        offsets=offsets,
        template=template.astype(np.uint32),
        time_us=np.full(e, NO_TIME),
        level=np.zeros(e, np.uint8),
        service=np.zeros(e, np.uint16),
        source=np.zeros(e, np.uint16),
        line=np.arange(e, dtype=np.uint64),
        numbers=np.empty((e, 0), np.float32),
    )
