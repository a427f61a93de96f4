"""What a logging statement is, in every simulated system."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Message:
    """One message type: what a single logging statement of a service writes.

    ``{name}`` in `text` is a value; each of `fields` is also written as a field of its own.
    """

    service: str
    level: str
    text: str
    fields: tuple[str, ...] = ()


def named(service: str, **messages: tuple[str, ...]) -> dict[str, Message]:
    """Name messages ``service.name``; each is (level, text, fields...)."""
    return {
        f"{service}.{name}": Message(service, level, text, tuple(fields))
        for name, (level, text, *fields) in messages.items()
    }
