"""What the server does in each stage of secure aggregation."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import combinations, islice

import numpy as np

from oddlog.errors import OddlogError
from oddlog.federated.secagg.keys import Advert, KeyPair
from oddlog.federated.secagg.ring import Ring, Whole
from oddlog.federated.secagg.shares import combined
from oddlog.federated.secagg.site import Kind, commitment, own_mask_key
from oddlog.types import F64, Tally

MOST_TRIES = 200  # choices of shares that are tried where some are wrong


class TooFewSitesError(OddlogError):
    """Fewer sites are left than the threshold: the sum of this round cannot be known."""


class SecureSum:
    """One round at the server. Stages are to be taken in order; who does not answer one is left out from there on.

    Parameters
    ----------
    session : bytes
        Never used twice.
    threshold : int
        So many sites must be left at the end.
    ring : Ring
        The same at all sites.
    size : int
        Numbers in a vector (p).
    roster : mapping of str to bytes
        Public keys of the sites that may take part; see `Party`.

    Attributes
    ----------
    refused : Tally
        What was not taken, by reason.

    """

    def __init__(
        self,
        session: bytes,
        threshold: int,
        ring: Ring,
        size: int,
        roster: Mapping[str, bytes] | None = None,
    ) -> None:
        self.session, self.threshold, self.ring, self.size = session, threshold, ring, size
        self.roster = roster or {}
        self.refused = Tally()
        self._adverts: dict[str, Advert] = {}
        self._sharing: tuple[str, ...] = ()
        self._sent: dict[str, tuple[Whole, bytes]] = {}

    def adverts(self, came: Mapping[str, Advert]) -> dict[str, Advert]:
        """Return everyone's keys, to be sent to each of them."""
        for site, advert in sorted(came.items()):
            if why := advert.check(site, self.session, self.roster):
                self.refused.add(why, example=site)
            else:
                self._adverts[site] = advert
        self._require(self._adverts, "advertise")
        return dict(self._adverts)

    def boxes(self, came: Mapping[str, Mapping[str, bytes]]) -> dict[str, dict[str, bytes]]:
        """Return, by site, what the others have sealed for it."""
        whole = {}
        for site, boxes in came.items():
            if site in self._adverts and set(boxes) == set(self._adverts) - {site}:
                whole[site] = boxes
            else:
                self.refused.add("shares that are not for everyone", example=site)
        self._require(whole, "share")
        self._sharing = tuple(sorted(whole))
        return {site: {peer: whole[peer][site] for peer in self._sharing if peer != site} for site in self._sharing}

    def survivors(self, came: Mapping[str, tuple[Whole, bytes]]) -> tuple[str, ...]:
        """Return who has sent a masked vector, to be told to each of them."""
        for site, (masked, seed) in came.items():
            if site in self._sharing and masked.shape == (self.size,) and masked.dtype == self.ring.type:
                self._sent[site] = (masked, seed)
            else:
                self.refused.add("masked vector of the wrong shape", example=site)
        self._require(self._sent, "mask")
        return tuple(sorted(self._sent))

    def agreed(self, came: Mapping[str, bytes]) -> dict[str, bytes]:
        """Return the survivors' signatures, to be sent to each of them."""
        signatures = {site: signature for site, signature in came.items() if site in self._sent}
        self._require(signatures, "agree")
        return signatures

    def total(self, came: Mapping[str, Mapping[str, tuple[Kind, bytes]]]) -> F64:
        """Return the sum of the survivors' vectors [p].

        Raises
        ------
        TooFewSitesError
            If fewer than the threshold have answered, or their shares give no seed back.

        """
        answers = {site: shares for site, shares in came.items() if site in self._sent}
        self._require(answers, "unmask")
        total = np.zeros(self.size, self.ring.type)
        for masked, _ in self._sent.values():
            total += masked
        for site in self._sharing:
            if site in self._sent:
                seed = self._seed(site, "own", answers, self._is_own(site))
                total -= self.ring.mask(own_mask_key(seed, self.session), self.size)
            else:
                seed = self._seed(site, "keys", answers, self._is_key(site))
                total -= self._pairwise(site, KeyPair(seed, self.session, "mask"))
        return self.ring.real(total)

    def _pairwise(self, gone: str, keys: KeyPair) -> Whole:
        """Return what the survivors have added for masks with a site that is gone [p]."""
        added = np.zeros(self.size, self.ring.type)
        for site in self._sent:
            mask = self.ring.mask(keys.agreed(self._adverts[site].mask), self.size)
            added = added + mask if site < gone else added - mask
        return added

    def _seed(
        self,
        of: str,
        kind: Kind,
        answers: Mapping[str, Mapping[str, tuple[Kind, bytes]]],
        is_right: Callable[[bytes], bool],
    ) -> bytes:
        """Return the seed that a threshold of shares gives back; where some are wrong, that of others."""
        point = {site: i + 1 for i, site in enumerate(sorted(self._adverts))}
        shares = {
            point[site]: given[of][1] for site, given in sorted(answers.items()) if of in given and given[of][0] == kind
        }
        for some in islice(combinations(sorted(shares), self.threshold), MOST_TRIES):
            try:
                seed = combined({p: shares[p] for p in some})
            except ValueError:
                continue
            if is_right(seed):
                return seed
            self.refused.add("shares that give no seed back", example=of)
        raise TooFewSitesError(
            f"The masks of {of} cannot be taken off: {len(shares)} shares came, {self.threshold} right ones are needed."
        )

    def _is_own(self, site: str) -> Callable[[bytes], bool]:
        return lambda seed: commitment(seed, self.session) == self._sent[site][1]

    def _is_key(self, site: str) -> Callable[[bytes], bool]:
        return lambda seed: KeyPair(seed, self.session, "mask").public == self._adverts[site].mask

    def _require(self, came: Mapping[str, object], stage: str) -> None:
        if len(came) < self.threshold:
            raise TooFewSitesError(
                f"{len(came)} sites are left after '{stage}'; the sum of fewer than {self.threshold} is not made."
            )


def threshold_of(n: int) -> int:
    """Return the least threshold for `n` sites: above half.

    >>> [threshold_of(n) for n in (2, 3, 5, 10)]
    [2, 2, 3, 6]
    """
    return n // 2 + 1
