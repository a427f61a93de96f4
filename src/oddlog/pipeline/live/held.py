"""What is odd and part of something that goes on: held until that is over, or too much is held."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import polars as pl

from oddlog.incidents import pattern_of
from oddlog.pipeline.judging.answering import DEPLOYED, SHOWN, Judged
from oddlog.pipeline.judging.odd import OddWindows
from oddlog.pipeline.judging.views import View
from oddlog.pipeline.learning.checkpointing import frame_arrays, frame_of, under, windows_arrays, windows_of, within
from oddlog.types import I64, Windows

MOST_WINDOWS = 2_000  # odd windows held; beyond it the oldest are forgotten
MOST_DEPLOYED = 200  # … and of those that deployments explain
MOST_LINES = 5_000  # odd lines held
_LINES = ("template", "level", "source", "line", "time_us", "service", "session", "score", "p_value", "is_anomaly")
_VERDICT = ("score", "p_value", "threshold")
_NOWHERE = pl.DataFrame(schema={"source": pl.UInt16(), "line": pl.UInt64()})
_KINDS = ("shown", "hidden", "deployed")


@dataclass
class Held:
    """Odd windows by view (shown ones, answered ones, those that deployments explain), usual ones, and odd lines."""

    shown: dict[str, list[OddWindows]] = field(default_factory=dict)
    hidden: dict[str, list[OddWindows]] = field(default_factory=dict)
    deployed: dict[str, list[OddWindows]] = field(default_factory=dict)
    usual: list[Windows] = field(default_factory=list)
    lines: list[pl.DataFrame] = field(default_factory=list)

    def add_windows(self, view: str, judged: Judged) -> bool:
        """Take in what was found of windows; return whether any of them is odd."""
        odd_ones = False
        those = (judged.shown, judged.hidden, judged.deployed)
        for held, odd in zip(self._every, those, strict=True):
            if len(odd.windows):
                held.setdefault(view, []).append(odd)
                odd_ones |= held is not self.deployed
        if len(judged.usual):
            self.usual.append(judged.usual)
            n = sum(map(len, self.usual))
            while n > MOST_WINDOWS and len(self.usual) > 1:
                n -= len(self.usual.pop(0))
        return odd_ones

    @property
    def _every(self) -> tuple[dict[str, list[OddWindows]], ...]:
        return self.shown, self.hidden, self.deployed

    def resort(self, becomes: Callable[[OddWindows], I64]) -> tuple[list[OddWindows], list[OddWindows]]:
        """Hold windows as deployments explain them now; return those they explain now, and those they no longer do.

        `becomes` says what becomes of odd windows [x]; see `Overlay.becomes`.
        """
        now: list[OddWindows] = []
        no_longer: list[OddWindows] = []
        for view in {*self.shown, *self.deployed}:
            shown, deployed = self.shown.pop(view, []), self.deployed.pop(view, [])
            for odd, was in [*((one, False) for one in shown), *((one, True) for one in deployed)]:
                what = becomes(odd)
                holds = what == DEPLOYED
                into = ((holds, self.deployed), (~holds & ((what == SHOWN) | (not was)), self.shown))
                for which, held in (*into, (~holds & (what != SHOWN) & was, self.hidden)):
                    if which.any():
                        held.setdefault(view, []).append(odd.take(np.flatnonzero(which)))
                moved = odd.take(np.flatnonzero(holds != was))
                if len(moved.windows):
                    (no_longer if was else now).append(moved)
        return now, no_longer

    def add_lines(self, odd: pl.DataFrame) -> None:
        """Take in lines that are odd by themselves, as `verdicts.line_verdicts` returns them."""
        self.lines.append(odd.select(_LINES))

    def drop(self, view: str, keys: set[str]) -> bool:
        """Let go of the windows of these keys; return whether any of the view are held."""
        for held in self._every:
            kept = []
            for odd in held.get(view, []):
                stays = ~odd.windows.key.is_in(list(keys)).to_numpy()
                if stays.all():
                    kept.append(odd)
                elif stays.any():
                    kept.append(odd.take(np.flatnonzero(stays)))
            if view in held:
                held[view] = kept
        return view in self.shown or view in self.hidden

    def drop_lines_of(self, view: str, keys: set[str]) -> None:
        """Let go of the lines that stand in the windows of these keys."""
        odd = [one for held in self._every for one in held.get(view, [])]
        windows = [one.windows.take(one.windows.key.is_in(list(keys)).to_numpy()) for one in odd]
        told = pl.concat([pl.DataFrame({"source": one.source, "line": one.line}) for one in windows] or [_NOWHERE])
        lines = [frame.join(told, on=["source", "line"], how="anti", maintain_order="left") for frame in self.lines]
        self.lines = [frame for frame in lines if len(frame)] if len(told) else self.lines

    def drop_types(self, types: set[str], patterns: set[str], key_of: Callable[[int], int]) -> None:
        """Let go of the lines of these types (hexadecimal keys) and patterns."""
        lines = []
        for frame in self.lines:
            keys = {row: key_of(row) for row in frame["template"].unique().to_list()}
            gone = [row for row, key in keys.items() if f"{key:016x}" in types or pattern_of([key]) in patterns]
            kept = frame.filter(~pl.col("template").is_in(gone)) if gone else frame
            if len(kept):
                lines.append(kept)
        self.lines = lines

    def windows_beyond(self) -> Iterator[tuple[str, set[str]]]:
        """Yield the view and the keys of the oldest windows beyond the limit; the caller drops them."""
        for held in self._every:
            most = MOST_DEPLOYED if held is self.deployed else MOST_WINDOWS
            for view in list(held):
                while sum(len(odd.windows) for odd in held[view]) > most and len(held[view]) > 1:
                    yield view, set(held[view][0].windows.key.to_list())

    def lines_beyond(self) -> Iterator[list[tuple[int, int, int]]]:
        """Let go of the oldest lines beyond the limit; yield their types and places (template, source, line)."""
        n = sum(map(len, self.lines))
        while n > MOST_LINES and len(self.lines) > 1:
            gone = self.lines.pop(0)
            n -= len(gone)
            yield list(gone.select("template", "source", "line").iter_rows())

    def places(self) -> Iterator[tuple[int, int, int]]:
        """Yield the types and places (template, source, line) of the lines."""
        for frame in self.lines:
            yield from frame.select("template", "source", "line").iter_rows()

    def arrays(self) -> dict[str, Any]:
        """Return everything `restore` needs."""
        arrays: dict[str, Any] = {}
        for kind, held in zip(_KINDS, self._every, strict=True):
            for view, parts in held.items():
                if parts:
                    odd = OddWindows.concat(parts)
                    arrays |= within(f"{kind}.{view}", windows_arrays(odd.windows))
                    arrays |= within(f"{kind}.{view}", {name: getattr(odd, name) for name in _VERDICT})
        if self.usual:
            arrays |= within("usual", windows_arrays(Windows.concat(self.usual)))
        if self.lines:
            arrays |= within("lines", frame_arrays(pl.concat(self.lines)))
        return arrays

    def restore(self, arrays: Mapping[str, Any], views: Sequence[View]) -> None:
        """Hold what was held when `arrays` were taken; there may be more in them."""
        for kind, held in zip(_KINDS, self._every, strict=True):
            for view in views:
                own = under(f"{kind}.{view.name}", arrays)
                if own:
                    frame = pl.DataFrame({name: own[name] for name in _VERDICT}).with_columns(is_anomaly=True)
                    held[view.name] = [OddWindows.of(view, windows_of(own), frame)]
        usual, lines = under("usual", arrays), under("lines", arrays)
        self.usual.extend([windows_of(usual)] if usual else [])
        self.lines.extend([frame_of(lines).select(_LINES)] if lines else [])
