"""HTML in which whatever is not markup is text, by construction.

`element` is the only way to write a tag, and escapes every child and every attribute that is not `Markup`; `Markup`
comes only from this module. What a log line holds (tags, quotes, terminal escapes, marks that turn the direction of
writing round) can therefore neither become part of the page nor change how the rest of it reads.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterable

MOST_TEXT = 1_000  # characters of one text
VOID = frozenset({"meta", "br", "hr", "path", "line", "rect", "circle", "polyline", "polygon", "use"})
# Control characters (but tab and line end), the Unicode Bidirectional Algorithm's marks, embeddings and isolates
# (UAX #9, section 2), spaces without width, line and paragraph separators, tags that nobody sees, what is no
# character at all, and halves of surrogate pairs.
_UNSEEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060\u2066-\u2069\ufdd0-\ufdef\ufeff\ufffe\uffff"
    "\ud800-\udfff\U000e0000-\U000e007f]"
)
_NAME = re.compile(r"[a-zA-Z][\w-]*")


class Markup(str):
    """A piece of HTML. Put together with a plain text it is a plain text again, and will be escaped."""

    __slots__ = ()


Child = Markup | str | int | float | None | Iterable["Child"]
Attribute = str | float | bool | None


def visible(text: str) -> str:
    r"""Return `text` with characters that cannot be seen, or change how others are seen, written as escapes.

    >>> print(visible("red \x1b[31m and \u202egnp.exe"))
    red \x1b[31m and \u202egnp.exe
    """
    return _UNSEEN.sub(lambda found: _escape(ord(found[0])), text)


def _escape(code: int) -> str:
    if code <= 0xFF:  # noqa: PLR2004 - two digits hold so much
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"  # noqa: PLR2004 - and four so much


def element(name: str, /, *children: Child, **attributes: Attribute) -> Markup:
    """Return an element; `class_` is the attribute class, and `stroke_width` is stroke-width.

    >>> element("td", "<script>", class_='a" onclick="b', hidden=True, title=None)
    '<td class="a&quot; onclick=&quot;b" hidden>&lt;script&gt;</td>'
    """
    assert _NAME.fullmatch(name), name
    opened = f"<{name}{''.join(_attribute(*item) for item in attributes.items())}"
    if name in VOID and not children:
        return Markup(f"{opened}/>")
    return Markup(f"{opened}>{markup(children)}</{name}>")


def markup(child: Child) -> Markup:
    """Return a child, or several, as markup: texts escaped, None and False left out."""
    if isinstance(child, Markup):
        return child
    if child is None:
        return Markup("")
    if isinstance(child, str):
        return Markup(html.escape(visible(_cut(child))))
    if isinstance(child, (int, float)):
        return Markup(html.escape(number(child)))
    return Markup("".join(markup(one) for one in child))


def _cut(text: str) -> str:
    """Return `text`, cut where it is so long that nobody reads it: no name can blow up the page."""
    more = len(text) - MOST_TEXT
    return f"{text[:MOST_TEXT]}… ({more:,} more characters)" if more > 0 else text


def _attribute(name: str, value: Attribute) -> str:
    if value is None or value is False:
        return ""
    name = name.rstrip("_").replace("_", "-")
    assert _NAME.fullmatch(name), name
    assert not name.lower().startswith("on"), name  # there is no script in the page, nor a place for one
    if value is True:
        return f" {name}"
    text = number(value) if not isinstance(value, str) else value if isinstance(value, Markup) else _cut(value)
    return f' {name}="{html.escape(visible(text))}"'


def number(value: float) -> str:
    """Return a coordinate or a count as short as it is exact enough to be drawn.

    >>> number(3.0), number(2.34567), number(-0.001)
    ('3', '2.35', '0')
    """
    text = f"{value:.2f}".rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


def coordinates(points: Iterable[tuple[float, float]]) -> Markup:
    """Return points for a line through them.

    >>> coordinates([(0, 1.5), (2, 3)])
    '0,1.5 2,3'
    """
    return Markup(" ".join(f"{number(x)},{number(y)}" for x, y in points))


def page(title: str, style: str, style_hash: str, body: Child) -> str:
    """Return a whole page that fetches nothing, runs nothing, and may not: its own policy forbids it.

    `style` must be our own; `style_hash` is its SHA-256 in base64 (Content Security Policy Level 3, section 2.3.1).
    """
    policy = f"default-src 'none'; style-src 'sha256-{style_hash}'; base-uri 'none'; form-action 'none'"
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=policy),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="referrer", content="no-referrer"),
        element("meta", name="color-scheme", content="light dark"),
        element("title", title),
        element("style", Markup(style)),
    )
    return "<!DOCTYPE html>\n" + element("html", head, element("body", body), lang="en") + "\n"
