from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from spd_bench.errors import InputError
from spd_bench.models.weight_families import (
    WEIGHT_FAMILIES,
    PublishedWeights,
    check_published,
    find_weights,
    parse_weights,
    weights_folder,
)


def _touch(path: Path, content: bytes = b"weights") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(
    ("family", "backbone", "file", "sha256"),
    [
        ("sam", "vit_b", "sam_vit_b_01ec64.pth", "ec2df627"),
        ("sam", "vit_l", "sam_vit_l_0b3195.pth", "3adcc431"),
        ("sam", "vit_h", "sam_vit_h_4b8939.pth", "a7bf3b02"),
        ("medsam", "vit_b", "medsam_vit_b.pth", None),
        ("sam2", "hiera_tiny", "sam2.1_hiera_tiny.pt", "7402e0d8"),
        ("medsam2", "hiera_tiny", "MedSAM2_latest.pt", None),
    ],
)
def test_published_files_are_known_by_name_and_hash(family: str, backbone: str, file: str, sha256: str | None) -> None:
    published = WEIGHT_FAMILIES[family][backbone]
    assert published.file == file
    assert (published.sha256 or "")[:8] == (sha256 or "")
    assert len(published.sha256 or 64 * " ") == 64


@pytest.mark.parametrize(
    ("name", "algorithm"),
    [("sam_vit_b_01ec64.pth", "SHA-256"), ("medsam_vit_b.pth", "MD5"), ("sam2.1_hiera_tiny.pt", "SHA-256")],
)
def test_a_published_name_with_another_hash_is_refused(tmp_path: Path, name: str, algorithm: str) -> None:
    path = _touch(tmp_path / name)
    with pytest.raises(InputError, match=f"{algorithm} .* is not that of the published {name}, in .*: download"):
        check_published(path)


def test_a_file_with_the_published_hash_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sha256, md5 = hashlib.sha256(b"weights").hexdigest(), hashlib.md5(b"weights").hexdigest()
    published = {
        "by_sha256": PublishedWeights(file="a.pth", sha256=sha256),
        "by_md5": PublishedWeights(file="b.pth", md5=md5),
    }
    monkeypatch.setitem(WEIGHT_FAMILIES, "sam", published)
    for name in ("a.pth", "b.pth", "MedSAM2_latest.pt", "own.pth"):
        assert check_published(_touch(tmp_path / name)) == sha256


def test_given_paths_go_before_the_folder(tmp_path: Path) -> None:
    own = _touch(tmp_path / "own.pth")
    published = _touch(tmp_path / "sam_vit_b_01ec64.pth")
    assert find_weights("sam", backbone="vit_b", given={"sam": own}, folder=tmp_path) == own
    assert find_weights("sam", backbone="vit_b", given={"medsam": own}, folder=tmp_path) == published


def test_given_weights_are_for_any_backbone(tmp_path: Path) -> None:
    own = _touch(tmp_path / "own.pth")
    assert find_weights("sam", backbone="vit_t", given={"sam": own}, folder=None) == own


def test_the_folder_is_searched_for_the_file_and_then_for_the_hugging_face_folder(tmp_path: Path) -> None:
    def found() -> Path | None:
        return find_weights("sam", backbone="vit_b", given={}, folder=tmp_path)

    assert found() is None
    _touch(tmp_path / "medsam_vit_b.pth")
    _touch(tmp_path / "sam_vit_l_0b3195.pth")
    assert found() is None
    (tmp_path / "sam-vit-base").mkdir()
    assert found() == tmp_path / "sam-vit-base"
    (tmp_path / "facebook" / "sam-vit-base").mkdir(parents=True)
    assert found() == tmp_path / "facebook" / "sam-vit-base"
    _touch(tmp_path / "sam_vit_b_01ec64.pth")
    assert found() == tmp_path / "sam_vit_b_01ec64.pth"


def test_nothing_is_found_without_a_folder_or_for_backbones_without_published_weights(tmp_path: Path) -> None:
    _touch(tmp_path / "sam_vit_b_01ec64.pth")
    assert find_weights("sam", backbone="vit_b", given={}, folder=None) is None
    assert find_weights("sam", backbone="vit_t", given={}, folder=tmp_path) is None
    assert find_weights("medsam2", backbone="hiera_tiny", given={}, folder=tmp_path) is None


def test_unknown_families_are_refused_with_the_known_ones(tmp_path: Path) -> None:
    own = _touch(tmp_path / "own.pth")
    with pytest.raises(InputError, match="'same': name one of sam, medsam, sam2, medsam2"):
        find_weights("same", backbone="vit_b", given={}, folder=None)
    with pytest.raises(InputError, match="unknown weights 'same'"):
        find_weights("sam", backbone="vit_b", given={"same": own}, folder=None)


def test_a_given_path_must_exist_even_where_another_is_asked_for(tmp_path: Path) -> None:
    for family in ("sam", "medsam"):
        with pytest.raises(InputError, match=r"weights for 'sam' not found, in .*absent\.pth"):
            find_weights(family, backbone="vit_b", given={"sam": tmp_path / "absent.pth"}, folder=None)


def test_values_of_the_command_line_are_names_and_paths(tmp_path: Path) -> None:
    one, two = _touch(tmp_path / "one.pth"), _touch(tmp_path / "two.pth")
    assert parse_weights([f"medsam={one}", str(two)]) == {"medsam": one, "sam": two}
    assert parse_weights([f"sam2={tmp_path}"]) == {"sam2": tmp_path}
    assert parse_weights([]) == {}


def test_paths_may_hold_equals_signs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = _touch(tmp_path / "lr=1e-4" / "epoch=7.pth")
    monkeypatch.chdir(path.parent)
    assert parse_weights([str(path)]) == {"sam": path}
    assert parse_weights([f"medsam={path}"]) == {"medsam": path}
    assert parse_weights(["epoch=7.pth"]) == {"sam": Path("epoch=7.pth")}


def test_the_home_folder_may_be_written_as_a_tilde(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    path = _touch(tmp_path / "own.pth")
    assert parse_weights(["medsam=~/own.pth"]) == {"medsam": path}


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (["same=own.pth"], "unknown weights 'same': name one of sam, medsam"),
        (["=own.pth"], "unknown weights ''"),
        (["sam="], "no path in --weights 'sam='"),
        ([""], "no path"),
        (["sam=absent.pth"], r"weights for 'sam' not found, in absent\.pth"),
        (["lr=1/absent.pth"], "unknown weights 'lr'"),
        (["runs/lr=1/absent.pth"], r"not found, in runs/lr=1/absent\.pth"),
        (["sam=own.pth", "own.pth"], "given twice for 'sam'"),
    ],
)
def test_wrong_values_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, values: list[str], message: str
) -> None:
    _touch(tmp_path / "own.pth")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=message):
        parse_weights(values)


def test_the_environment_names_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SPD_WEIGHTS_DIR", raising=False)
    assert weights_folder() is None
    monkeypatch.setenv("SPD_WEIGHTS_DIR", str(tmp_path))
    assert weights_folder() == tmp_path
    monkeypatch.setenv("SPD_WEIGHTS_DIR", str(tmp_path / "absent"))
    with pytest.raises(InputError, match=r"SPD_WEIGHTS_DIR names no folder, in .*absent"):
        weights_folder()
