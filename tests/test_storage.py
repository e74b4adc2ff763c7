from __future__ import annotations

import errno
import gzip
import hashlib
import json
import os
from pathlib import Path
from typing import Any

import pytest

from spd_bench.errors import InputError
from spd_bench.storage import (
    atomic_folder,
    atomic_path,
    read_json,
    sha256_of_file,
    sha256_of_files,
    sha256_of_json,
    write_json,
    write_text,
)


def _interrupted(temporary: Path) -> None:
    temporary.write_text("half")
    raise KeyboardInterrupt


def test_a_file_appears_whole_in_folders_that_are_made_for_it(tmp_path: Path) -> None:
    final = tmp_path / "new" / "folder" / "volume.nii.gz"
    with atomic_path(final) as temporary:
        assert temporary.name.endswith(".nii.gz")
        temporary.write_text("whole")
        assert not final.exists()
    assert final.read_text() == "whole"
    assert [path.name for path in final.parent.iterdir()] == ["volume.nii.gz"]


def test_an_interrupted_write_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    final = tmp_path / "a.json"
    final.write_text("old")
    with pytest.raises(KeyboardInterrupt), atomic_path(final) as temporary:
        _interrupted(temporary)
    assert final.read_text() == "old"
    assert list(tmp_path.iterdir()) == [final]


def test_a_folder_is_replaced_as_a_whole(tmp_path: Path) -> None:
    final = tmp_path / "out"
    final.mkdir()
    (final / "stale").touch()
    with atomic_folder(final) as temporary:
        (temporary / "fresh").touch()
    assert [path.name for path in final.iterdir()] == ["fresh"]
    assert list(tmp_path.iterdir()) == [final]


def test_an_interrupted_folder_leaves_the_old_one_and_nothing_else(tmp_path: Path) -> None:
    final = tmp_path / "out"
    final.mkdir()
    (final / "kept").touch()
    with pytest.raises(KeyboardInterrupt), atomic_folder(final) as temporary:
        _interrupted(temporary / "half")
    assert [path.name for path in final.iterdir()] == ["kept"]
    assert list(tmp_path.iterdir()) == [final]


def test_json_is_read_back(tmp_path: Path) -> None:
    value = {"a": [1, 2.5, None], "ä": "μ"}
    write_json(tmp_path / "a.json", value)
    assert read_json(tmp_path / "a.json") == json.loads((tmp_path / "a.json").read_text("utf-8")) == value


@pytest.mark.parametrize("value", [float("nan"), {1, 2}])
def test_what_is_not_json_is_refused_and_the_old_file_stays(tmp_path: Path, value: object) -> None:
    write_text(tmp_path / "a.json", "old")
    with pytest.raises((ValueError, TypeError)):
        write_json(tmp_path / "a.json", value)
    assert (tmp_path / "a.json").read_text() == "old"


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe{}", b"[" * 100_000, gzip.compress(b"{}")])
def test_an_unreadable_json_file_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(InputError, match=r"not readable as JSON .*a\.json"):
        read_json(tmp_path / "a.json")


def test_json_of_absurd_size_is_refused_unread(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.touch()
    os.truncate(path, 2**40)  # a hole, which takes no room on the disk
    with pytest.raises(InputError, match=r"1099511627776 bytes of JSON are too many, in .*a\.json"):
        read_json(path)


def test_a_missing_json_file_and_a_folder_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"not found, in .*gone\.json"):
        read_json(tmp_path / "gone.json")
    with pytest.raises(InputError, match="not readable"):
        read_json(tmp_path)


def test_a_files_hash_is_that_of_its_bytes(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"abc")
    # FIPS 180-2, appendix B.1
    assert sha256_of_file(tmp_path / "a") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_a_json_hash_is_that_of_its_canonical_text() -> None:
    assert sha256_of_json({"b": 1, "a": [2, 3]}) == hashlib.sha256(b'{"a":[2,3],"b":1}').hexdigest()
    assert sha256_of_json({"b": 1, "a": 2}) == sha256_of_json({"a": 2, "b": 1}) != sha256_of_json({"a": 1, "b": 2})


def test_the_hash_of_files_knows_names_and_contents_but_no_order(tmp_path: Path) -> None:
    a, b = tmp_path / "a", tmp_path / "b"
    a.write_text("1")
    b.write_text("2")
    first = sha256_of_files([a, b])
    assert first == sha256_of_files([b, a])
    b.write_text("3")
    assert sha256_of_files([a, b]) != first
    b.write_text("2")
    assert sha256_of_files([a, b.rename(tmp_path / "c")]) != first


@pytest.mark.parametrize("atomic", [atomic_path, atomic_folder])
def test_a_folder_that_cannot_be_made_is_the_users_to_mend(tmp_path: Path, atomic: Any) -> None:
    (tmp_path / "file").write_text("in the way")
    with (
        pytest.raises(InputError, match=r"cannot be written .*file/sub/out.*choose another"),
        atomic(tmp_path / "file" / "sub" / "out"),
    ):
        pytest.fail("the block must not run")


def test_a_folder_in_the_place_of_a_file_is_told(tmp_path: Path) -> None:
    (tmp_path / "out.json").mkdir()
    with pytest.raises(InputError, match="cannot be written"):
        write_json(tmp_path / "out.json", {})
    assert [path.name for path in tmp_path.iterdir()] == ["out.json"]


def test_an_error_about_another_file_passes_through(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), atomic_path(tmp_path / "out") as temporary:
        temporary.write_bytes((tmp_path / "missing").read_bytes())
    assert not list(tmp_path.iterdir())


def test_a_full_disk_is_the_users_to_mend(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="No space left"), atomic_path(tmp_path / "out"):
        raise OSError(errno.ENOSPC, "No space left on device")
