"""TI: terminal ileum on T2-weighted MR enterography, with the readers' bowel traces as prompts.

``python -m dataset_conversion.ti SOURCE``
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dataset_conversion.ti_layout import find_ti_cases
from dataset_conversion.ti_traces import TracedImage, read_trace
from spd_bench.cli.command import run_command
from spd_bench.cli.convert import conversion_parser, convert
from spd_bench.datasets import DATASETS
from spd_bench.prompts.points import PointPrompts
from spd_bench.prompts.trace_flips import FLIP_AXES
from spd_bench.raw.release.cases import ConvertedCase, FoundCases, ReleaseCase
from spd_bench.raw.release.slice_direction import slices_first
from spd_bench.raw.release.source_volumes import check_finite, on_grid_of, read_source_volume
from spd_bench.raw.release.target_mask import LabelValues, target_mask

VALUES = LabelValues(target=(1, 2), others=(3, 4, 5, 6))
"""1 abnormal TI, 2 normal TI, 3 and 4 colon, 6 appendix; 5 is not used."""

PLANES = ("axial", "coronal")
PROMPTS = ("trace", "simulated")


@dataclass(frozen=True, kw_only=True)
class TiRelease:
    """The TI release and the choices that were made about it.

    Attributes:
        plane: "axial" or "coronal".
        share: part of every traced path, from its start, that is taken for the TI.
        prompts: "trace" for the readers' points, "simulated" to leave all points to planning.
        flip: voxel axis along which traces are flipped that do not fit better as they are; "" for none.
        skip_unlabelled: pass over images without a segmentation and a trace.
    """

    plane: str = "axial"
    share: float = 0.2
    prompts: str = "trace"
    flip: str = ""
    skip_unlabelled: bool = False

    channel_names = (DATASETS["TI"].channel_name,)
    target_name = DATASETS["TI"].target.replace(" ", "_")

    def __post_init__(self) -> None:
        choices = {"plane": PLANES, "prompts": PROMPTS, "flip": ("", *FLIP_AXES)}
        for name, allowed in choices.items():
            if getattr(self, name) not in allowed:
                msg = f"{name} must be one of {allowed}, got {getattr(self, name)!r}"
                raise ValueError(msg)
        if not 0 < self.share <= 1:
            msg = f"share must be above 0 and at most 1, got {self.share}"
            raise ValueError(msg)

    @property
    def description(self) -> str:
        """Where the data come from."""
        points = f"first {self.share:.0%} of the readers' traces" if self.prompts == "trace" else "none"
        return f"TI release, {self.plane} T2 MR enterography, terminal ileum (labels 1 and 2); points: {points}"

    @property
    def settings(self) -> Mapping[str, Any]:
        """The choices that change what is written."""
        traced = {"share": self.share, "flip": self.flip} if self.prompts == "trace" else {}
        return {"release": "ti", "plane": self.plane, "prompts": self.prompts, **traced}

    def find(self, source: Path) -> FoundCases:
        """List the cases of the plane."""
        return find_ti_cases(
            source,
            plane=self.plane,
            with_traces=self.prompts == "trace",
            skip_unlabelled=self.skip_unlabelled,
        )

    def read(self, case: ReleaseCase) -> ConvertedCase:
        """Read one case; InputError where it has a fault."""
        image = read_source_volume(case.files["image"][0])
        check_finite(image)
        label_file = case.files["label"][0]
        label = target_mask(on_grid_of(read_source_volume(label_file), image, file=label_file), VALUES)
        # Voxels of a trace count on the grid that the image is stored on.
        prompts, notes = self._prompts(case, TracedImage(geometry=image.geometry, target=label.voxels > 0))
        turned, turned_label = (slices_first(volume, plane=self.plane) for volume in (image, label))
        of_label = (f"label: {repair}" for repair in turned_label.repairs if repair not in turned.repairs)
        return ConvertedCase(
            images=(turned.voxels,),
            label=turned_label.voxels,
            geometry=turned.geometry,
            prompts=prompts,
            repairs=(*turned.repairs, *of_label, *notes),
        )

    def _prompts(self, case: ReleaseCase, image: TracedImage) -> tuple[PointPrompts | None, tuple[str, ...]]:
        if self.prompts == "simulated":
            return None, ()
        file, meta = case.files["trace"][0], case.files.get("meta", (None,))[0]
        prompts, notes = read_trace(file, image=image, share=self.share, flip=self.flip, meta=meta)
        if "unused_trace" in case.files:
            notes = (*notes, "trace there in more than one format: the one nearest to the tracing software taken")
        return prompts, notes


def main(argv: Sequence[str] | None = None) -> int:
    """Convert the TI release; returns the exit status."""
    parser = conversion_parser(dataset=DATASETS["TI"], description=__doc__.splitlines()[0])
    parser.add_argument("--plane", choices=PLANES, default="axial", help="plane of the T2 images (axial)")
    parser.add_argument(
        "--share", type=_share, default=0.2, help="part of each trace, from its start, that is TI; 1 takes all (0.2)"
    )
    parser.add_argument(
        "--prompts",
        choices=PROMPTS,
        default="trace",
        help="the readers' traces, of which every case then needs one; or none, and planning simulates (trace)",
    )
    parser.add_argument(
        "--flip-trace",
        choices=tuple(FLIP_AXES),
        default="",
        help="flip traces along this voxel axis of the image, except those that fit better as they are (not flipped)",
    )
    parser.add_argument(
        "--skip-unlabelled", action="store_true", help="pass over images with neither segmentation nor trace"
    )
    return run_command(_convert, parser, argv)


def _convert(arguments: argparse.Namespace) -> int:
    release = TiRelease(
        plane=arguments.plane,
        share=arguments.share,
        prompts=arguments.prompts,
        flip=arguments.flip_trace,
        skip_unlabelled=arguments.skip_unlabelled,
    )
    return convert(release, arguments)


def _share(text: str) -> float:
    try:
        share = float(text)
    except ValueError:
        share = 0.0
    if not 0 < share <= 1:
        raise argparse.ArgumentTypeError(f"{text} is not above 0 and at most 1")
    return share


if __name__ == "__main__":
    sys.exit(main())
