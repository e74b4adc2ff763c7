"""Whole files of every format, a few hundred bytes each, made by our own writers."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

from spd_bench.prompts.points import PointPrompts, write_prompts
from spd_bench.prompts.tracings import Tracing, TracingFile, write_tracings
from spd_bench.raw.geometry import VolumeGeometry
from spd_bench.raw.volumes import write_volume
from spd_bench.raw.writer import RawDatasetWriter
from spd_bench.training.records import RunRecord

GEOMETRY = VolumeGeometry(
    shape=(2, 3, 4),
    spacing=(8.0, 1.5, 0.75),
    origin=(10.0, -20.0, 30.0),
    direction=(0.8, -0.6, 0.0, 0.6, 0.8, 0.0, 0.0, 0.0, -1.0),
)
_VOXELS = np.array([[0, 1, 2], [1, 2, 3], [1, 0, 0]])
_PROMPTS = PointPrompts.from_voxels(_VOXELS, GEOMETRY, provenance={"seed": 3, "notes": ["made up"]})
_FCSV = """# Markups fiducial file version = 4.11
# CoordinateSystem = LPS
# columns = id,x,y,z,ow,ox,oy,oz,vis,sel,lock,label,desc,associatedNodeID
1,10.5,-20.25,30,0,0,0,1,1,1,0,F-1,"a, b",
2,11,-19,22,0,0,0,1,1,0,0,F-2,,
"""
TABLES = (
    b"# frame = ras_mm\nname,x,y,z\na,-10.5,20.25,30\nb,-11,19,22\n",
    b"x,y,z,xd,yd,zd\n1,2,0,0.75,3,0\n3,1,1,2.25,1.5,8\n",
    b"l;p;s;selected\n10;-20;30;1\n11;-19;22;0\n",
)
TEXTS = (b"# frame = voxel_zyx\n0 1 2\n1 2 3\n", b"# frame = lps_mm\n10.5\t-20\t30\n11\t-19\t22\n")
LISTS = (
    b'{"frame": "voxel_xyz", "points": [[1, 2, 0], [3, 1.5, 1]]}',
    b'{"frame": "ras_mm", "points": [[-10, 20.5, 30]]}',
)


def _written(name: str, write: Callable[[Path], object]) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        write(path)
        return path.read_bytes()


def markups() -> tuple[bytes, ...]:
    """Files of 3D Slicer: our own, and one of two curves in two systems."""
    ours = _written("a.mrk.json", lambda path: write_prompts(path, _PROMPTS))
    points = [{"position": [1, 2.5, 3], "positionStatus": status} for status in ("defined", "undefined")]
    curves = [{"type": "Curve", "coordinateSystem": system, "controlPoints": points} for system in ("RAS", "LPS")]
    return ours, json.dumps({"markups": curves}).encode()


def fcsv() -> tuple[bytes, ...]:
    """The older files of 3D Slicer, in three ways to name the system."""
    return tuple(_FCSV.replace("LPS", system).encode() for system in ("LPS", "RAS", "0"))


def tracings(*, compressed: bool) -> tuple[bytes, ...]:
    """Traces of SNT, with and without the image's size and spacing."""
    paths = (Tracing(name="abnormal", points=_VOXELS[:, ::-1]), Tracing(name="µ", points=_VOXELS[:1, ::-1]))
    size, spacing = GEOMETRY.shape[::-1], GEOMETRY.spacing[::-1]
    files = (TracingFile(tracings=paths, spacing=spacing, image_size=size), TracingFile(tracings=paths[:1]))
    return tuple(_written("a", partial(write_tracings, file=file, compressed=compressed)) for file in files)


def volumes(ending: str) -> tuple[bytes, ...]:
    """A mask, and a volume of fractions."""
    mask = np.zeros(GEOMETRY.shape, dtype=np.uint8)
    mask[tuple(_VOXELS.T)] = 1
    arrays = (mask, mask.astype(np.float32) / 3)
    return tuple(_written(f"a{ending}", partial(write_volume, voxels=voxels, geometry=GEOMETRY)) for voxels in arrays)


def records() -> tuple[bytes, ...]:
    """The record of a run."""
    record = RunRecord(
        method="spd",
        dataset="Dataset501_TI",
        fold=0,
        seed=1,
        epochs=2,
        images_seen=64,
        configuration="2d",
        settings={"training": {"batch_size": 4}},
        backbone="vit_t",
        weights={"name": "random", "sha256": None},
        parameters=5,
        hashes={"plan": "x", "prompts": None},
        seconds={"training": 1.5},
        peak_memory_mb=12.5,
    )
    return (_written("run.json", lambda path: record.write(path.parent)),)


def descriptions() -> tuple[bytes, ...]:
    """A ``dataset.json`` with one target and one with regions."""

    def write(path: Path) -> None:
        writer = RawDatasetWriter(folder=path.parent, channel_names=("MR",), file_ending=".nii.gz")
        mask = np.ones(GEOMETRY.shape, dtype=np.uint8)
        writer.add_case(case="a", images=[mask], label=mask, geometry=GEOMETRY, prompts=_PROMPTS, patient="p")
        writer.finish()

    ours = _written("dataset.json", write)
    regions = {"labels": {"background": 0, "whole": [1, 2], "part": 2}, "regions_class_order": [1, 2], "slice_axis": 0}
    return ours, json.dumps(json.loads(ours) | regions).encode()


def file_lists() -> tuple[bytes, ...]:
    """A ``dataset.json`` that lists its files; there is no file but itself."""
    files = {"images": ["dataset.json"], "label": "dataset.json"}
    return tuple(
        json.dumps(json.loads(ours) | {"dataset": {"a": files, "b": files}}).encode() for ours in descriptions()
    )
