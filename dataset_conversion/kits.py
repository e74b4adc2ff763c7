"""KiTS 2019, 2021 and 2023: kidneys and their masses on contrast-enhanced CT.

Labels and code: github.com/neheller/kits19, kits21 and kits23; imaging: Hugging Face,
neheller/KiTS-Challenge-Imaging. CC BY-NC-SA 4.0 (Heller et al., arXiv 1904.00445 and 2307.01984).
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from dataset_conversion.kits_layout import (
    LAYOUTS,
    KitsFiles,
    find_files,
    recognised_layout,
    volume_files,
)
from spd_bench.cli.command import run_command
from spd_bench.cli.convert import conversion_parser, convert, left_out
from spd_bench.datasets import DATASETS
from spd_bench.errors import InputError
from spd_bench.raw.release.cases import CaseFault, ConvertedCase, FoundCases, ReleaseCase, check_source
from spd_bench.raw.release.labelled_volumes import read_labelled_volumes
from spd_bench.raw.release.source_volumes import to_axial
from spd_bench.raw.release.target_mask import LabelValues

# The challenge's own hierarchical classes over 1 kidney, 2 tumour, 3 cyst.
TARGETS = MappingProxyType({"kidney_and_mass": (1, 2, 3), "mass": (2, 3), "tumour": (2,)})
_SPELLINGS = {"tumor": "tumour"}
_GET_IMAGING = (
    "run the repository's get_imaging (KiTS23: kits23_download_data),"
    " or put the imaging beside it as images/case_XXXXX.nii.gz"
)


@dataclass(frozen=True, kw_only=True)
class KitsRelease:
    """A KiTS release.

    Attributes:
        layout: a key of :data:`LAYOUTS`.
        target: a key of :data:`TARGETS`.
        segmentation: how KiTS21's annotations were aggregated: "MAJ" (majority), "AND" or "OR".
        files: what lies in the release's folder, where it was walked through already; None: :meth:`find` walks.
    """

    layout: str
    target: str = "kidney_and_mass"
    segmentation: str = "MAJ"
    files: KitsFiles | None = field(default=None, repr=False, compare=False)

    channel_names = ("CT",)

    def __post_init__(self) -> None:
        for name, value, known in (
            ("layout", self.layout, LAYOUTS),
            ("target", self.target, TARGETS),
            ("segmentation", self.segmentation, ("MAJ", "AND", "OR")),
        ):
            if value not in known:
                msg = f"{name} must be one of {', '.join(known)}, got {value!r}"
                raise ValueError(msg)

    @property
    def target_name(self) -> str:
        """The target, as nnU-Net's label name."""
        return self.target

    @property
    def description(self) -> str:
        """Source and licence."""
        return f"{self.layout} (github.com/neheller/{self.layout}, CC BY-NC-SA 4.0), target {self.target}"

    @property
    def settings(self) -> Mapping[str, str]:
        """The choices that were made."""
        chosen = {"release": "kits", "layout": self.layout, "target": self.target}
        return chosen | ({"segmentation": self.segmentation} if self.layout == "kits21" else {})

    @property
    def values(self) -> LabelValues:
        """The layout's label values, divided by the target."""
        there = LAYOUTS[self.layout].values
        target = tuple(value for value in there if value in TARGETS[self.target])
        return LabelValues(target=target, others=tuple(value for value in there if value not in target))

    def find(self, source: Path) -> FoundCases:
        """One case a folder ``case_XXXXX``; imaging in it, or in a folder ``images`` anywhere below ``source``."""
        cases, faults = [], []
        there = self._files(source)
        for folder in there.folders:
            if self._is_left_out(folder):
                continue
            try:
                cases.append(self._case(folder, there))
            except InputError as error:
                faults.append(CaseFault(case=folder.name, reason=str(error)))
        if not cases and not there.gathered and not any(map(there.imaging, there.folders)):
            raise InputError(
                f"no imaging for any of {len(there.folders)} cases: a clone holds the labels only",
                file=source,
                remedy=_GET_IMAGING,
            )
        return FoundCases(cases=tuple(cases), faults=tuple(faults))

    def read(self, case: ReleaseCase) -> ConvertedCase:
        """Imaging and target as axial slices."""
        return read_labelled_volumes(
            images=case.files["image"],
            label=case.files["label"][0],
            values=self.values,
            arrange=to_axial,
            grid_remedy="download both again (KiTS19 imaging of before April 2019 had a second phase appended)",
        )

    def remarks(self, source: Path) -> list[str]:
        """What is left out on purpose, and what the target means in this layout."""
        remarks = []
        tests = [folder.name for folder in self._files(source).folders if self._is_left_out(folder)]
        if tests:
            remarks.append(left_out(tests))
        if self.layout == "kits19" and self.target == "mass":
            remarks.append("note: KiTS19 has no label for cysts (they count as kidney), so mass is the tumour alone")
        return remarks

    @property
    def _label_name(self) -> str:
        return LAYOUTS[self.layout].label.format(rater=self.segmentation)

    def _files(self, source: Path) -> KitsFiles:
        return self.files if self.files is not None and self.files.source == source else find_files(source)

    def _is_left_out(self, folder: Path) -> bool:
        """Whether a case has no label on purpose."""
        number = int(folder.name.removeprefix("case_"))
        return number in LAYOUTS[self.layout].test_cases and not volume_files(folder, self._label_name)

    def _case(self, folder: Path, there: KitsFiles) -> ReleaseCase:
        found = {
            "image": (there.imaging(folder), "imaging", _GET_IMAGING),
            "label": (volume_files(folder, self._label_name), self._label_name, "take it from the repository"),
        }
        files = {}
        for role, (candidates, name, remedy) in found.items():
            if not candidates:
                beside = ", ".join(sorted(file.name for file in folder.iterdir() if file.is_file())) or "no file"
                raise InputError(f"no {name}.nii.gz (there: {beside})", file=folder, remedy=remedy)
            if len(candidates) > 1:
                names = ", ".join(file.relative_to(there.source).as_posix() for file in candidates)
                raise InputError(
                    f"{len(candidates)} files for one {role}: {names}", file=folder, remedy="keep the right one"
                )
            files[role] = tuple(candidates)
        return ReleaseCase(case=folder.name, patient=folder.name, files=files)


