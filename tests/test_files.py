"""Atomic writes, the manifest, and where things lie."""

import json
import os
import re
import subprocess
import sys

import pytest

from semcg import config, files, pictures
from semcg.runs import datasets


def test_a_file_appears_whole_or_not_at_all(tmp_path):
    path = tmp_path / "deep" / "a.txt"
    files.write_text(path, "one\n")

    def stops():
        with files.atomic(path) as partial:
            partial.write_text("half")
            assert partial.suffix == ".txt"
            raise RuntimeError("stopped")

    with pytest.raises(RuntimeError, match="stopped"):
        stops()
    assert path.read_bytes() == b"one\n"
    assert os.listdir(path.parent) == ["a.txt"]
    files.write_text(path, "two ä\n")
    assert path.read_bytes() == "two ä\n".encode()


def test_a_disk_error_names_the_file(tmp_path):
    def fills():
        with files.atomic(tmp_path / "a.txt") as partial:
            partial.write_text("half")
            raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match=r"No space left on device: '.*a\.txt'"):
        fills()
    assert os.listdir(tmp_path) == []


def test_json_there_and_back(tmp_path):
    files.write_json(tmp_path / "a.json", {"b": [1, None]})
    assert (
        json.loads((tmp_path / "a.json").read_text())
        == files.read_json(tmp_path / "a.json")
        == {"b": [1, None]}
    )
    with pytest.raises(ValueError, match="not JSON compliant"):
        files.write_json(tmp_path / "b.json", float("nan"))
    files.write_text(tmp_path / "c.json", "{")
    with pytest.raises(ValueError, match=r"c\.json is not JSON"):
        files.read_json(tmp_path / "c.json")
    assert sorted(os.listdir(tmp_path)) == ["a.json", "c.json"]


def test_swap_replaces_a_folder_and_leaves_nothing_beside_it(tmp_path):
    new, old = tmp_path / "x.partial", tmp_path / "x"
    for content in ("first", "second"):
        new.mkdir()
        (new / "a").write_text(content)
        files.swap(new, old)
        assert (old / "a").read_text() == content
        assert os.listdir(tmp_path) == ["x"]


def test_what_a_killed_process_left_half_written_is_removed_and_nothing_else(tmp_path):
    """Of a process of this machine that is no more: that of one that lives, or of another machine, may be in use."""
    code = f"""
import os
from pathlib import Path
from semcg import config, files
from semcg.runs import datasets
with files.atomic(Path({str(tmp_path)!r}) / "deep" / "a.json") as partial:
    partial.write_text("half")
    os.kill(os.getpid(), 9)
"""
    subprocess.run([sys.executable, "-c", code])
    (torn,) = [p for p in tmp_path.rglob("*") if p.is_file()]
    elsewhere = torn.with_name(torn.name.replace(files._machine(), "0" * 6))
    elsewhere.write_text("half")
    mine = torn.with_name(".b.partial.json")
    mine.write_text("somebody's")
    with files.atomic(tmp_path / "deep" / "c.json") as partial:
        partial.write_text("half")
        files.remove_torn(tmp_path)
        assert partial.exists()
    assert sorted(p for p in tmp_path.rglob("*") if p.is_file()) == sorted(
        [elsewhere, mine, tmp_path / "deep" / "c.json"]
    )


def test_swap_syncs_the_names_before_it_removes_anything(tmp_path, monkeypatch):
    new, old, seen = tmp_path / "x.partial", tmp_path / "x", []
    for folder in (new, old):
        folder.mkdir()
    sync = files._sync
    monkeypatch.setattr(
        files, "_sync", lambda folder: (seen.append(sorted(os.listdir(folder))), sync(folder))
    )
    files.swap(new, old)
    assert seen == [[".x.replaced", "x"]]
    assert os.listdir(tmp_path) == ["x"]


def test_swap_loses_neither_folder_to_a_crash(tmp_path, monkeypatch):
    new, old = tmp_path / "x.partial", tmp_path / "x"
    for folder in (new, old):
        folder.mkdir()
        (folder / "a").write_text(folder.name)
    rename, calls = os.rename, []

    def crash(a, b):
        calls.append(b)
        if len(calls) == 2:
            raise OSError("crash")
        rename(a, b)

    monkeypatch.setattr(os, "rename", crash)
    with pytest.raises(OSError, match="crash"):
        files.swap(new, old)
    assert sorted(p.read_text() for p in tmp_path.glob("*/a")) == ["x", "x.partial"]
    monkeypatch.undo()
    files.swap(new, old)
    assert (old / "a").read_text() == "x.partial"
    assert os.listdir(tmp_path) == ["x"]


