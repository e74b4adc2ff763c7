"""Time and memory as a problem grows: with slices, with points, with cases.

    python -m benchmarks.scale
    python -m benchmarks.scale --backbone vit_b --resolution 512 --slices 40 80 --measure slices

Prompt distillation (CPD) and SPD's prediction run on made-up volumes with random weights; every point survives the
distillation, so that each is decoded on its own and its neighbours' slices. Evaluation scores folders of small masks.
The sizes of a curve are run in rising order in a process of their own; memory is its peak beyond what it took before.
The exponent is the slope of a straight line in a log-log plot: 1 is linear.
"""

from __future__ import annotations

import argparse
import multiprocessing
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import matplotlib as mpl
import numpy as np
import torch
from matplotlib import pyplot
from numpy.typing import NDArray

from benchmarks.measuring import benchmark_parser, prepare, report
from spd_bench import distill_prompts
from spd_bench.evaluation import evaluate_folders
from spd_bench.methods.spd import SPDPredictor
from spd_bench.models.sam import BACKBONES, build_sam
from spd_bench.models.spd import SPDModelSettings, SPDNetwork
from spd_bench.planning.plan import Plan
from spd_bench.prediction.volume import PromptedVolume
from spd_bench.prompts.points import PointPrompts
from spd_bench.raw.geometry import VolumeGeometry
from spd_bench.raw.volumes import write_volume
from spd_bench.training.records import peak_memory_mb
from spd_bench.training.spd_settings import SPDSettings

_CLAIM = "Time and memory grow linearly or better with slices and points; memory does not grow with cases."
_SLICES, _POINTS_A_SLICE, _CONTEXT = 40, 5, 2
_CASE_SHAPE = (6, 48, 48)

Body = Callable[[int], Callable[[], object]]
"""Makes a problem of some size, and gives what solves it."""


@dataclass(frozen=True, kw_only=True)
class Measured:
    """A point of a curve."""

    size: int
    seconds: float
    memory_mb: float


def main(argv: Sequence[str] | None = None) -> None:
    """Measure the curves, fit them and plot them."""
    arguments = _arguments(argv)
    prepare(arguments)
    measures: dict[str, dict[str, Body]] = {
        "slices": {"CPD": partial(distil, by="slices"), "prediction": partial(predict, arguments, by="slices")},
        "points": {"CPD": partial(distil, by="points"), "prediction": partial(predict, arguments, by="points")},
        "cases": {"evaluation": evaluate},
    }
    rows, exponents = [], {}
    for measure in arguments.measure:
        sizes = getattr(arguments, measure)
        curves = {name: _curve_in_own_process(body, sizes, arguments) for name, body in measures[measure].items()}
        _plot(curves, measure, arguments.output)
        for name, curve in curves.items():
            exponents[f"{name}_by_{measure}"] = {
                "time": _exponent(curve, "seconds"),
                "memory": _exponent(curve, "memory_mb"),
            }
            rows += [{"what": name, "by": measure, **vars(point)} for point in curve]
    report("scale", claim=_CLAIM, rows=rows, arguments=arguments, exponents=exponents)


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = benchmark_parser(__doc__, repeats=1)
    parser.add_argument("--measure", nargs="+", default=["slices", "points", "cases"], help="curves (all)")
    parser.add_argument("--backbone", choices=BACKBONES, default="vit_t", help="SAM backbone (vit_t)")
    parser.add_argument("--resolution", type=int, default=96, help="side of the slices in pixels (96)")
    parser.add_argument("--slices", type=int, nargs="+", default=[40, 100, 250, 800], help="slices of a volume")
    parser.add_argument("--points", type=int, nargs="+", default=[10, 100, 500, 2000], help="points of a volume")
    parser.add_argument("--cases", type=int, nargs="+", default=[10, 100, 1000], help="cases that are scored")
    return parser.parse_args(argv)


def distil(size: int, *, by: str) -> Callable[[], object]:
    """CPD of a volume at 512 x 512 with so many slices or points; most of its memory is the saliency map."""
    slices, total = (size, _POINTS_A_SLICE * size) if by == "slices" else (_SLICES, size)
    generator = np.random.default_rng(0)
    saliency = np.empty((slices, 512, 512), np.float32)
    for plane in saliency:
        plane[...] = generator.random(plane.shape, np.float32)
    points = _points(slices, total, side=512)
    return lambda: distill_prompts(saliency, points, threshold=0.5, context=_CONTEXT)


def predict(arguments: argparse.Namespace, size: int, *, by: str) -> Callable[[], object]:
    """SPD's prediction of a volume with so many slices or points."""
    slices, total = (size, _POINTS_A_SLICE * size) if by == "slices" else (_SLICES, size)
    side = arguments.resolution
    geometry = VolumeGeometry(shape=(slices, side, side), spacing=(3.0, 1.0, 1.0))
    points = _points(slices, total, side=side)
    voxels = np.array([(z, y, x) for z, plane in enumerate(points) for x, y in plane], dtype=np.int64)
    volume = PromptedVolume(
        case="case",
        channels=np.random.default_rng(1).random((1, *geometry.shape), np.float32),
        geometry=geometry,
        prompts=PointPrompts.from_voxels(voxels, geometry, provenance={}),
    )
    predictor = _predictor(arguments)
    return lambda: predictor.predict(volume)


