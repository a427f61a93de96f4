"""From what a person writes to a sink."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

from oddlog.errors import ConfigError, did_you_mean
from oddlog.sinks.file import FileSink
from oddlog.sinks.http import AlertmanagerSink, SlackSink, WebhookSink
from oddlog.sinks.mail import MailSink
from oddlog.types import Sink

_BY_URL: dict[str, type[WebhookSink]] = {
    "webhook": WebhookSink,
    "slack": SlackSink,
    "alertmanager": AlertmanagerSink,
}


def parse(text: str, *, internal: bool = True) -> Sink:
    """Return the sink that a text names; targets at addresses inside are refused unless `internal` allows them.

    >>> parse("alertmanager+http://127.0.0.1:9093").name
    'alertmanager+http://127.0.0.1:9093'

    Raises
    ------
    ConfigError
        If it names none.

    """
    if text.startswith("file:"):
        return FileSink(Path(text.removeprefix("file:").removeprefix("//")))
    kind, plus, url = text.partition("+")
    if plus and kind != "apprise":  # whose addresses hold what they like where others have a port
        _require_port(kind, url)
    if kind == "mail" and plus:
        return MailSink(url, internal=internal)
    if kind == "apprise" and plus:
        from oddlog.sinks.others import AppriseSink  # noqa: PLC0415 - of an extra

        return AppriseSink(url, internal=internal)
    if not plus or not url.startswith(("http://", "https://")):
        raise ConfigError(
            f"'{text}' is no sink.",
            "Write webhook+https://…, slack+https://…, alertmanager+http://…, mail+smtp://…, apprise+…, or file:PATH.",
        )
    if kind not in _BY_URL:
        raise ConfigError(
            f"There is no sink called '{kind}'.", did_you_mean(kind, [*_BY_URL, "mail", "apprise", "file"])
        )
    return _BY_URL[kind](url, internal=internal)


def _require_port(kind: str, url: str) -> None:
    try:
        _ = urlsplit(url).port
    except ValueError as error:  # its words may hold a part of a password
        raise ConfigError(
            f"The address of the sink {kind}+ makes no sense.", "Write HOST or HOST:PORT, the port from 1 to 65535."
        ) from error
