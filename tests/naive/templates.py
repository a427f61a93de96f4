"""Slow, obvious twins of `oddlog.templates`: one message at a time, one character at a time."""

from __future__ import annotations

import re
from collections import defaultdict
from hashlib import blake2b

from oddlog.templates.rules import CHEAP, MAX_CHARS, MAX_VARIABLES, RULES

V = "<*>"
SEPARATORS = set(" \t\r\n,;:=()[]{}\"'>|")


def masked_with_parameters(message: str | None) -> tuple[str, list[str]]:
    """Mask with every character remembering which part of the message it stands for."""
    message = message or ""
    text, spans = message, [(i, i + 1) for i in range(len(message))]
    text, spans = replace(re.compile(f"(){CHEAP}()"), text, spans)
    if len(text) > MAX_CHARS:
        cut = MAX_CHARS
        while any(text[cut - k : cut - k + 3] == V for k in (1, 2)):
            cut -= 1
        text, spans = text[:cut] + V, spans[:cut] + [(spans[cut][0], len(message))] * 3
    for rule in RULES.values():
        text, spans = replace(re.compile(rule), text, spans)
    at = [m.start() for m in re.finditer(re.escape(V), text)]
    if len(at) > MAX_VARIABLES:
        cut = at[MAX_VARIABLES - 1]
        text, spans = text[:cut] + V, spans[:cut] + [(spans[cut][0], len(message))] * 3
        at = at[:MAX_VARIABLES]
    parameters = [message[spans[i][0] : spans[i + 2][1]] for i in at]
    return re.sub("[ \t\r\n\x0b\x0c]+", " ", text).strip(" "), parameters


def replace(rule, text, spans):
    written, spanned, at = "", [], 0
    for match in rule.finditer(text):
        start, end = match.end(1), match.start(2)
        written += text[at:start] + V
        spanned += spans[at:start] + [(spans[start][0], spans[end - 1][1])] * 3
        at = end
    return written + text[at:], spanned + spans[at:]


def key(masked: str) -> int:
    return int.from_bytes(blake2b(masked.encode(), digest_size=8).digest(), "little")


def tokens(text: str) -> list[str]:
    """Cut into words and separators by walking; ``:<*>`` behind a word belongs to it."""
    found: list[str] = []
    i = 0
    while i < len(text):
        start = i
        while i < len(text) and (text.startswith(V, i) or text[i] not in SEPARATORS | {"<"}):
            i += 3 if text.startswith(V, i) else 1
        if i > start:
            while text.startswith(":" + V, i):
                i += 4
        elif text[i] == "<":
            i += 1
        else:
            while i < len(text) and text[i] in SEPARATORS:
                i += 1
        found.append(text[start:i])
    return found


def is_word(token: str) -> bool:
    return token.startswith(V) or token[0] not in SEPARATORS | {"<"}


def merge(texts: list[str], min_words: int, min_names: int) -> dict[str, str]:
    """Blank every word in which enough distinct texts differ that agree in all else; four times at most."""
    now = {text: tuple(tokens(text)) for text in texts}
    for _ in range(4):
        frames = defaultdict(set)
        for row in set(now.values()):
            for p, token in enumerate(row):
                others = [t for i, t in enumerate(row) if i != p]
                if is_word(token) and any(is_word(t) and t != V and re.search(r"[^\W\d_]", t) for t in others):
                    frames[row[:p], row[p + 1 :]].add(token)
        varying = {
            frame
            for frame, words in frames.items()
            if len(words) >= min_words or sum(w == V or bool(re.search(r"[./\\@~]", w)) for w in words) >= min_names
        }
        after = {
            text: tuple(
                V if is_word(t) and (row[:p], row[p + 1 :]) in varying and constant(row, p) else t
                for p, t in enumerate(row)
            )
            for text, row in now.items()
        }
        if after == now:
            break
        now = after
    return {text: "".join(row) for text, row in now.items()}


def constant(row, p) -> bool:
    return any(is_word(t) and t != V and re.search(r"[^\W\d_]", t) for i, t in enumerate(row) if i != p)
