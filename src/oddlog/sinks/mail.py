"""Incidents by e-mail: ``mail+smtp://user@host:587/?to=ops@example.com&from=oddlog@example.com``."""

from __future__ import annotations

import hashlib
import re
import smtplib
import ssl
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from email.message import EmailMessage
from email.utils import format_datetime
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

from oddlog.errors import ConfigError, SinkRefusedError, SinkUnavailableError, did_you_mean
from oddlog.sinks import guard
from oddlog.sinks.told import details, summary
from oddlog.types import LiveIncident

TIMEOUT_S = 20.0
RETRY_S = 60.0
LONGEST_SUBJECT = 150  # characters
LONGEST_LINE = 900  # RFC 5322 allows 998
_PORTS = {"smtp": 587, "smtps": 465}
_OPTIONS = ("ca", "from", "password-file", "tls", "to")
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f\u200e\u200f\u202a-\u202e\u2066-\u2069]")
_PERMANENT = 500
_LOOPBACK = ("127.0.0.1", "::1", "localhost")


class MailSink:
    """Sends a message for each change of an incident; those of one incident are one thread.

    Parameters
    ----------
    url : str
        ``smtp`` speaks STARTTLS, ``smtps`` TLS from the start; ``tls=none`` neither, to loopback only.
    clock : callable
        Returns the time.
    internal : bool
        Whether the server may be at an address inside, that only this machine or network reaches; see `guard`.

    Raises
    ------
    ConfigError
        If the URL makes no sense.

    """

    def __init__(
        self, url: str, clock: Callable[[], datetime] = lambda: datetime.now(UTC), *, internal: bool = True
    ) -> None:
        self._internal = internal
        parts = urlsplit(url)
        asked = {name: values[-1] for name, values in parse_qs(parts.query, keep_blank_values=True).items()}
        odd = sorted(set(asked) - set(_OPTIONS))
        if odd:
            raise ConfigError(f"The sink sets '{odd[0]}', which mail+ does not have.", did_you_mean(odd[0], _OPTIONS))
        if parts.scheme not in _PORTS or not parts.hostname:
            raise ConfigError("A sink for mail names no server.", "Write mail+smtp://HOST:587/?to=YOU@HOST.")
        self._host, self._port = parts.hostname, parts.port or _PORTS[parts.scheme]
        self._kind, self._clock = parts.scheme, clock
        self._tls = asked.get("tls", "starttls")
        if self._tls not in ("starttls", "none") or (self._tls == "none" and self._host not in _LOOPBACK):
            raise ConfigError(
                f"Incidents would be sent to {self._host} without TLS.", "Leave tls= out; none is for loopback only."
            )
        if self._host in _LOOPBACK and not internal:
            raise ConfigError(
                f"The mail server {self._host} is inside.", "Serve with --allow-internal if that is meant."
            )
        self._to = [_address(one) for one in asked.get("to", "").split(",") if one.strip()]
        if not self._to:
            raise ConfigError("A sink for mail says not to whom.", "Write ?to=ops@example.com.")
        self._from = _address(asked.get("from", "oddlog@localhost"))
        self._user = unquote(parts.username or "")
        self._password = _password(asked.get("password-file", ""), unquote(parts.password or ""))
        self._context = _trusting(asked.get("ca", ""))
        own = hashlib.blake2b(",".join(self._to).encode(), digest_size=4).hexdigest()
        self.name = f"mail+{self._kind}://{self._host}:{self._port}/…{own}"

    def message(self, live: LiveIncident) -> EmailMessage:
        """Return what is sent; log text in it is text."""
        incident = live.incident
        here = self._from.rpartition("@")[2]
        first = f"<{incident.id}@{here}>"
        told = f"{live.change}.{incident.n_windows}.{live.provisional}.{incident.answer}"
        own = hashlib.blake2b(told.encode(), digest_size=6).hexdigest()
        message = EmailMessage()
        message["Subject"] = " ".join(_plain(f"[oddlog] {summary(live, LONGEST_SUBJECT - len('[oddlog] '))}").split())[
            :LONGEST_SUBJECT
        ]
        message["From"], message["To"] = self._from, ", ".join(self._to)
        message["Date"] = format_datetime(self._clock())
        # The same change sent again has the same id: a mail store shows it once.
        message["Message-ID"] = first if live.change == "new" else f"<{incident.id}.{own}@{here}>"
        if live.change != "new":
            message["In-Reply-To"] = message["References"] = first
        message["Auto-Submitted"] = "auto-generated"  # RFC 3834: no answers from those on holiday
        rows = [summary(live), "", *details(live), "", *incident.notes, _about(live)]
        message.set_content("\n".join(_plain(row)[:LONGEST_LINE] for text in rows for row in text.split("\n")))
        return message

    def send(self, live: LiveIncident) -> None:
        """Send it; see `types.Sink`."""
        message = self.message(live)
        try:
            with guard.watched(None if self._internal else guard.is_outside):
                refused = self._send(message)
        except (smtplib.SMTPSenderRefused, smtplib.SMTPRecipientsRefused, smtplib.SMTPResponseException) as error:
            raise self._answered(error) from error
        except (OSError, smtplib.SMTPException) as error:  # ssl.SSLError is an OSError
            raise SinkUnavailableError(f"{self.name} cannot be reached: {error}.", RETRY_S) from error
        if refused:
            raise SinkRefusedError(f"{self.name} took it, but not for {', '.join(refused)}.", "Look at to=.")

    def _send(self, message: EmailMessage) -> list[str]:
        """Return who was refused, where others were not."""
        if self._kind == "smtps":
            server: smtplib.SMTP = smtplib.SMTP_SSL(self._host, self._port, timeout=TIMEOUT_S, context=self._context)
        else:
            server = smtplib.SMTP(self._host, self._port, timeout=TIMEOUT_S)
        # Not `with`: it says QUIT also after a failed handshake, waits, and hides why that failed.
        try:
            if self._kind == "smtp" and self._tls == "starttls":
                server.starttls(context=self._context)
            if self._user:
                server.login(self._user, self._password)
            refused = list(server.send_message(message))
            with suppress(smtplib.SMTPException, OSError):
                server.quit()
            return refused
        finally:
            server.close()

    def _answered(self, error: Exception) -> Exception:
        answers: dict[str, tuple[int, bytes]] = getattr(error, "recipients", {})
        codes = [code for code, _ in answers.values()] or [getattr(error, "smtp_code", 0)]
        said = f"{self.name} answered {max(codes)}."
        if min(codes) < _PERMANENT:
            return SinkUnavailableError(said, RETRY_S)
        return SinkRefusedError(said, "Look at from=, to=, user and password of the sink.")


