"""The readers that are fuzzed, by name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmarks.fuzzing import seeds
from benchmarks.fuzzing.json_trees import json_mutator
from benchmarks.fuzzing.mutation import gzip_mutator, prefix_mutator, text_mutator
from benchmarks.fuzzing.nifti_fields import mutate_nifti
from benchmarks.fuzzing.reader import FuzzedReader, Mutator
from spd_bench.errors import InputError
from spd_bench.prompts.formats import read_points
from spd_bench.prompts.frames import FRAMES
from spd_bench.raw.dataset import read_raw_dataset
from spd_bench.raw.description import read_description
from spd_bench.raw.volumes import read_volume
from spd_bench.training.records import RunRecord, read_record

_MARKUPS = (
    *("markups", "controlPoints", "position", "positionStatus", "defined", "coordinateSystem", "LPS", "RAS"),
    "spd_bench",
)
_TABLE = ("frame", *FRAMES, "x", "y", "z", "xd", "r", "a", "s", "selected", "defined", "#")
_FCSV = ("CoordinateSystem", "columns", "LPS", "RAS", "0", "1", "id,x,y,z", "sel", "#")
_TRACES = ("tracings", "path", "point", "samplespacing", "imagesize", "fitted", "usefitted", "fittedversionof", "xd")
_XML = ("<!ENTITY a 'b'>", "&amp;", "<![CDATA[", "]]>", "encoding", "utf-16", "utf-7", "SYSTEM")
_NRRD = (
    *("type", "dimension", "sizes", "spacings", "space", "space directions", "space origin", "kinds", "encoding"),
    *("raw", "gzip", "bzip2", "ascii", "hex", "endian", "little", "big", "byte skip", "line skip", "data file"),
    *("LIST", "none", "double", "uchar", "block", "block size", "vector", "right-anterior-superior", "old min", ":="),
)
_META = (
    *("ObjectType", "NDims", "DimSize", "ElementType", "MET_DOUBLE", "MET_UCHAR", "ElementSpacing", "CompressedData"),
    *("CompressedDataSize", "ElementDataFile", "LOCAL", "LIST", "TransformMatrix", "Offset", "HeaderSize", "True"),
    *("BinaryData", "False", "ElementNumberOfChannels"),
)
_RECORD = (*RunRecord.__dataclass_fields__, "plan")
_DESCRIPTION = (
    *("channel_names", "labels", "numTraining", "file_ending", "regions_class_order", "slice_axis", "patients"),
    *("dataset", "background", "ignore", ".nii.gz", ".png"),
)


def _points(path: Path) -> Any:
    return read_points(path, geometry=seeds.GEOMETRY)


def _record(path: Path) -> Any:
    return read_record(path.parent)


def _dataset(path: Path) -> Any:
    try:
        return read_raw_dataset(path.parent)
    except InputError as error:
        # It may name a file that dataset.json lists.
        raise InputError(str(error), file=path, remedy="correct the list") from error


def _json(name: str, read: Any, files: tuple[bytes, ...], words: tuple[str, ...]) -> FuzzedReader:
    return FuzzedReader(file_name=name, read=read, seeds=files, mutate=json_mutator(words), tokens=_encoded(words))


def _text(name: str, files: tuple[bytes, ...], words: tuple[str, ...]) -> FuzzedReader:
    return FuzzedReader(file_name=name, read=_points, seeds=files, mutate=text_mutator(words), tokens=_encoded(words))


def _volume(ending: str, mutate: Mutator, words: tuple[str, ...] = (), read: Any = read_volume) -> FuzzedReader:
    files = seeds.volumes(ending)
    return FuzzedReader(file_name=f"a{ending}", read=read, seeds=files, mutate=mutate, tokens=_encoded(words))


def _encoded(words: tuple[str, ...]) -> tuple[bytes, ...]:
    return tuple(word.encode() for word in words)


READERS: dict[str, FuzzedReader] = {
    "markups": _json("a.mrk.json", _points, seeds.markups(), _MARKUPS),
    "point_list": _json("a.json", _points, seeds.LISTS, ("frame", "points", *FRAMES)),
    "fcsv": _text("a.fcsv", seeds.fcsv(), _FCSV),
    "csv": _text("a.csv", seeds.TABLES, _TABLE),
    "text": _text("a.txt", seeds.TEXTS, _TABLE),
    "tracings": _text("a.traces", seeds.tracings(compressed=False), (*_TRACES, *_XML)),
    "tracings_gz": FuzzedReader(
        file_name="a.traces",
        read=_points,
        seeds=seeds.tracings(compressed=True),
        mutate=gzip_mutator(text_mutator((*_TRACES, *_XML))),
    ),
    "mask": _volume(".nii", mutate_nifti, read=_points),
    "nifti": _volume(".nii", mutate_nifti),
    "nifti_gz": _volume(".nii.gz", gzip_mutator(mutate_nifti)),
    "nrrd": _volume(".nrrd", prefix_mutator(text_mutator(_NRRD), end=b"\n\n"), _NRRD),
    "mha": _volume(".mha", prefix_mutator(text_mutator(_META), end=b"LOCAL\n"), _META),
    "record": _json("run.json", _record, seeds.records(), _RECORD),
    "dataset": _json("dataset.json", _dataset, seeds.file_lists(), (*_DESCRIPTION, "images", "label")),
    "description": _json("dataset.json", read_description, seeds.descriptions(), _DESCRIPTION),
}
