"""Which sources of training wrote what, so that those that are not given at all are not taken for silent.

::

    app-1.log   (orders, host a)  (pool, host a)  ┐ one origin: they share what they write
    app-2.log   (orders, host a)                  ┘
    router.log  (kernel, gw1)  (dhcpd, gw1)         another one
    web-1.log   (kernel, web-1)  (sshd, web-1)      a third, though it has a service of that name too

An origin is *here* if any service of any of its hosts has a line in what is judged, or a file of its name was read. If
some origins are here, the others are *absent*: that these say nothing is no news, and is one note. Of a service (type,
host) of which absent origins wrote `LEAST_SHARE` or more of the lines, it is not known how much is to be expected of
what is here. A service that is absent while another one of its origin is here is an outage, and told.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import PurePath
from typing import Self

import polars as pl

from oddlog.types import State

LEAST_SHARE = 0.1  # of a subject's lines from absent origins, from which on too few of them say nothing
MOST_PAIRS = 20_000  # of source, service and host; with more nothing is known of origins
MOST_NAMES = 20  # sources of an origin that are kept by name
SHOWN = 3

Pair = tuple[str, str]  # service, host


@dataclass(frozen=True)
class Origin:
    """Sources that share what they write: some names of the `sources`, and ``(service, host, lines)``."""

    names: tuple[str, ...]
    sources: int
    wrote: tuple[tuple[str, str, int], ...]

    @property
    def pairs(self) -> set[Pair]:
        """What tells that it is here: lines without a service count only where it has no others."""
        return _telling((service, host) for service, host, _ in self.wrote)


@dataclass(frozen=True)
class Absent:
    """What of training is not here.

    Attributes
    ----------
    origins : tuple of Origin
        Of which nothing is here.
    sources : int
        How many sources there were in training.
    services, hosts : frozenset of str
        Of which too few lines say nothing.
    templates : frozenset of int
        Types of which they say nothing.

    """

    origins: tuple[Origin, ...] = ()
    sources: int = 0
    services: frozenset[str] = frozenset()
    hosts: frozenset[str] = frozenset()
    templates: frozenset[int] = frozenset()

    def __bool__(self) -> bool:
        return bool(self.origins)

    @property
    def says(self) -> str:
        """What is not here, in a sentence or two; empty if nothing is missing."""
        if not self:
            return ""
        n = sum(one.sources for one in self.origins)
        names = [PurePath(name).name or name for one in self.origins for name in one.names]
        more = f" and {n - SHOWN:,} more" if n > SHOWN else ""
        are = "is" if n == 1 else "are"
        return (
            f"{n:,} of the {self.sources:,} sources of training {are} not here: {', '.join(names[:SHOWN])}{more}. "
            "That these say nothing is left out of rates, shares and drift: give them too, "
            "or fit on what is here alone."
        )


@dataclass(frozen=True)
class Origins:
    """The origins of a training, and of each watched type how many lines each service wrote."""

    origins: tuple[Origin, ...]
    templates: Mapping[int, Mapping[str, int]]

    def absent(self, here: Iterable[Pair], read: Iterable[str]) -> Absent:
        """Return what is absent where these services of hosts wrote lines, and these sources were read."""
        pairs, names = set(here), {PurePath(name).name for name in read}
        gone = tuple(
            one
            for one in self.origins
            if not one.pairs & pairs and not names & {PurePath(name).name for name in one.names}
        )
        if len(gone) == len(self.origins):
            return Absent()  # another system, or one that calls its services otherwise
        services, hosts = (self._mostly(gone, part) for part in (0, 1))
        share = self._shares(gone, 0)
        templates = {
            row
            for row, lines in self.templates.items()
            if sum(share.get(name, 0.0) * n for name, n in lines.items()) >= LEAST_SHARE * sum(lines.values())
        }
        every = sum(one.sources for one in self.origins)
        return Absent(gone, every, services, hosts - {""}, frozenset(templates) if gone else frozenset())

    def _shares(self, gone: Sequence[Origin], part: int) -> dict[str, float]:
        """Return which share of the lines of each service (0) or host (1) the origins that are `gone` wrote."""
        total, lost = defaultdict[str, int](int), defaultdict[str, int](int)
        for of, origins in ((total, self.origins), (lost, gone)):
            for one in origins:
                for wrote in one.wrote:
                    of[str(wrote[part])] += wrote[2]
        return {name: n / total[name] for name, n in lost.items()}

    def _mostly(self, gone: Sequence[Origin], part: int) -> frozenset[str]:
        return frozenset(name for name, share in self._shares(gone, part).items() if share >= LEAST_SHARE)

    def state(self) -> dict[str, State]:
        """Return the part of a model, by name."""
        templates = {str(row): dict(lines) for row, lines in self.templates.items()}
        return {"origins": State(meta={"origins": [asdict(one) for one in self.origins], "templates": templates})}

    @classmethod
    def from_states(cls, states: Mapping[str, State]) -> Self | None:
        """Rebuild; None where a model knows nothing of origins."""
        if "origins" not in states:
            return None
        meta = states["origins"].meta
        origins = tuple(
            Origin(
                tuple(one["names"]), int(one["sources"]), tuple((str(s), str(h), int(n)) for s, h, n in one["wrote"])
            )
            for one in meta["origins"]
        )
        return cls(origins, {int(row): lines for row, lines in meta["templates"].items()})


class Wrote:
    """Notes which source wrote lines of which service and host."""

    def __init__(self) -> None:
        self._lines: pl.DataFrame | None = None
        self._is_too_much = False

    def add(self, lines: pl.DataFrame) -> None:
        """Take in ``source service host count`` of a block of lines, as codes."""
        by = ["source", "service", "host"]
        some = lines.group_by(by).agg(n=pl.col("count").sum().cast(pl.Int64))
        if self._lines is not None:
            some = pl.concat([self._lines, some]).group_by(by).agg(pl.col("n").sum())
        self._is_too_much |= len(some) > MOST_PAIRS
        self._lines = some.sort(by).head(MOST_PAIRS)

    def pairs(self, services: Sequence[str], hosts: Sequence[str]) -> set[Pair]:
        """Return which service of which host wrote anything that tells of its origin."""
        found = set[Pair]()
        for _, wrote in self._by_source(services, hosts):
            found |= _telling((service, host) for service, host, _ in wrote)
        return found

    def origins(self, sources: Sequence[str], services: Sequence[str], hosts: Sequence[str]) -> tuple[Origin, ...]:
        """Return each source as an origin of its own; none if there is too much to be noted."""
        if self._is_too_much:
            return ()
        return tuple(Origin((sources[code],), 1, tuple(wrote)) for code, wrote in self._by_source(services, hosts))

    def _by_source(self, services: Sequence[str], hosts: Sequence[str]) -> list[tuple[int, list[tuple[str, str, int]]]]:
        if self._lines is None:
            return []
        found = defaultdict[int, list[tuple[str, str, int]]](list)
        for source, service, host, n in self._lines.iter_rows():
            found[source].append((services[service], hosts[host], n))
        return list(found.items())


def joined(every: Iterable[Origin]) -> tuple[Origin, ...]:
    """Return origins, those as one that share a service of a host."""
    found: list[tuple[set[Pair], list[Origin]]] = []
    for origin in every:
        pairs, together = set(origin.pairs), [origin]
        rest = []
        for other, members in found:
            if other & pairs:
                pairs |= other
                together = [*members, *together]
            else:
                rest.append((other, members))
        found = [*rest, (pairs, together)]
    return tuple(_one(members) for _, members in found)


def _one(members: Sequence[Origin]) -> Origin:
    lines = defaultdict[Pair, int](int)
    for one in members:
        for service, host, n in one.wrote:
            lines[service, host] += n
    names = tuple(dict.fromkeys(name for one in members for name in one.names))
    # A source that was learned from again has the same name.
    sources = len(names) if len(names) < MOST_NAMES else max(len(names), sum(one.sources for one in members))
    return Origin(names[:MOST_NAMES], sources, tuple((*pair, n) for pair, n in sorted(lines.items())))


def _telling(pairs: Iterable[Pair]) -> set[Pair]:
    every = set(pairs)
    return {pair for pair in every if pair[0]} or every
