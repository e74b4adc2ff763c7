"""How every benchmark measures and reports: variants in turn, ratios of neighbours in time, one JSON file a claim.

The speed of a shared machine drifts, so variants are run one after the other within each round and compared within
the round; the median ratio over the rounds, with its extremes, is what is reported.
"""

from __future__ import annotations

import argparse
import gc
import json
import multiprocessing
import os
import platform
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from spd_bench.storage import write_json
from spd_bench.training.records import peak_memory_mb

RESULTS = Path(__file__).parents[1] / "results" / "performance"
_PACKAGES = ("torch", "numpy", "segment-anything", "transformers", "nnunetv2")


def benchmark_parser(description: str | None, *, repeats: int = 5) -> argparse.ArgumentParser:
    """A parser with what all benchmarks have in common: ``--device``, ``--threads``, ``--repeats``, ``-o``."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cpu", type=torch.device, help="where networks run: cpu (default), cuda")
    parser.add_argument("--threads", type=int, default=0, help="threads of torch on the CPU (0: all cores)")
    parser.add_argument("--repeats", type=int, default=repeats, help=f"rounds of measurement ({repeats})")
    parser.add_argument("-o", "--output", type=Path, default=RESULTS, help="folder of the JSON (results/performance)")
    return parser


def prepare(arguments: argparse.Namespace) -> None:
    """Set the number of threads and the seed that a benchmark was asked for."""
    torch.set_num_threads(arguments.threads or os.cpu_count() or 1)
    torch.manual_seed(0)


def seconds_in_turn(
    variants: Mapping[str, Callable[[], object]], *, repeats: int, device: torch.device
) -> dict[str, list[float]]:
    """Seconds of each variant in each round, after one round that is not counted.

    Args:
        variants: what to run, by name.
        repeats: rounds.
        device: a GPU is waited for before the clock is read.
    """
    seconds: dict[str, list[float]] = {name: [] for name in variants}
    for number in range(repeats + 1):
        for name, body in variants.items():
            gc.collect()
            _wait_for(device)
            started = time.perf_counter()
            body()
            _wait_for(device)
            if number:
                seconds[name].append(time.perf_counter() - started)
    return seconds


def _wait_for(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


@dataclass(frozen=True, kw_only=True)
class Ratio:
    """How many times one variant is as fast as another: the median over the rounds, and the extremes."""

    median: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.median:.2f} ({self.low:.2f} to {self.high:.2f})"


def speed_ratio(seconds: Mapping[str, Sequence[float]], fast: str, slow: str) -> Ratio:
    """How many times as fast ``fast`` is as ``slow``, compared within each round."""
    ratios = [theirs / ours for ours, theirs in zip(seconds[fast], seconds[slow], strict=True)]
    return Ratio(median=statistics.median(ratios), low=min(ratios), high=max(ratios))


def peak_memory_of(body: Callable[..., object], *arguments: Any) -> tuple[float, float]:
    """MB of resident memory of a fresh process before and at the peak of ``body(*arguments)``.

    Args:
        body: a function of a module, so that the process can import it.
        arguments: what it is called with.
    """
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(_measured, body, *arguments).result()


def _measured(body: Callable[..., object], *arguments: Any) -> tuple[float, float]:
    cpu = torch.device("cpu")
    before = peak_memory_mb(cpu)
    body(*arguments)
    return before, peak_memory_mb(cpu)


def report(
    name: str, *, claim: str, rows: Sequence[Mapping[str, Any]], arguments: argparse.Namespace, **figures: Any
) -> Path:
    """Print a benchmark's table and write it with the machine's description.

    Args:
        name: name of the file, ``<name>_<device>.json``.
        claim: the sentence that the figures are to bear out.
        rows: the table, a mapping a row.
        arguments: what the benchmark was called with.
        figures: single figures beside the table, such as ratios.
    """
    print(claim)
    print(pd.DataFrame(rows).to_string(index=False, float_format=lambda value: f"{value:.4g}"))
    for figure, value in figures.items():
        print(f"{figure.replace('_', ' ')}: {value}")
    path: Path = arguments.output / f"{name}_{arguments.device.type}.json"
    content = {
        "claim": claim,
        "rows": list(rows),
        "figures": figures,
        "settings": {key: value for key, value in vars(arguments).items() if key != "output"},
        "machine": machine(arguments.device),
        "made": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    write_json(path, json.loads(json.dumps(content, default=_plain)))
    print(f"written to {path}")
    return path


def _plain(value: Any) -> Any:
    return vars(value) if isinstance(value, Ratio) else str(value)


def machine(device: torch.device) -> dict[str, Any]:
    """What a figure was measured on; nothing that names the machine or its user."""
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "torch_threads": torch.get_num_threads(),
        "gpu": torch.cuda.get_device_name(device) if device.type == "cuda" else None,
        "python": platform.python_version(),
        "system": platform.system(),
        "packages": {name: version(name) for name in _PACKAGES},
    }


def _processor() -> str:
    information = Path("/proc/cpuinfo")
    lines = information.read_text().splitlines() if information.is_file() else []
    models = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.processor() or platform.machine()
