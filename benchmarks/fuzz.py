"""No broken file makes a reader fail otherwise than by an InputError that names it, or takes a second.

    python -m benchmarks.fuzz --work WORK
    python -m benchmarks.fuzz --work WORK --readers nifti nrrd --inputs 5000 --jobs 1

Google's atheris makes inputs guided by the coverage of our code, hypothesis makes fewer of its own. Both start from
files of our own writers and change them by their structure: a value of a JSON tree, a word of a table, a field of a
header. Each reader runs in a process of its own, with two gigabytes and one second for an input. What it failed on is
kept in WORK/findings, one input for each place; then the exit status is 1. OUTPUT gets fuzz.json.
"""

from __future__ import annotations

import argparse
import importlib.util
import shutil
import sys
from collections.abc import Sequence
from multiprocessing.pool import ThreadPool
from pathlib import Path
from typing import Any

from tqdm import tqdm

from benchmarks.fuzzing.registry import READERS
from benchmarks.fuzzing.watching import Campaign
from benchmarks.withstanding import endurance_parser, write_claim


def main(argv: Sequence[str] | None = None) -> None:
    """Fuzz, print and write."""
    arguments = _parser().parse_args(argv)
    findings = arguments.work / "findings"
    shutil.rmtree(findings, ignore_errors=True)
    rows = run_campaigns(_campaigns(arguments, findings), jobs=arguments.jobs)
    for row in rows:
        print(row)
    write_claim(arguments.output, "fuzz", description=__doc__, rows=rows)
    if failed := sum(row["crashes"] + row["hangs"] for row in rows):
        print(f"{failed} inputs failed, one of each kind is in {findings}")
        sys.exit(1)


def run_campaigns(campaigns: Sequence[Campaign], *, jobs: int) -> list[dict[str, Any]]:
    """The rows of all campaigns, ``jobs`` of which run at a time."""
    total = sum(campaign.inputs for campaign in campaigns)
    with ThreadPool(jobs) as pool, tqdm(total=total, desc="fuzzing", unit="input") as progress:
        return pool.map(lambda campaign: campaign.run(progress.update), campaigns, chunksize=1)


def _campaigns(arguments: argparse.Namespace, findings: Path) -> list[Campaign]:
    engines = {"atheris": arguments.inputs, "hypothesis": arguments.hypothesis}
    if not _has_atheris():
        print("atheris is not installed (it has wheels for Linux only): hypothesis fuzzes alone")
        del engines["atheris"]
    return [
        Campaign(reader=reader, engine=engine, inputs=inputs, seed=arguments.seed, findings=findings)
        for engine, inputs in engines.items()
        for reader in arguments.readers
        if inputs
    ]


def _has_atheris() -> bool:
    return importlib.util.find_spec("atheris") is not None


def _parser() -> argparse.ArgumentParser:
    parser = endurance_parser(__doc__)
    parser.add_argument("--inputs", type=int, default=100_000, help="inputs that atheris gives each reader (100000)")
    parser.add_argument("--hypothesis", type=int, default=2_000, help="inputs that hypothesis gives each reader (2000)")
    parser.add_argument("--readers", nargs="+", choices=READERS, default=list(READERS), help="readers (all)")
    parser.add_argument("--seed", type=int, default=0, help="seed of both engines (0)")
    parser.add_argument("--jobs", type=int, default=2, help="readers at a time (2)")
    return parser


if __name__ == "__main__":
    main()
