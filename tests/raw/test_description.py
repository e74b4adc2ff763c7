from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from nnunetv2.utilities.label_handling.label_handling import LabelManager

from spd_bench.errors import InputError
from spd_bench.raw.description import read_description

GOOD: dict[str, Any] = {
    "channel_names": {"0": "CT", "1": "PET"},
    "labels": {"background": 0, "target": 1},
    "numTraining": 2,
    "file_ending": ".nii.gz",
}


def _write(tmp_path: Path, content: Any) -> Path:
    file = tmp_path / "dataset.json"
    file.write_text(content if isinstance(content, str) else json.dumps(content))
    return file


def test_channels_are_put_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    description = read_description(_write(tmp_path, GOOD | {"channel_names": {"1": "PET", "0": "CT"}}))
    assert list(description.channel_names.values()) == ["CT", "PET"]


def test_a_list_of_one_value_is_a_plain_label(tmp_path: Path) -> None:
    description = read_description(_write(tmp_path, GOOD | {"labels": {"background": 0, "target": [1]}}))
    assert description.labels == {"background": 0, "target": 1}
    assert not description.regions


@pytest.mark.parametrize("content", ["", "{", "[1, 2]", "3", "\x00"])
def test_something_else_than_an_object_is_refused(tmp_path: Path, content: str) -> None:
    with pytest.raises(InputError, match=r"dataset\.json"):
        read_description(_write(tmp_path, content))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"file not found, in .*dataset\.json"):
        read_description(tmp_path / "dataset.json")


@pytest.mark.parametrize("key", list(GOOD))
def test_a_missing_key_is_named(tmp_path: Path, key: str) -> None:
    with pytest.raises(InputError, match=rf"missing key\(s\) {key}, in .*dataset\.json"):
        read_description(_write(tmp_path, {name: value for name, value in GOOD.items() if name != key}))


@pytest.mark.parametrize(
    "change",
    [
        {"channel_names": {}},
        {"channel_names": ["CT"]},
        {"channel_names": {"1": "CT"}},
        {"channel_names": {"0": 3}},
        {"labels": {"target": 1}},
        {"labels": {"background": 1, "target": 0}},
        {"labels": {"background": [0], "target": 1}},
        {"labels": ["background", "target"]},
        {"labels": {"background": 0, "target": "1"}},
        {"labels": {"background": 0, "target": 1.0}},
        {"labels": {"background": 0, "target": True}},
        {"labels": {"background": 0, "target": []}},
        {"labels": {"background": 0, "target": [1, "2"]}},
        {"labels": {"background": 0, "target": [1, 2], "core": 2}},
        {"labels": {"background": 0, "target": [1, 2], "core": 2}, "regions_class_order": [1]},
        {"numTraining": "2"},
        {"numTraining": True},
        {"file_ending": "nii.gz"},
        {"file_ending": "."},
        {"file_ending": None},
        {"patients": ["p"]},
        {"patients": {"a": 3}},
        {"patients": {"a": ""}},
    ],
    ids=str,
)
def test_a_value_that_nnunet_does_not_define_is_refused(tmp_path: Path, change: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=rf"({'|'.join(change)}|label|region).*dataset\.json"):
        read_description(_write(tmp_path, GOOD | change))


@pytest.mark.parametrize(
    ("labels", "order"),
    [
        ({"background": 0, "a": 1, "b": 2}, None),
        ({"background": 0, "whole": [1, 2], "core": 2}, [1, 2]),
        ({"background": 0, "whole": [1, 2], "core": [2]}, [1, 2]),
        ({"background": 0, "whole": [1, 2], "core": 2, "ignore": 3}, [1, 2]),
    ],
)
def test_labels_that_nnunet_accepts_are_accepted(tmp_path: Path, labels: dict, order: list | None) -> None:
    description = read_description(_write(tmp_path, GOOD | {"labels": labels, "regions_class_order": order}))
    values = {*description.labels.values(), *(value for region in description.regions.values() for value in region)}
    assert sorted(values - {labels.get("ignore")}) == LabelManager(labels, order).all_labels
