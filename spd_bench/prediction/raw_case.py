"""Where a raw case's files lie."""

from __future__ import annotations

from pathlib import Path

from spd_bench.planning.plan import Plan
from spd_bench.prediction.folder import CaseFiles
from spd_bench.raw.channels import packed_files
from spd_bench.raw.dataset import image_path, prompt_path, read_raw_dataset


def raw_case_files(plan: Plan, raw: Path, case: str) -> CaseFiles:
    """Images and prompts of a raw case; files that are missing are told by whoever opens them.

    Args:
        plan: the planned dataset.
        raw: nnU-Net's raw folder.
        case: case id.
    """
    folder = raw / plan.dataset
    if "dataset" in plan.dataset_json:  # nnU-Net's list of images that lie anywhere
        listed = {one.case: one.images for one in read_raw_dataset(folder).cases}
        images = listed.get(case, (image_path(folder, case, 0, plan.file_ending),))
    else:
        channels = len(plan.dataset_json["channel_names"])
        images = tuple(image_path(folder, case, channel, plan.file_ending) for channel in range(channels))
        images = packed_files(images, announced=channels) or images
    return CaseFiles(case=case, images=images, prompts=prompt_path(folder, case))
