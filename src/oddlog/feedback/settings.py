"""Settings: rules, maintenance windows and a budget that people add to those of the configuration, and take back."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from typing import Literal, Self, cast, get_args

import orjson

from oddlog.errors import ConfigError
from oddlog.feedback.given import Numbered
from oddlog.feedback.log import Record

MOST_SETTINGS = 1_000
Kind = Literal["never", "always", "limit", "maintenance", "budget"]
KINDS: tuple[str, ...] = get_args(Kind)
Value = str | int | float | list[str]


@dataclass(frozen=True)
class Setting:
    """One that was set.

    Attributes
    ----------
    kind : str
        "never", "always", "limit", "maintenance" or "budget".
    fields : mapping
        As in a file of rules: see `pipeline.live.rules`. A budget has ``per_day``, 0 for none.
    time : datetime
        When it was set.
    who : str
        Who has set it.

    """

    kind: Kind
    fields: Mapping[str, Value] = field(default_factory=dict)
    time: datetime = datetime(1970, 1, 1, tzinfo=UTC)
    who: str = ""

    @cached_property
    def name(self) -> str:
        """A hash of all it says."""
        content = orjson.dumps(self.record(), option=orjson.OPT_SORT_KEYS | orjson.OPT_UTC_Z)
        return hashlib.blake2b(content, digest_size=8).hexdigest()

    def record(self) -> Record:
        """Return it as it is written."""
        return {"rule": self.kind, "fields": dict(self.fields), "time": self.time, "who": self.who}

    @classmethod
    def from_record(cls, record: Record) -> Self:
        """Read it back.

        Raises
        ------
        ValueError
            If the record is no setting.

        """
        if record["rule"] not in KINDS or not isinstance(record["fields"], dict):
            raise ValueError(record)
        time = datetime.fromisoformat(str(record["time"])).astimezone(UTC)
        return cls(cast("Kind", record["rule"]), record["fields"], time, str(record["who"]))


@dataclass
class Settings(Numbered[Setting]):
    """The settings beside a model."""

    kind = Setting
    noun = "setting"
    look = "GET /v1/rules"

    def add(self, setting: Setting) -> int:
        """Set one; return its number.

        Raises
        ------
        ConfigError
            If there are too many.
        ModelError
            If it cannot be written.

        """

        def change() -> list[Record]:
            if len(self.given) >= MOST_SETTINGS:
                raise ConfigError(f"At most {MOST_SETTINGS:,} settings are kept.", "Write rules into a file: --rules.")
            return [setting.record()]

        self._extend(change)
        return len(self.given)

    @property
    def standing(self) -> list[tuple[int, Setting]]:
        """Those that were not taken back, with their numbers, the oldest first."""
        return [(number, one) for number, one in enumerate(self.given, 1) if one.name not in self.undone]
