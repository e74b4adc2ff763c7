"""What TI, SCAR, FUMPE and KiTS are, and the numbers that the paper prints for them.

The numbers are those of "Learning from Noisy Prompts: Saliency-Guided Prompt Distillation for Robust
Segmentation with SAM" (Kang et al., arXiv 2604.23314): volumetric Dice from its supplementary
material, average metrics as far as they are known from reports of its main text.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from spd_bench.errors import InputError

_FOLDER = re.compile(r"Dataset(?P<number>\d{3})_(?P<name>.+)")


@dataclass(frozen=True, kw_only=True)
class PaperAverage:
    """One row of the paper's main table, as far as it is known.

    Attributes:
        methods: method name -> value; Dice and IoU in per cent, HD95 in a unit that no source states.
        significant: whether SPD differs from every other method (p < 0.05, Wilcoxon signed-rank); None
            where no source says it.
    """

    methods: Mapping[str, float]
    significant: bool | None = None


@dataclass(frozen=True, kw_only=True)
class DatasetInfo:
    """One of the benchmark's datasets.

    Attributes:
        name: short name, as given to ``-d``.
        number: nnU-Net's dataset id.
        channel_name: nnU-Net's channel name; "CT" chooses its global HU normalisation.
        target: what is segmented, in words.
        modality: how the images are made, in words.
        paper_volumetric_dice: method name -> volumetric Dice in per cent.
        paper_printed_delta: SPD's lead over the best other method as the paper prints it, in points.
        paper_average: metric ("average_dice", "average_iou", "hd95") -> the known part of the main table.
        erratum: what is wrong with the paper's printed numbers, or an empty string.
    """

    name: str
    number: int
    channel_name: str
    target: str
    modality: str
    paper_volumetric_dice: Mapping[str, float]
    paper_printed_delta: float
    paper_average: Mapping[str, PaperAverage]
    erratum: str = ""

    @property
    def folder(self) -> str:
        """The dataset's folder name, for example ``Dataset501_TI``."""
        return f"Dataset{self.number:03d}_{self.name}"


def _volumetric(
    *, medsam: float, msa: float, sam_refiner: float, unet: float, nnunet: float, spd: float
) -> Mapping[str, float]:
    return MappingProxyType(
        {"medsam": medsam, "msa": msa, "sam_refiner": sam_refiner, "unet": unet, "nnunet": nnunet, "spd": spd}
    )


DATASETS: Mapping[str, DatasetInfo] = MappingProxyType(
    {
        info.name: info
        for info in (
            DatasetInfo(
                name="TI",
                number=501,
                channel_name="MR",
                target="terminal ileum",
                modality="T2-weighted MR enterography",
                paper_volumetric_dice=_volumetric(
                    medsam=31.54, msa=34.83, sam_refiner=39.08, unet=28.64, nnunet=14.36, spd=46.42
                ),
                paper_printed_delta=7.34,
                paper_average={
                    "average_dice": PaperAverage(
                        methods={"spd": 73.58, "sam_tuning": 62.50, "sam_refiner": 27.12}, significant=True
                    ),
                    "average_iou": PaperAverage(methods={"spd": 66.22, "sam_tuning": 55.17}),
                    "hd95": PaperAverage(methods={"spd": 23.94, "nnunet": 30.22}, significant=True),
                },
            ),
            DatasetInfo(
                name="SCAR",
                number=502,
                channel_name="MR",
                target="myocardial scar",
                modality="late gadolinium enhancement cardiac MR",
                paper_volumetric_dice=_volumetric(
                    medsam=32.15, msa=44.60, sam_refiner=37.20, unet=47.77, nnunet=47.66, spd=56.74
                ),
                paper_printed_delta=9.08,
                paper_average={
                    "average_dice": PaperAverage(methods={"spd": 76.42, "sam_tuning": 70.05}, significant=True),
                    "hd95": PaperAverage(methods={"spd": 12.91, "nnunet": 15.75}, significant=True),
                },
                erratum=(
                    "The paper prints +9.08 for SCAR, which is SPD against nnU-Net (47.66);"
                    " the best other method is U-Net (47.77), so the difference is +8.97."
                ),
            ),
            DatasetInfo(
                name="FUMPE",
                number=503,
                channel_name="CT",
                target="pulmonary embolism",
                modality="CT pulmonary angiography",
                paper_volumetric_dice=_volumetric(
                    medsam=35.33, msa=46.14, sam_refiner=63.09, unet=62.43, nnunet=66.18, spd=73.48
                ),
                paper_printed_delta=7.30,
                paper_average={
                    "average_dice": PaperAverage(methods={"spd": 90.84, "nnunet": 84.26}, significant=True),
                },
            ),
            DatasetInfo(
                name="KiTS",
                number=504,
                channel_name="CT",
                target="kidney with its masses",
                modality="contrast-enhanced abdominal CT",
                paper_volumetric_dice=_volumetric(
                    medsam=75.79, msa=91.64, sam_refiner=90.20, unet=91.51, nnunet=93.46, spd=94.41
                ),
                paper_printed_delta=0.95,
                paper_average={
                    "average_dice": PaperAverage(methods={"spd": 91.16, "nnunet": 89.64}, significant=False),
                    "hd95": PaperAverage(methods={"spd": 10.12, "nnunet": 11.38}, significant=False),
                },
            ),
        )
    }
)


