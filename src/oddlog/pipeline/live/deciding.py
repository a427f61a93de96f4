"""Records → verdicts while they come: of single lines at once, of windows that are over or pause, of counts by minute.

::

    records ──► Encoding ──► events ──┬──► odd lines ─────────────────────────────────┐
                                      ├──► Windowing ──► over, or at rest ──► verdicts ──► Teller
                                      └──► Rating ──► a minute more is over ──► verdicts

What was judged for good is also counted, for whoever draws it (`passing`) and for the drift.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl

from oddlog.model import Model
from oddlog.pipeline.cutting import settled
from oddlog.pipeline.drifting import Drift
from oddlog.pipeline.events import repeated
from oddlog.pipeline.judging.verdicts import line_verdicts
from oddlog.pipeline.judging.views import PARTIAL, View
from oddlog.pipeline.learning.checkpointing import under, within
from oddlog.pipeline.live.encoding import Encoding
from oddlog.pipeline.live.passing import Passing
from oddlog.pipeline.live.pushed import ODD_LINES, VERDICTS, shown_lines, stacked
from oddlog.pipeline.live.rating import Rating
from oddlog.pipeline.live.recent import Recent
from oddlog.pipeline.live.teller import Teller
from oddlog.pipeline.live.windowing import Windowing
from oddlog.pipeline.planning import group_of
from oddlog.pipeline.rates import NAME as RATES
from oddlog.pipeline.rolling import Thresholds
from oddlog.rates.counting import BUCKET, US_PER_MINUTE
from oddlog.types import NO_TIME, State, Tally, Windows

MOST_TOLD = 200  # odd lines of a push that are told one by one; all go to incidents
MOST_OVER = 50_000  # events of windows that are over and wait to be judged


class Deciding:
    """Judges, and tells `teller` what is odd.

    Parameters
    ----------
    model : Model
        What is usual.
    encoding, teller, recent, tally
        Those of the stream.
    passing : Passing, optional
        Counts what goes by.
    threshold : str
        What judges windows; see `pipeline.rolling`.
    lateness_us, max_open, max_held : int
        Bounds of windows; see `Streaming`.

    Attributes
    ----------
    odd_lines, windows, odd_windows : int
        How many lines were odd by themselves, windows judged for good, and odd ones among them.

    """

    def __init__(
        self,
        model: Model,
        encoding: Encoding,
        teller: Teller,
        recent: Recent,
        tally: Tally,
        *,
        passing: Passing | None,
        threshold: str,
        lateness_us: int,
        max_open: int,
        max_held: int,
    ) -> None:
        self._model, self._encoding, self._teller, self._recent = model, encoding, teller, recent
        self._tally, self._passing = tally, passing
        bounds = {"lateness_us": lateness_us, "max_open": max_open, "max_held": max_held}
        windowers = [view.cut.windower(tally, **bounds) for view in model.views]
        self.windowing = Windowing(windowers, max(max_held // 8, 1), tally)
        self.thresholds = Thresholds(model, threshold, tally)
        self.rating = None if model.rates is None else Rating(model, encoding.services, tally)
        self.odd_lines = self.windows = self.odd_windows = 0
        self._views = model.views
        self._n_unseen = 0  # types that members of `_views` know beside the model's

    @property
    def _knowing(self) -> Sequence[View]:
        """Views of the model; members that read texts know those of the types that have come until now."""
        matcher = self._encoding.matcher
        if matcher.n_unseen > self._n_unseen:
            unseen, self._n_unseen = matcher.unseen_texts, matcher.n_unseen
            self._views = tuple(view.knowing(unseen) for view in self._model.views)
        return self._views

    # -- records ---------------------------------------------------------------------------------------------

    def push(self, records: pl.DataFrame) -> pl.DataFrame:
        """Take in records; return the odd ones among their lines, as they are shown: `ODD_LINES`."""
        events, masked = self._encoding.events(records, None if self.rating is None else self.rating.hosts)
        end_us = self._encoding.span_us[1]
        self._teller.add_records(records, events, end_us)
        self._recent.add(records)
        if self._passing is not None:
            self._passing.add(events)
        first, *others = [events.hstack([group_of(records, view.name, view.cut)]) for view in self._model.views]
        self._teller.add(first)
        first = repeated(first)
        if self.rating is not None:
            self.rating.add(records, events, masked)
            self.rating.add_events(first)
        # As in `detect`, the first view has every line: single lines are judged from it too.
        named = [one.filter(pl.col("session").is_not_null()) if one["session"].null_count() else one for one in others]
        by_view = [_in_time(one) for one in (first, *map(repeated, named))]
        odd = self._odd(by_view[0])
        self.windowing.push(by_view, end_us)
        return odd

    def _odd(self, events: pl.DataFrame) -> pl.DataFrame:
        """Return the odd ones among lines, as they are shown."""
        encoding = self._encoding
        odd = line_verdicts(self._model.events, events, encoding.words)
        if not odd["is_anomaly"].any():
            return pl.DataFrame(schema=ODD_LINES)
        odd = self._teller.lines(odd.filter("is_anomaly"))
        self.odd_lines += len(odd)
        self._tally.add(f"odd line beyond {MOST_TOLD:,} of one push, not told by itself", len(odd) - MOST_TOLD)
        names = encoding.services.names, encoding.sources.names
        return shown_lines(odd.head(MOST_TOLD), encoding.matcher, *names, self._recent)

    # -- windows ---------------------------------------------------------------------------------------------

    def over(self, *, at_once: bool) -> pl.DataFrame:
        """Return the verdicts of the windows that are over; none before they are many, if not `at_once`."""
        if not (at_once or self.windowing.n_over > MOST_OVER):
            return pl.DataFrame(schema=VERDICTS)
        over = zip(self._knowing, self.windowing.over(), strict=True)
        return stacked([self._verdicts(view, windows) for view, windows in over], VERDICTS)

    def finish(self) -> pl.DataFrame:
        """Return the verdicts of all windows that are open, which are closed now, and of all counts."""
        flushed = zip(self._knowing, self.windowing.flush(), strict=True)
        windows = [self._verdicts(view, windows) for view, windows in flushed]
        return stacked([*windows, self._all_counts()], VERDICTS)

    def at_rest(self) -> pl.DataFrame:
        """Return the verdicts of sessions that pause: what `detect` would say of them now."""
        found = []
        for view, windower in zip(self._knowing, self.windowing.windowers, strict=True):
            if view.cut.closing is not None:
                windows = windower.resting(view.cut.closing.pause_us)
                found.append(self._verdicts_now(view, windows, max(self._encoding.span_us[1], windower.watermark_us)))
        return stacked(found, VERDICTS)

    def _verdicts(self, view: View, windows: Windows) -> pl.DataFrame:
        """Return the verdicts of windows for good."""
        if not len(windows):
            return pl.DataFrame(schema=VERDICTS)
        start_us, end_us = self._encoding.span_us
        windows = settled(windows, view.cut, (start_us, end_us))
        verdict = self.thresholds.verdicts(view, windows, max(end_us, self.windowing.watermark_us))
        judged = self._teller.overlay.judge(view, windows, verdict)
        self._teller.overlay.deployed.take(judged.deployed.windows)
        self._count(view, windows, judged.verdict)
        self._teller.unfolding.add_windows(view, windows, judged, provisional=False)
        return _framed(judged.verdict, view.name)

    def _verdicts_now(self, view: View, windows: Windows, until_us: int) -> pl.DataFrame:
        """Return provisional verdicts of windows, as if the log had ended at `until_us`."""
        if not len(windows):
            return pl.DataFrame(schema=VERDICTS)
        windows = settled(windows, view.cut, (self._encoding.span_us[0], until_us))
        windows = windows.take(~np.isin(windows.closed_by, PARTIAL))
        judged = self._teller.overlay.judge(view, windows, self.thresholds.verdicts_now(view, windows))
        self._teller.unfolding.add_windows(view, windows, judged, provisional=True)
        return _framed(judged.verdict, view.name, provisional=True)

    def _count(self, view: View, windows: Windows, verdict: pl.DataFrame) -> None:
        """Have counted what was judged for good."""
        self.windows += len(windows)
        self.odd_windows += int(verdict["is_anomaly"].sum())
        if self.rating is not None:
            if view.name == self._model.views[0].name and view.cut.by == "session":
                self.rating.add_windows(windows)
            if self.rating.drifting is not None:
                self.rating.drifting.add_verdicts(view.name, verdict)
        if self._passing is not None:
            self._passing.add_verdicts(verdict.with_columns(view=pl.lit(view.name)))

    # -- counts ----------------------------------------------------------------------------------------------

    def counts(self, closed_us: int, now_s: float, *, more: bool = False) -> pl.DataFrame:
        """Return what counts and shares say now that all before `closed_us` has come, if a minute more is over."""
        minute = closed_us // US_PER_MINUTE
        if (
            self.rating is None
            or self._encoding.span_us[1] == NO_TIME
            or not self.rating.is_due(minute, now_s, more=more)
        ):
            return pl.DataFrame(schema=VERDICTS)
        return self._counts(self.rating, minute, settle=not more)  # windows that are over have been judged just now

    def _all_counts(self) -> pl.DataFrame:
        """Return what counts and shares say now that all has come."""
        end_us = self._encoding.span_us[1]
        if self.rating is None or end_us == NO_TIME:
            return pl.DataFrame(schema=VERDICTS)
        return self._counts(self.rating, end_us // US_PER_MINUTE + BUCKET, final=True)

    def _counts(self, rating: Rating, minute: int, *, settle: bool = True, final: bool = False) -> pl.DataFrame:
        over = min(minute, self._encoding.span_us[1] // US_PER_MINUTE)
        looked = rating.look(minute, over)
        if rating.drifting is not None and settle:
            rating.drifting.settle(over)
        self._teller.unfolding.set_episodes(looked, self._teller.overlay)
        return _framed(rating.verdicts(looked, final=final), RATES)

    def drift(self) -> Drift | None:
        """Return how far what comes now is from training; None where the model knows nothing of that."""
        if self.rating is None or self.rating.drifting is None:
            return None
        encoding = self._encoding
        return self.rating.drifting.told(encoding.services.names, encoding.matcher, self.thresholds.told())

    # -- state -----------------------------------------------------------------------------------------------

    def state(self) -> State:
        """Return everything `restore` needs."""
        windowing, thresholds = self.windowing.state(), self.thresholds.state()
        rating = State() if self.rating is None else self.rating.state()
        arrays = {**windowing.arrays, **within("rating", rating.arrays), **within("thresholds", thresholds.arrays)}
        counts = [self.odd_lines, self.windows, self.odd_windows]
        return State(arrays, {**windowing.meta, "rating": rating.meta, "thresholds": thresholds.meta, "counts": counts})

    def restore(self, state: State) -> None:
        """Go on where `state` was taken; there may be more in it. `look_again` when the others have, too."""
        meta, arrays = state.meta, state.arrays
        self.windowing.restore(state)
        if self.rating is not None and meta.get("rating"):
            self.rating.restore(State(under("rating", arrays), meta["rating"]))
        self.thresholds.restore(State(under("thresholds", arrays), meta["thresholds"]))
        self.odd_lines, self.windows, self.odd_windows = meta["counts"]

    def look_again(self) -> None:
        """Have told what counts and shares said last."""
        looked = None if self.rating is None else self.rating.again()
        if looked is not None:
            self._teller.unfolding.set_episodes(looked, self._teller.overlay)


def _framed(verdict: pl.DataFrame, view: str, *, provisional: bool = False) -> pl.DataFrame:
    told = verdict.with_columns(view=pl.lit(view), provisional=pl.lit(provisional))
    return told.cast(dict(VERDICTS))  # type: ignore[arg-type] # a schema is a mapping


def _in_time(events: pl.DataFrame) -> pl.DataFrame:
    """Return the events of several sources in order of time, those of one as they came."""
    source, time_us = events["source"].to_numpy(), events["time_us"].to_numpy()
    if (time_us[1:] >= time_us[:-1]).all() or (source == source[:1]).all():
        return events
    return events[np.argsort(time_us, kind="stable")]
