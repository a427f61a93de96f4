"""Shamir's shares of a seed, and what seals them.

Of the libraries that are kept, pycryptodome's is taken: releases every few months since 2014, secrets of exactly
128 bits in GF(2^128), and Flower brings it already, so it costs no install. Others looked at have had no release for
years or bring a network stack.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from oddlog.errors import MissingExtraError

try:
    from Crypto.Protocol.SecretSharing import Shamir
except ImportError as error:
    raise MissingExtraError("Secure aggregation", "federated") from error

NONCE_BYTES = 12


def split(seed: bytes, threshold: int, n: int) -> list[bytes]:
    """Return `n` shares of a seed, of which any `threshold` give it back and fewer say nothing.

    The share at position i is that of the point i + 1.
    """
    return [share for _, share in Shamir.split(threshold, n, seed, ssss=False)]


def combined(shares: Mapping[int, bytes]) -> bytes:
    """Return the seed of which these are shares, by point (from 1)."""
    return bytes(Shamir.combine(sorted(shares.items()), ssss=False))


def seal(key: bytes, content: bytes, about: bytes) -> bytes:
    """Return `content` encrypted and bound to what it is about (AES-256-GCM, a random nonce in front)."""
    nonce = os.urandom(NONCE_BYTES)
    return nonce + AESGCM(key).encrypt(nonce, content, about)


def opened(key: bytes, sealed: bytes, about: bytes) -> bytes | None:
    """Return what was sealed; None if it is not what its sender has sealed, or about something else."""
    try:
        return AESGCM(key).decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], about)
    except (InvalidTag, ValueError):
        return None
