"""A model on disk: equal after reading, refused when it is not what was saved."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

import oddlog
from oddlog.errors import ModelError
from oddlog.types import Windows


@pytest.fixture
def copy(small_model: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(small_model, tmp_path / "copy.model"))


def test_a_model_judges_the_same_after_it_was_saved_and_read(small_log: Path, odd_log: Path, tmp_path: Path):
    model = oddlog.fit(small_log, detectors=["snn", "new-event"])
    model.save(tmp_path / "a.model")
    again = oddlog.load(tmp_path / "a.model")
    assert again.id == model.id
    first, second = model.detect(odd_log), again.detect(odd_log)
    assert_frame_equal(first.scores, second.scores)
    assert first.incidents == second.incidents


def test_the_same_input_and_seed_give_the_same_bytes(small_log: Path, small_model: Path, tmp_path: Path):
    oddlog.fit(small_log).save(tmp_path / "b.model")
    names = sorted(path.name for path in small_model.iterdir())
    assert names == sorted(path.name for path in (tmp_path / "b.model").iterdir())
    for name in names:
        assert (small_model / name).read_bytes() == (tmp_path / "b.model" / name).read_bytes(), name


def test_another_seed_gives_another_model(small_log: Path, small_model: Path):
    assert oddlog.fit(small_log, seed=1).id != oddlog.load(small_model).id


def test_the_id_is_the_hash_of_the_manifest(small_model: Path):
    manifest = (small_model / "manifest.json").read_bytes()
    assert oddlog.load(small_model).id == hashlib.sha256(manifest).hexdigest()


def test_every_file_stands_in_the_manifest(small_model: Path):
    listed = set(json.loads((small_model / "manifest.json").read_bytes())["files"])
    assert {path.name for path in small_model.iterdir()} == listed | {"manifest.json"}
    assert {path.suffix for path in small_model.iterdir()} <= {".json", ".safetensors", ".onnx"}


def test_one_changed_byte_in_any_file_is_found(copy: Path):
    for path in sorted(copy.iterdir()):
        if path.name == "manifest.json":
            continue
        content = path.read_bytes()
        middle = len(content) // 2
        path.write_bytes(content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :])
        with pytest.raises(ModelError, match=f"{path.name} is not what was saved"):
            oddlog.load(copy)
        path.write_bytes(content)
    oddlog.load(copy)


def test_a_missing_file_is_named(copy: Path):
    (copy / "templates.json").unlink()
    with pytest.raises(ModelError, match=r"templates\.json is missing or unreadable"):
        oddlog.load(copy)


def test_a_model_of_another_version_says_which(copy: Path):
    manifest = json.loads((copy / "manifest.json").read_bytes())
    (copy / "manifest.json").write_text(json.dumps(manifest | {"format_version": 99}))
    with pytest.raises(ModelError, match=r"is of model format 99; this oddlog .* reads format 1"):
        oddlog.load(copy)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"format_version": 1}', b"\xff\xfe"])
def test_a_broken_manifest_is_one_clear_line(copy: Path, content: bytes):
    (copy / "manifest.json").write_bytes(content)
    with pytest.raises(ModelError, match=r"manifest of .* cannot be read"):
        oddlog.load(copy)


def test_a_manifest_that_points_outside_is_refused(copy: Path):
    manifest = json.loads((copy / "manifest.json").read_bytes())
    manifest["files"]["../secret"] = "0" * 64
    (copy / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(ModelError, match="names a file outside"):
        oddlog.load(copy)


def test_a_place_without_a_model_says_how_to_make_one(tmp_path: Path):
    with pytest.raises(ModelError, match="oddlog fit LOGS -m"):
        oddlog.load(tmp_path / "nothing.model")


def test_something_else_is_never_overwritten(small_model: Path, tmp_path: Path):
    (tmp_path / "papers").mkdir()
    (tmp_path / "papers" / "thesis.txt").write_text("years of work")
    with pytest.raises(ModelError, match="is no oddlog model, so it is not overwritten"):
        oddlog.load(small_model).save(tmp_path / "papers")
    assert (tmp_path / "papers" / "thesis.txt").read_text() == "years of work"


def test_saving_over_a_model_replaces_all_of_it(copy: Path, small_log: Path):
    model = oddlog.fit(small_log, detectors=["new-event"])
    model.save(copy)
    assert oddlog.load(copy).id == model.id
    assert [path.name for path in copy.parent.iterdir()] == [copy.name]


def test_nothing_is_left_when_the_disk_is_full(small_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    write = Path.write_bytes
    written = []

    def full(self: Path, data: bytes) -> int:
        if written:
            raise OSError(28, "No space left on device")
        written.append(self)
        return write(self, data)

    model = oddlog.load(small_model)
    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(ModelError, match="No space left on device"):
        model.save(tmp_path / "new.model")
    assert list(tmp_path.iterdir()) == []


def test_scores_of_windows_have_the_columns_that_others_build_on(small_model: Path, odd_log: Path):
    scores = oddlog.load(small_model).detect(odd_log).scores
    assert scores.columns == ["key", "start", "end", "n_events", "score", "p_value", "threshold", "is_anomaly"]
    assert scores.schema["start"] == pl.Datetime("us", "UTC")


def test_a_view_that_is_not_there_is_named(small_model: Path):
    model = oddlog.load(small_model)
    assert model.score(Windows.empty()).is_empty()
    with pytest.raises(ModelError, match=r"no view 'entities'. It has: sessions"):
        model.score(Windows.empty(), "entities")
