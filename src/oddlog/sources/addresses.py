"""Where to listen for syslog, as a person writes it: ``tcp://127.0.0.1:5514?allow=10.0.0.0/8``."""

from __future__ import annotations

import ipaddress
import ssl
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal
from urllib.parse import parse_qs, urlsplit

from oddlog.errors import ConfigError, did_you_mean

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
_PORTS = {"udp": 514, "tcp": 514, "tls": 6514}
_KNOWN = {"udp": {"allow"}, "tcp": {"allow"}, "tls": {"allow", "cert", "key", "ca"}}
_HINT = "Write udp://127.0.0.1:5514, tcp://127.0.0.1:5514, or tls://127.0.0.1:6514?cert=FILE&key=FILE."


@dataclass(frozen=True)
class Address:
    """Where to listen, and to whom.

    Attributes
    ----------
    allow : tuple of networks
        Whose messages are taken; others are dropped and counted.
    cert, key, ca : str
        Files in PEM form; with `ca` a client must show a certificate that it signed.

    """

    kind: Literal["udp", "tcp", "tls"]
    host: str
    port: int
    allow: tuple[Network, ...] = ()
    cert: str = ""
    key: str = ""
    ca: str = ""
    text: str = field(default="", compare=False)

    def allows(self, peer: str) -> bool:
        """Return whether the messages of an IP address are taken."""
        address = ipaddress.ip_address(peer.partition("%")[0])
        mapped = getattr(address, "ipv4_mapped", None)
        return not self.allow or any((mapped or address) in network for network in self.allow)

    def context(self) -> ssl.SSLContext:
        """Return what TLS is spoken by (RFC 5425, 4.2; 1.2 or later).

        Raises
        ------
        ConfigError
            If a file cannot be used.

        """
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        try:
            context.load_cert_chain(self.cert, self.key or None)
            if self.ca:
                context.load_verify_locations(self.ca)
                context.verify_mode = ssl.CERT_REQUIRED
        except OSError as error:  # ssl.SSLError is one
            asked = ", ".join(filter(None, (self.cert, self.key, self.ca)))
            why = error.strerror or str(error)
            raise ConfigError(
                f"TLS cannot be spoken with {asked}: {why}.", "Name files in PEM form that go together."
            ) from error
        return context


def parse_address(text: str) -> Address:
    """Return where to listen.

    >>> parse_address("udp://127.0.0.1:5514").port
    5514

    Raises
    ------
    ConfigError
        If the text names no place, or one that anybody could reach without a word of who may.

    """
    parts = urlsplit(text)
    kind = parts.scheme.removeprefix("syslog+")
    if kind not in _PORTS:
        raise ConfigError(f"'{text}' is no place to listen for syslog.", _HINT)
    try:
        port = parts.port
    except ValueError as error:
        raise ConfigError(f"'{text}' has no port that there is.", _HINT) from error
    asked = parse_qs(parts.query, keep_blank_values=True)
    odd = sorted(set(asked) - _KNOWN[kind])
    if odd:
        raise ConfigError(f"'{text}' sets '{odd[0]}', which {kind} does not have.", did_you_mean(odd[0], _KNOWN[kind]))
    said = {name: values[-1] for name, values in asked.items()}
    allow = tuple(_network(one, text) for one in said.pop("allow", "").split(",") if one)
    if kind == "tls" and not said.get("cert"):
        raise ConfigError(f"'{text}' names no certificate.", "Write tls://HOST:6514?cert=FILE&key=FILE.")
    host = parts.hostname or "127.0.0.1"
    for name in ("cert", "key", "ca"):
        if said.get(name) and not Path(said[name]).is_file():
            raise ConfigError(f"There is no file {said[name]}, which '{name}' of {text} names.", "Check the path.")
    if not _is_loopback(host) and not allow and not said.get("ca"):
        raise ConfigError(
            f"Whoever reaches {host} could send lines to {text}.",
            "Say whose are taken: ?allow=10.0.0.0/8 (or ca=FILE with tls); ?allow=0.0.0.0/0,::/0 takes all.",
        )
    return Address(kind, host, _PORTS[kind] if port is None else port, allow, **said, text=text)  # type: ignore[arg-type] # a kind by then


def _network(text: str, address: str) -> Network:
    try:
        return ipaddress.ip_network(text.strip(), strict=False)
    except ValueError as error:
        raise ConfigError(f"'{text}' in {address} is no network.", "Write allow=10.0.0.0/8.") from error


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
