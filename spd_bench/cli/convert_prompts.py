"""``spd_convert_prompts``: any supported point file into the point file of a raw dataset."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from spd_bench.cli.command import command_parser, run_command
from spd_bench.cli.options import require_folder_name
from spd_bench.errors import InputError

if TYPE_CHECKING:
    from spd_bench.prompts.points import PointPrompts
    from spd_bench.raw.geometry import VolumeGeometry

_FORMATS = "markups (.mrk.json), fcsv, tracings (Simple Neurite Tracer), csv, text, json, nifti (point mask)"
_IMAGE = (
    "the image that was traced: of a converted release the release's own, whose axes conversion may have turned;"
    " OUT is in mm and fits both"
)
_FRAMES = "voxel_xyz, voxel_zyx, ras_mm or lps_mm, for files that do not state it"


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point of ``spd_convert_prompts``."""
    parser = command_parser(
        name="spd_convert_prompts",
        description="Convert the points of one case into a Slicer Markups file, as promptsTr and promptsTs hold it.",
        example="spd_convert_prompts 'A1 axial tracings' promptsTr/A1.mrk.json --image 'A1 Axial T2.nii.gz'"
        " --share 0.2",
    )
    parser.add_argument("source", type=Path, metavar="IN", help="point file")
    parser.add_argument("output", type=Path, metavar="OUT", help="file to write, CASE.mrk.json")
    parser.add_argument("--image", type=Path, required=True, help=_IMAGE)
    parser.add_argument("--format", help=f"{_FORMATS}; told from the file's name and content by default")
    parser.add_argument("--frame", help=_FRAMES)
    parser.add_argument("--share", type=float, default=1.0, help="part of each path taken from its start (1.0)")
    parser.add_argument("--drop-outside", action="store_true", help="leave out points outside the image")
    return run_command(_run, parser, argv)


def _run(arguments: argparse.Namespace) -> None:
    from spd_bench.prompts.formats import read_points
    from spd_bench.prompts.points import without_outside, write_prompts
    from spd_bench.raw.images.itk_warnings import without_itk_warnings
    from spd_bench.raw.volumes import read_geometry

    _require_output(arguments.output, arguments.source)
    # What ITK warns of, a header that contradicts itself, is told in the warnings below.
    with without_itk_warnings():
        geometry = read_geometry(arguments.image)
        prompts = read_points(
            arguments.source,
            geometry=geometry,
            format_name=arguments.format,
            frame=arguments.frame,
            share=arguments.share,
        )
    dropped = 0
    if arguments.drop_outside:
        prompts, dropped = without_outside(prompts, geometry)
    if not len(prompts):
        raise InputError(
            f"none of {dropped} points lies inside the image",
            file=arguments.source,
            remedy="check that points and image belong together, and the frame",
        )
    lines = _description(prompts, geometry, arguments.source, dropped)
    warnings = _warnings(prompts, geometry, arguments.image)
    try:
        write_prompts(arguments.output, prompts)
    except OSError as error:
        raise InputError(f"cannot be written ({error})", file=arguments.output, remedy="choose another OUT") from error
    print("\n".join([*lines, f"written to {arguments.output}"]))
    for warning in warnings:
        print(f"warning: {warning}", file=sys.stderr)


def _require_output(output: Path, source: Path) -> None:
    from spd_bench.prompts.points import SUFFIX

    if not output.name.endswith(SUFFIX) or output.name == SUFFIX:
        raise InputError(f"OUT must end with {SUFFIX}", file=output, remedy=f"write CASE{SUFFIX}")
    if output.is_dir():
        raise InputError("a folder stands where OUT should be", file=output, remedy="choose another OUT")
    if output.exists() and source.exists() and output.samefile(source):
        raise InputError("OUT is IN itself", file=output, remedy="choose another OUT")
    require_folder_name(output.parent)


def _description(prompts: PointPrompts, geometry: VolumeGeometry, source: Path, dropped: int) -> list[str]:
    voxels = prompts.voxels(geometry, file=source)
    facts = prompts.provenance
    taken = f", first {100 * facts['share']:g} % of each path" if facts["share"] != 1 else ""
    low, high = voxels.min(axis=0), voxels.max(axis=0)
    ranges = [f"{axis} {low[column]}-{high[column]}" for axis, column in (("x", 2), ("y", 1), ("z", 0))]
    lines = [
        f"{len(prompts)} point(s) from {source} ({facts['format']}, {facts['frame']}{taken})",
        f"on {len(set(voxels[:, 0].tolist()))} of {geometry.shape[0]} slices; voxels {', '.join(ranges)}",
    ]
    lines += [f"{dropped} point(s) outside the image left out"] * bool(dropped)
    return lines + [f"note: {note}" for note in facts.get("notes", ())]


def _warnings(prompts: PointPrompts, geometry: VolumeGeometry, image: Path) -> list[str]:
    """Why voxels of the image may not be those that were traced; points that came in mm are not concerned."""
    from spd_bench.raw.release.traced_image import reordering_of, repaired_grid

    if not prompts.provenance["frame"].startswith("voxel_"):
        return []
    warnings = []
    if reordering := reordering_of(image):
        warnings.append(
            f"conversion turned {image} ({reordering}): points that were traced on the release's own image lie"
            " elsewhere; give that one as --image"
        )
    if repair := repaired_grid(image, geometry):
        warnings.append(
            f"the header of {image} contradicts itself, and conversion puts it on another grid ({repair}), which"
            " these points do not fit"
        )
    return warnings
