"""The frame of every command: help, one-line errors, exit status."""

from __future__ import annotations

import argparse
import logging
import sys
import traceback
from collections.abc import Callable, Sequence
from typing import NoReturn

from spd_bench.errors import InputError

EXIT_OK = 0
EXIT_INCOMPLETE = 1
EXIT_INPUT_ERROR = 2
EXIT_INTERRUPTED = 130
"""What a shell reports of a command that Ctrl-C ended."""


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

    Ctrl-C is one line as well, and exit status 130.

    ``body`` returns the exit status, None for 0; ``EXIT_INCOMPLETE`` says that some cases are left out.
    ``--debug`` is added to the parser: it shows the traceback of a user's mistake as well.
    """
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    arguments = parser.parse_args(argv)
    logging.basicConfig(level=logging.DEBUG if arguments.debug else logging.WARNING, format="%(message)s")
    try:
        status = body(arguments)
    except InputError as error:
        if arguments.debug:
            traceback.print_exc()
        print(f"error: {error}", file=sys.stderr)
        return EXIT_INPUT_ERROR
    except KeyboardInterrupt:
        if arguments.debug:
            traceback.print_exc()
        print("\nstopped: what was complete is kept", file=sys.stderr)
        return EXIT_INTERRUPTED
    return EXIT_OK if status is None else status


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.exit(EXIT_INPUT_ERROR, f"error: {message}: see {self.prog} --help\n")
