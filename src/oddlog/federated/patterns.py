"""The usual windows of all sites at each of them: opt-in, by keys that the server cannot read.

::

    site ── which types, how often, how many windows ── HMAC of the keys ── AES-GCM ──► server ──► all other sites

Detectors that read counts (`DETECTORS`) then know of what is usual anywhere, and are what they would be if all
windows lay in one place; by moments alone they would not be, since the nearest usual window is one of somebody's.
So does `new-event` of the types that a site has: in how many windows of all sites each stands.

A type is called by HMAC-SHA256 of its key under a secret that all sites have and the server lacks, and only windows
all of whose types have at least `LEAST_LINES` lines at their site are sent. So a site that does not know a type learns
that there is one, and nothing else of it; it counts it as unseen. Who has the secret can try what he guesses: sites
learn of each other, for every type that they have too, how often it stands in the others' windows. The server learns
how many bytes there are, rounded up to a power of two.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Self

import numpy as np

from oddlog import detectors
from oddlog.detectors.new_event import NewEvent
from oddlog.federated.secagg.keys import KEY_BYTES, expanded
from oddlog.federated.secagg.shares import opened, seal
from oddlog.federated.wire import DamagedNoteError, Note
from oddlog.types import I64, NO_TIME, OVERFLOW, U64, Context, Detector, Windows

DETECTORS = ("snn", "dae", "ocsvm", "new-event")
"""Members that read nothing but counts, and so are fitted to the windows of all sites."""
LEAST_LINES = 20
MOST_PATTERNS = 20_000
"""Distinct windows of a site that are sent: those that stand for most."""
MOST_KEYS = 64
"""Of one type: what its lines were called before they were merged."""
NAME_BYTES = 16
LEAST_BYTES = 1 << 12


@dataclass(frozen=True)
class Patterns:
    """Distinct windows of a site, by names that only sites can make.

    Attributes
    ----------
    name : U8 [x, 16]
        Names of its types, several of one type where lines were merged.
    type : I64 [x]
        The type that each is a name of.
    offsets : I64 [w + 1]
        Where each window begins.
    of : I64 [y]
        Types in the windows, each once in a window.
    count : I64 [y]
        How often.
    weight : F64 [w]
        How many windows each stands for.
    left_out : float
        Windows that are not sent since one of their types is too rare.

    """

    name: np.ndarray
    type: np.ndarray
    offsets: np.ndarray
    of: np.ndarray
    count: np.ndarray
    weight: np.ndarray
    left_out: float = 0.0

    @classmethod
    def of_windows(cls, windows: Windows, context: Context, secret: bytes) -> Self:
        """Return the distinct windows [w] of a site whose types all have enough lines there."""
        k = len(context.templates)
        frequent = np.append(context.templates.count >= LEAST_LINES, False)
        row = np.minimum(windows.template, k).astype(np.int64)
        sent = np.logical_and.reduceat(np.append(frequent[row], True), windows.offsets[:-1])
        sent &= windows.lengths > 0
        chosen = windows.take(sent)
        merged: dict[bytes, tuple[np.ndarray, np.ndarray, float]] = {}
        for i in range(len(chosen)):
            types, count = np.unique(chosen.template[chosen.offsets[i] : chosen.offsets[i + 1]], return_counts=True)
            known = (digest := types.tobytes() + count.tobytes()) in merged
            weight = float(chosen.weight[i]) + (merged[digest][2] if known else 0.0)
            merged[digest] = (types.astype(np.int64), count.astype(np.int64), weight)
        kept = sorted(merged.values(), key=lambda one: -one[2])[:MOST_PATTERNS]
        lengths = [len(types) for types, _, _ in kept]
        used = np.unique(np.concatenate([np.empty(0, np.int64), *(types for types, _, _ in kept)]))
        name, of_name = names_of(context, used, secret)
        return cls(
            name,
            of_name,
            np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
            np.concatenate([np.empty(0, np.int64), *(types for types, _, _ in kept)]),
            np.concatenate([np.empty(0, np.int64), *(count for _, count, _ in kept)]),
            np.array([weight for _, _, weight in kept], np.float64),
            float(windows.weight.sum() - chosen.weight.sum()),
        )

    def windows(self, rows: Rows) -> Windows:
        """Return them as windows of a site: without times, types unknown to it in rows of their own behind its."""
        row_of = rows.of(self)
        event = np.repeat(np.arange(len(self.of)), self.count)
        window = np.repeat(np.arange(len(self.weight)), np.diff(self.offsets))
        lengths = np.bincount(window, self.count, minlength=len(self.weight)).astype(np.int64)
        empty, e, w = Windows.empty(rows.numbers), len(event), len(self.weight)
        return Windows(
            key=empty.key.extend_constant("", w),
            start=np.full(w, NO_TIME),
            end=np.full(w, NO_TIME),
            closed_by=np.zeros(w, np.uint8),
            weight=self.weight,
            offsets=np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
            template=row_of[self.of[event]].astype(np.uint32),
            time_us=np.full(e, NO_TIME),
            level=np.zeros(e, np.uint8),
            service=np.zeros(e, np.uint16),
            source=np.zeros(e, np.uint16),
            line=np.zeros(e, np.uint64),
            numbers=np.full((e, rows.numbers), np.nan, np.float32),
        )

    def sealed(self, secret: bytes, federation: str, site: str) -> bytes:
        """Return them so that only who has the secret can read them, and nobody can say they are of another site."""
        arrays = {name: getattr(self, name) for name in ("name", "type", "offsets", "of", "count", "weight")}
        content = Note({"left_out": self.left_out}, arrays).written()
        content = len(content).to_bytes(8, "little") + content
        size = max(LEAST_BYTES, 1 << (len(content) - 1).bit_length())
        return seal(_key(secret, federation), content.ljust(size, b"\0"), _about(federation, site))

    @classmethod
    def unsealed(cls, box: bytes, secret: bytes, federation: str, site: str) -> Self | None:
        """Return what a site has sealed; None if it is not what it has sealed, or under another secret."""
        content = opened(_key(secret, federation), box, _about(federation, site))
        if content is None:
            return None
        try:
            note = Note.read(content[8 : 8 + int.from_bytes(content[:8], "little")])
            return cls(**note.arrays, left_out=float(note.facts["left_out"]))
        except (DamagedNoteError, TypeError, KeyError):
            return None


class Rows:
    """The row of each name at a site: of its own types, and behind them of those that only others know.

    Parameters
    ----------
    context : Context
        Of the site.
    secret : bytes
        Of all sites.

    Attributes
    ----------
    k : int
        Types of the site.
    elsewhere : int
        Types met so far (`of`) that the site does not know.

    """

    def __init__(self, context: Context, secret: bytes) -> None:
        self.k, self.numbers, self.elsewhere = len(context.templates), len(context.numbers), 0
        name, row = names_of(context, np.arange(self.k), secret)
        self._row = {one.tobytes(): int(of) for one, of in zip(name, row, strict=True)}

    def of(self, found: Patterns) -> I64:
        """Return the row of each type of another site [x]; lines that were merged at one site are one type at all."""
        names: list[list[bytes]] = [[] for _ in range(int(found.type.max(initial=-1)) + 1)]
        for one, of in zip(found.name, found.type, strict=True):
            names[of].append(one.tobytes())
        return np.array([self._of_names(one) for one in names], np.int64)

    def _of_names(self, names: list[bytes]) -> int:
        row = min((self._row[one] for one in names if one in self._row), default=-1)
        if row < 0 and names:
            row = self.k + self.elsewhere
            self.elsewhere += 1
        for one in names:
            self._row.setdefault(one, row)
        return row


def names_of(context: Context, rows: np.ndarray, secret: bytes) -> tuple[np.ndarray, np.ndarray]:
    """Return the names [x, 16] of types at rows, and of which row each is [x]."""
    templates = context.templates
    of = templates.row.astype(np.int64)
    asked = np.flatnonzero(np.isin(of, rows))
    asked = asked[np.argsort(of[asked], kind="stable")]
    first = np.searchsorted(of[asked], of[asked])  # where the keys of its row begin
    asked = asked[np.arange(len(asked)) - first < MOST_KEYS]
    return pseudonyms(templates.key[asked], secret), of[asked]


def pseudonyms(key: U64, secret: bytes) -> np.ndarray:
    """Return a name for each key [x, 16] that nobody can make, or try, without the secret."""
    made = expanded(secret, "patterns/names", b"oddlog")
    named = [hmac.digest(made, int(one).to_bytes(8, "little"), sha256)[:NAME_BYTES] for one in key]
    return np.frombuffer(b"".join(named), np.uint8).reshape(-1, NAME_BYTES)


def fitted_together(
    learned: Windows, context: Context, others: Mapping[str, Patterns], secret: bytes, seed: int
) -> dict[str, Detector]:
    """Return the members that read counts, fitted to the windows of this site and the patterns of the others."""
    rows = Rows(context, secret)
    nameless = learned.template >= rows.k  # those rows are given to types of the others
    learned = replace(learned, template=np.where(nameless, np.uint32(OVERFLOW), learned.template))
    both = Windows.concat([learned, *(others[site].windows(rows) for site in sorted(others))])
    present, _ = detectors.installed(DETECTORS)
    made = {name: detectors.create(name, seed) for name in present}
    return {name: _fitted(one, both, context, rows.elsewhere) for name, one in made.items()}


def _fitted(detector: Detector, windows: Windows, context: Context, elsewhere: int) -> Detector:
    if isinstance(detector, NewEvent):  # rows behind the context's are unseen types to all others
        return detector.fit_among(windows, context, elsewhere)
    return detector.fit(windows, context)


def _key(secret: bytes, federation: str) -> bytes:
    return expanded(secret, "patterns/seal", federation.encode(), KEY_BYTES)


def _about(federation: str, site: str) -> bytes:
    return f"oddlog/patterns/1 {federation} {site}".encode()