def main(argv: Sequence[str] | None = None) -> int:
    """``python -m dataset_conversion.kits SOURCE``; returns the exit status."""
    parser = conversion_parser(
        dataset=DATASETS["KiTS"], description="Convert KiTS 2019, 2021 or 2023 into an nnU-Net raw dataset."
    )
    parser.add_argument(
        "--target",
        default="kidney_and_mass",
        choices=[*TARGETS, *_SPELLINGS],
        help="what becomes label 1 (%(default)s)",
    )
    parser.add_argument("--layout", choices=LAYOUTS, help="the release's year (recognised)")
    parser.add_argument(
        "--segmentation", choices=("MAJ", "AND", "OR"), help="KiTS21: how the annotations were aggregated (MAJ)"
    )

    def body(arguments: argparse.Namespace) -> int:
        check_source(arguments.source)
        release = _release(arguments)
        return convert(release, arguments, remarks=lambda _: release.remarks(arguments.source))

    return run_command(body, parser, argv)


def _release(arguments: argparse.Namespace) -> KitsRelease:
    files = find_files(arguments.source)
    layout = arguments.layout or recognised_layout(files.folders)
    if arguments.segmentation and layout != "kits21":
        raise InputError(
            f"--segmentation {arguments.segmentation} is for KiTS21, this is {layout}", remedy="leave it out"
        )
    return KitsRelease(
        layout=layout,
        target=_SPELLINGS.get(arguments.target, arguments.target),
        segmentation=arguments.segmentation or "MAJ",
        files=files,
    )


if __name__ == "__main__":
    sys.exit(main())
