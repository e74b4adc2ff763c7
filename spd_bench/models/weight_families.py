"""Published weights of the SAM family: their names and hashes, and where a run finds them.

Nothing is downloaded: the files come from their publishers, and the user says where they lie, by
``--weights NAME=PATH`` or with the environment variable ``SPD_WEIGHTS_DIR``.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from spd_bench.errors import InputError
from spd_bench.models.builtin_weights import BUILTIN, RANDOM, builtin_weights
from spd_bench.models.weight_files import weights_sha256

WEIGHTS_VARIABLE = "SPD_WEIGHTS_DIR"
"""Environment variable with the folder that published weights are looked for in."""


@dataclass(frozen=True, kw_only=True)
class PublishedWeights:
    """One published checkpoint.

    Attributes:
        file: name of the publisher's file.
        repository: Hugging Face repository that holds the same in transformers' layout, or None.
        sha256: hex SHA-256 of the file, or None where none is known.
        md5: hex MD5 of the file, where that is what is known of it.
    """

    file: str
    repository: str | None = None
    sha256: str | None = None
    md5: str | None = None


WEIGHT_FAMILIES: dict[str, dict[str, PublishedWeights]] = {
    "sam": {
        "vit_b": PublishedWeights(
            file="sam_vit_b_01ec64.pth",
            repository="facebook/sam-vit-base",
            sha256="ec2df62732614e57411cdcf32a23ffdf28910380d03139ee0f4fcbe91eb8c912",
        ),
        "vit_l": PublishedWeights(
            file="sam_vit_l_0b3195.pth",
            repository="facebook/sam-vit-large",
            sha256="3adcc4315b642a4d2101128f611684e8734c41232a17c648ed1693702a49a622",
        ),
        "vit_h": PublishedWeights(
            file="sam_vit_h_4b8939.pth",
            repository="facebook/sam-vit-huge",
            sha256="a7bf3b02f3ebf1267aba913ff637d9a2d5c33d3173bb679e46d9f338c26f262e",
        ),
    },
    "medsam": {
        "vit_b": PublishedWeights(
            file="medsam_vit_b.pth", repository="wanglab/medsam-vit-base", md5="3bb6db55bd0c9ca30b61248bca72f8d6"
        ),
    },
    "sam2": {
        "hiera_tiny": PublishedWeights(
            file="sam2.1_hiera_tiny.pt",
            repository="facebook/sam2.1-hiera-tiny",
            sha256="7402e0d864fa82708a20fbd15bc84245c2f26dff0eb43a4b5b93452deb34be69",
        ),
    },
    "medsam2": {
        "hiera_tiny": PublishedWeights(file="MedSAM2_latest.pt"),
    },
}
"""What is published, by family (the NAME of ``--weights NAME=PATH``) and backbone."""

_DEFAULT_FAMILY = "sam"
_FAMILIES_OF_SAM = ("sam", "medsam")


def check_published(path: Path) -> str:
    """Hex SHA-256 of the weights, once they are known to be what their file's name says.

    Args:
        path: a file or folder of weights. One without a published name is not compared with anything.

    Raises:
        InputError: the file has the name of a published one and another hash, or cannot be read.
    """
    sha256 = weights_sha256(path)
    for published in (own for family in WEIGHT_FAMILIES.values() for own in family.values()):
        if published.file == path.name:
            _compare("SHA-256", sha256, published.sha256, path)
            if published.md5 is not None:
                _compare("MD5", _md5(path), published.md5, path)
    return sha256


def find_weights(family: str, *, backbone: str, given: Mapping[str, Path | None], folder: Path | None) -> Path | None:
    """Where the weights of a family and backbone lie, or None where the user has none.

    Args:
        family: a name in ``WEIGHT_FAMILIES``.
        backbone: name of the backbone; one that nothing is published for has only what is ``given``.
        given: paths by family, as from ``parse_weights``, None where random weights were asked for; they go before
            ``folder``.
        folder: searched for the publisher's file and then for the Hugging Face folder, under the repository's
            whole name (``facebook/sam-vit-base``) or the last part of it. See ``weights_folder``.

    Raises:
        InputError: a family is unknown, or a given path does not exist.
    """
    _check_family(family)
    for name, path in given.items():
        _check_family(name)
        if path is not None:
            _check_exists(path, name)
    if family in given:
        return given[family]
    published = WEIGHT_FAMILIES[family].get(backbone)
    if folder is None or published is None:
        return None
    names = [published.file]
    if published.repository is not None:
        names += [published.repository, published.repository.rpartition("/")[2]]
    return next((folder / name for name in names if (folder / name).exists()), None)


def weights_folder() -> Path | None:
    """The folder that ``SPD_WEIGHTS_DIR`` names, or None where it is not set.

    Raises:
        InputError: it names no folder.
    """
    configured = os.environ.get(WEIGHTS_VARIABLE)
    if not configured:
        return None
    folder = Path(configured).expanduser()
    if not folder.is_dir():
        raise InputError(
            f"{WEIGHTS_VARIABLE} names no folder",
            file=folder,
            remedy="set it to the folder of your weights, or unset it",
        )
    return folder


def parse_weights(values: Sequence[str]) -> dict[str, Path | None]:
    """What ``--weights`` was given, as paths by family.

    Args:
        values: each NAME=PATH with a name in ``WEIGHT_FAMILIES``, or PATH alone for "sam". A path may hold "=":
            what stands before the first one is a name unless the whole is a path that exists, or has a "/" in it.
            For "sam" and "medsam" PATH may be "builtin", the package's own weights, and for all "random", none.

    Raises:
        InputError: a name is unknown or given twice, or a path is empty or does not exist.

    Example:
        >>> parse_weights([])
        {}
    """
    given: dict[str, Path | None] = {}
    for value in values:
        name, text = _split(value)
        if name in given:
            raise InputError(f"weights given twice for {name!r}", remedy="give one path for each name")
        given[name] = _path(text, name)
    return given


def _path(text: str, name: str) -> Path | None:
    if text == RANDOM:
        return None
    if text == BUILTIN:
        if name not in _FAMILIES_OF_SAM:
            raise InputError(f"there are no {BUILTIN} weights of {name}", remedy="give the path of a file or folder")
        return builtin_weights()
    path = Path(text).expanduser()
    _check_exists(path, name)
    return path


def _split(value: str) -> tuple[str, str]:
    name, equals, path = value.partition("=")
    if not equals or (name not in WEIGHT_FAMILIES and ("/" in name or Path(value).exists())):
        name, path = _DEFAULT_FAMILY, value
    _check_family(name)
    if not path:
        raise InputError(f"no path in --weights {value!r}", remedy="give NAME=PATH, or PATH for SAM's")
    return name, path


def _check_family(name: str) -> None:
    if name not in WEIGHT_FAMILIES:
        raise InputError(f"unknown weights {name!r}", remedy=f"name one of {', '.join(WEIGHT_FAMILIES)}")


def _check_exists(path: Path, name: str) -> None:
    if not path.exists():
        raise InputError(f"weights for {name!r} not found", file=path, remedy="check the path")


def _compare(algorithm: str, found: str, published: str | None, path: Path) -> None:
    if published not in (None, found):
        raise InputError(
            f"{algorithm} {found} is not that of the published {path.name}",
            file=path,
            remedy="download the file again, or rename it if it holds other weights",
        )


def _md5(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
