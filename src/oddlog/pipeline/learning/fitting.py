"""`fit`: from lines to a model."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from datetime import datetime
from functools import partial
from pathlib import Path

from oddlog import plugins
from oddlog.config import as_time, parse_false_alarms
from oddlog.detectors import CANDIDATES, DEFAULT, create, installed
from oddlog.errors import ConfigError, LabelError, TooLittleDataError
from oddlog.model import Model
from oddlog.pipeline.keeping import KeptPasses
from oddlog.pipeline.learning.collecting import First, first_pass
from oddlog.pipeline.learning.labels import Labels, require_match, to_learn
from oddlog.pipeline.learning.members import Calibrated, needs_labels, reads_of
from oddlog.pipeline.learning.modelling import Fitting, Say
from oddlog.pipeline.learning.view import Options, Recurring, Trained
from oddlog.pipeline.misfits import misfits
from oddlog.pipeline.planning import reading_facts, session_says, time_at_share, too_few_sessions, unused_window
from oddlog.pipeline.reading import Reading
from oddlog.thresholds import Way

MOST_TOLD = 50  # candidates for numbers to watch that the model tells of

_log = logging.getLogger("oddlog")


def fit(
    paths: str | Path | Sequence[str | Path],
    *,
    format: str = "",  # noqa: A002 - the option's name
    session: str = "auto",
    entity: str = "",
    window: str = "",
    detectors: str | Sequence[str] | None = None,
    options: Options | None = None,
    checkpoints: str | Path = "",
    false_alarms: str | float = "",
    threshold: str = "pot",
    labels: str | Path | None = None,
    exclude: str = "",
    since: str | datetime = "",
    until: str | datetime = "",
    recurring: Recurring = "usual",
    drop_duplicates: bool = False,
    redact: bool = True,
    rates: bool = True,
    seed: int = 0,
    train_share: float = 1.0,
    trained: Trained | None = None,
    progress: Say | None = None,
    keeping: KeptPasses | None = None,
) -> Model:
    """Learn what is usual in the logs at `paths`.

    Parameters
    ----------
    paths : path or sequence of paths
        Files, globs, directories, or "-" for standard input.
    format : str
        Name of the format of all lines; found per source if empty.
    session : str
        What ties lines together: "auto" (found), "none", a field, or a regular expression with one group.
    entity : str
        A field (or expression) each value of which is also watched on its own.
    window : str
        Where there are no sessions, and for entities: a duration ("60s") or a number of lines ("100").
    detectors : str or sequence of str
        Members of the verdict, and no others; if None the default ones, and candidates that are fitted and shown.
    options : mapping, optional
        By detector, what goes to its constructor: ``{"lstm": {"width": 48}}``.
    checkpoints : path
        A folder in which what takes minutes to train leaves checkpoints. A fit that was ended and is begun again on
        the same logs, with the same options, goes on from them to the same model.
    false_alarms : str or float
        How many a day are accepted; if empty "5/day", and never more than 1 in 1,000 windows.
    threshold : str
        How the threshold of windows is found: "pot" (the fitted tail, at the rate of false alarms), "budget" (the same,
        at so many alarms a day, whatever rate that is), "quantile" (counted), or "sigma" ("sigma:2.5"): mean + 3
        standard deviations of the usual scores, at no rate that anybody asked for. See `oddlog.thresholds`.
    labels : path
        CSV of key,label: anomalies leave the training data and choose the threshold on the last 15 % of the time;
        detectors that learn from labels, such as "svm", are given them.
    exclude : str
        SQL condition for records to leave out.
    since, until : str or datetime
        Only records from, and before, this time.
    recurring : "usual" or "odd"
        What to make of windows that look odd but come back in most stretches of the training time: take them as
        usual, so that they are not reported for ever, or as odd (the better choice where training holds repeated
        anomalies that must be found).
    drop_duplicates, redact : bool
        See `cleaning.Cleaner`.
    rates : bool
        Also learn how many lines, errors and failures there usually are by minute. See `pipeline.rates`.
    seed : int
        Same input and seed, same model.
    train_share : float
        Learn from this first share of the lines, by time.
    trained : mapping of Detector or Calibrated, optional
        By name, members of the first view that were trained elsewhere, on windows of the same logs cut alike
        (`pipeline.learning.usual`) but none of the last 15 %. They are calibrated and not fitted; who is not of
        `detectors` joins the verdict by the rule of candidates. One that is `Calibrated` on the windows of many sites
        makes the verdict where no `detectors` are named, and the default ones are the candidates.
    progress : callable
        Told (what is being done, how many).
    keeping : KeptPasses, optional
        Keeps the first pass for another fit on the same logs that differs in its detectors alone.

    Raises
    ------
    UserError
        If an option makes no sense, nothing can be read, or too little to learn from.

    """
    say = progress or (lambda _what, _n: None)
    names, candidates, missing = _members(detectors)
    trained = trained or {}
    candidates = (*candidates, *(name for name in trained if name not in (*names, *candidates)))
    leading = tuple(name for name, one in trained.items() if isinstance(one, Calibrated) and detectors is None)
    options = {name: dict(chosen) for name, chosen in (options or {}).items()}
    _check_options(options, recurring, seed)
    way = Way.parse(threshold)
    alarms = None if false_alarms == "" else float(parse_false_alarms(str(false_alarms)))
    known, one_kind = to_learn(Path(labels)) if labels else (None, "")
    if one_kind:
        _log.warning("%s", one_kind)
    _require_labels(names, known)
    reading = Reading(
        format=format,
        exclude=exclude,
        since=as_time(since),
        until=as_time(until),
        redact=redact,
        drop_duplicates=drop_duplicates,
        progress=lambda source, n: say(f"reading {source}", n),
    )
    if train_share != 1.0:
        reading.until = time_at_share(paths, reading, train_share)
    watch = any("numbers" in reads_of(name) for name in (*names, *candidates))

    def learn(reading: Reading, session: str) -> tuple[First, Fitting, Model | TooLittleDataError]:
        opened = partial(first_pass, paths, reading, session, entity, window, seed, say, rates=rates, watch=watch)
        with opened() if keeping is None else keeping.first((str(paths), session, watch), opened) as first:
            tried = tuple(name for name in candidates if name != "values" or first.context.numbers)
            fitting = Fitting(
                first.collected,
                first.context,
                names,
                tried,
                alarms,
                known,
                recurring,
                say,
                options=options,
                checkpoints=str(checkpoints),
                way=way,
                trained=trained,
                leading=leading,
            )

            def matched() -> None:
                if known is not None:
                    found = (fitting.matched, fitting.matched_anomalous, fitting.example)
                    require_match(known, *found, Path(str(labels)))

            try:
                return first, fitting, fitting.model(first.reading, matched)
            except TooLittleDataError as error:
                return first, fitting, error

    with ExitStack() as stack:
        stack.callback(reading.close)
        first, fitting, model = learn(reading, session)
        says = session_says(first.choice, first.cuts[0][1])
        looked_at = first.choice.candidates
        if session == "auto" and known is None and _has_few_sessions(model, first):
            again = reading.anew()
            stack.callback(again.close)
            other = learn(again, "none")
            if isinstance(other[2], Model):
                says = too_few_sessions(first.choice, fitting.finished, other[0].cuts[0][1])
                _log.warning("Sessions: %s.", says)
                first, fitting, model = other
    if isinstance(model, TooLittleDataError):
        raise model
    training = {
        **model.training,
        "numbers": first.judged[:MOST_TOLD],
        "notes": [
            note for note in (missing, unused_window(window, first.cuts), *misfits(first.reading.formats)) if note
        ],
    }
    choice = replace(first.choice, candidates=looked_at)
    return replace(model, reading=reading_facts(first.reading, choice, says, entity, window), training=training)


def _check_options(options: Options, recurring: str, seed: int) -> None:
    """Tell what makes no sense before anything is read."""
    for name, chosen in options.items():
        create(name, seed, **chosen)
    if recurring not in ("usual", "odd"):
        raise ConfigError(f"What recurs is taken as 'usual' or 'odd', not as '{recurring}'.", "Write --recurring odd.")


def _has_few_sessions(model: Model | TooLittleDataError, first: First) -> bool:
    """Return whether nothing was learned since sessions were found that are too few."""
    return isinstance(model, TooLittleDataError) and first.choice.kind != "none"


def _members(detectors: str | Sequence[str] | None) -> tuple[tuple[str, ...], tuple[str, ...], str]:
    """Return who votes, who is only shown unless the rule says otherwise, and what is missing for want of an extra."""
    if isinstance(detectors, str):
        detectors = [name.strip() for name in detectors.split(",") if name.strip()]
    if detectors is None:
        there = plugins.found("oddlog.detectors")
        present, missing = installed((*DEFAULT, *(name for name in CANDIDATES if name in there)))
        voting = tuple(name for name in present if name in DEFAULT)
        return voting, tuple(name for name in present if name not in DEFAULT), missing
    if not detectors:
        raise ConfigError("No detector was named.", "Leave --detectors out for the default ones.")
    return tuple(dict.fromkeys(detectors)), (), ""


def _require_labels(names: Sequence[str], labels: Labels | None) -> None:
    needing = [name for name in names if needs_labels(name)]
    if needing and labels is None:
        which = f"{'detectors' if len(needing) > 1 else 'detector'} {' and '.join(map(repr, needing))}"
        raise LabelError(
            f"The {which} learn{'' if len(needing) > 1 else 's'} from labels, and none are given.",
            "Give some with --labels FILE, a CSV with the columns key,label; or name others, such as snn.",
        )
