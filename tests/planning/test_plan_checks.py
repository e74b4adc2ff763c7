"""A plan's files are checked before anything is done by them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from spd_bench.errors import InputError
from spd_bench.planning.plan import Plan, read_plan


@pytest.fixture
def folder(planned: Plan, tmp_path: Path) -> Path:
    """The JSON files of a plan, which the test may change."""
    folder = tmp_path / planned.dataset
    folder.mkdir()
    for path in planned.folder.glob("*.json"):
        shutil.copy(path, folder)
    return folder


def change(file: Path, edit: Callable[[Any], object]) -> None:
    content = json.loads(file.read_text())
    edit(content)
    file.write_text(json.dumps(content))


def test_a_plan_as_it_was_written_is_read(planned: Plan, folder: Path) -> None:
    assert read_plan(folder).hashes() == planned.hashes()


@pytest.mark.parametrize(
    ("name", "edit", "words"),
    [
        ("spd_complete.json", lambda m: m.pop("patients"), "not the marker of a planned dataset"),
        ("spd_complete.json", lambda m: m.update(patients={"case_0": 3}), "not the marker of a planned dataset"),
        ("spd_complete.json", lambda m: m.update(prompts_sha256=None), "not the marker of a planned dataset"),
        ("splits_final.json", lambda s: s[0].pop("val"), "not folds of test, train, val"),
        ("splits_final.json", lambda s: s.append(3), "not folds of test, train, val"),
        ("splits_final.json", lambda s: s[0].update(test="case_0"), "no list of case ids"),
        ("splits_final.json", lambda s: s[1]["test"].append("../../etc/case"), "'../../etc/case' is not a plain name"),
        ("splits_final.json", lambda s: s[1]["test"].append("/case"), "'/case' is not a plain name"),
        ("dataset.json", lambda d: d.pop("channel_names"), "missing key"),
        ("dataset.json", lambda d: d.update(file_ending="/../x.nii.gz"), "file_ending"),
        ("SPDPlans.json", lambda p: p.pop("configurations"), "not a plan of this package"),
        ("SPDPlans.json", lambda p: p["spd"].update(configuration="2d"), "not a plan of this package"),
        (
            "SPDPlans.json",
            lambda p: p["configurations"]["spd_32"]["spd"].update(resolution="32"),
            "resolution, context, channels or axes",
        ),
        (
            "SPDPlans.json",
            lambda p: p["configurations"]["2d"].update(data_identifier="../../other"),
            "'../../other' is not a plain name",
        ),
        (
            "SPDPlans.json",
            lambda p: p["configurations"]["2d"]["architecture"].update(network_class_name="subprocess.Popen"),
            "the architecture asks for 'subprocess.Popen'",
        ),
        (
            "SPDPlans.json",
            lambda p: p["configurations"]["2d"]["architecture"]["arch_kwargs"].update(conv_op="os.system"),
            "the architecture asks for 'os.system'",
        ),
        (
            "SPDPlans.json",
            lambda p: p["configurations"]["2d"].update(architecture={}),
            "not an architecture of nnU-Net",
        ),
    ],
)
def test_what_is_no_plan_is_refused_by_its_file(
    folder: Path, name: str, edit: Callable[[Any], object], words: str
) -> None:
    change(folder / name, edit)
    with pytest.raises(InputError) as caught:
        read_plan(folder)
    assert words in str(caught.value)
    assert name in str(caught.value)
