"""Whatever is not markup is text."""

from __future__ import annotations

import ast
import doctest
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import oddlog.reports
from oddlog.reports import cards, charts, elements, page, scales, wording
from oddlog.reports.elements import MOST_TEXT, Markup, element, markup, visible

ROOM = Path(oddlog.reports.__file__).parent


@pytest.mark.parametrize("module", [elements, wording, scales, charts, page, cards], ids=lambda m: m.__name__)
def test_examples_in_docstrings_hold(module):
    assert doctest.testmod(module).failed == 0


@settings(deadline=None)
@given(st.text(max_size=200))
def test_any_text_comes_back_as_the_text_it_is_and_nothing_else(as_seen, text: str):
    written = element("p", text, title=text)
    seen = as_seen(written)
    # A browser turns line ends into one kind; there is no other change but what `visible` says.
    assert [tag for tag, _ in seen.tags] == ["p"]
    assert seen.text == visible(text)
    assert seen.tags[0][1] == {"title": visible(text)}


@settings(deadline=None)
@given(st.text())
def test_what_is_seen_holds_nothing_that_cannot_be_seen(text: str):
    for character in visible(text):
        assert character in "\t\n" or (character >= " " and not 0x7F <= ord(character) <= 0x9F)
        assert not 0xD800 <= ord(character) <= 0xDFFF
        assert character not in "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200e\u200f\u061c\u2028\u2029"


@pytest.mark.parametrize(
    ("text", "html"),
    [
        ("<script>alert(1)</script>", "<p>&lt;script&gt;alert(1)&lt;/script&gt;</p>"),
        ("</p><b>", "<p>&lt;/p&gt;&lt;b&gt;</p>"),
        ("&lt;", "<p>&amp;lt;</p>"),
        ("\x1b[31mred\x1b[0m", "<p>\\x1b[31mred\\x1b[0m</p>"),
        ("\x00\x7f\x9b", "<p>\\x00\\x7f\\x9b</p>"),
        ("invoice\u202efdp.exe", "<p>invoice\\u202efdp.exe</p>"),
        ("\ud800", "<p>\\ud800</p>"),
        ("\U000e0041", "<p>\\U000e0041</p>"),
        ("naïve \N{SNOWMAN} שלום", "<p>naïve \N{SNOWMAN} שלום</p>"),
    ],
)
def test_hostile_texts_are_shown(text: str, html: str):
    assert element("p", text) == html


def test_an_attribute_cannot_be_broken_out_of():
    assert element("a", "x", title="\" onclick='evil()' x=\"") == (
        '<a title="&quot; onclick=&#x27;evil()&#x27; x=&quot;">x</a>'
    )


def test_markup_put_together_with_text_is_escaped_again():
    joined = element("b", "x") + "<i>"
    assert not isinstance(joined, Markup)
    assert markup(joined) == "&lt;b&gt;x&lt;/b&gt;&lt;i&gt;"


def test_there_is_no_place_for_a_handler_of_events_or_a_strange_name():
    for name in ("onclick", "onError", 'a="b"'):
        with pytest.raises(AssertionError):
            element("p", "x", **{name: "y"})
    with pytest.raises(AssertionError):
        element("p><script", "x")


def test_children_may_be_nested_and_missing():
    assert element("ul", [element("li", n) for n in (1, 2.5)], None, ["a", ("b", None)]) == (
        "<ul><li>1</li><li>2.5</li>ab</ul>"
    )


def test_a_text_without_end_is_cut():
    written = element("p", "z" * 1_000_000)
    assert written == f"<p>{'z' * MOST_TEXT}… (999,000 more characters)</p>"


def test_only_one_module_makes_markup_of_text():
    for path in ROOM.glob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        calls = [n for n in ast.walk(tree) if isinstance(n, ast.Call) and getattr(n.func, "id", "") == "Markup"]
        assert bool(calls) == (path.name == "elements.py"), path
