"""What counts as a variable: the rules of the mask, as data.

Every rule is a regular expression ``(before)variable(after)``: what its two groups hold stays, what stands
between them becomes one ``<*>``. The expressions use only what Rust's `regex` and Python's `re` read alike (no
look-around, no back-reference, no class that knows Unicode), so that the fast way and the slow twin agree.
"""

from __future__ import annotations

import re
from functools import lru_cache

VARIABLE = "<*>"
MAX_VARIABLES = 40
"""Variables a message may have; the last one stands for the rest of the line."""
MAX_CHARS = 2_000
"""Length of a text after the cheap rule; one variable stands for what is longer."""

_WORD = "[A-Za-z_\x80-\U0010ffff]"
_JOIN = r"[./\-]"
_DIGITS = "[0-9]+(?::[0-9]+)*"

CHEAP = f"/?(?:{_WORD}+(?:{_JOIN}{_WORD}+)*{_JOIN}?|-)?{_DIGITS}(?:{_JOIN}?(?:{_WORD}|{_DIGITS}))*"
"""A run that holds a digit is one variable: ``blk_-38``, ``/10.0.0.1:80``, ``2008-11-09``, ``v2/ab3/x``.

The only rule that runs on every line. It hides small codes too (``HTTP 500``): they are parameters.
"""

FIND = rf"<\*>|{CHEAP}"
"""Finds the cheap variables again; a ``<*>`` that stood in the message itself is one of them."""

_V = r"<\*>"
_BEFORE = r"""(^|[ \t"'`(\[{=,;:<>|])"""
_DAY = "(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)(?:day|sday|nesday|rsday|urday)?"
_MONTH = (
    "(?:Jan(?:uary)?|Feb(?:ruary)?|Mar(?:ch)?|Apr(?:il)?|May|June?|July?|Aug(?:ust)?|Sept?(?:ember)?|Oct(?:ober)?"
    "|Nov(?:ember)?|Dec(?:ember)?)"
)
_ZONE = "(?:UTC|GMT|CES?T|[ECMP][SD]T|[AP]M)"
_TOP = "(?:com|net|org|edu|gov|mil|info|biz|local|internal)"
# country domains, without those that are endings of source files too (py, rs, sh, cc …)
_COUNTRY = (
    "(?:ac|at|au|be|br|ca|ch|cn|co|cz|de|dk|es|eu|fi|fr|gr|hk|hu|ie|il|in|io|ir|it|jp|kr|mx|my|nl|no|nz|pl|pt|ro|ru"
    "|se|sg|th|tr|tv|tw|ua|uk|us|vn|za)"
)
_LABEL = "[A-Za-z_-]+"
_IN_PATH = rf"(?:{_V}|[A-Za-z_.~+@%$-])"
_IN_URL = rf"""(?:{_V}|[^ \t\r\n"'`<>()\[\]{{}},;|])"""
_END_URL = rf"""(?:{_V}|[^ \t\r\n"'`<>()\[\]{{}},;|.:!?])"""
_HEX = rf"(?:{_V}|[0-9a-f]{{1,4}}|[0-9A-F]{{1,4}})"

RULES: dict[str, str] = {
    # Fri Jun 17 07:07:00 2005 · 10 Jan 2020 · Sat Sep 03 PDT 2005: a third of later lines look new without it
    "date": (
        rf"(^|[^A-Za-z])(?:{_DAY}[,.]? +)?(?:{_V} +)?(?:(?:{_DAY}|{_MONTH})[,.]? +)+{_V}(?:,? +{_V}){{0,2}}"
        rf"(?: +{_ZONE})?(?: +{_V})?()"
    ),
    "url": rf"()[A-Za-z][A-Za-z+.-]*:/(?:/|{_V})(?:{_IN_URL}*{_END_URL})?()",
    "mail": rf"{_BEFORE}(?:{_V}|[A-Za-z_.+-])+@(?:{_V}|[A-Za-z_.-])+()",
    # addresses and fingerprints written in hex, of which single groups hold no digit: fe80::ab:1, FF:0A:EB
    "hex_groups": rf"(^|[^A-Za-z_:*>]){_HEX}(?:::?{_HEX}){{2,}}()",
    "hex_word": r"(^|[^A-Za-z_])(?:0x[a-f]+|[a-f]{8,}|[A-F]{8,})($|[^A-Za-z_])",
    "host": (rf"(^|[^A-Za-z0-9_.$>/-])(?:(?:{_LABEL}\.)+{_TOP}|(?:{_LABEL}\.){{2,}}{_COUNTRY})($|[^A-Za-z0-9_./$-])"),
    "host_port": rf"(^|[^A-Za-z0-9_.$>/-])(?:{_LABEL}\.)+(?:{_TOP}|{_COUNTRY}):{_V}($|[^A-Za-z0-9_./$-])",
    "path": rf"{_BEFORE}(?:\.{{1,2}}(?:/+{_IN_PATH}+)+|(?:/+{_IN_PATH}+){{2,}})/?()",
    "windows_path": rf"{_BEFORE}(?:[A-Za-z]:|\\\\?|{_V})(?:\\{_IN_PATH}+){{2,}}()",
    "joined": rf"()/?(?:[A-Za-z_.-]+~)?{_V}(?:[:./_~#@\\+-]*{_V})+()",
    "user": rf"([Uu]ser(?:name)?[=:]|for user ){_LABEL}($|[^A-Za-z0-9_./$-])",
    "query": rf"(){_V}\?{_IN_URL}*{_END_URL}()",
    "list": rf"(){_V}(?:, ?[+-]?{_V})+()",
    "unit": rf"()<?{_V} ?(?:[KMGTP]i?B|B|[Bb]ytes|[nuµm]s|secs?|mins?)($|[^A-Za-z_])",
    "parenthesis": rf"(){_V} ?\((?:{_V})?\)()",
    "run": rf"(){_V}(?: {_V}){{4,}}()",
}

