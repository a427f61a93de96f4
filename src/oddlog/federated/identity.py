"""Who a site is: one secret, from which the key its connection is known by and the key that signs its sums are made.

::

    siteA.key       "oddlog site siteA", then 32 random bytes in hexadecimal; only its user may read it
    roster.txt      a line a site: its name, the key of its signatures, the key of its connection
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from oddlog.errors import ConfigError
from oddlog.federated.secagg.keys import KEY_BYTES, Identity, expanded

try:
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
except ImportError as error:
    from oddlog.errors import MissingExtraError

    raise MissingExtraError("A site's key", "federated") from error

HEAD = "oddlog site "
_CURVE = ec.SECP384R1()
_ORDER = int(  # of the group: FIPS 186-5 / SP 800-186, section 3.2.1.4
    "ffffffffffffffffffffffffffffffffffffffffffffffffc7634d81f4372ddf581a0db248b0a77aecec196accc52973", 16
)
_SALT = b"oddlog/site/1"


@dataclass(frozen=True)
class SiteKey:
    """A site's name and its secret.

    Attributes
    ----------
    name : str
        What the site is called in rosters and reports.
    secret : bytes
        32 bytes; stays at the site.

    Examples
    --------
    >>> key = SiteKey("siteA", bytes(32))
    >>> known = read_roster_lines([key.line()])["siteA"]
    >>> known.signing == key.signing.public
    True

    """

    name: str
    secret: bytes

    @classmethod
    def at(cls, path: Path, name: str = "") -> Self:
        """Return the key in a file; with a `name`, one is made where there is none.

        Raises
        ------
        ConfigError
            If there is none and no name was given, it is another site's, or no key.

        """
        if not path.is_file():
            if not name:
                raise ConfigError(f"There is no key {path}.", f"Make one: oddlog federate keys SITE --identity {path}")
            made = cls(name, os.urandom(KEY_BYTES))
            path.parent.mkdir(parents=True, exist_ok=True)
            write_secret(path, f"{HEAD}{name}\n{made.secret.hex()}\n".encode())
            return made
        found = cls._read(path)
        if name and found.name != name:
            raise ConfigError(f"{path} is the key of {found.name}, not of {name}.", "Give another file.")
        return found

    @classmethod
    def _read(cls, path: Path) -> Self:
        try:
            head, secret = path.read_text(encoding="utf-8").strip().split("\n")
            found = cls(head.removeprefix(HEAD).strip(), bytes.fromhex(secret))
        except ValueError:  # also what is no text, and another number of lines
            found = cls("", b"")
        if not found.name or len(found.secret) != KEY_BYTES:
            raise ConfigError(f"{path} is no key of a site.", "Make one: oddlog federate keys SITE --identity FILE")
        return found

    @property
    def signing(self) -> Identity:
        """Signs the keys of secure sums."""
        return Identity(expanded(self.secret, "signing", _SALT))

    @property
    def connection(self) -> Any:
        """The private key that the server knows the site's connection by (ECDSA on P-384, as Flower's nodes have)."""
        # A whole multiple of the order would be no key; 64 bits more than its size make that, and a bias, impossible.
        number = int.from_bytes(expanded(self.secret, "connection", _SALT, 48 + 8), "big")
        return ec.derive_private_key(number % (_ORDER - 1) + 1, _CURVE)

    def line(self) -> str:
        """Return the site's line of the roster: nothing in it is secret."""
        public = self.connection.public_key()
        point = public.public_bytes(serialization.Encoding.X962, serialization.PublicFormat.CompressedPoint)
        return f"{self.name} {self.signing.public.hex()} {point.hex()}"


@dataclass(frozen=True)
class Known:
    """What everybody may know of a site.

    Attributes
    ----------
    signing : bytes
        Its public key for signatures (Ed25519), 32 bytes.
    connection : bytes
        Its public key for the connection as PEM, the form in which Flower compares them.

    """

    signing: bytes
    connection: bytes


def read_roster(path: Path) -> dict[str, Known]:
    """Return the sites that a roster names.

    Raises
    ------
    ConfigError
        If it cannot be read, a line is none of `oddlog federate keys`, or two sites have one name or key.

    """
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"The roster {path} cannot be read.", "Write into it what oddlog federate keys says of each site."
        ) from error
    found = read_roster_lines(lines)
    if not found:
        raise ConfigError(f"The roster {path} names no site.", "Make a line for each: oddlog federate keys SITE")
    return found


def read_roster_lines(lines: list[str]) -> dict[str, Known]:
    """Return the sites of a roster's lines; empty ones and those that begin with # are passed over."""
    found: dict[str, Known] = {}
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.startswith("#"):
            continue
        name, known = _known(number, line)
        if name in found:
            raise ConfigError(f"Line {number} of the roster is a second one of {name}.", "Leave one of them out.")
        for other, one in found.items():
            if known.signing == one.signing or known.connection == one.connection:
                raise ConfigError(f"{other} and {name} have one identity.", "Each site makes a key of its own.")
        found[name] = known
    return found


def _known(number: int, line: str) -> tuple[str, Known]:
    try:
        name, signing, connection = line.split()
        public = ec.EllipticCurvePublicKey.from_encoded_point(_CURVE, bytes.fromhex(connection))
        known = Known(bytes.fromhex(signing), pem_of(public))
        Ed25519PublicKey.from_public_bytes(known.signing)
    except ValueError as error:
        raise ConfigError(
            f"Line {number} of the roster is no site's: {line[:40]!r}.", "Paste what says: oddlog federate keys SITE"
        ) from error
    return name, known


def pem_of(public: Any) -> bytes:
    """Return a public key as Flower sends it."""
    return bytes(public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo))


def signing_keys(roster: Mapping[str, Known]) -> dict[str, bytes]:
    """Return the keys of signatures of a roster's sites."""
    return {name: known.signing for name, known in roster.items()}


def read_shared(path: Path) -> bytes:
    """Return the secret of all sites in a file: 32 bytes in hexadecimal."""
    try:
        secret = bytes.fromhex(path.read_text(encoding="utf-8").strip())
    except (OSError, ValueError):
        secret = b""
    if len(secret) != KEY_BYTES:
        raise ConfigError(f"{path} holds no secret of 32 bytes.", f"Make one: openssl rand -hex 32 > {path}")
    return secret


def write_secret(path: Path, content: bytes) -> None:
    """Write a file that only its user may read, aside first and then renamed; it is on the disk when this returns."""
    aside = path.with_name(f"{path.name}.aside")
    with os.fdopen(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())  # of a share that was given away the disk must know, also where the power fails
    aside.replace(path)
