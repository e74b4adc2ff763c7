"""The viewer that shows whole volumes with NiiVue, whose bundle the user brings."""

from __future__ import annotations

import os
import re
from importlib.resources import files
from pathlib import Path

from spd_bench.errors import InputError
from spd_bench.report.nifti_volumes import nifti_coders
from spd_bench.report.viewer import Viewer

BUNDLE_VARIABLE = "SPD_NIIVUE"
"""Environment variable with the path of NiiVue's bundle."""

_FILE = "package/dist/niivue.umd.js"
_REMEDY = (
    f"run `npm pack @niivue/niivue`, unpack the archive, and give its {_FILE} by --niivue-bundle or {BUNDLE_VARIABLE}"
)
# The bundle has 2.3 million bytes; nothing that is much larger need be read to know that it is something else.
_LARGEST = 20_000_000
# A UMD bundle is a function that looks for a module system, and makes the global `niivue` where there is none. A
# minifier chooses the other names.
_HEAD = re.compile(r"(?:\s*/\*.*?\*/)?[\s(!;]*function\b.*\bexports\b.*\.niivue\s*=\s*\{", re.DOTALL)
_HEAD_LENGTH = 2000
_CLASS = re.compile(r"\bNiivue\b")


def niivue_viewer(bundle: Path | None) -> Viewer:
    """The NiiVue viewer.

    Args:
        bundle: path of NiiVue's UMD bundle; None for the one that ``SPD_NIIVUE`` names.

    Raises:
        InputError: there is no bundle, or the file is not NiiVue.
    """
    named = os.environ.get(BUNDLE_VARIABLE)
    path = bundle if bundle is not None else Path(named) if named else None
    if path is None:
        raise InputError("the niivue viewer needs NiiVue's bundle, and none is given", remedy=_REMEDY)
    return Viewer(
        name="niivue",
        coders=nifti_coders,
        picture="picture_niivue.html.j2",
        scripts=("niivue_voxels.js", "niivue.js"),
        library=_read_bundle(path),
        notice=files("spd_bench.report").joinpath("templates", "niivue_notice.txt").read_text(encoding="utf-8"),
    )


def _read_bundle(path: Path) -> str:
    try:
        text = path.read_text(encoding="utf-8") if path.stat().st_size <= _LARGEST else ""
    except FileNotFoundError as error:
        raise InputError("NiiVue's bundle is not there", file=path, remedy=_REMEDY) from error
    except OSError as error:
        raise InputError(f"NiiVue's bundle is not readable ({error.strerror})", file=path, remedy=_REMEDY) from error
    except UnicodeDecodeError as error:
        raise InputError("not NiiVue's bundle: no text", file=path, remedy=_REMEDY) from error
    if not _CLASS.search(text):
        raise InputError("not NiiVue's bundle", file=path, remedy=_REMEDY)
    if not _HEAD.match(text[:_HEAD_LENGTH]):
        raise InputError("this file of NiiVue is a module, not the UMD bundle", file=path, remedy=_REMEDY)
    return text