REPLACEMENT = "${1}<*>${2}"
BLANKS = r"[ \t\r\n\x0b\x0c]+"
"""Blanks of any kind and number count as one space, last of all, so that the variables keep theirs."""

_COMPILED = tuple(re.compile(rule) for rule in RULES.values())


def cut_long(text: str) -> str:
    """Return a text after the cheap rule with one variable in place of what is beyond `MAX_CHARS`."""
    if len(text) <= MAX_CHARS:
        return text
    return text[: _cut_at(text)] + VARIABLE


def cut_variables(text: str) -> str:
    """Return a masked text whose variable number `MAX_VARIABLES` stands for the rest of the line."""
    if text.count(VARIABLE) <= MAX_VARIABLES:
        return text
    return VARIABLE.join([*text.split(VARIABLE, MAX_VARIABLES)[:MAX_VARIABLES], ""])


@lru_cache(maxsize=65_536)
def trace(text: str) -> tuple[str, ...]:
    """Return what each variable of the masked text was in `text`, a text after the cheap rule.

    The variables of `text` come in the same order, each in exactly one of the answers::

        "at Fri Jun <*> <*>, /<*>"   →   ("Fri Jun <*> <*>", "/<*>")       masked: "at <*>, <*>"
    """
    sources = [VARIABLE] * text.count(VARIABLE)
    if len(text) > MAX_CHARS:
        head, tail = text[: _cut_at(text)], text[_cut_at(text) :]
        sources = [*sources[: head.count(VARIABLE)], tail]
        text = head + VARIABLE
    for rule in _COMPILED:
        text, sources = _apply(rule, text, sources)
    parts = text.split(VARIABLE, MAX_VARIABLES - 1)
    if len(sources) > MAX_VARIABLES:
        rest = VARIABLE + parts[-1].split(VARIABLE, 1)[1]
        sources[MAX_VARIABLES - 1 :] = [_fill(rest, sources[MAX_VARIABLES - 1 :])]
    return tuple(sources)


def _cut_at(text: str) -> int:
    """Return where a long text is cut: never inside a variable."""
    inside = text.rfind(VARIABLE, MAX_CHARS - len(VARIABLE) + 1, MAX_CHARS + len(VARIABLE) - 1)
    return MAX_CHARS if inside < 0 or inside >= MAX_CHARS else inside


def _apply(rule: re.Pattern[str], text: str, sources: list[str]) -> tuple[str, list[str]]:
    """Replace what one rule finds; a new variable's source is what it covers, filled with the old sources."""
    written: list[str] = []
    traced: list[str] = []
    at = used = 0
    for match in rule.finditer(text):
        lead, covered = text[at : match.end(1)], text[match.end(1) : match.start(2)]
        middle = used + lead.count(VARIABLE)
        traced += sources[used:middle]
        used = middle + covered.count(VARIABLE)
        traced.append(_fill(covered, sources[middle:used]))
        written += (lead, VARIABLE)
        at = match.start(2)
    return "".join([*written, text[at:]]), traced + sources[used:]


def _fill(text: str, sources: list[str]) -> str:
    """Return `text` with each variable replaced by its source."""
    parts = text.split(VARIABLE)
    return "".join(x for pair in zip(parts, [*sources, ""], strict=True) for x in pair)
