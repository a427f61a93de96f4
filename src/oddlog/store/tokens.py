"""Who may ask: tokens, of which only a hash is kept.

A token is ``oddlog_ID_SECRET`` with a secret of 256 random bits: guessing it is hopeless, so a plain SHA-256 of it is
enough (OWASP, Password Storage Cheat Sheet: slow hashes are for secrets that people choose).
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from oddlog.errors import ConfigError, did_you_mean
from oddlog.store.engine import Database
from oddlog.store.tables import tokens as _tokens

SCOPES = ("ingest", "read", "admin")
MOST_TOKENS = 10_000
_TOKEN = re.compile(r"oddlog_([0-9a-f]{12})_([\w-]{43})")
_TENANT = re.compile(r"[a-z0-9][a-z0-9_]{0,31}")
_NAME = re.compile(r"[^\x00-\x1f\x7f]{1,64}")


@dataclass(frozen=True)
class Token:
    """What a token allows.

    Attributes
    ----------
    id : str
        What it is called by; part of the token, and no secret.
    name : str
        Whose it is: answers are signed with it.
    scopes : frozenset of str
        Some of `SCOPES`.
    tenant : str
        Whose logs it opens; empty for the default tenant.
    made, ends, revoked : str
        Times, ISO 8601; empty where it does not end, or was not revoked.

    """

    id: str
    name: str
    scopes: frozenset[str]
    tenant: str
    made: str
    ends: str
    revoked: str

    def holds(self, now: datetime) -> bool:
        """Return whether it may be used."""
        return not self.revoked and (not self.ends or now.isoformat() < self.ends)


class Tokens(Database):
    """The part of a store that says who may ask."""

    def make_token(
        self, name: str, scopes: list[str], tenant: str = "", ends: datetime | None = None
    ) -> tuple[str, str]:
        """Make a token; return its id and the token itself, which is shown this once.

        Raises
        ------
        ConfigError
            If there is no such scope, or a name makes no sense.

        """
        for scope in scopes:
            if scope not in SCOPES:
                raise ConfigError(f"There is no scope '{scope}'.", did_you_mean(scope, SCOPES))
        if not scopes:
            raise ConfigError("A token without a scope opens nothing.", f"Give --scope: {', '.join(SCOPES)}.")
        if not _NAME.fullmatch(name):
            raise ConfigError("A token is called by 1 to 64 characters.", "Write for instance: anna, fluent-bit.")
        require_tenant(tenant)
        id_, secret = secrets.token_hex(6), secrets.token_urlsafe(32)
        row = {
            "id": id_, "name": name, "hash": _hash(secret), "scopes": ",".join(one for one in SCOPES if one in scopes),
            "tenant": tenant, "made": self._clock().isoformat(), "ends": "" if ends is None else ends.isoformat(),
            "revoked": "",
        }  # fmt: skip
        with self.writing() as connection:
            if connection.execute(sa.select(sa.func.count()).select_from(_tokens)).scalar_one() >= MOST_TOKENS:
                raise ConfigError(f"At most {MOST_TOKENS:,} tokens are kept.", "One token can serve many shippers.")
            connection.execute(sa.insert(_tokens).values(row))
        return id_, f"oddlog_{id_}_{secret}"

    def tokens(self) -> list[Token]:
        """Return all tokens, the oldest first."""
        with self.reading() as connection:
            return [
                _token(row) for row in connection.execute(sa.select(_tokens).order_by(_tokens.c.made, _tokens.c.id))
            ]

    def has_tokens(self) -> bool:
        """Return whether there is any that holds."""
        now = self._clock()
        return any(one.holds(now) for one in self.tokens())

    def revoke(self, which: str) -> Token:
        """Revoke a token by its id, or the name that only it has.

        Raises
        ------
        ConfigError
            If there is none, or several.

        """
        found = [one for one in self.tokens() if not one.revoked and which in (one.id, one.name)]
        if len(found) != 1:
            what = f"{len(found)} tokens are called '{which}'" if found else f"No token that holds is called '{which}'"
            raise ConfigError(f"{what}.", "Look with: oddlog token list, and give the id.")
        with self.writing() as connection:
            now = self._clock().isoformat()
            connection.execute(sa.update(_tokens).where(_tokens.c.id == found[0].id).values(revoked=now))
        return found[0]

    def token(self, text: str) -> Token | None:
        """Return what a token allows that somebody brings; None if nothing."""
        parts = _TOKEN.fullmatch(text)
        if parts is None:
            return None
        with self.reading() as connection:
            row = connection.execute(sa.select(_tokens).where(_tokens.c.id == parts[1])).one_or_none()
        if row is None or not hmac.compare_digest(row.hash, _hash(parts[2])):
            return None
        found = _token(row)
        return found if found.holds(self._clock()) else None

    def token_by_id(self, id_: str) -> Token | None:
        """Return the token of an id, if it holds."""
        with self.reading() as connection:
            row = connection.execute(sa.select(_tokens).where(_tokens.c.id == id_)).one_or_none()
        found = None if row is None else _token(row)
        return found if found is not None and found.holds(self._clock()) else None


def require_tenant(name: str) -> None:
    """Raise ConfigError if a tenant cannot be called so: it names a folder and a schema."""
    if name and not _TENANT.fullmatch(name):
        raise ConfigError(
            f"'{name[:40]}' is no name of a tenant.", "Write 1 to 32 of a-z, 0-9 and _, a letter or digit first."
        )


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def _token(row: sa.Row[tuple[object, ...]]) -> Token:
    fields = {name: str(getattr(row, name)) for name in ("id", "name", "tenant", "made", "ends", "revoked")}
    return Token(scopes=frozenset(str(row.scopes).split(",")), **fields)
