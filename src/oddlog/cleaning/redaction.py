"""Secrets taken out of records; a line without one costs a literal search.

The word before a secret stays, so that the template does: ``login token=abc`` becomes
``login token=<redacted>``. A secret that no word announces is known by its own shape or not at all.
"""

from __future__ import annotations

import re

import polars as pl

from oddlog.types import Tally

_HINTS = (
    "assw ASSW assp ASSP pwd Pwd PWD ecret ECRET oken OKEN uthoriz UTHORIZ earer EARER redential REDENTIAL"
    " pikey piKey PIKEY pi_key pi_Key PI_KEY pi-key pi-Key PI-KEY"
    " ccesskey ccessKey CCESSKEY ccess_key ccess_Key CCESS_KEY ccess-key ccess-Key CCESS-KEY"
    " AKIA ASIA -----BEGIN :// eyJ card Card CARD"
)
_MAY_HOLD = "|".join(hint.replace("-", r"\-") for hint in _HINTS.split())
"""One of these stands in every line that holds a secret: Polars searches them all at 15 M lines per second."""

_GONE = "<redacted>"
_NAME = r"(?i)(\b[a-z0-9_.-]*"
_QUOTED = r"""(\\+")[^"\\]*\\+"|(")(?:[^"\\]|\\.)*"|(')[^']*'"""  # groups 2-4: JSON in JSON, JSON, SQL or Python
_IN_QUOTES = "${1}${2}${3}${4}" + _GONE + "${2}${3}${4}"
_KEY = r"(?:secret|token|api[_-]?key|access[_-]?key(?:[_-]?id)?)"

RULES: tuple[tuple[str, str, str], ...] = (
    ("private key", r"(?s)-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|$)", _GONE),
    (
        "authorization header",
        r"""(?i)(authorization["']?\s*[:=]\s*["']?(?:bearer|basic|digest|negotiate|token)\s+)[^\s"',;]+""",
        "${1}" + _GONE,
    ),
    ("bearer token", r"(?i)\b(bearer\s+)[a-z0-9._~+/-]{16,}=*", "${1}" + _GONE),
    ("JSON web token", r"\beyJ[A-Za-z0-9_-]{5,}\.[A-Za-z0-9_-]{5,}\.[A-Za-z0-9_-]*", _GONE),
    ("AWS key id", r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b", _GONE),
    ("password in a URL", r"(?i)\b([a-z][a-z0-9+.-]*://[^\s:/@?#]*:)[^\s/@]+@", "${1}" + _GONE + "@"),
    (
        "password",
        _NAME
        + r"""(?:password|passwd|passphrase|credentials?)\\*["']?\s*[=:]\s*)"""
        + rf"""(?:{_QUOTED}|[^\s,;&"'<\\][^\s,;&"']*)""",
        _IN_QUOTES,
    ),
    # PWD=/srv/app is a folder
    ("password", _NAME + r"""pwd["']?\s*[=:]\s*["']?)[^\s,;&"'/<][^\s,;&"']*""", "${1}" + _GONE),
    # token=Token{a64f992 ...} is an object: what is not in quotes must end as a value does
    (
        "token or key",
        _NAME
        + _KEY
        + r"""(?:=|\\*["']\s*[:=]\s*))"""
        + rf"""(?:{_QUOTED}|[^\s,;&"'<>(){{}}\[\]\\]+([\s,;&"'<>)}}\]]|$))""",
        _IN_QUOTES + "${5}",
    ),
    # "Invalid token: unexpected end" is a sentence: behind a bare colon only what holds a digit is a secret
    ("token or key", _NAME + _KEY + r"""\s*[=:]\s+)[a-z_-]*[0-9][a-z0-9_+=-]{5,}""", "${1}" + _GONE),
    (
        "card number",  # ISO/IEC 7812, in groups, in a line that speaks of a card: bare digits are ids
        r"(?i)\b(?:\d{4}([ -])\d{4}[ -]\d{4}[ -]\d{1,7}|\d{4}[ -]\d{6}[ -]\d{4,5})\b",
        _GONE,
    ),
)
"""Kind, regular expression, what stands in its place; in this order."""


_ANY = "|".join(f"(?:{pattern})" for _, pattern, _ in RULES)
"""Stands in every text that a rule changes."""
_SECRET_FIELD = re.compile(r"(?i)^f\..*(passw(or)?d|passphrase|secret|token|api[_-]?key|authorization|credential)")


def redact(records: pl.DataFrame, tally: Tally) -> pl.DataFrame:
    """Return RECORDS without secrets in text, message and found words (``f.``).

    Only lines whose text hints at a secret are looked at closely.
    """
    hinted = records.select(pl.col("text").str.contains(_MAY_HOLD)).to_series()
    if not hinted.any():
        return records
    columns = [name for name in records.columns if name in {"text", "message"} or name.startswith("f.")]
    at = hinted.arg_true()
    found = records[at]
    if not any(_SECRET_FIELD.match(name) for name in columns):
        holds = found.select(holds=pl.any_horizontal(pl.col(columns).str.contains(_ANY).fill_null(value=False)))[
            "holds"
        ]
        if not holds.any():
            return records
        at, found = at.filter(holds), found.filter(holds)
    for kind, pattern, instead in RULES:
        replaced = found.with_columns(pl.col(columns).str.replace_all(pattern, instead))
        _count(found, replaced, kind, tally)
        found = replaced
    named = [name for name in columns if _SECRET_FIELD.match(name)]
    found = found.with_columns(pl.when(pl.col(named).is_not_null()).then(pl.lit(_GONE)).name.keep()) if named else found
    return records.with_columns(records[name].clone().scatter(at, found[name]) for name in columns)


def _count(before: pl.DataFrame, after: pl.DataFrame, kind: str, tally: Tally) -> None:
    changed = pl.any_horizontal((before[name] != after[name]).fill_null(value=False) for name in ("text", "message"))
    lines = before.filter(changed).select("source", "line")
    if len(lines):
        source, line = lines.row(0)
        tally.add(f"secret redacted: {kind}", len(lines), example=f"{source}:{line}")


def redact_texts(texts: pl.Series, tally: Tally | None = None) -> pl.Series:
    """Return texts without secrets, for what is shown of lines that became no record; count them by kind."""
    for kind, pattern, instead in RULES:
        before, texts = texts, texts.str.replace_all(pattern, instead)
        if tally is not None:
            tally.add(f"secret redacted: {kind}", int((before != texts).sum()))
    return texts
