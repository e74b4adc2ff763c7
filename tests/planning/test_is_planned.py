from pathlib import Path

import pytest

from spd_bench.paths import DataFolders
from spd_bench.planning.plan import Plan
from spd_bench.planning.prepare import is_planned
from spd_bench.planning.settings import PlanSettings
from spd_bench.storage import read_json


@pytest.fixture
def settings(planned: Plan) -> PlanSettings:
    found = read_json(planned.folder / "spd_complete.json")["settings"]
    return PlanSettings(**{**found, "target_labels": tuple(found["target_labels"])})


def test_a_planned_dataset_need_not_be_planned_again(
    planned: Plan, folders: DataFolders, settings: PlanSettings
) -> None:
    assert is_planned(planned.dataset, folders=folders, settings=settings)


def test_other_settings_ask_for_a_new_plan(planned: Plan, folders: DataFolders, settings: PlanSettings) -> None:
    other = PlanSettings(**{**vars(settings), "context": settings.context + 1})
    assert not is_planned(planned.dataset, folders=folders, settings=other)


def test_a_changed_prompt_asks_for_a_new_plan(planned: Plan, folders: DataFolders, settings: PlanSettings) -> None:
    prompt = sorted((folders.raw / planned.dataset / "promptsTr").iterdir())[0]
    before = prompt.read_bytes()
    try:
        prompt.write_bytes(before + b" ")
        assert not is_planned(planned.dataset, folders=folders, settings=settings)
    finally:
        prompt.write_bytes(before)


def test_an_unplanned_dataset_is_not_planned(tmp_path: Path, settings: PlanSettings) -> None:
    empty = DataFolders(raw=tmp_path, preprocessed=tmp_path, results=tmp_path)
    assert not is_planned("Dataset999_None", folders=empty, settings=settings)
