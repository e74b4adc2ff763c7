"""Files that are either whole or absent: atomic writes, JSON and hashes."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from spd_bench.errors import InputError, UnwritableError

_PART = ".part-"
_MOST_JSON_BYTES = 2**28
"""A hundred thousand points in 3D Slicer's format take a quarter of this."""
_NO_SPACE = {errno.ENOSPC, errno.EDQUOT, errno.EROFS}


@contextmanager
def atomic_path(final: Path) -> Iterator[Path]:
    """Yield a temporary file name beside ``final`` that becomes ``final`` when the block succeeds.

    The temporary name keeps all suffixes (``.nii.gz``), because image writers choose their format
    by them. When the block fails the temporary file is removed and ``final`` is as it was.

    Raises:
        UnwritableError: the folder cannot be made or written to, or there is no space left.
    """
    temporary = _part(final)
    with _told_as_input_error(final, temporary):
        final.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield temporary
            with temporary.open("r+b") as written:
                os.fsync(written.fileno())
            temporary.replace(final)
            _sync_folder(final.parent)
        finally:
            with suppress(OSError):
                temporary.unlink()


@contextmanager
def atomic_folder(final: Path) -> Iterator[Path]:
    """Yield an empty temporary folder that replaces ``final`` when the block succeeds.

    Raises:
        UnwritableError: the folder cannot be made or written to, or there is no space left.
    """
    temporary = _part(final)
    with _told_as_input_error(final, temporary):
        final.parent.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir()
        try:
            yield temporary
            shutil.rmtree(final, ignore_errors=True)
            temporary.replace(final)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


def remove_leftovers(folder: Path) -> None:
    """Remove what killed processes of this machine left half-written below ``folder``."""
    for path in [*folder.rglob(f"{_PART}*")]:
        owner = path.name.removeprefix(_PART).partition("-")[0]
        if not owner.isdecimal() or _is_running(int(owner)):
            continue
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def _sync_folder(folder: Path) -> None:
    """Bring a rename to the disk, where the system lets a folder be opened: else a power cut could undo it."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _part(final: Path) -> Path:
    return final.with_name(f"{_PART}{os.getpid()}-{final.name}")


def _is_running(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True


@contextmanager
def _told_as_input_error(final: Path, temporary: Path) -> Iterator[None]:
    """A folder that cannot be written to is the user's to mend; errors about other files pass through."""
    try:
        yield
    except OSError as error:
        named = {str(error.filename), str(error.filename2)}
        ours = {str(path) for path in (final, temporary, *final.parents)} | {str(path) for path in temporary.parents}
        if not named & ours and error.errno not in _NO_SPACE:
            raise
        raise UnwritableError(
            f"cannot be written ({error.strerror or error})",
            file=final,
            remedy="check the folder, its permissions and the free space, or choose another one",
        ) from error


def write_text(path: Path, text: str) -> None:
    """Write ``text`` to ``path`` atomically, in UTF-8."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, value: Any) -> None:
    """Write ``value`` as indented JSON, atomically; NaN is refused because it is not JSON."""
    write_text(path, json.dumps(value, indent=2, allow_nan=False) + "\n")


def read_json(path: Path) -> Any:
    """Read a JSON file.

    Raises:
        InputError: the file is missing, unreadable, not JSON, or of 256 MB and more.
    """
    try:
        size = path.stat().st_size
        if size >= _MOST_JSON_BYTES:
            raise InputError(f"{size} bytes of JSON are too many", file=path, remedy="replace the file")
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise InputError("file not found", file=path, remedy="check the path") from error
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"not readable as JSON ({error})", file=path, remedy="repair or replace the file") from error


def sha256_of_file(path: Path) -> str:
    """Hex SHA-256 of a file's bytes."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def sha256_of_json(value: Any) -> str:
    """Hex SHA-256 of a JSON value, independent of key order and white space."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def sha256_of_files(paths: list[Path]) -> str:
    """Hex SHA-256 over the names and contents of several files, independent of their order."""
    return sha256_of_json(sorted((path.name, sha256_of_file(path)) for path in paths))
