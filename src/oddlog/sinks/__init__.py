"""Where incidents go: each sink takes one at a time, and says when it cannot.

::

    webhook       POST, the incident as JSON
    slack         POST, as Slack's incoming webhooks take it (Mattermost's and Rocket.Chat's, too)
    alertmanager  POST /api/v2/alerts, resolved when the incident is over
    file          a line of JSON, appended

`parse` makes one of what a person writes: ``slack+https://hooks.slack.com/…``.
"""

from __future__ import annotations

from oddlog.sinks.parse import parse

__all__ = ["parse"]
