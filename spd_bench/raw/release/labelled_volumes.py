"""One case of a release that holds its images and its label as volumes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from spd_bench.raw.release.cases import ConvertedCase
from spd_bench.raw.release.source_volumes import SourceVolume, check_finite, on_grid_of, read_source_volume
from spd_bench.raw.release.target_mask import LabelValues, target_mask


def read_labelled_volumes(
    *,
    images: Sequence[Path],
    label: Path,
    values: LabelValues,
    arrange: Callable[[SourceVolume], SourceVolume],
    grid_remedy: str = "check that both files belong to one case; resample one onto the other",
) -> ConvertedCase:
    """Read a case: finite images on one grid, the target's mask on the same, slices first.

    Args:
        images: one file a channel.
        label: the label file.
        values: the label's values and which of them are the target.
        arrange: puts the slices first, :func:`to_axial` or :func:`to_stack`.
        grid_remedy: what to do where a file is not on the first image's grid.

    Raises:
        InputError: a file cannot be read, is not on the first image's grid, or holds values that it should not.
    """
    first = _read_image(images[0])
    others = [on_grid_of(_read_image(file), first, file=file, remedy=grid_remedy) for file in images[1:]]
    mask = on_grid_of(read_source_volume(label), first, file=label, remedy=grid_remedy)
    mask = target_mask(mask, values)
    channels = [arrange(volume) for volume in (first, *others)]
    mask = arrange(mask)
    return ConvertedCase(
        images=tuple(channel.voxels for channel in channels),
        label=mask.voxels,
        geometry=channels[0].geometry,
        repairs=_merged_repairs(channels, mask),
    )


def _read_image(file: Path) -> SourceVolume:
    volume = read_source_volume(file)
    check_finite(volume)
    return volume


def _merged_repairs(channels: Sequence[SourceVolume], mask: SourceVolume) -> tuple[str, ...]:
    """The repairs of all files, each once, with the files that needed it."""
    of_image = dict.fromkeys(repair for channel in channels for repair in channel.repairs)
    merged = [f"image and label: {repair}" if repair in mask.repairs else f"image: {repair}" for repair in of_image]
    return (*merged, *(f"label: {repair}" for repair in mask.repairs if repair not in of_image))