def test_digest_ignores_the_order_of_keys_only():
    assert files.digest({"a": 1, "b": [1, 2]}) == files.digest({"b": [1, 2], "a": 1})
    assert files.digest({"a": 1, "b": [1, 2]}) != files.digest({"a": 1, "b": [2, 1]})
    assert files.digest([1]) == "080a9ed428559ef6"  # first digits of `printf '[1]' | sha256sum`


def test_images_are_sorted_and_strays_left_out(tmp_path):
    with pytest.raises(FileNotFoundError, match="no folder"):
        pictures.images_in(tmp_path / "none")
    (tmp_path / "notes.txt").touch()
    with pytest.raises(FileNotFoundError, match="no PNG or JPEG file in"):
        pictures.images_in(tmp_path)
    for name in ("b.PNG", "a.jpeg", "c.jpg", ".d.png", "Thumbs.db"):
        (tmp_path / name).touch()
    found = pictures.images_in(tmp_path)
    assert [p.name for p in found.images] == ["a.jpeg", "b.PNG", "c.jpg"]
    assert found.passed_over() == f"skipped in {tmp_path.name}: 1 not PNG or JPEG, for example notes.txt"


@pytest.fixture
def root(tmp_path):
    for name in ("a.txt", "sub/b.txt", "sub/.hidden", "Thumbs.db"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(name)
    return tmp_path


def test_the_manifest_lists_what_is_data(root):
    with pytest.raises(FileNotFoundError, match="the data are incomplete"):
        files.check_manifest(root)
    files.write_manifest(root)
    listed = (root / "manifest.csv").read_text()  # the checksums are those of `gzip` for the same bytes
    assert listed == "name,bytes,crc32\na.txt,5,c1ebf7ba\nsub/b.txt,9,612de412\n"
    files.check_manifest(root, contents=True)
    before = files.manifest_digest(root)
    files.write_manifest(root)
    assert files.manifest_digest(root) == before


def test_the_manifest_notices_every_change(root):
    files.write_manifest(root)
    (root / "a.txt").write_text("A.txt")
    files.check_manifest(root)
    with pytest.raises(ValueError, match=r"a\.txt has other contents"):
        files.check_manifest(root, contents=True)
    (root / "a.txt").write_text("longer")
    (root / "sub/b.txt").unlink()
    (root / "sub/c.txt").touch()
    with pytest.raises(
        ValueError, match=r"a\.txt has another size; sub/b\.txt is missing; sub/c\.txt was added"
    ):
        files.check_manifest(root)


def test_where_things_lie(tmp_path, monkeypatch):
    monkeypatch.setenv("SEMCG_HOME", str(tmp_path))
    assert files.home() == tmp_path.resolve()
    assert files.data_folder("world", "mini") == tmp_path.resolve() / "data/world-mini"
    assert files.data_folder("streets", "mini") == tmp_path.resolve() / "data/streets"
    assert files.data_folder(str(tmp_path / "x"), "mini") == tmp_path / "x"
    monkeypatch.setenv("HOME", str(tmp_path))
    assert files.data_folder("~/x", "mini") == tmp_path / "x"
    with pytest.raises(
        FileNotFoundError, match="no data in .*~nosuchuser/x. They are made by: semcg prepare"
    ):
        datasets.data(config.make("mini", data="~nosuchuser/x"))
    assert files.results_folder("world", "mini") == tmp_path.resolve() / "results/mini"


def test_a2_results_of_your_data_lie_where_their_digest_says(tmp_path, monkeypatch):
    monkeypatch.setenv("SEMCG_HOME", str(tmp_path))
    for parent in ("a", "b"):  # two folders of one name
        (tmp_path / parent / "mine").mkdir(parents=True)
        (tmp_path / parent / "mine" / "scenes.jsonl").write_text(parent)
    a, b = (files.results_folder(str(tmp_path / parent / "mine"), "mini") for parent in ("a", "b"))
    assert a != b
    assert re.fullmatch(r"mine-[0-9a-f]{6}-mini", a.name)
