"""Secure aggregation: the server learns the sum of the sites' vectors and nothing else of them.

::

    stage       a site sends                                  the server sends back
    advertise   two public keys, signed                       everyone's
    share       sealed shares of two seeds, one a peer        the shares meant for each
    mask        its vector + own mask + masks with each peer  who has sent one
    unmask      a share of each seed that is asked for        (the sum is out)

A mask between two sites is added by one and taken off by the other, so they cancel in the sum. Where a site is gone
after `share`, a threshold of the others give away the seed of its masks, and its masks are taken off; of a site that
did send its vector they give away the seed of its own mask instead. **Never both**: each site answers once, for each
peer with one of the two, and the threshold is above half of the sites, so a server that tells different stories to
different sites gets a threshold of one kind only.

Bonawitz et al., "Practical secure aggregation for privacy-preserving machine learning", CCS 2017, figure 4
(doi 10.1145/3133956.3133982), without its consistency check, whose place the threshold above half takes as long as
the server has no site on its side; with c of them, set it above (sites + c) / 2.

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
