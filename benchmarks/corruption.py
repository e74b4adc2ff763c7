"""Damaged files are refused in one line or read, and never crash what reads them.

    python -m benchmarks.corruption --work WORK
    python -m benchmarks.corruption --work WORK --files checkpoint prompts --times 500

Every kind of file that the package reads is damaged in every way, and read as the commands read it. What nobody could
take for the file (nothing, half of it, zeros, noise, another file) must be refused with the package's own error; what
may leave a valid file (a byte changed, a cut) is done at many random places, and must be refused or read. OUTPUT gets
corrupted.json.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from tqdm import tqdm

from benchmarks.corrupting.damages import NOTICED_OR_HARMLESS, REFUSED, Damage, damaged
from benchmarks.corrupting.files import FILES, ReadFile, Workplace, make_workplace
from benchmarks.withstanding import endurance_parser, write_claim
from spd_bench.errors import InputError

_ABSENT = ("missing", "a folder")


def outcome_of(kind: ReadFile, place: Workplace, damage: Damage, random: np.random.Generator) -> str:
    """``refused`` or ``read``, or the type and text of what escaped."""
    with damaged(kind.path(place), damage, random):
        try:
            kind.read(place)
        except InputError as error:
            return "refused" if "\n" not in str(error) else f"not one line: {error}"
        except Exception as error:  # what is looked for
            return f"{type(error).__name__}: {error}"[:200]
    return "read"


def fits(kind: ReadFile, damage: str, outcome: str) -> bool:
    """Whether a damage may come to that."""
    must_be_refused = damage in REFUSED and (kind.needed or damage not in _ABSENT)
    return outcome == "refused" or (outcome == "read" and not must_be_refused)


def main(argv: Sequence[str] | None = None) -> None:
    """Damage, read, print and write; exit 1 where something escaped or went unnoticed."""
    arguments = _parser().parse_args(argv)
    # Other phantoms than those of the other benchmarks, which may share the folder.
    place = make_workplace(arguments.work / "corruption")
    rows = list(_rows(place, arguments))
    faults = [row for row in rows if row["faults"]]
    for row in faults:
        print(row)
    counted = {name: sum(row[name] for row in rows) for name in ("times", "refused", "read")}
    print(f"{len(arguments.files)} kinds of files, {counted}, {len(faults)} with faults")
    write_claim(arguments.output, "corrupted", description=__doc__, rows=rows, total=counted)
    if faults:
        sys.exit(1)


def _rows(place: Workplace, arguments: argparse.Namespace) -> Iterator[dict[str, Any]]:
    damages: Mapping[str, Damage] = {**REFUSED, **NOTICED_OR_HARMLESS}
    for name in tqdm(arguments.files, "damaging", unit="kind"):
        for damage, change in damages.items():
            random = np.random.default_rng([arguments.seed, *map(ord, name + damage)])
            times = 1 if damage in REFUSED else arguments.times
            outcomes = Counter(outcome_of(FILES[name], place, change, random) for _ in range(times))
            yield {
                "file": name,
                "damage": damage,
                "times": times,
                "refused": outcomes["refused"],
                "read": outcomes["read"],
                "faults": sorted(outcome for outcome in outcomes if not fits(FILES[name], damage, outcome)),
            }


def _parser() -> argparse.ArgumentParser:
    parser = endurance_parser(__doc__)
    parser.add_argument("--files", nargs="+", choices=FILES, default=tuple(FILES), help="kinds of files (all)")
    parser.add_argument("--times", type=int, default=100, help="random places of a cut or a changed byte (100)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the places (0)")
    return parser


if __name__ == "__main__":
    main()
