"""The viewers that a report can have, by name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from spd_bench.errors import InputError
from spd_bench.report.canvas import canvas_viewer
from spd_bench.report.niivue import niivue_viewer
from spd_bench.report.viewer import Viewer

VIEWERS: dict[str, Callable[[Path | None], Viewer]] = {"canvas": canvas_viewer, "niivue": niivue_viewer}
"""Name -> what makes the viewer, given the path of a bundle or None."""


def get_viewer(name: str, *, bundle: Path | None = None) -> Viewer:
    """The viewer of that name.

    Args:
        name: a key of :data:`VIEWERS`.
        bundle: the path of NiiVue's bundle, where one is given.

    Raises:
        InputError: there is no such viewer, or the bundle does not fit it.
    """
    if name not in VIEWERS:
        raise InputError(f"unknown viewer {name!r}", remedy=f"choose {' or '.join(VIEWERS)}")
    return VIEWERS[name](bundle)
