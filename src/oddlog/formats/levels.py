"""What loggers call their severities, mapped onto `types.LEVELS`.

Sources of the words: RFC 5424 table 2 (syslog), log4j, logback, java.util.logging, Python, Rust's tracing,
Android's logcat, klog, Serilog, pino and bunyan, PostgreSQL.
"""

from __future__ import annotations

import polars as pl

from oddlog.types import LEVEL

_WORDS = {
    "TRACE": "trace finest finer verbose verb trc vrb all",
    "DEBUG": "debug dbg dbug fine config debug1 debug2 debug3 debug4 debug5",
    "INFO": "info information informational inf log audit ok success statement detail hint",
    "NOTICE": "notice note ntc",
    "WARNING": "warning warn wrn warng",
    "ERROR": "error err eror severe failure fail failed errors",
    "CRITICAL": "critical crit fatal ftl alert panic pnc emerg emergency dpanic crt",
}
BY_WORD: dict[str, str] = {
    form: level
    for level, words in _WORDS.items()
    for word in words.split()
    for form in (word, word.upper(), word.title())
}
"""Level of each word, in lower, upper and title case."""

# Words that, at the head of a free message, say something other than how bad it is.
_NOT_ALONE = {"all", "ok", "log", "config", "detail", "hint", "statement", "success", "note", "audit"}
LEADING: dict[str, str] = {w: level for w, level in BY_WORD.items() if w.lower() not in _NOT_ALONE}
"""The words that are trusted as a level without a column of their own."""

LETTERS = {
    "V": "TRACE",
    "T": "TRACE",
    "D": "DEBUG",
    "I": "INFO",
    "N": "NOTICE",
    "W": "WARNING",
    "E": "ERROR",
    "F": "CRITICAL",
    "C": "CRITICAL",
    "A": "CRITICAL",
    "S": "CRITICAL",
}
"""Single letters, where a format has a column for them."""

SYSLOG = ("CRITICAL", "CRITICAL", "CRITICAL", "ERROR", "WARNING", "NOTICE", "INFO", "DEBUG")
"""Level of a syslog severity 0-7 (RFC 5424, table 2)."""

# pino, bunyan: 10 trace … 60 fatal; Python's logging: 10 debug … 50 critical. They agree from 20/30 on only
# for pino (30 info, 40 warn, 50 error, 60 fatal); numbers in JSON logs are pino's in practice.
PINO = {10: "TRACE", 20: "DEBUG", 30: "INFO", 40: "WARNING", 50: "ERROR", 60: "CRITICAL"}


def by_word(word: pl.Expr, *, leading: bool = False) -> pl.Expr:
    """Return the LEVEL of each word, null where it is none."""
    return word.replace_strict(LEADING if leading else BY_WORD, default=None, return_dtype=LEVEL)


def by_letter(letter: pl.Expr) -> pl.Expr:
    """Return the LEVEL of each letter, null where it is none."""
    return letter.replace_strict(LETTERS, default=None, return_dtype=LEVEL)


def by_priority(priority: pl.Expr) -> pl.Expr:
    """Return the LEVEL of a syslog priority, facility x 8 + severity (RFC 5424, 6.2.1)."""
    return (priority % 8).replace_strict(dict(enumerate(SYSLOG)), default=None, return_dtype=LEVEL)


def by_any(word: pl.Expr) -> pl.Expr:
    """Return the LEVEL of a word in any case, a syslog severity (0-7) or a pino number (10-60)."""
    numbers = {str(i): level for i, level in enumerate(SYSLOG)} | {str(i): v for i, v in PINO.items()}
    table = {w: level for w, level in BY_WORD.items() if w.islower()} | numbers
    table |= {letter.lower(): level for letter, level in LETTERS.items()}
    return (
        word.str.strip_chars(" []:")
        .str.strip_suffix(".0")
        .str.to_lowercase()
        .replace_strict(table, default=None, return_dtype=LEVEL)
    )
