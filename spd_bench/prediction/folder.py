"""Predict many cases and write their masks."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from spd_bench.errors import InputError
from spd_bench.prediction.volume import (
    MASK_ONLY,
    ExtraOutputs,
    Prediction,
    PromptedVolume,
    VolumePredictor,
    read_prompted_volume,
)
from spd_bench.prompts.points import SUFFIX, write_prompts
from spd_bench.raw.channels import check_number_of_channels, packed_files
from spd_bench.raw.dataset import check_case_name
from spd_bench.raw.images.formats import ending_for_fractions
from spd_bench.raw.volumes import write_volume


@dataclass(frozen=True, kw_only=True)
class CaseFiles:
    """The files of a case that prediction may read: its channels and its prompts, no label.

    Attributes:
        case: case id.
        images: one file a channel, or fewer where a file holds several.
        prompts: the case's prompt file, None where it is given none.
        channels: the number of channels that the images must hold; None where that was verified before.
    """

    case: str
    images: tuple[Path, ...]
    prompts: Path | None
    channels: int | None = None


def find_cases(images: Path, prompts: Path | None, *, channels: int, file_ending: str) -> list[CaseFiles]:
    """The cases of a folder of images named ``<case>_0000<ending>``, ``<case>_0001<ending>``...

    There is one file a channel, or fewer where a file holds several (RGB).

    Raises:
        InputError: the folder holds no such image, a case lacks a channel, or its id is not a plain name.
    """
    if not images.is_dir():
        raise InputError("folder not found", file=images, remedy="give the folder that holds the images")
    first = f"_0000{file_ending}"
    names = sorted(path.name.removesuffix(first) for path in images.iterdir() if path.name.endswith(first))
    if not names:
        raise InputError(f"no image is named <case>{first}", file=images, remedy="rename the images as nnU-Net does")
    cases = []
    for name in names:
        check_case_name(name, file=images / f"{name}{first}")
        files = tuple(images / f"{name}_{channel:04d}{file_ending}" for channel in range(channels))
        files = packed_files(files, announced=channels) or files
        for file in files:
            if not file.is_file():
                raise InputError(f"case {name} lacks a channel", file=file, remedy="add the missing file")
        points = None if prompts is None else prompts / f"{name}{SUFFIX}"
        cases.append(CaseFiles(case=name, images=files, prompts=points, channels=channels))
    return cases


def predict_cases(
    cases: Iterable[CaseFiles],
    predictor: VolumePredictor,
    *,
    output: Path,
    file_ending: str,
    extra: ExtraOutputs = MASK_ONLY,
) -> None:
    """Predict cases one after the other into ``output/<case><ending>``, each in its image's own geometry.

    Saliency goes to ``saliency/<case><ending>`` (``.tif`` beside PNG and BMP masks, which hold no fractions), the
    points that were decoded from to ``prompts/<case>.mrk.json``.
    """
    for files in cases:
        volume = read_prompted_volume(files.case, files.images, files.prompts)
        if files.channels is not None:
            check_number_of_channels(files.images, found=len(volume.channels), announced=files.channels)
        prediction = predictor.predict(volume, extra)
        _write_extra(volume, prediction, output=output, file_ending=file_ending, extra=extra)
        write_volume(output / f"{files.case}{file_ending}", prediction.mask, volume.geometry)


def _write_extra(
    volume: PromptedVolume, prediction: Prediction, *, output: Path, file_ending: str, extra: ExtraOutputs
) -> None:
    if extra.saliency and prediction.saliency is not None:
        name = f"{volume.case}{ending_for_fractions(file_ending)}"
        write_volume(output / "saliency" / name, prediction.saliency, volume.geometry)
    if extra.prompts and prediction.points is not None:
        write_prompts(output / "prompts" / f"{volume.case}{SUFFIX}", prediction.points)