PAPER_TI_COMPONENTS: Mapping[str, tuple[float, float]] = MappingProxyType(
    {
        "raw points": (62.50, 55.17),
        "local validation": (66.95, 60.01),
        "contextual prompt distillation": (70.32, 63.20),
        "pairwise slice consistency": (73.58, 66.22),
    }
)
"""Component ablation on TI: step -> (average Dice, average IoU) in per cent, each step added to the one before."""

PAPER_TI_CONTEXT: Mapping[int, float] = MappingProxyType({0: 66.95, 1: 73.78, 2: 73.58, 3: 71.53})
"""Context ablation on TI: number of slices on each side -> average Dice in per cent."""


def resolve_dataset(reference: str, roots: Sequence[Path]) -> str:
    """The folder name of a dataset that a user names.

    Args:
        reference: a name ("TI", in any case; or the part after "DatasetXXX_"), an id ("501") or a folder
            name ("Dataset501_TI").
        roots: folders that hold datasets; those that do not exist are passed over.

    Returns:
        ``DatasetXXX_Name``. The benchmark's own datasets are known whether or not they exist yet.

    Raises:
        InputError: nothing or more than one dataset fits, or two datasets share the id, which nnU-Net
            cannot tell apart.
    """
    present = _present_datasets(roots)
    known = sorted({*present, *(info.folder for info in DATASETS.values())})
    fitting = [folder for folder in known if _fits(reference, folder)]
    if reference.isdecimal() and len(fitting) > 1:
        # An id belongs to whoever has a folder for it; a known dataset without one only reserves it.
        fitting = [folder for folder in fitting if folder in present] or fitting
    if not fitting:
        raise InputError(
            f"unknown dataset {reference!r}",
            remedy=f"use one of {', '.join(DATASETS)}, or an id or folder name of what is there:"
            f" {', '.join(present) or 'nothing yet'}",
        )
    sharing = [folder for folder in present if folder[:10] == fitting[0][:10] and folder != fitting[0]]
    if len(fitting) > 1 or sharing:
        raise InputError(
            f"dataset {reference!r} is ambiguous: {', '.join(sorted({*fitting, *sharing}))}",
            remedy="give every dataset its own id and name",
        )
    return fitting[0]


def _present_datasets(roots: Sequence[Path]) -> list[str]:
    return sorted(
        {
            child.name
            for root in roots
            if root.is_dir()
            for child in root.iterdir()
            if child.is_dir() and _FOLDER.fullmatch(child.name)
        }
    )


def _fits(reference: str, folder: str) -> bool:
    match = _FOLDER.fullmatch(folder)
    if match is None:
        return False
    if reference.isdecimal():
        return int(reference) == int(match["number"])
    return reference == folder or reference.casefold() == match["name"].casefold()
