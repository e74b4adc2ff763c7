"""One process at a time on a folder."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from spd_bench.errors import InputError
from spd_bench.locks import locked

HOLD = """
import sys, time
from pathlib import Path
from spd_bench.locks import locked
folder = Path(sys.argv[1])
with locked(folder):
    folder.with_name("held").touch()
    time.sleep(float(sys.argv[2]))
    folder.with_name("left").touch()
"""


@pytest.fixture
def holding(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Another process that holds the lock of ``folder`` for a second."""
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path / "folder"), "1"])
    while not (tmp_path / "held").exists():
        time.sleep(0.01)
    yield process
    process.kill()
    process.wait()


def test_another_process_is_waited_for_and_the_user_is_told(
    holding: subprocess.Popen[bytes], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with locked(tmp_path / "folder"):
        assert (tmp_path / "left").exists()
    assert capsys.readouterr().err == f"another process works on {tmp_path / 'folder'}: waiting for it\n"


def test_the_lock_of_a_killed_process_is_free(holding: subprocess.Popen[bytes], tmp_path: Path) -> None:
    holding.send_signal(signal.SIGKILL)
    holding.wait()
    with locked(tmp_path / "folder"):
        assert not (tmp_path / "left").exists()


def test_a_free_lock_is_taken_again_and_again_without_a_word(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for _ in range(3):
        with locked(tmp_path / "made" / "folder"):
            pass
    assert capsys.readouterr().err == ""
    assert not (tmp_path / "made" / "folder").exists()


def test_who_holds_a_lock_may_take_it_again(holding: subprocess.Popen[bytes], tmp_path: Path) -> None:
    holding.kill()
    holding.wait()
    with locked(tmp_path / "folder"), locked(tmp_path / "folder"):
        pass
    again = subprocess.run([sys.executable, "-c", HOLD, str(tmp_path / "folder"), "0"], timeout=60, check=False)
    assert again.returncode == 0


def test_a_lock_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="cannot be locked"), locked(tmp_path / "file" / "folder"):
        pass
