"""The report of a bench as one HTML page that fetches and runs nothing: tables, and figures within it."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from oddlog.evaluation.tables import Table

STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: #111; background: #fff; margin: 2rem auto; max-width: 78rem;
  padding: 0 1rem; }
h1 { font-size: 1.6rem } h2 { font-size: 1.2rem; margin-top: 2.4rem; border-bottom: 2px solid #111 }
.wide { overflow-x: auto }
table { border-collapse: collapse; font-size: 13px; font-variant-numeric: tabular-nums }
th, td { padding: .25rem .6rem; border-bottom: 1px solid #bbb; text-align: right; white-space: nowrap }
th { vertical-align: bottom; white-space: normal; font-weight: 600 }
th:first-child, td:first-child { text-align: left }
tr:first-child td { font-weight: 600 }
code, pre { font-family: ui-monospace, monospace; font-size: 13px; overflow-x: auto }
figure { display: inline-block; vertical-align: top; margin: .6rem 1rem .6rem 0; max-width: 36rem }
figure img { width: 100% } figcaption { font-size: 13px; color: #333 }
td.why { text-align: left; white-space: normal }
@media print { body { max-width: none; margin: 0 } figure, tr { break-inside: avoid } }
"""


@dataclass(frozen=True)
class Picture:
    """A figure with what it shows."""

    svg: bytes
    caption: str


@dataclass(frozen=True)
class Section:
    """A table with the figures that belong to it."""

    table: Table
    pictures: tuple[Picture, ...] = ()


def page(title: str, paragraphs: Sequence[str], commands: Sequence[str], sections: Sequence[Section]) -> str:
    """Return the page."""
    head = "".join(f"<p>{_prose(text)}</p>\n" for text in paragraphs)
    typed = f"<pre>{escape(chr(10).join(commands))}</pre>\n" if commands else ""
    body = "".join(_section(one) for one in sections)
    return (
        f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta name="viewport" content="width=device-width">\n<title>{escape(title)}</title>\n'
        f"<style>{STYLE}</style>\n</head>\n<body>\n<h1>{escape(title)}</h1>\n{head}{typed}{body}</body>\n</html>\n"
    )


def _section(one: Section) -> str:
    table = one.table
    head = "".join(f"<th>{escape(name)}</th>" for name in table.head)
    cells = ("".join(_cell(text, name) for text, name in zip(row, table.head, strict=True)) for row in table.rows)
    rows = "".join(f"<tr>{row}</tr>\n" for row in cells)
    pictures = "".join(_picture(picture) for picture in one.pictures)
    return (
        f"<h2>{escape(table.title)}</h2>\n<p>{_prose(table.says)}</p>\n"
        f'<div class="wide"><table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{rows}</tbody>\n</table></div>\n'
        f"{pictures}\n"
    )


def _cell(text: str, name: str) -> str:
    return f"<td{' class=why' if name == 'why' else ''}>{_prose(text)}</td>"


def _picture(picture: Picture) -> str:
    data = base64.b64encode(picture.svg).decode()
    caption = escape(picture.caption)
    image = f'<img alt="{caption}" src="data:image/svg+xml;base64,{data}">'
    return f"<figure>{image}<figcaption>{caption}</figcaption></figure>\n"


def _prose(text: str) -> str:
    """Return text with what stands between backticks as code, and between stars in italics."""
    parts = escape(text).split("`")
    told = "".join(f"<code>{part}</code>" if i % 2 else part for i, part in enumerate(parts))
    pieces = told.split("*")
    return "".join(f"<em>{part}</em>" if i % 2 else part for i, part in enumerate(pieces)) if len(pieces) % 2 else told
