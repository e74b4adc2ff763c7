"""Run records: what a result stands on, written beside the weights as ``run.json``."""

from __future__ import annotations

import platform
import resource
import subprocess
import sys
from dataclasses import asdict, dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, get_origin, get_type_hints

import torch

from spd_bench.errors import InputError
from spd_bench.storage import read_json, write_json
from spd_bench.training.distributed import processes

RECORD_NAME = "run.json"
_PACKAGES = ("spd_bench", "torch", "torchvision", "nnunetv2", "segment-anything", "peft", "numpy", "scipy", "SimpleITK")

# JSON writes 2.0 as it likes; typing has an origin of its own for alternatives.
_KINDS: dict[Any, Any] = {float: int | float, str | None: str | None}


@dataclass(frozen=True, kw_only=True)
class RunRecord:
    """One method on one fold of one dataset.

    Attributes:
        method: name of the row.
        dataset: folder name of the dataset.
        fold: the fold.
        seed: seed of initialisation, sampling and augmentation.
        epochs: epochs trained (0 for rows without training).
        images_seen: slices that passed through training.
        configuration: nnU-Net configuration the row was trained on.
        settings: all training settings and the method's own.
        backbone: SAM backbone, None where there is none.
        weights: name and sha256 of the starting weights; name "random" for training from scratch.
        parameters: number of parameters of the network.
        prompts: what is known of the prompts (simulated or not, seed, severity).
        hashes: SHA-256 of plan, splits and, where the row is given them, prompts.
        notes: what the method itself reports, such as SPD's prompt quality after Stage I.
        seconds: seconds of each phase.
        peak_memory_mb: peak resident memory of the process (on a GPU: of the device).
        environment: device, packages, platform, commit.
        status: "complete" once training has ended.
    """

    method: str
    dataset: str
    fold: int
    seed: int
    epochs: int
    images_seen: int
    configuration: str
    settings: dict[str, Any]
    backbone: str | None
    weights: dict[str, str | None]
    parameters: int
    hashes: dict[str, str | None]
    prompts: dict[str, Any] = field(default_factory=dict)
    notes: dict[str, Any] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    peak_memory_mb: float = 0.0
    environment: dict[str, Any] = field(default_factory=dict)
    status: str = "complete"

    def write(self, folder: Path) -> Path:
        """Write ``run.json`` into ``folder`` and return its path."""
        path = folder / RECORD_NAME
        write_json(path, asdict(self))
        return path


def read_record(folder: Path) -> RunRecord | None:
    """The record of a run folder, None where the run is not complete."""
    path = folder / RECORD_NAME
    if not path.is_file():
        return None
    try:
        record = RunRecord(**read_json(path))
        _check_types(record)
    except TypeError as error:
        raise InputError(f"not a run record ({error})", file=path, remedy="remove the run's folder") from error
    return record


def _check_types(record: RunRecord) -> None:
    """Raise TypeError where a field holds something else than it says; what a dict holds is not looked at."""
    for name, kind in get_type_hints(RunRecord).items():
        value = getattr(record, name)
        if not isinstance(value, _KINDS.get(kind) or get_origin(kind) or kind):
            msg = f"{name} is {value!r}"
            raise TypeError(msg)


def environment(device: torch.device) -> dict[str, Any]:
    """Device, processes that train together, package versions, platform and git commit, without the machine's name."""
    return {
        "device": torch.cuda.get_device_name(device)
        if device.type == "cuda"
        else f"cpu, {torch.get_num_threads()} threads",
        "processes": processes(),
        "packages": {name: _version(name) for name in _PACKAGES},
        "python": platform.python_version(),
        "system": platform.system(),
        "commit": _commit(),
    }


def peak_memory_mb(device: torch.device) -> float:
    """Peak memory so far in MB: of the GPU where one is used, else resident memory of the process."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    status = Path("/proc/self/status")
    if status.is_file():
        # Linux counts what the parent held when it started this process into ru_maxrss, but not into VmHWM.
        peak = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
        return int(peak.split()[1]) / 2**10
    bytes_per_unit = 1 if sys.platform == "darwin" else 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * bytes_per_unit / 2**20


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def _commit() -> str:
    root = Path(__file__).resolve().parents[2]
    if not (root / ".git").exists():
        return "unknown"
    command = ["git", "-C", str(root), "rev-parse", "HEAD"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    return result.stdout.strip() or "unknown"
