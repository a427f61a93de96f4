"""Files of others are those that were released; nothing else can be fetched."""

from __future__ import annotations

import hashlib
import re
from importlib.resources import files

import pytest

pytest.importorskip("jinja2")
from oddlog.web.rendering import static

HERE = files("oddlog.web").joinpath("static")


def test_files_of_others_have_the_hashes_and_licences_that_are_told():
    told = HERE.joinpath("README.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `([\w.]+)` .*`([\w.]+LICENSE.txt)` \| `([0-9a-f]{64})` \|$", told, re.MULTILINE)
    assert sorted(name for name, _, _ in rows) == ["htmx.min.js", "uPlot.iife.min.js", "uPlot.min.css"]
    for name, licence, expected in rows:
        assert hashlib.sha256(HERE.joinpath(name).read_bytes()).hexdigest() == expected
        assert "permission" in HERE.joinpath(licence).read_text(encoding="utf-8").lower()


@pytest.mark.parametrize("name", ["..", "../pages.py", "README.md", "htmx.LICENSE.txt", "", "page.css/../x", "\0.js"])
def test_nothing_but_our_own_files_can_be_named(name: str):
    assert static(name).status_code == 404


def test_templates_hold_no_script_no_style_and_no_address_elsewhere():
    for one in files("oddlog.web").joinpath("templates").iterdir():
        text = one.read_text(encoding="utf-8")
        assert not re.search(r"<style|\sstyle=|\son\w+=|<script(?! src=\"\{\{ static)|hx-on|\|\s*safe", text), one.name
        assert not re.search(r"(src|href)=\"(https?:)?//", text), one.name