def evaluate(size: int) -> Callable[[], object]:
    """Evaluation of so many cases, read from files that are removed with the body."""
    temporary = tempfile.TemporaryDirectory()

    def body() -> None:
        reference, prediction = Path(temporary.name, "reference"), Path(temporary.name, "prediction")
        evaluate_folders(reference=reference, prediction=prediction, dataset="made up", method="shifted", slice_axis=0)

    folder = Path(temporary.name)
    geometry = VolumeGeometry(shape=_CASE_SHAPE, spacing=(3.0, 1.0, 1.0))
    generator = np.random.default_rng(0)
    for case in range(size):
        mask = np.zeros(_CASE_SHAPE, np.uint8)
        y, x = generator.integers(8, 28, 2)
        mask[1:5, y : y + 10, x : x + 10] = 1
        write_volume(folder / "reference" / f"case_{case:04d}.nii.gz", mask, geometry)
        write_volume(folder / "prediction" / f"case_{case:04d}.nii.gz", np.roll(mask, 2, axis=1), geometry)
    return body


def _points(slices: int, total: int, *, side: int) -> list[NDArray[np.int64]]:
    generator = np.random.default_rng(0)
    counts = np.bincount(np.arange(total) % slices, minlength=slices)
    return [generator.integers(0, side, (count, 2)) for count in counts]


def _predictor(arguments: argparse.Namespace) -> SPDPredictor:
    torch.manual_seed(0)
    side = arguments.resolution
    network = SPDNetwork(
        SPDModelSettings(backbone=arguments.backbone, resolution=side, lora=None),
        sam=build_sam(arguments.backbone, resolution=side),
    )
    network.threshold.fill_(0.0)
    settings = SPDSettings(backbone=arguments.backbone, threshold=0.0)
    return SPDPredictor(network.to(arguments.device).eval(), settings, _plan(side), arguments.device)


def _plan(side: int) -> Plan:
    """What prediction asks of a plan: slices of one size, in stored order."""
    configuration = {
        "data_identifier": "spd",
        "preprocessor_name": "DefaultPreprocessor",
        "batch_size": 8,
        "patch_size": [side, side],
        "spacing": [1.0, 1.0],
        "normalization_schemes": ["ZScoreNormalization"],
        "use_mask_for_norm": [False],
        "architecture": {"network_class_name": "none", "arch_kwargs": {}, "_kw_requires_import": []},
        "spd": {"resolution": side, "context": _CONTEXT, "intensity_range": [-1.0, 1.0], "channels": [0, 0, 0]},
    }
    plans = {
        "dataset_name": "Dataset900_Scale",
        "plans_name": "scale",
        "transpose_forward": [0, 1, 2],
        "transpose_backward": [0, 1, 2],
        "image_reader_writer": "SimpleITKIO",
        "configurations": {"spd": configuration},
        "foreground_intensity_properties_per_channel": {},
        "spd": {"configuration": "spd", "target_labels": [1]},
    }
    return Plan(
        folder=Path("Dataset900_Scale"),
        plans=plans,
        dataset_json={"channel_names": {"0": "MR"}, "labels": {"background": 0, "target": 1}, "file_ending": ".nii.gz"},
        splits=[],
        patients={},
        prompts_sha256="",
        prompts_provenance={},
    )


def _curve_in_own_process(body: Body, sizes: Sequence[int], arguments: argparse.Namespace) -> list[Measured]:
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(_curve, body, sorted(sizes), arguments).result()


def _curve(body: Body, sizes: Sequence[int], arguments: argparse.Namespace) -> list[Measured]:
    prepare(arguments)
    body(max(1, sizes[0] // 10))()
    before = peak_memory_mb(torch.device("cpu"))
    curve = []
    for size in sizes:
        solve = body(size)
        started = time.perf_counter()
        for _ in range(arguments.repeats):
            solve()
        seconds = (time.perf_counter() - started) / arguments.repeats
        grown = peak_memory_mb(torch.device("cpu")) - before
        curve.append(Measured(size=size, seconds=seconds, memory_mb=round(grown, 1)))
    return curve


def _exponent(curve: Sequence[Measured], name: str) -> float | None:
    """Slope of the straight line through the logarithms; None where nothing is left to be measured."""
    found = [(point.size, getattr(point, name)) for point in curve if getattr(point, name) > 0]
    if len(found) < 2:
        return None
    sizes, values = np.log(np.array(found)).T
    return round(float(np.polyfit(sizes, values, 1)[0]), 3)


def _plot(curves: Mapping[str, Sequence[Measured]], measure: str, output: Path) -> None:
    mpl.use("Agg")
    figure, panels = pyplot.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
    for panel, (name, label) in zip(panels, {"seconds": "time in s", "memory_mb": "memory in MB"}.items(), strict=True):
        for what, curve in curves.items():
            exponent = _exponent(curve, name)
            shown = "does not grow" if exponent is None else f"exponent {exponent:.2f}"
            panel.plot(
                [point.size for point in curve],
                [getattr(point, name) for point in curve],
                marker="o",
                label=f"{what}: {shown}",
            )
        panel.set(xlabel=measure, ylabel=label, xscale="log", yscale="log")
        sizes = sorted({point.size for curve in curves.values() for point in curve})
        panel.set_xticks(sizes, labels=[str(size) for size in sizes])
        panel.minorticks_off()
        panel.legend()
        panel.grid(alpha=0.3)
    output.mkdir(parents=True, exist_ok=True)
    figure.savefig(output / f"scale_{measure}.png", dpi=120)
    pyplot.close(figure)


if __name__ == "__main__":
    main()
