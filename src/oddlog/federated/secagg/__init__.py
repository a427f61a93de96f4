"""Secure aggregation: the server learns the sum of the sites' vectors and nothing else of them.

::

    stage       a site sends                                  the server sends back
    advertise   two public keys, signed                       everyone's
    share       sealed shares of two seeds, one a peer        the shares meant for each
    mask        its vector + own mask + masks with each peer  who has sent one
    agree       its signature of the round as it was told     everyone's
    unmask      a share of each seed that is asked for        (the sum is out)

A mask between two sites is added by one and taken off by the other, so they cancel in the sum. Where a site is gone
after `share`, a threshold of the others give away the seed of its masks, and its masks are taken off; of a site that
did send its vector they give away the seed of its own mask instead. **Never both**: each site answers once, for each
peer with one of the two, and the threshold is above half of the sites.

That is not enough against a server that tells different stories to different sites: of five, told that they are masked
with two others only, that one is there, and the others that those two are gone, it would read the one. So sites sign
who takes part, by which keys, and who is left, and none gives a share away before a threshold of them has signed the
same. Two such stories would need more sites than there are, as long as the server has none on its side; with c of
them, set the threshold above (sites + c) / 2. Without a roster nobody's signature is known, and none is asked for.

Bonawitz et al., "Practical secure aggregation for privacy-preserving machine learning", CCS 2017, figure 4
(doi 10.1145/3133956.3133982), with its consistency check, which here covers the keys and the threshold as well.

::

    keys     X25519 and HKDF from seeds of 128 bits; signatures of the sites (Ed25519)
    ring     real numbers as whole ones modulo 2^32 or 2^64; masks of AES in counter mode
    shares   Shamir's threshold shares of seeds, sealed with AES-GCM
    site     what a site does in each stage
    server   what the server does in each stage
"""

from oddlog.federated.secagg.keys import Identity
from oddlog.federated.secagg.ring import Ring
from oddlog.federated.secagg.server import SecureSum
from oddlog.federated.secagg.site import Party

__all__ = ["Identity", "Party", "Ring", "SecureSum"]
