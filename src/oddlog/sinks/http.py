"""Incidents by HTTP: any webhook, Slack's, Alertmanager's."""

from __future__ import annotations

import hashlib
import urllib.error
import urllib.request
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from http.client import HTTPException
from typing import Any
from urllib.parse import urlsplit

import orjson

from oddlog.errors import SinkRefusedError, SinkUnavailableError
from oddlog.sinks import guard
from oddlog.sinks.told import ENDED, as_json, details, summary
from oddlog.types import LiveIncident

TIMEOUT_S = 10.0
RETRY_S = 15.0
LONGEST_RETRY_S = 600.0
RESOLVE_AFTER = timedelta(minutes=75)  # an incident is over after an hour; if we are gone by then, the alert ends too
LONGEST_BLOCK = 2_900  # characters; Slack takes 3,000
_TOO_MANY = 429
_FAULTS = 500


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """An incident goes where it was sent, and nowhere else."""

    def redirect_request(self, *_: Any) -> None:
        """Follow none."""


class WebhookSink:
    """POSTs each change of an incident as JSON.

    Parameters
    ----------
    url : str
        Where to.
    clock : callable
        Returns the time.
    internal : bool
        Whether it may be at an address inside, that only this machine or network reaches; see `guard`.

    """

    kind = "webhook"

    def __init__(
        self, url: str, clock: Callable[[], datetime] = lambda: datetime.now(UTC), *, internal: bool = True
    ) -> None:
        parts = urlsplit(url)
        # The path of a webhook is often its secret: it is not told, but tells two of them apart.
        host = parts.netloc.rpartition("@")[2]
        own = hashlib.blake2b(url.encode(), digest_size=4).hexdigest()
        self.name = f"{self.kind}+{parts.scheme}://{host}{f'/…{own}' if parts.path.strip('/') or parts.query else ''}"
        self._url, self._clock = url, clock
        allowed = self.guarded_by()
        self._opener = urllib.request.build_opener(_NoRedirects) if internal else guard.opener(allowed, _NoRedirects())

    @staticmethod
    def guarded_by() -> guard.Allowed:
        """Return what says which addresses may be connected to."""
        return guard.is_outside

    @property
    def url(self) -> str:
        """What is posted to."""
        return self._url

    def body(self, live: LiveIncident) -> Any:
        """Return what is posted."""
        return as_json(live)

    def send(self, live: LiveIncident) -> None:
        """Post it; see `types.Sink`."""
        content = orjson.dumps(self.body(live), option=orjson.OPT_UTC_Z | orjson.OPT_SERIALIZE_NUMPY)
        headers = {"Content-Type": "application/json", "User-Agent": "oddlog"}
        request = urllib.request.Request(self.url, content, headers, method="POST")  # noqa: S310 - `parse` takes http only
        try:
            with self._opener.open(request, timeout=TIMEOUT_S):
                return
        except urllib.error.HTTPError as error:
            with error:
                raise self._answered(error) from error
        except (OSError, HTTPException) as error:
            raise SinkUnavailableError(f"{self.name} cannot be reached: {error}.", RETRY_S) from error

    def _answered(self, error: urllib.error.HTTPError) -> Exception:
        said = f"{self.name} answered {error.code}."
        if error.code == _TOO_MANY or error.code >= _FAULTS:
            asked = error.headers.get("Retry-After", "")
            wait = min(float(asked), LONGEST_RETRY_S) if asked.isdecimal() else RETRY_S
            return SinkUnavailableError(said, wait)
        return SinkRefusedError(said, "Look at the address of the sink.")


class SlackSink(WebhookSink):
    """POSTs incidents as Slack's incoming webhooks take them."""

    kind = "slack"

    def body(self, live: LiveIncident) -> Any:
        """Return a message; what log lines hold is not taken for markup."""
        state = " (provisional)" if live.provisional and live.change not in ENDED else ""
        head = f"{summary(live)}{state}"
        further = "\n".join(f"• {_escaped(one)}" for one in details(live))
        text = f"*{_escaped(head)}*" + (f"\n{further}" if further else "") + f"\n`{live.incident.id}`"
        block = {"type": "section", "text": {"type": "mrkdwn", "text": text[:LONGEST_BLOCK]}}
        return {"text": _escaped(head), "blocks": [block]}


class AlertmanagerSink(WebhookSink):
    """POSTs incidents to Prometheus' Alertmanager (API v2); one that is over is resolved."""

    kind = "alertmanager"

    @staticmethod
    def guarded_by() -> guard.Allowed:
        """Return what says which addresses may be connected to: an Alertmanager is inside as a rule."""
        return guard.is_anywhere

    @property
    def url(self) -> str:
        """Where alerts go, whatever path Alertmanager lies under."""
        return f"{self._url.rstrip('/')}/api/v2/alerts"

    def body(self, live: LiveIncident) -> Any:
        """Return the alert; its labels, by which Alertmanager knows it again, never change while it goes on."""
        incident, now = live.incident, self._clock()
        ends = now if live.change in ENDED else now + RESOLVE_AFTER
        start = min(incident.start or now, ends)
        return [
            {
                "labels": {"alertname": "oddlog", "incident": incident.id},
                "annotations": {
                    "summary": summary(live),
                    "description": "\n".join(details(live)),
                    "services": ", ".join(incident.services),
                    "hosts": ", ".join(incident.hosts),
                    "severity": f"{incident.severity:.1f}",
                },
                "startsAt": start.isoformat(),
                "endsAt": ends.isoformat(),
            }
        ]


def _escaped(text: str) -> str:
    """Return text that Slack shows as it is (api.slack.com/reference/surfaces/formatting#escaping)."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace("`", "'")
