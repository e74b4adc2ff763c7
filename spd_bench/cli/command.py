"""The frame of every command: help, one-line errors, exit status."""

from __future__ import annotations

import argparse
import logging
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

from spd_bench.errors import InputError

EXIT_OK = 0
EXIT_INCOMPLETE = 1
EXIT_INPUT_ERROR = 2
EXIT_INTERRUPTED = 130
"""What a shell reports of a command that Ctrl-C ended."""
EXIT_TERMINATED = 143
"""What a shell reports of a command that SIGTERM ended, as schedulers send it."""


def command_parser(*, name: str, description: str, example: str) -> argparse.ArgumentParser:
    """A parser whose ``--help`` ends with an example, and whose errors look like all others."""
    return _Parser(
        prog=name,
        description=description,
        epilog=f"example:\n  {example}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


def run_command(
    body: Callable[[argparse.Namespace], int | None],
    parser: argparse.ArgumentParser,
    argv: Sequence[str] | None = None,
) -> int:
    """Parse ``argv``, run ``body`` and turn a user's mistake into one line and exit status 2.

    Ctrl-C and SIGTERM are one line as well, and exit status 130 and 143: what is being written is then whole or not
    there, as after any other error.

    ``body`` returns the exit status, None for 0; ``EXIT_INCOMPLETE`` says that some cases are left out.
    ``--debug`` is added to the parser: it shows the traceback of a user's mistake as well.
    """
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    arguments = parser.parse_args(argv)
    logging.basicConfig(level=logging.DEBUG if arguments.debug else logging.WARNING, format="%(message)s")
    try:
        with _raising_on_sigterm():
            status = body(arguments)
    except InputError as error:
        if arguments.debug:
            traceback.print_exc()
        print(f"error: {error}", file=sys.stderr)
        return EXIT_INPUT_ERROR
    except KeyboardInterrupt as stop:
        if arguments.debug:
            traceback.print_exc()
        print("\nstopped: what was complete is kept (training: every whole epoch)", file=sys.stderr)
        return EXIT_TERMINATED if isinstance(stop, _Terminated) else EXIT_INTERRUPTED
    return EXIT_OK if status is None else status


class _Terminated(KeyboardInterrupt):
    """SIGTERM, which unwinds what runs as Ctrl-C does."""


@contextmanager
def _raising_on_sigterm() -> Iterator[None]:
    """Let SIGTERM raise in the main thread; elsewhere, where no handler can be set, it kills as ever."""
    owner = os.getpid()

    def stop(number: int, _frame: FrameType | None) -> None:
        if os.getpid() == owner:
            raise _Terminated
        # A process that was forked from this one has nothing to tell.
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.exit(EXIT_INPUT_ERROR, f"error: {message}: see {self.prog} --help\n")
