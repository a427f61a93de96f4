"""A certificate for a server that has none: an authority of its own, whose certificate the sites are given."""

from __future__ import annotations

import datetime as dt
import ipaddress
from pathlib import Path
from typing import Any

from oddlog.errors import ConfigError
from oddlog.federated.identity import write_secret

try:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID
except ImportError as error:
    from oddlog.errors import MissingExtraError

    raise MissingExtraError("A certificate", "federated") from error

AUTHORITY, CERTIFICATE, KEY = "ca.pem", "server.pem", "server.key"
_EARLY = dt.timedelta(minutes=5)  # clocks of sites that are a little behind
_PEM = serialization.Encoding.PEM


def make_certificate(hosts: list[str], folder: Path, days: int, now: dt.datetime) -> None:
    """Write ``ca.pem`` for the sites, ``server.pem`` and ``server.key`` for the server.

    The authority's own key is thrown away: nobody can make a second certificate that sites would trust.

    Parameters
    ----------
    hosts : list of str
        Names and addresses that the sites know the server by.
    folder : Path
        Where to write.
    days : int
        So long it is valid.
    now : datetime
        From when on.

    Raises
    ------
    ConfigError
        If one of the files is there already.

    """
    for name in (AUTHORITY, CERTIFICATE, KEY):
        if (folder / name).exists():
            raise ConfigError(f"{folder / name} is there already.", "Give another folder: --folder tls")
    folder.mkdir(parents=True, exist_ok=True)
    authority, server = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    until = now + dt.timedelta(days=days)
    root = _begun("oddlog federation", authority.public_key(), now, until)
    root = root.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    usage = x509.KeyUsage(*(name in {"digital_signature", "key_cert_sign", "crl_sign"} for name in _USES))
    root = root.add_extension(usage, critical=True).sign(authority, hashes.SHA256())
    own = _begun(hosts[0], server.public_key(), now, until)
    own = own.add_extension(x509.SubjectAlternativeName([_name(host) for host in hosts]), critical=False)
    own = own.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    own = own.sign(authority, hashes.SHA256())
    (folder / AUTHORITY).write_bytes(root.public_bytes(_PEM))
    (folder / CERTIFICATE).write_bytes(own.public_bytes(_PEM))
    secret = server.private_bytes(_PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    write_secret(folder / KEY, secret)


_USES = (  # in the order of RFC 5280, section 4.2.1.3
    "digital_signature",
    "content_commitment",
    "key_encipherment",
    "data_encipherment",
    "key_agreement",
    "key_cert_sign",
    "crl_sign",
    "encipher_only",
    "decipher_only",
)


def _begun(subject: str, public: Any, since: dt.datetime, until: dt.datetime) -> Any:
    called = [x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]) for name in (subject, "oddlog federation")]
    return (
        x509.CertificateBuilder()
        .subject_name(called[0])
        .issuer_name(called[1])
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(since - _EARLY)
        .not_valid_after(until)
    )


def _name(host: str) -> Any:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)
