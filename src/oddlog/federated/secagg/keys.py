"""Keys of one round, each from its seed, and the keys that say who a site is.

X25519 (RFC 7748), HKDF with SHA-256 (RFC 5869), Ed25519 (RFC 8032), all of `cryptography`. A seed has 128 bits, what
AES-128 and X25519 hold; a share of it is as short.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from oddlog.errors import MissingExtraError

try:
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
    from cryptography.hazmat.primitives.kdf.hkdf import HKDF
except ImportError as error:
    raise MissingExtraError("Secure aggregation", "federated") from error

SEED_BYTES = 16
KEY_BYTES = 32
_RAW = (serialization.Encoding.Raw, serialization.PublicFormat.Raw)


def new_seed() -> bytes:
    """Return 128 random bits of the operating system."""
    return os.urandom(SEED_BYTES)


def expanded(seed: bytes, use: str, session: bytes, n: int = KEY_BYTES) -> bytes:
    """Return `n` bytes that only this seed gives, for one use in one session."""
    return HKDF(hashes.SHA256(), n, salt=session, info=f"oddlog/secagg/1/{use}".encode()).derive(seed)


def _agrees(public: bytes) -> bool:
    """Return whether a public key can be agreed with: 32 bytes, and none that makes the result known to everybody."""
    try:
        X25519PrivateKey.from_private_bytes(bytes(KEY_BYTES)).exchange(X25519PublicKey.from_public_bytes(public))
    except ValueError:
        return False
    return True


@dataclass(frozen=True)
class KeyPair:
    """A key pair of one round, from a seed.

    Attributes
    ----------
    seed : bytes
        Whoever has it has the key.
    session : bytes
        The round it is for.
    use : str
        "seal" or "mask".

    """

    seed: bytes
    session: bytes
    use: str

    @property
    def _private(self) -> X25519PrivateKey:
        return X25519PrivateKey.from_private_bytes(expanded(self.seed, f"{self.use}/private", self.session))

    @property
    def public(self) -> bytes:
        """The public key, 32 bytes."""
        return self._private.public_key().public_bytes(*_RAW)

    def agreed(self, peer: bytes) -> bytes:
        """Return what only this site and the one with the public key `peer` know.

        Raises
        ------
        ValueError
            If `peer` is no key, or one that makes the result known to everybody (RFC 7748, section 6.1).

        """
        secret = self._private.exchange(X25519PublicKey.from_public_bytes(peer))
        return expanded(secret, f"{self.use}/agreed", self.session)


@dataclass(frozen=True)
class Identity:
    """Says who a site is, in this round and the next.

    Attributes
    ----------
    private : bytes
        32 bytes; stays at the site.

    Examples
    --------
    >>> site = Identity.new()
    >>> Identity.holds(site.public, b"a message", site.signed(b"a message"))
    True

    """

    private: bytes

    @classmethod
    def new(cls) -> Self:
        """Return a fresh identity."""
        return cls(os.urandom(KEY_BYTES))

    @property
    def public(self) -> bytes:
        """What the others know it by, 32 bytes."""
        return Ed25519PrivateKey.from_private_bytes(self.private).public_key().public_bytes(*_RAW)

    def signed(self, message: bytes) -> bytes:
        """Return the signature of a message, 64 bytes."""
        return Ed25519PrivateKey.from_private_bytes(self.private).sign(message)

    def secret(self, use: str) -> bytes:
        """Return 32 bytes for one other use, from which nothing of the key can be found."""
        return expanded(self.private, use, b"oddlog/identity/1")

    @staticmethod
    def holds(public: bytes, message: bytes, signature: bytes) -> bool:
        """Return whether the site known by `public` has signed the message."""
        try:
            Ed25519PublicKey.from_public_bytes(public).verify(signature, message)
        except (InvalidSignature, ValueError):
            return False
        return True


@dataclass(frozen=True)
class Advert:
    """What a site shows of itself in a round.

    Attributes
    ----------
    seal, mask : bytes
        Public keys: for what is sealed for it, and for the masks with it.
    signature : bytes
        Of both, the session and the site's name; empty where nobody asks for it.

    """

    seal: bytes
    mask: bytes
    signature: bytes = b""

    def message(self, site: str, session: bytes) -> bytes:
        """Return what is signed."""
        return b"oddlog/secagg/1/advert" + session + self.seal + self.mask + site.encode()

    def check(self, site: str, session: bytes, roster: Mapping[str, bytes]) -> str:
        """Return what is wrong with it ("" if nothing is); an empty roster asks for no signature."""
        if self.seal == self.mask or not (_agrees(self.seal) and _agrees(self.mask)):
            return "keys that are none"
        if roster and not Identity.holds(roster.get(site, b""), self.message(site, session), self.signature):
            return "keys without the site's signature"
        return ""
