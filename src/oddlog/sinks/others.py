"""Incidents to whatever Apprise knows: ``apprise+ntfy://topic``. Needs the extra ``notify``."""

from __future__ import annotations

import hashlib
from urllib.parse import urlsplit

from oddlog.errors import ConfigError, MissingExtraError, SinkUnavailableError
from oddlog.sinks import guard
from oddlog.sinks.told import ENDED, details, summary
from oddlog.types import LiveIncident

try:
    import apprise
except ImportError as error:
    raise MissingExtraError("apprise+…", "notify") from error

RETRY_S = 60.0
LONGEST_TITLE = 250
LONGEST_BODY = 4_000  # characters; most services take at least so many


class AppriseSink:
    """Sends a notification for each change of an incident by one of Apprise's services.

    Parameters
    ----------
    url : str
        As Apprise's documentation has it for the service.
    internal : bool
        Whether it may be at an address inside, that only this machine or network reaches; see `guard`.

    Raises
    ------
    ConfigError
        If Apprise knows no such service.

    """

    def __init__(self, url: str, *, internal: bool = True) -> None:
        self._internal = internal
        scheme = urlsplit(url).scheme
        self._apprise = apprise.Apprise()
        if not self._apprise.add(url):
            raise ConfigError(f"Apprise knows no service '{scheme}://' of this form.", "See appriseit.com/services.")
        own = hashlib.blake2b(url.encode(), digest_size=4).hexdigest()
        self.name = f"apprise+{scheme}://…{own}"

    def send(self, live: LiveIncident) -> None:
        """Send it; see `types.Sink`."""
        with guard.watched(None if self._internal else guard.is_outside):
            self._send(live)

    def _send(self, live: LiveIncident) -> None:
        kind = apprise.NotifyType.SUCCESS if live.change in ENDED else apprise.NotifyType.WARNING
        rows = [*details(live), *live.incident.notes, live.incident.id]
        sent = self._apprise.notify(
            title=" ".join(summary(live, LONGEST_TITLE).split())[:LONGEST_TITLE],
            body="\n".join(rows)[:LONGEST_BODY],
            notify_type=kind,
            body_format=apprise.NotifyFormat.TEXT,
            interpret_escapes=False,
        )
        if not sent:
            # Apprise tells failures of all kinds alike: it is tried again, for a day.
            raise SinkUnavailableError(f"{self.name} did not take it.", RETRY_S)
