"""FUMPE: CT pulmonary angiography of 35 patients with emboli outlined (Masoudi et al., Scientific Data 5:180180, 2018).

    FUMPE/CT_scans/PAT001/D0001.dcm ...    FUMPE/GroundTruth/PAT001.mat

or, as others redistribute it, ``imagesTr/PAT001[_0000].nii.gz`` and ``labelsTr/PAT001.nii.gz``.

A ``.mat`` mask is a bare array. Its slices follow the DICOM file names, which for part of the patients run against
the positions; the order is checked by the HU under the mask, and the case refused where they leave a doubt.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dataset_conversion.fumpe_cases import read_dicom_case, read_nifti_case
from dataset_conversion.fumpe_layout import find_files, shared_images
from spd_bench.cli.command import run_command
from spd_bench.cli.convert import conversion_parser, convert
from spd_bench.datasets import DATASETS
from spd_bench.errors import InputError
from spd_bench.raw.release.cases import ConvertedCase, FoundCases, ReleaseCase
from spd_bench.raw.release.mask_order import Decision
from spd_bench.raw.release.mask_placements import AXES, ORDERS

EVERY_CASE = ""
_WIDE_INTERVAL_MM = 3.0


@dataclass(frozen=True, kw_only=True)
class FumpeRelease:
    """FUMPE as DICOM with ``.mat`` masks, or as NIfTI; the layout is recognised by its folders.

    Attributes:
        orders: case, or :data:`EVERY_CASE` -> the user's decision about the order of a mask's slices.
        axes: case, or :data:`EVERY_CASE` -> the user's decision about the axes of a mask's slices.
    """

    orders: Mapping[str, str] = field(default_factory=dict)
    axes: Mapping[str, str] = field(default_factory=dict)

    @property
    def channel_names(self) -> tuple[str, ...]:
        """CT: nnU-Net's global HU normalisation."""
        return ("CT",)

    @property
    def target_name(self) -> str:
        """The name of label 1."""
        return "embolism"

    @property
    def description(self) -> str:
        """Source and licence."""
        return (
            "FUMPE, CT pulmonary angiography with emboli outlined (Masoudi et al., Scientific Data 5:180180, 2018;"
            " figshare collection 4107803, CC BY 4.0)"
        )

    @property
    def settings(self) -> Mapping[str, Any]:
        """The release's name; decisions about single cases are told with the cases."""
        return {"release": "fumpe"}

    def find(self, source: Path) -> FoundCases:
        """List the patients that have a scan and a mask; of DICOM files headers are read, to find scans twice."""
        files = find_files(source)
        self._check_decisions(files.cases)
        twice = shared_images({case: files.scans[case] for case in files.whole if _is_dicom(files.masks[case])})
        return FoundCases(
            cases=tuple(
                self._case(case, scan=files.scans[case], mask=files.masks[case])
                for case in files.whole
                if case not in twice
            ),
            faults=(*files.missing_halves(), *files.doubled, *twice.values()),
        )

    def read(self, case: ReleaseCase) -> ConvertedCase:
        """Read one patient, axial slices first."""
        scan, (mask,) = case.files["scan"], case.files["mask"]
        decision = self._decision(case.case)
        if _is_dicom(mask):
            image, label = read_dicom_case(scan, mask, decision=decision)
        else:
            image, label = read_nifti_case(scan[0], mask, decision=decision)
        repairs = [*image.repairs, *label.repairs]
        if not label.voxels.any():
            repairs.append("no emboli: the empty mask is kept; its order cannot be checked and does not matter")
        if image.geometry.spacing[0] >= _WIDE_INTERVAL_MM:
            repairs.append(f"slice interval of {_WIDE_INTERVAL_MM:g} mm or more: kept (PEBench drops such scans)")
        return ConvertedCase(
            images=(image.voxels,), label=label.voxels, geometry=image.geometry, repairs=tuple(dict.fromkeys(repairs))
        )

    def _case(self, case: str, *, scan: tuple[Path, ...], mask: Path) -> ReleaseCase:
        decision = self._decision(case)
        choices = {name: choice for name, choice in (("order", decision.order), ("axes", decision.axes)) if choice}
        return ReleaseCase(case=case, patient=case, files={"scan": scan, "mask": (mask,)}, choices=choices)

    def _decision(self, case: str) -> Decision:
        return Decision(
            order=self.orders.get(case, self.orders.get(EVERY_CASE)),
            axes=self.axes.get(case, self.axes.get(EVERY_CASE)),
        )

    def _check_decisions(self, known: set[str]) -> None:
        for case in sorted({*self.orders, *self.axes} - known - {EVERY_CASE}):
            raise InputError(f"a decision about {case}, which is no case of the release", remedy="correct its name")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit status."""
    parser = conversion_parser(
        dataset=DATASETS["FUMPE"], description="Convert FUMPE (CT pulmonary angiography) into an nnU-Net raw dataset."
    )
    for option, what, choices in (("--order", "order of a mask's slices", ORDERS), ("--axes", "axes of them", AXES)):
        meanings = "; ".join(f"{name}: {meaning}" for name, meaning in choices.items())
        parser.add_argument(
            option,
            action="append",
            metavar="[CASE=]CHOICE",
            help=f"your own decision about the {what}, for one case or for all ({meanings}); may be given several"
            " times. Without it the HU under the mask decide, and a case is refused where they leave a doubt",
        )
    return run_command(lambda arguments: convert(_release(arguments), arguments), parser, argv)


def _release(arguments: argparse.Namespace) -> FumpeRelease:
    return FumpeRelease(
        orders=_decisions(arguments.order, option="--order", choices=ORDERS),
        axes=_decisions(arguments.axes, option="--axes", choices=AXES),
    )


def _decisions(values: Sequence[str] | None, *, option: str, choices: Mapping[str, str]) -> dict[str, str]:
    """``CASE=CHOICE`` and ``CHOICE`` as case -> choice."""
    decisions = {}
    for value in values or ():
        case, _, choice = value.rpartition("=")
        if choice not in choices:
            raise InputError(f"{option} {value} is unknown", remedy=f"choose one of {', '.join(choices)}")
        decisions[case] = choice
    return decisions


def _is_dicom(mask: Path) -> bool:
    return mask.suffix.casefold() == ".mat"


if __name__ == "__main__":
    sys.exit(main())
