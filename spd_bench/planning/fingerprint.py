"""nnU-Net's fingerprint of a dataset, taken of the target alone."""

from __future__ import annotations

from pathlib import Path

from nnunetv2.experiment_planning.dataset_fingerprint.fingerprint_extractor import DatasetFingerprintExtractor

from spd_bench.planning.readers import reader_of


class TargetFingerprintExtractor(DatasetFingerprintExtractor):
    """Shapes, spacings and target intensities, read on the stored grid as everything else is.

    Args:
        dataset_name: folder name of the raw dataset.
        jobs: processes that read cases side by side.
        references: folder of the target masks; their intensities count, not those of other labels.
    """

    def __init__(self, dataset_name: str, *, jobs: int, references: Path) -> None:
        super().__init__(dataset_name, jobs)
        self.dataset_json["overwrite_image_reader_writer"] = reader_of(self.dataset_json, self.dataset).__name__
        for case, files in self.dataset.items():
            files["label"] = str(references / f"{case}{self.dataset_json['file_ending']}")