def _plain(text: str) -> str:
    """Return text without what ends a header, hides, or turns the direction of writing."""
    return _CONTROLS.sub(" ", text)


def _about(live: LiveIncident) -> str:
    incident = live.incident
    where = ", ".join(incident.hosts)
    span = (
        f"{incident.start:%Y-%m-%d %H:%M:%S} to {incident.end:%H:%M:%S} UTC" if incident.start and incident.end else ""
    )
    return "\n".join(filter(None, (span, f"Hosts: {where}" if where else "", f"Incident {incident.id}")))


def _address(text: str) -> str:
    address = text.strip()
    if not re.fullmatch(r"[^\s@<>,;]+@[^\s@<>,;]+", address):
        raise ConfigError(f"'{text}' is no e-mail address.", "Write name@example.com, without the name of its owner.")
    return address


def _trusting(path: str) -> ssl.SSLContext:
    """Return what trusts the certificates in a file, or those of the system."""
    try:
        return ssl.create_default_context(cafile=path or None)
    except OSError as error:  # ssl.SSLError is one
        raise ConfigError(
            f"The certificates in {path} cannot be read: {error}.", "Name a file of PEM that is there: ca=PATH."
        ) from error


def _password(path: str, given: str) -> str:
    if not path:
        return given
    try:
        return Path(path).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"The password in {path} cannot be read: {error}.", "Check who may read it.") from error
