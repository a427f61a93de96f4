"""What a service writes: a window of one service lacks nothing, and awaits nothing, that only others write."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np

from oddlog.explain import Oddity
from oddlog.model import Model
from oddlog.pipeline.judging.telling import Remark
from oddlog.pipeline.judging.views import View
from oddlog.types import Windows


@dataclass(frozen=True)
class Writers:
    """Tells what of other services stands in the oddities and remarks of a window.

    Attributes
    ----------
    foreign : frozenset of int
        Types whose sources were not given, and those that in training only other services wrote; none of the latter
        where windows are not of one service, or where the model does not know who wrote what (a type of fewer than
        30 lines, a model without rates).

    """

    foreign: frozenset[int] = frozenset()

    @classmethod
    def of(cls, model: Model, view: View, windows: Windows, top: int, services: Sequence[str]) -> Self:
        """Return who else writes what, for the window `top` whose lines have codes of `services`."""
        origins = None if model.rates is None else model.rates.origins
        if origins is None or view.name != "windows":
            return cls(view.absent)
        codes = np.unique(windows.service[windows.offsets[top] : windows.offsets[top + 1]])
        own = {services[int(code)] for code in codes}
        return cls(view.absent | {row for row, by in origins.templates.items() if own.isdisjoint(by)})

    def oddities(self, found: Iterable[Oddity]) -> list[Oddity]:
        """Return the oddities without what is missing of others."""
        return [one for one in found if one.seen or one.template not in self.foreign]

    def remarks(self, found: Iterable[Remark]) -> list[Remark]:
        """Return the remarks without what was expected of others, and without those that are left with nothing."""
        kept = []
        for one in found:
            if one.kind != "unexpected_event":
                kept.append(one)
                continue
            told = zip(one.facts["expected"], one.facts["probability"], strict=True)
            own = [(row, p) for row, p in told if row not in self.foreign]
            if own:
                facts = {**one.facts, "expected": [row for row, _ in own], "probability": [p for _, p in own]}
                kept.append(replace(one, facts=facts))
        return kept
