"""What a person names becomes the files to read; what is no log is left out and counted."""

import gzip
import os
import socket
from pathlib import Path

import pytest

from oddlog.errors import InputError
from oddlog.sources import expand
from oddlog.types import Tally


@pytest.fixture
def logs(tmp_path: Path) -> Path:
    folder = tmp_path / "logs"
    (folder / "web").mkdir(parents=True)
    (folder / "app.log").write_text("started\n")
    (folder / "app.log.1").write_text("stopped\n")
    (folder / "web" / "old.gz").write_bytes(gzip.compress(b"GET /\n"))
    return folder


def names(files: list[str], folder: Path) -> list[str]:
    return [str(Path(file).relative_to(folder)) for file in files]


def test_files_stand_as_named_and_folders_are_read_in_sorted_order(logs):
    assert names(expand([logs], Tally()), logs) == ["app.log", "app.log.1", "web/old.gz"]
    assert expand([str(logs / "app.log.1"), "-", logs / "app.log"], Tally()) == [
        str(logs / "app.log.1"),
        "-",
        str(logs / "app.log"),
    ]


def test_globs_are_read_in_sorted_order_and_go_down_into_folders(logs):
    assert names(expand([f"{logs}/app*"], Tally()), logs) == ["app.log", "app.log.1"]
    assert names(expand([f"{logs}/**/*.gz"], Tally()), logs) == ["web/old.gz"]
    assert names(expand([f"{logs}/w*"], Tally()), logs) == ["web/old.gz"]


def test_a_file_whose_name_is_a_pattern_is_that_file(tmp_path):
    odd = tmp_path / "app[1].log"
    odd.write_text("started\n")
    assert expand([odd], Tally()) == [str(odd)]


def test_what_is_no_log_is_left_out_of_a_folder_and_counted_by_reason(logs):
    (logs / ".hidden.log").write_text("secret\n")
    (logs / ".git").mkdir()
    (logs / ".git" / "x.log").write_text("no\n")
    (logs / "notes.MD").write_text("# notes\n")
    (logs / "image.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 9)
    (logs / "packed.gz").write_bytes(gzip.compress(bytes(2000) + b"\x01\0\x02\0" * 500))
    (logs / "all.zip").write_bytes(b"PK\x03\x04rest")
    (logs / "empty.log").touch()
    (logs / "my.model").mkdir()
    for name in ("manifest.json", "model.json", "templates.json"):
        (logs / "my.model" / name).write_text("{}\n")
    os.mkfifo(logs / "pipe")
    tally = Tally()
    assert names(expand([logs], tally), logs) == ["app.log", "app.log.1", "web/old.gz"]
    assert tally.counts == {
        "file left out: hidden": 1,
        "file left out: no log by its name (.md)": 1,
        "file left out: binary": 2,
        "file left out: a zip archive": 1,
        "file left out: empty": 1,
        "file left out: no regular file": 1,
        "folder left out: an oddlog model": 1,
    }
    assert tally.examples["file left out: empty"] == str(logs / "empty.log")


def test_a_socket_is_left_out(logs):
    here = Path.cwd()
    os.chdir(logs)  # the path of a socket is at most 108 bytes
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind("s")
        os.chdir(here)
        tally = Tally()
        assert len(expand([logs], tally)) == 3
    assert tally.counts == {"file left out: no regular file": 1}


def test_one_file_under_two_names_is_read_once(logs):
    (logs / "current.log").symlink_to(logs / "app.log")
    tally = Tally()
    assert names(expand([logs, f"{logs}/*.log"], tally), logs) == ["app.log", "app.log.1", "web/old.gz"]
    assert tally.counts == {"file left out: the same under another name": 2}
    assert expand(["-", "-"], Tally()) == ["-"]


def test_a_link_that_leads_nowhere_and_a_loop_of_links_are_left_out(logs):
    (logs / "gone.log").symlink_to(logs / "nowhere")
    (logs / "web" / "up").symlink_to(logs)
    tally = Tally()
    assert len(expand([logs], tally)) == 3
    assert tally.counts == {"file left out: cannot be read (No such file or directory)": 1}


def test_a_file_in_a_folder_that_may_not_be_read_is_left_out(logs, monkeypatch):
    opened = Path.open

    def guarded(self, *args, **options):
        if self.name == "app.log.1":
            raise PermissionError(13, "Permission denied")
        return opened(self, *args, **options)

    monkeypatch.setattr(Path, "open", guarded)
    tally = Tally()
    assert names(expand([logs], tally), logs) == ["app.log", "web/old.gz"]
    assert tally.counts == {"file left out: cannot be read (Permission denied)": 1}


def test_a_compressed_file_that_breaks_off_is_still_listed(logs):
    (logs / "broken.gz").write_bytes(gzip.compress(b"line\n" * 1000)[:-9])
    assert "broken.gz" in names(expand([logs], Tally()), logs)


def test_a_path_that_does_not_exist_names_its_neighbours(logs):
    with pytest.raises(InputError) as caught:
        expand([logs / "ap.log"], Tally())
    assert str(caught.value) == (
        f"There is no file or folder {logs}/ap.log; {logs} has 3 entries. Did you mean {logs}/app.log or {logs}/app.log.1?"
    )
    with pytest.raises(InputError, match=f"has 3 entries. Look with: ls {logs}$"):
        expand([logs / "zzz"], Tally())
    with pytest.raises(InputError, match=f"there is no folder {logs}/none either"):
        expand([logs / "none" / "app.log"], Tally())
    with pytest.raises(InputError, match="There is no file or folder a\0b"):
        expand(["a\0b"], Tally())


def test_a_pattern_that_matches_nothing_says_where_to_look(logs):
    with pytest.raises(InputError, match=r"matches no file\. Look with: ls "):
        expand([f"{logs}/*.txt"], Tally())


def test_a_folder_without_logs_says_what_it_holds(tmp_path):
    with pytest.raises(InputError, match="holds no logs; there is: no file"):
        expand([tmp_path], Tally())
    (tmp_path / "a.md").write_text("x\n")
    (tmp_path / "b.md").write_text("x\n")
    (tmp_path / "c.log").touch()
    with pytest.raises(
        InputError, match=r"holds no logs; there is: 1 empty, 2 no log by its name \(\.md\)\. Name the files"
    ):
        expand([tmp_path], Tally())


def test_a_name_longer_than_the_system_allows_is_an_error():
    with pytest.raises(InputError):
        expand(["x" * 5000], Tally())
