"""A report as a file."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from oddlog.errors import ConfigError, InputError
from oddlog.model import Model
from oddlog.pipeline import Detection
from oddlog.reports import check_report, write_report


def test_a_report_is_written_and_replaces_what_was_there(shop_found: Detection, shop_model: Model, tmp_path: Path):
    path = tmp_path / "a.html"
    path.write_text("old")
    write_report(shop_found, shop_model, path)
    assert path.read_text(encoding="utf-8").startswith('<!DOCTYPE html>\n<html lang="en">')
    assert [one.name for one in tmp_path.iterdir()] == ["a.html"]


def test_a_full_disk_leaves_the_old_report(
    shop_found: Detection, shop_model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    path = tmp_path / "a.html"
    path.write_text("old")

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(InputError, match=r"a\.html cannot be written: No space left on device\. Give another place"):
        write_report(shop_found, shop_model, path)
    assert path.read_text() == "old"
    assert [one.name for one in tmp_path.iterdir()] == ["a.html"]


def test_a_detection_without_an_overview_says_what_to_do(shop_found: Detection, shop_model: Model, tmp_path: Path):
    with pytest.raises(ConfigError, match="Call detect with overview=True"):
        write_report(dataclasses.replace(shop_found, overview=None), shop_model, tmp_path / "a.html")


def test_a_place_that_cannot_be_written_is_said(tmp_path: Path):
    with pytest.raises(InputError, match="there is no folder"):
        check_report(tmp_path / "no" / "a.html")
    with pytest.raises(InputError, match=r"Name a file: .*/report\.html"):
        check_report(tmp_path)
    check_report(None)
