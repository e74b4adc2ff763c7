"""The four tasks by name, and how one case of a task is made."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from spd_bench.phantoms.fumpe import make_fumpe
from spd_bench.phantoms.kits import make_kits
from spd_bench.phantoms.phantom import Phantom, PhantomBuilder, PhantomRequest
from spd_bench.phantoms.scar import make_scar
from spd_bench.phantoms.ti import make_ti

PHANTOMS: Mapping[str, PhantomBuilder] = MappingProxyType(
    {"TI": make_ti, "SCAR": make_scar, "FUMPE": make_fumpe, "KiTS": make_kits}
)
"""Task name -> builder of one case."""


def make_phantom(
    task: str, *, seed: int, case_number: int, size: int, severity: float = 1.0, slices: int | None = None
) -> Phantom:
    """Make one case.

    The anatomy, the noise of the image and the noise of the prompts have random streams of their own,
    drawn from seed, task and case number alone: a case does not depend on how many are made, and
    another severity moves the prompts only.

    Args:
        task: "TI", "SCAR", "FUMPE" or "KiTS".
        seed: seed of the set.
        case_number: number of the case in the set, from 0.
        size: pixels of the longer in-plane side over the task's fixed field of view.
        severity: noise of the prompts; 0 is clean, 1 the default, 2 the drifting regime.
        slices: number of slices over the same extent; the task's own where None.

    Raises:
        ValueError: the task is unknown or a number is out of range.

    Example:
        >>> phantom = make_phantom("SCAR", seed=0, case_number=1, size=64)
        >>> phantom.image.shape == phantom.label.shape == phantom.geometry.shape
        True
    """
    if task not in PHANTOMS:
        msg = f"task must be one of {', '.join(PHANTOMS)}, got {task!r}"
        raise ValueError(msg)
    return PHANTOMS[task](
        PhantomRequest(task=task, seed=seed, case_number=case_number, size=size, severity=severity, slices=slices)
    )
