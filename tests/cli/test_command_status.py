from __future__ import annotations

import argparse

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
