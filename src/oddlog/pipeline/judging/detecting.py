"""`detect`: from lines to incidents."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import polars as pl

from oddlog.config import as_time
from oddlog.explain import stretch_sums, totals_by_stretch
from oddlog.feedback import Answers, Mark, Marks, Standing
from oddlog.incidents import alarming
from oddlog.model import Model
from oddlog.pipeline.cutting import cut_windows, partitions
from oddlog.pipeline.drifting import Drift, Drifting, drift_notes
from oddlog.pipeline.events import Codes, EventStore, typed
from oddlog.pipeline.judging.answering import Overlay, hidden_notes
from oddlog.pipeline.judging.deployments import Finding
from oddlog.pipeline.judging.detection import Detection, Each, Part
from oddlog.pipeline.judging.episodes import Episode, episodes_of, incident_of, stretches_of
from oddlog.pipeline.judging.merging import Merging
from oddlog.pipeline.judging.odd import MOST_ODD
from oddlog.pipeline.judging.overview import Collector
from oddlog.pipeline.judging.sampling import Sampling
from oddlog.pipeline.judging.since_deploy import SinceDeploy, Telling
from oddlog.pipeline.judging.verdicts import LineWriter, check_writable, line_verdicts, write_parquet
from oddlog.pipeline.judging.views import View
from oddlog.pipeline.keeping import KeptRecords
from oddlog.pipeline.learning.collecting import words_of
from oddlog.pipeline.misfits import misfits
from oddlog.pipeline.planning import group_of
from oddlog.pipeline.rates import NAME as RATES
from oddlog.pipeline.rates import NOUN, Judged
from oddlog.pipeline.reading import Reading
from oddlog.pipeline.rolling import Thresholds
from oddlog.pipeline.shares import ShareLines, with_shares
from oddlog.pipeline.watching import NumberColumns
from oddlog.rates import Absent, Counting, Wrote
from oddlog.rates.counting import US_PER_MINUTE
from oddlog.shares import ShareCounting
from oddlog.templates import Matcher
from oddlog.types import NO_TIME, SCORES, Bool, Tally, Windows, to_datetime

Say = Callable[[str, int], None]


def detect(
    model: Model,
    paths: str | Path | Sequence[str | Path],
    *,
    format: str = "",  # noqa: A002 - the option's name
    exclude: str = "",
    since: str | datetime = "",
    until: str | datetime = "",
    scores: str | Path | None = None,
    line_scores: str | Path | None = None,
    threshold: str = "learned",
    answers: Answers | None = None,
    marks: Marks | None = None,
    now: datetime | None = None,
    overview: bool = False,
    progress: Say | None = None,
    each: Each | None = None,
    keeping: KeptRecords | None = None,
) -> Detection:
    """Say what is odd in the logs at `paths`. Learns nothing.

    Parameters
    ----------
    model : Model
        What is usual.
    paths : path or sequence of paths
        Files, globs, directories, or "-" for standard input.
    format, exclude, since, until
        See `fit`; the model's own exclusion holds too.
    scores, line_scores : path
        Where to write a verdict per window, and per line, as Parquet.
    threshold : str
        What judges windows: "learned", or "rolling" with the windows before them; see `pipeline.rolling`.
    answers : Answers
        What people have said of earlier incidents; see `oddlog.feedback`.
    marks : Marks
        Deployments; what is new since one of them becomes one incident.
    now : datetime
        The time at which a mute holds or has run out; that of the clock if not given.
    overview : bool
        Collect what `oddlog.reports.write_report` needs.
    progress : callable
        Told (what is being done, how many).
    each : callable
        Told each part as it is judged: the bench compares the verdicts with labels of the windows' lines.
    keeping : KeptRecords, optional
        Keeps what is read for another model that judges the same logs.

    Raises
    ------
    UserError
        If an option makes no sense or nothing can be read.

    """
    standing = Answers().standing() if answers is None else answers.standing(now)
    held = marks.standing() if marks is not None else ()
    say = progress or (lambda _what, _n: None)
    return _Detecting(model, say, standing, held, threshold, overview, each, keeping).run(
        paths, format, exclude, since, until, scores, line_scores
    )


def reading_of(model: Model, tally: Tally, format_: str, exclude: str, **options: Any) -> Reading:
    """Return a reading that makes of lines what those were made of that `model` learned from."""
    learned = model.reading
    return Reading(
        format=format_ or learned["format"],
        exclude=exclude,
        also_exclude=learned["exclude"],
        redact=learned["redact"],
        drop_duplicates=learned["drop_duplicates"],
        known_formats=tuple(dict.fromkeys(learned["formats"].values())),
        tally=tally,
        **options,
    )


@dataclass
class _Detecting:
    model: Model
    say: Say
    standing: Standing
    marks: Sequence[Mark] = ()
    threshold: str = "learned"
    overview: bool = False
    each: Each | None = None
    keeping: KeptRecords | None = None
    tally: Tally = field(default_factory=Tally)
    start_us: int = NO_TIME
    end_us: int = NO_TIME

    def __post_init__(self) -> None:
        self.matcher = Matcher(self.model.context.templates)
        self.numbers = NumberColumns(self.model.context.numbers)
        self.services = Codes(self.model.context.services, what="services", tally=self.tally)
        self.sources = Codes(what="sources", tally=self.tally)
        shares = None if self.model.rates is None else self.model.rates.shares
        self.hosts = Codes(() if shares is None else shares.hosts, what="hosts", tally=self.tally)
        self.shares: ShareCounting | None = None
        self.sampling = Sampling((), ())
        self.collector = (
            Collector(self.model.context, self.matcher, self.services, self.sources) if self.overview else None
        )
        self.counting = Counting(self.tally, self.model.reading.get("entity", "")) if self.model.rates else None
        self.episodes: list[Episode] = []
        self.wrote = Wrote()
        self.absent = Absent()
        self.drifting = Drifting.of(self.model)
        self.thresholds = Thresholds(self.model, self.threshold, self.tally)

    def run(
        self,
        paths: str | Path | Sequence[str | Path],
        format_: str,
        exclude: str,
        since: str | datetime,
        until: str | datetime,
        scores: str | Path | None,
        line_scores: str | Path | None,
    ) -> Detection:
        check_writable(scores)
        check_writable(line_scores)
        reading = self._reading(format_, exclude, since, until)
        views = self.model.views
        stores = [EventStore(by=view.cut.partition()) for view in views]
        try:
            for records in reading.records(paths):
                self._add(records, stores)
            return self._judge(reading, stores, scores, line_scores)
        finally:
            reading.close()
            for store in stores:
                store.close()

    def _reading(self, format_: str, exclude: str, since: str | datetime, until: str | datetime) -> Reading:
        return reading_of(
            self.model,
            self.tally,
            format_,
            exclude,
            since=as_time(since),
            until=as_time(until),
            known_numbers=self.numbers.fields,
            progress=lambda source, n: self.say(f"reading {source}", n),
            keeping=self.keeping,
        )

    def _add(self, records: pl.DataFrame, stores: list[EventStore]) -> None:
        shared, masked = typed(records, self.matcher, self.numbers, self.services, self.sources, self.hosts)
        self._note_times(shared["time_us"])
        self.wrote.add(shared)
        if self.collector is not None:
            self.collector.add_records(records, shared)
        if self.counting is not None:
            self.counting.add(records, shared.rename({"template": "type"}), words_of(masked))
        for i, (view, store) in enumerate(zip(self.model.views, stores, strict=True)):
            events = shared.with_columns(group_of(records, view.name, view.cut))
            # The first view's store keeps every line: single lines are judged from it too.
            store.add(events if i == 0 else events.filter(pl.col("session").is_not_null()))

    def _note_times(self, time_us: pl.Series) -> None:
        timed = time_us.filter(time_us != NO_TIME).to_numpy()
        if len(timed):
            low, high = int(timed.min()), int(timed.max())
            self.start_us = low if self.start_us == NO_TIME else min(self.start_us, low)
            self.end_us = max(self.end_us, high)

    def _judge(
        self, reading: Reading, stores: list[EventStore], scores: str | Path | None, line_scores: str | Path | None
    ) -> Detection:
        words = alarming(
            [self.matcher.text_of(row) for row in range(len(self.model.context.templates) + self.matcher.n_unseen)]
        )
        closeups = None if self.collector is None else self.collector.closeups
        of = (self.model, self.matcher, self.services, self.sources, words)
        merging, covered = Merging(*of, closeups), Merging(*of)
        overlay = Overlay(self.standing, self.matcher)
        self._find_deployments(overlay, stores[0])
        verdicts: list[pl.DataFrame] = []
        judged = self._rates(reading)
        with LineWriter(line_scores, self.sources, self.matcher, words) as writer:
            for i, (view, store) in enumerate(zip(self._views(), stores, strict=True)):
                self.say(f"judging {view.cut.noun}", store.rows)
                verdicts.append(self._view(view, store, overlay, merging, covered, words, writer, every_line=i == 0))
                if self.collector is not None:
                    self.collector.add_view(view.name, view.cut.noun, verdicts[-1])
            if judged is not None:
                judged = self._with_shares(judged, stores[0], writer)
        if judged is not None:
            told = [incident_of(one, judged, self.model.context.templates, self.model.id) for one in self.episodes]
            rated = overlay.rates(self.episodes, told, judged.scores)
            verdicts.append(rated.scores)
            if self.collector is not None:
                self.collector.add_view(RATES, NOUN, rated.scores)
            merging.add_episodes(rated.shown, judged)
            covered.add_episodes(rated.hidden, judged)
        every = pl.concat(verdicts, rechunk=True)
        verdicts.clear()  # 90 bytes a window, which need not stand here twice
        order = every.select(pl.arg_sort_by("start", "key", nulls_last=True, maintain_order=True)).to_series()
        every = every[order]
        if scores is not None:
            write_parquet(every, Path(scores))
        self.say("merging what belongs together", 0)
        telling = Telling(self.model, self.matcher, self.services, self.sources, words)
        drift = self._drift()
        found = [overlay.deployed.noted(one) for one in merging.incidents(reading)]
        found += [telling.incident(one, reading) for one in overlay.deployed.found]
        incidents, hidden = overlay.incidents(found, covered.incidents(reading))
        return Detection(
            tuple(map(reading.fetched.links.noted, incidents)),
            every,
            self.tally,
            lines=reading.lines,
            odd_lines=merging.n_odd_lines,
            start=to_datetime(self.start_us),
            end=to_datetime(self.end_us),
            nouns=(*(view.cut.noun for view in self.model.views), *([] if judged is None else [NOUN])),
            notes=(*self._notes(reading, merging), *overlay.deployed.notes, *hidden_notes(hidden), *drift_notes(drift)),
            hidden=tuple(hidden),
            overview=None if self.collector is None else self.collector.overview(reading),
            drift=drift,
        )

    def _drift(self) -> Drift | None:
        """Return how far the end of the log is from training."""
        if self.drifting is None or self.end_us == NO_TIME:
            return None
        self.drifting.settle(self.end_us // US_PER_MINUTE)
        return self.drifting.told(self.services.names, self.matcher, self.thresholds.told(), self.absent.services)

    def _views(self) -> list[View]:
        """Return the views as their members judge now that all types are known."""
        texts = self.matcher.unseen_texts
        return [replace(view.knowing(texts), absent=self.absent.templates) for view in self.model.views]

    def _rates(self, reading: Reading) -> Judged | None:
        """Return what the rates view says of counts, if there is one; lines of what is odd will be sampled."""
        if self.model.rates is None or self.counting is None:
            return None
        self.say("judging rates", 0)
        k = len(self.model.context.templates)
        if self.model.rates.origins is not None:
            here = self.wrote.pairs(self.services.names, self.hosts.names)
            self.absent = self.model.rates.origins.absent(here, reading.formats)
        judged = self.model.rates.judge(self.counting, k, self.services.names, self.tally, self.absent)
        if self.drifting is not None and self.end_us != NO_TIME:
            self.drifting.advance(self.counting, self.end_us // US_PER_MINUTE)
        self.sampling = Sampling(stretches_of(judged.odd), self.services.names)
        if self.model.rates.shares is not None:
            self.shares = ShareCounting(self.model.rates.shares.bounds, k, self.tally)
        return judged

    def _with_shares(self, judged: Judged, store: EventStore, writer: LineWriter) -> Judged:
        """Return also what is odd about shares, which were counted meanwhile; the episodes of both are noted."""
        rates, context = self.model.rates, self.model.context
        assert rates is not None
        if rates.shares is not None and self.shares is not None:
            self.say("judging shares", 0)
            counts = self.shares.counts()
            # What part of a service's lines is of a type says nothing where another part of them is not here.
            names = self.services.names
            judged_shares = rates.shares.without(self.absent.templates, rates.shares.judge(counts))
            odd = [one for one in judged_shares if one.kind != "mix" or names[one.service] not in self.absent.services]
            if writer.is_wanted:
                self._tell_lines(ShareLines.of(rates.shares, odd, judged.odd, len(context.templates)), store, writer)
            judged = with_shares(judged, rates.shares, counts, odd, context, (names, self.hosts.names))
        self.episodes = episodes_of(judged, rates.watch, context.templates, self.sampling)
        return judged

    def _tell_lines(self, odd: ShareLines, store: EventStore, writer: LineWriter) -> None:
        """Go through the events once more, for the lines that make shares odd."""
        if not odd:
            return
        cut = self.model.views[0].cut
        for events in partitions(store):
            windows = cut_windows(events, cut, Tally(), (self.start_us, self.end_us)) if cut.by == "session" else None
            writer.add_lines(odd.lines(events, windows))

    def _find_deployments(self, overlay: Overlay, store: EventStore) -> None:
        """Have the overlay excuse what deployments brought."""
        if self.marks:
            finding = Finding.of(self.model, self.matcher, self.services, overlay.answered)
            overlay.deployed = SinceDeploy(*finding.find(self.marks, store, (self.start_us, self.end_us)), self.marks)

    def _view(
        self,
        view: View,
        store: EventStore,
        overlay: Overlay,
        merging: Merging,
        covered: Merging,
        words: Bool,
        writer: LineWriter,
        *,
        every_line: bool,
    ) -> pl.DataFrame:
        """Return the verdicts of one view; what is odd goes to `merging`, lines to `writer`.

        What is odd and covered by an answer goes to `covered`.
        """
        verdicts = [pl.DataFrame(schema=SCORES)]
        stretches: list[pl.DataFrame] = []
        k = len(self.model.context.templates)
        span_us = (self.start_us, self.end_us)
        ahead = (cut_windows(events, view.cut, Tally(), span_us) for events in partitions(store))
        verdicts_of = self.thresholds.framed(view, ahead, self.end_us)
        for events in partitions(store):
            windows = cut_windows(events, view.cut, self.tally, span_us)
            judged = overlay.judge(view, windows, next(verdicts_of)(windows))
            verdicts.append(judged.verdict)
            if self.drifting is not None:
                self.drifting.add_verdicts(view.name, judged.verdict)
                self.thresholds.note(view, windows, judged.verdict, self.end_us)
            if self.each is not None:
                self.each(Part(view, windows, judged.verdict, self.sources.names, self.matcher))
            if view.name == "entities":
                stretches.append(totals_by_stretch(windows, k))
            merging.add_windows(judged.shown)
            covered.add_windows(judged.hidden)
            overlay.deployed.take(judged.deployed.windows)
            if not every_line:
                writer.add_windows(judged.odd)
            else:
                self.sampling.add(events)
                if self.shares is not None:
                    self.shares.add(events, windows if view.cut.by == "session" else None)
                lines, shown, hidden = overlay.lines(line_verdicts(self.model.events, events, words), judged.usual)
                alone = merging.add_lines(shown, judged.told)
                covered.add_lines(hidden, judged.hidden.windows)
                if self.collector is not None:
                    self.collector.add_lines(alone)
                writer.add(lines, judged.odd)
        if stretches:
            for one in (merging, covered):
                one.add_stretches(view.name, stretch_sums(pl.concat(stretches)))
        return pl.concat(verdicts)

    def _notes(self, reading: Reading, merging: Merging) -> list[str]:
        notes = self.thresholds.says()
        new = {found.format.name for found in reading.formats.values()} - set(self.model.reading["formats"].values())
        if new:
            notes.append(f"Lines of a format the model has not learned from: {', '.join(sorted(new))}.")
        share = self.matcher.n_unseen / max((len(self.model.context.templates) + self.matcher.n_unseen), 1)
        if share > 0.5 and self.matcher.n_unseen > 20:  # noqa: PLR2004 - most of what is here is news
            notes.append(
                f"{share:.0%} of the message types here were never seen in training: is this the same system? "
                "If it is, learn anew from more of it."
            )
        notes += misfits(reading.formats)
        if self.absent:
            notes.append(self.absent.says)
        if merging.n_dropped:
            notes.append(f"Only the {MOST_ODD:,} oddest windows of each view were merged into incidents.")
        return notes


__all__ = ["Detection", "Windows", "detect"]
