"""The ratios of all benchmarks that have been run, as the Markdown table of the README.

python -m benchmarks.summary
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.measuring import RESULTS
from spd_bench.storage import read_json

_HEAD = ("| benchmark | ratio | median (lowest to highest of the rounds) | on |", "|---|---|---|---|")


def summary_table(folder: Path) -> str:
    """A row for each ratio in the folder's JSON files.

    Args:
        folder: where benchmarks wrote ``<name>_<device>.json``.
    """
    rows = [row for path in sorted(folder.glob("*.json")) for row in _rows(path.stem, read_json(path))]
    return "\n".join([*_HEAD, *rows]) + "\n"


def _rows(stem: str, content: Mapping[str, Any]) -> list[str]:
    name, _, device = stem.rpartition("_")
    machine = content["machine"]
    where = machine["gpu"] if device == "cuda" else f"CPU, torch threads: {machine['torch_threads']}"
    ratios = {figure: value for figure, value in content["figures"].items() if _is_ratio(value)}
    return [f"| `{name}` | {figure.replace('_', ' ')} | {_text(ratio)} | {where} |" for figure, ratio in ratios.items()]


def _text(ratio: Mapping[str, float]) -> str:
    return f"**{ratio['median']:.2f}** ({ratio['low']:.2f} to {ratio['high']:.2f})"


def _is_ratio(figure: Any) -> bool:
    return isinstance(figure, Mapping) and set(figure) == {"median", "low", "high"}


def main(argv: Sequence[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", type=Path, default=RESULTS, help="results/performance")
    print(summary_table(parser.parse_args(argv).folder), end="")


if __name__ == "__main__":
    main()
