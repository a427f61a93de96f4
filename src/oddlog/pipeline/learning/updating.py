"""`update`: learn more into a new model. What was known keeps its place, what people said is heeded.

Types keep their rows: keys that the old model knows, or that fit a type of its, stay what they are; only the others
are mined, and stand behind them. So patterns, and the answers to them, mean the same in the new model. The views are
learned anew from what is remembered of the old training (`memory`) and all of the new logs, with the options of the
old fit. Windows that were called usual stay in training, those that were confirmed leave it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from oddlog.config import as_time
from oddlog.errors import ModelError, TooLittleDataError
from oddlog.explain import percent
from oddlog.features.text import embed
from oddlog.feedback import Answers
from oddlog.model import Model
from oddlog.pipeline.judging.answering import Overlay
from oddlog.pipeline.learning.collecting import Collected
from oddlog.pipeline.learning.memory import PART, Memory
from oddlog.pipeline.learning.modelling import Fitting
from oddlog.pipeline.learning.remembering import OVERLAP, overlap, recalled, remembers
from oddlog.pipeline.learning.remembering import PART as COUNTS
from oddlog.pipeline.reading import Reading
from oddlog.rates import Counting
from oddlog.templates import Matcher, mine
from oddlog.types import OVERFLOW, Context, Tally, Templates

MOST_ROWS = 100_000  # types of a model
MOST_STRANGE = (
    0.5  # share of the lines that are of types the model has never seen, beyond which it is asked whose they are
)

_log = logging.getLogger("oddlog")

Say = Callable[[str, int], None]


def update(
    model: Model,
    paths: str | Path | Sequence[str | Path],
    *,
    format: str = "",  # noqa: A002 - the option's name
    since: str | datetime = "",
    until: str | datetime = "",
    answers: Answers | None = None,
    progress: Say | None = None,
) -> Model:
    """Return a new model that knows what `model` learned, and what the logs at `paths` add to it.

    Parameters
    ----------
    model : Model
        Stays as it is.
    paths, format, since, until
        See `fit`; filters, session, entity, detectors and seed are those of the model.
    answers : Answers
        What people have said of incidents; see `oddlog.feedback`.
    progress : callable
        Told (what is being done, how many).

    Raises
    ------
    ModelError
        If the model remembers nothing of its training.
    UserError
        If nothing can be read.

    """
    say = progress or (lambda _what, _n: None)
    if PART not in model.memory:
        raise ModelError("The model remembers nothing of its training, so nothing can be added.", "Learn it anew.")
    memory = Memory.from_states(model.memory, len(model.context.numbers))
    learned = model.reading
    reading = Reading(
        format=format or learned["format"],
        also_exclude=learned["exclude"],
        since=as_time(since),
        until=as_time(until),
        redact=learned["redact"],
        drop_duplicates=learned["drop_duplicates"],
        known_formats=tuple(dict.fromkeys(learned["formats"].values())),
        progress=lambda source, n: say(f"reading {source}", n),
    )
    plan = [(view.name, view.cut) for view in model.views]
    counting = _counting(model, reading.tally)
    before = None if counting is None else counting.table("cells")
    names = {"services": model.context.services, "hosts": _hosts(model)}
    with (
        closing(reading),
        Collected(plan, model.context.numbers, reading.tally, counting, **names) as collected,
    ):
        for block in reading.records(paths):
            collected.add(block)
        if not collected.records:
            raise TooLittleDataError("No record is left to learn from.", "Loosen --since and --until.")
        if counting is not None and before is not None:
            reading.tally.add(OVERLAP, overlap(before, counting.table("cells")))
        collected.recall_times(memory.times_again, model.training["records"])
        say("mining templates", 0)
        templates = grown(model.context.templates, collected, reading.tally)
        strange = _strange(model.context.templates, templates, collected)
        context = Context(templates, model.context.numbers, tuple(collected.services.names), model.context.seed)
        fitting = Fitting.again(collected, context, model, memory, say)
        if answers is not None:
            overlay = Overlay(answers.standing(), Matcher(templates))
            fitting.answered = {view.name: partial(overlay.labels, view) for view in model.views}
        new = fitting.model(reading)
    if strange:
        _log.warning("%s", strange)
    training = _training(model, new)
    training["notes"] = [*training["notes"], *([strange] if strange else [])]
    return replace(new, reading=_reading(learned, reading), training=training)


def _counting(model: Model, tally: Tally) -> Counting | None:
    """Return a counting that goes on from what a model remembers; None where it remembers no counts."""
    if model.rates is None or not remembers(model.memory):
        return None
    counting = Counting(tally, model.reading.get("entity", ""))
    recalled(model.memory[COUNTS], counting)
    return counting


def _hosts(model: Model) -> tuple[str, ...]:
    """Return the names of hosts that shares were counted by."""
    return () if model.rates is None or model.rates.shares is None else tuple(model.rates.shares.hosts)


def _strange(old: Templates, new: Templates, collected: Collected) -> str:
    """Return that most lines look like those of another system, if they do."""
    types = collected.types()
    row = new.rows_of(types["key"].to_numpy())
    n = types["n"].to_numpy()
    unknown, every = int(n[(row < 0) | (row >= len(old))].sum()), int(n.sum())
    if unknown <= MOST_STRANGE * every:
        return ""
    return (
        f"{percent(unknown / every)} of the {every:,} lines are of message types that the model had never seen: are "
        "these logs of another system? If so, give it a model of its own, with oddlog fit, and keep this one as it was."
    )


def grown(old: Templates, collected: Collected, tally: Tally) -> Templates:
    """Return the old types in their rows, and behind them those of the collected ones that are new."""
    types, k = collected.types(), len(old)
    key = types["key"].to_numpy()
    known = old.rows_of(key)
    row = np.where(known < 0, Matcher(old).rows(key, types["text"]), known)
    unseen = (known < 0) & (row >= k)
    mined = _mined(types.filter(pl.Series(unseen)), MOST_ROWS - k, tally)
    behind = mined.rows_of(key[unseen])
    row[unseen] = np.where(behind == OVERFLOW, OVERFLOW, behind + k)
    rowed = row < k + len(mined)
    n = np.bincount(row[rowed], types["n"].to_numpy()[rowed], minlength=k + len(mined)).astype(np.int64)
    every = np.concatenate([old.key, key[known < 0]])
    order = np.argsort(every)
    return Templates(
        text=old.text + mined.text,
        level=np.concatenate([old.level, mined.level]),
        count=n + np.concatenate([old.count, np.zeros(len(mined), np.int64)]),
        key=every[order],
        row=np.concatenate([old.row, row[known < 0].astype(np.uint32)])[order],
        embedding=np.concatenate([old.embedding, embed(mined.text)]) if len(mined) else old.embedding,
    )


def _mined(types: pl.DataFrame, most: int, tally: Tally) -> Templates:
    columns = (types["n"].to_numpy(), types["level"].to_numpy())
    return mine(types["key"].to_numpy(), types["text"], *columns, max_rows=max(most, 0), tally=tally)


def _reading(learned: Mapping[str, Any], reading: Reading) -> dict[str, Any]:
    """Return the old facts of reading, with the sources that came to it."""
    formats = {source: found.format.name for source, found in reading.formats.items()}
    shares = {name: dict(one) for name, one in learned["format_shares"].items()}
    for found in reading.formats.values():
        one = shares.setdefault(found.format.name, {"sources": 0, "confidence": 1.0})
        one["sources"] += 1
        one["confidence"] = min(one["confidence"], found.confidence)
    return {**learned, "formats": {**learned["formats"], **formats}, "format_shares": shares}


def _training(old: Model, new: Model) -> dict[str, Any]:
    """Return what the new model was learned from, with what the old one was."""
    was, now = old.training, new.training
    spans = [one for facts in (was, now) for one in (facts["start"], facts["end"]) if one is not None]
    tally = Tally()
    for facts in (was, now):
        tally.merge(_tally(facts["tally"]))
    step = {"model": old.id, **{name: now[name] for name in ("lines", "records", "start", "end")}}
    return {
        **now,
        "lines": was["lines"] + now["lines"],
        "records": was["records"] + now["records"],
        "start": min(spans, default=None),
        "end": max(spans, default=None),
        "numbers": was["numbers"],
        "tally": {"counts": dict(tally.counts), "examples": tally.examples},
        "updates": [*was.get("updates", ()), step],
    }


def _tally(facts: Mapping[str, Any]) -> Tally:
    tally = Tally()
    tally.counts.update(facts["counts"])
    tally.examples.update(facts["examples"])
    return tally
