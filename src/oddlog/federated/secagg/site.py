"""What a site does in each stage of secure aggregation."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Literal, Self

import orjson
from numpy.typing import NDArray

from oddlog.errors import OddlogError
from oddlog.federated.secagg.keys import SEED_BYTES, Advert, Identity, KeyPair, expanded, new_seed
from oddlog.federated.secagg.ring import Ring, Whole
from oddlog.federated.secagg.shares import opened, seal, split

FEWEST_SITES = 2
SECRETS = ("session", "seal_seed", "keys_seed", "own_seed")
Kind = Literal["own", "keys"]
"""Which seed a share is of: that of a site's own mask, or that of its keys."""


class RefusedError(OddlogError):
    """A site will not do what it was asked to, because it would give away what the sum is to hide."""


def about(session: bytes, sender: str, receiver: str) -> bytes:
    """Return what a sealed share is bound to."""
    return orjson.dumps([session.hex(), sender, receiver])


@dataclass
class Party:
    """One site in one round. Keys are fresh: two rounds have nothing in common.

    Parameters
    ----------
    site : str
        Its name.
    session : bytes
        What the server calls the round; goes into every key.
    threshold : int
        So many sites must be left at the end.
    roster : mapping of str to bytes
        Public keys of the sites that may take part. If it is empty nobody is asked for a signature, and a server
        that makes up sites of its own is not found out.

    Examples
    --------
    >>> import numpy as np
    >>> from oddlog.federated.secagg import Ring, SecureSum
    >>> ring, values = Ring(sites=3, bound=4.0), {"a": [1.0], "b": [2.5], "c": [-0.5]}
    >>> sites = {name: Party(name, b"round 1", 2) for name in values}
    >>> server = SecureSum(b"round 1", 2, ring, 1)
    >>> adverts = server.adverts({name: site.advertise() for name, site in sites.items()})
    >>> boxes = server.boxes({name: site.share(adverts) for name, site in sites.items()})
    >>> del sites["b"]                                            # gone, with the others' masks with it
    >>> sent = {name: site.mask(np.array(values[name]), ring, boxes[name]) for name, site in sites.items()}
    >>> survivors = server.survivors(sent)
    >>> agreed = server.agreed({name: site.agree(survivors) for name, site in sites.items()})
    >>> float(server.total({name: site.unmask(agreed) for name, site in sites.items()})[0].round(6))
    0.5

    """

    site: str
    session: bytes
    threshold: int
    identity: Identity | None = None
    roster: Mapping[str, bytes] = field(default_factory=dict)
    seal_seed: bytes = field(default_factory=new_seed)  # never shared, so what it seals stays sealed
    keys_seed: bytes = field(default_factory=new_seed)
    own_seed: bytes = field(default_factory=new_seed)
    adverts: dict[str, Advert] = field(default_factory=dict)
    held: dict[str, tuple[bytes, bytes]] = field(default_factory=dict)  # by peer: shares of its own and its keys' seed
    survivors: tuple[str, ...] = ()  # who has sent a vector, as this site was told
    done: str = ""  # the last stage that was taken

    def advertise(self) -> Advert:
        """Return this round's public keys, signed."""
        self._step("", "advertise")
        advert = Advert(self._seal.public, self._mask.public)
        if self.identity is None:
            return advert
        return Advert(advert.seal, advert.mask, self.identity.signed(advert.message(self.site, self.session)))

    def share(self, adverts: Mapping[str, Advert]) -> dict[str, bytes]:
        """Return, by peer, shares of both seeds that only the peer can open.

        Raises
        ------
        RefusedError
            If the sites are too few for the threshold, the threshold is not above half of them, this site is not
            among them, or a key is not what its site has signed.

        """
        self._step("advertise", "share")
        self._check(adverts)
        self.adverts = dict(adverts)
        peers = sorted(adverts)
        pairs = zip(
            peers,
            split(self.own_seed, self.threshold, len(peers)),
            split(self.keys_seed, self.threshold, len(peers)),
            strict=True,
        )
        sealed = {}
        for peer, own, keys in pairs:
            if peer == self.site:
                self.held[peer] = (own, keys)
            else:
                key = self._seal.agreed(adverts[peer].seal)
                sealed[peer] = seal(key, own + keys, about(self.session, self.site, peer))
        return sealed

    def mask(self, values: NDArray[Any], ring: Ring, boxes: Mapping[str, bytes]) -> tuple[Whole, bytes]:
        """Return the values [p] in the ring under all masks, and a commitment to the own mask's seed.

        Parameters
        ----------
        values : [p]
            What is to be summed.
        ring : Ring
            The same at all sites.
        boxes : mapping of str to bytes
            What the peers have sealed for this site; only they are masked with.

        Raises
        ------
        RefusedError
            If too few peers are left, or a box is not what its peer has sealed.

        """
        self._step("share", "mask")
        if len(boxes) + 1 < self.threshold:
            raise RefusedError(f"{len(boxes) + 1} sites are left, and the sum of fewer than {self.threshold} is none.")
        for peer, box in boxes.items():
            found = self._open(peer, box)
            if found is None or len(found) != 2 * SEED_BYTES:
                raise RefusedError(f"What is said to come from {peer} was not sealed by it for this round.")
            self.held[peer] = (found[:SEED_BYTES], found[SEED_BYTES:])
        masked = ring.whole(values) + ring.mask(own_mask_key(self.own_seed, self.session), len(values))
        for peer in sorted(boxes):
            mask = ring.mask(self._mask.agreed(self.adverts[peer].mask), len(values))
            masked = masked + mask if self.site < peer else masked - mask
        return masked, commitment(self.own_seed, self.session)

    def agree(self, survivors: Collection[str]) -> bytes:
        """Return this site's signature of the round as it was told it; empty where it has no identity.

        Parameters
        ----------
        survivors : collection of str
            Who has sent a masked vector, as the server says.

        Raises
        ------
        RefusedError
            If asked twice, or the survivors are too few, strangers, or do not hold this site.

        """
        self._step("mask", "agree")
        there = set(survivors)
        if not (self.site in there and there <= set(self.held) and len(there) >= self.threshold):
            raise RefusedError(f"The survivors {', '.join(sorted(there))} are not those of a round this site was in.")
        self.survivors = tuple(sorted(there))
        return b"" if self.identity is None else self.identity.signed(self._told)

    def unmask(self, signatures: Mapping[str, bytes]) -> dict[str, tuple[Kind, bytes]]:
        """Return, for each site masked with, the one share that is needed: of its own mask if it survived, else keys.

        Parameters
        ----------
        signatures : mapping of bytes
            By site, what the survivors have returned from `agree`; not looked at without a roster.

        Raises
        ------
        RefusedError
            If asked twice, or fewer sites than the threshold were told the same of this round.

        """
        self._step("agree", "unmask")
        if self.roster:
            told = self._told
            same = [one for one in self.survivors if Identity.holds(self.roster[one], told, signatures.get(one, b""))]
            if len(same) < self.threshold:
                raise RefusedError(
                    f"{len(same)} sites say that they were told the same of this round; {self.threshold} must."
                )
        there = set(self.survivors)
        return {
            peer: ("own", own) if peer in there else ("keys", keys) for peer, (own, keys) in sorted(self.held.items())
        }

    def state(self) -> bytes:
        """Return everything as bytes, for a site whose process ends between two stages. Stays at the site."""
        adverts = {peer: [a.seal.hex(), a.mask.hex(), a.signature.hex()] for peer, a in self.adverts.items()}
        held = {peer: [own.hex(), keys.hex()] for peer, (own, keys) in self.held.items()}
        plain = {f.name: getattr(self, f.name) for f in fields(self)}
        secret = {name: plain[name].hex() for name in SECRETS}
        identity = None if self.identity is None else self.identity.private.hex()
        roster = {site: key.hex() for site, key in self.roster.items()}
        return orjson.dumps(
            {**plain, **secret, "identity": identity, "roster": roster, "adverts": adverts, "held": held}
        )

    @classmethod
    def from_state(cls, state: bytes) -> Self:
        """Rebuild from what `state` returned."""
        found = orjson.loads(state)
        found |= {name: bytes.fromhex(found[name]) for name in SECRETS}
        found["identity"] = None if found["identity"] is None else Identity(bytes.fromhex(found["identity"]))
        found["roster"] = {site: bytes.fromhex(key) for site, key in found["roster"].items()}
        found["adverts"] = {peer: Advert(*map(bytes.fromhex, parts)) for peer, parts in found["adverts"].items()}
        found["held"] = {peer: (bytes.fromhex(a), bytes.fromhex(b)) for peer, (a, b) in found["held"].items()}
        found["survivors"] = tuple(found.get("survivors", ()))
        return cls(**found)

    @property
    def _told(self) -> bytes:
        """What a server could say otherwise to another site: who takes part, with which keys, and who is left."""
        keys = {site: [advert.seal.hex(), advert.mask.hex()] for site, advert in sorted(self.adverts.items())}
        return b"oddlog/secagg/1/agree" + orjson.dumps([self.session.hex(), self.threshold, keys, self.survivors])

    @property
    def _seal(self) -> KeyPair:
        return KeyPair(self.seal_seed, self.session, "seal")

    @property
    def _mask(self) -> KeyPair:
        return KeyPair(self.keys_seed, self.session, "mask")

    def _open(self, peer: str, box: bytes) -> bytes | None:
        if peer not in self.adverts or peer == self.site:
            return None
        return opened(self._seal.agreed(self.adverts[peer].seal), box, about(self.session, peer, self.site))

    def _step(self, before: str, now: str) -> None:
        if self.done != before:
            raise RefusedError(f"{self.site} was asked to {now} after {self.done or 'nothing'}, not after {before}.")
        self.done = now

    def _check(self, adverts: Mapping[str, Advert]) -> None:
        n = len(adverts)
        if self.site not in adverts or adverts[self.site].seal != self._seal.public:
            raise RefusedError(f"The keys that are handed round are not those of {self.site}.")
        if n < FEWEST_SITES:
            raise RefusedError(f"The sum of {n} site would be what {self.site} has sent.")
        if not n / 2 < self.threshold <= n:
            raise RefusedError(f"Of {n} sites {self.threshold} must be left: that is not above half and at most all.")
        keys = [key for advert in adverts.values() for key in (advert.seal, advert.mask)]
        wrong = {site: why for site, a in adverts.items() if (why := a.check(site, self.session, self.roster))}
        if wrong or len(set(keys)) < len(keys):
            said = ", ".join(f"{site}: {why}" for site, why in wrong.items()) or "two sites with one key"
            raise RefusedError(f"Keys that were handed round are refused ({said}).")


def own_mask_key(seed: bytes, session: bytes) -> bytes:
    """Return the key of a site's own mask."""
    return expanded(seed, "own mask", session)


def commitment(seed: bytes, session: bytes) -> bytes:
    """Return what binds a site to its own mask's seed without showing it."""
    return hashlib.sha256(b"oddlog/secagg/1/commitment" + session + seed).digest()
