"""A secure sum of what sites hold: the server's part of the conversation."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from oddlog.federated.history import Round
from oddlog.federated.secagg import Ring, SecureSum
from oddlog.federated.secagg.keys import Advert
from oddlog.federated.secagg.server import threshold_of
from oddlog.federated.site import Kind
from oddlog.federated.wire import Note, as_array
from oddlog.types import F64

BOUND = 4.0
"""Largest change of one weight in a round that a secure sum holds."""
Ask = Callable[[Kind, Mapping[str, Note]], dict[str, Note]]
"""Asks sites, each by its own note; returns the answers that came."""
_ADVERT = ("seal", "mask", "signature")


def secure_sum(
    ask: Ask,
    kind: Kind,
    said: Note,
    sites: Sequence[str],
    ring: Ring,
    size: int,
    this: Round,
    threshold: int = 0,
) -> tuple[F64, tuple[str, ...]]:
    """Return the sum [size] over the sites that are left, and who they are.

    Parameters
    ----------
    ask : callable
        Reaches the sites.
    kind, said : str, Note
        What each site is asked for with its vector: an answer of this kind, to this note.
    sites : sequence of str
        Sorted.
    ring : Ring
        What the vectors are summed in.
    size : int
        Numbers in a vector.
    this : Round
        Refusals go into it.
    threshold : int
        So many sites must be left; 0 is just above half.

    Raises
    ------
    TooFewSitesError
        If fewer are left.

    """
    threshold = threshold or threshold_of(len(sites))
    server = SecureSum(os.urandom(16), threshold, ring, size)
    session = {"session": server.session.hex(), "round": this.number}
    try:
        came = ask("advertise", {one: Note({**session, "threshold": threshold}) for one in sites})
        adverts = server.adverts({one: _advert(note) for one, note in came.items()})
        keys = {one: [getattr(advert, name).hex() for name in _ADVERT] for one, advert in adverts.items()}
        came = ask("share", {one: Note({**session, "adverts": keys}) for one in adverts})
        boxes = server.boxes({one: {to: n.bytes_of(to) for to in n.arrays} for one, n in came.items()})
        came = ask(kind, {one: _with_boxes(said, session, mine, ring) for one, mine in boxes.items()})
        survivors = server.survivors({one: _masked(note) for one, note in came.items()})
        came = ask("agree", {one: Note({**session, "survivors": survivors}) for one in survivors})
        signatures = server.agreed({one: note.bytes_of("signature") for one, note in came.items()})
        agreed = {one: as_array(signature) for one, signature in signatures.items()}
        came = ask("unmask", {one: Note(session, agreed) for one in agreed})
        total = server.total({one: _given(note) for one, note in came.items()})
    finally:
        this.refused |= dict(server.refused.counts)
        for reason, site in server.refused.examples.items():
            this.dropped.setdefault(site, reason)
    return total, survivors


def _with_boxes(said: Note, session: Mapping[str, Any], mine: Mapping[str, bytes], ring: Ring) -> Note:
    sealed = {f"box/{peer}": as_array(box) for peer, box in mine.items()}
    facts = {**said.facts, **session, "boxes": sorted(mine), "ring": [ring.sites, ring.bound, ring.bits]}
    return Note(facts, {**said.arrays, **sealed})


def _advert(note: Note) -> Advert:
    return Advert(*(note.bytes_of(name) for name in _ADVERT))


def _masked(note: Note) -> tuple[Any, bytes]:
    return note.arrays["masked"], note.bytes_of("commitment")


def _given(note: Note) -> dict[str, Any]:
    return {site: (kind, note.bytes_of(site)) for site, kind in note.facts["kinds"].items()}
