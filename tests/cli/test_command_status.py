from __future__ import annotations

import argparse
import multiprocessing
import os
import signal
import time

import pytest

from spd_bench.cli.command import EXIT_INCOMPLETE, command_parser, run_command
from spd_bench.errors import InputError


def _status(result: int | None) -> int:
    def body(_: argparse.Namespace) -> int | None:
        return result

    return run_command(body, command_parser(name="x", description="", example="x"), [])


@pytest.mark.parametrize(("result", "status"), [(None, 0), (0, 0), (EXIT_INCOMPLETE, 1)])
def test_a_command_ends_with_the_status_that_its_body_returns(result: int | None, status: int) -> None:
    assert _status(result) == status


def test_a_user_s_mistake_is_status_2(capsys: pytest.CaptureFixture[str]) -> None:
    def body(_: argparse.Namespace) -> None:
        raise InputError("wrong", remedy="right it")

    assert run_command(body, command_parser(name="x", description="", example="x"), []) == 2
    assert capsys.readouterr().err == "error: wrong: right it\n"


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_stopped_command_says_so_in_one_line_and_cleans_up(
    number: signal.Signals, status: int, capsys: pytest.CaptureFixture[str]
) -> None:
    before = signal.getsignal(signal.SIGTERM)
    unwound = []

    def body(_: argparse.Namespace) -> None:
        try:
            os.kill(os.getpid(), number)
            time.sleep(10)
        finally:
            unwound.append(True)

    assert run_command(body, command_parser(name="x", description="", example="x"), []) == status
    assert unwound
    assert capsys.readouterr().err.strip() == "stopped: what was complete is kept (training: every whole epoch)"
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_process_forked_from_a_command_is_terminated_as_ever(capfd: pytest.CaptureFixture[str]) -> None:
    context = multiprocessing.get_context("fork")
    runs = context.Event()

    def wait() -> None:
        runs.set()
        time.sleep(30)

    def body(_: argparse.Namespace) -> int:
        child = context.Process(target=wait)
        child.start()
        runs.wait(30)
        child.terminate()
        child.join()
        return int(child.exitcode == -signal.SIGTERM)

    assert run_command(body, command_parser(name="x", description="", example="x"), []) == 1
    assert capfd.readouterr().err == ""
