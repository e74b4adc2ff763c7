"""All rows by name, in the order of the table's columns. A new row is one file and one line here."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from spd_bench.errors import InputError
from spd_bench.methods.empty import EMPTY
from spd_bench.methods.medsam import MEDSAM, MEDSAM_ZERO_SHOT
from spd_bench.methods.method import Method, MethodOptions, MissingWeightsError
from spd_bench.methods.msa import MSA
from spd_bench.methods.nnunet import NNUNET
from spd_bench.methods.sam import SAM, SAM_CONSENSUS
from spd_bench.methods.sam2 import MEDSAM2, MEDSAM2_TUNED, SAM2, SAM2_TUNED
from spd_bench.methods.sam_refiner import SAM_REFINER, SAM_REFINER_POINTS
from spd_bench.methods.sam_tuning import SAM_TUNING
from spd_bench.methods.spd import SPD, SPD_VARIANTS
from spd_bench.methods.unet import UNET

ROWS = (
    EMPTY,
    SAM,
    SAM_TUNING,
    MEDSAM,
    MEDSAM_ZERO_SHOT,
    MSA,
    SAM_REFINER,
    SAM_REFINER_POINTS,
    UNET,
    NNUNET,
    SAM2,
    MEDSAM2,
    SPD,
)
"""The systems that are compared: what ``-m all`` runs."""
ABLATION = (*SPD_VARIANTS, SAM_CONSENSUS)
"""SPD with one choice changed, and a frozen SAM with SPD's points: what ``-m ablation`` runs beside ``spd``."""
TUNED = (SAM2_TUNED, MEDSAM2_TUNED)
"""Zero-shot rows with their decoder fine-tuned, run by name."""
METHODS: dict[str, Method] = {method.name: method for method in (*ROWS, *TUNED, *ABLATION)}
GROUPS: dict[str, tuple[Method, ...]] = {"all": ROWS, "ablation": (SAM, SPD, *ABLATION)}


def get_method(name: str) -> Method:
    """The row called ``name``.

    Raises:
        InputError: there is no such row.
    """
    if name not in METHODS:
        raise InputError(f"unknown method {name!r}", remedy=f"choose one of {', '.join(METHODS)}")
    return METHODS[name]


def get_methods(names: Sequence[str]) -> list[Method]:
    """Several rows or groups of rows ("all", "ablation"), in the table's order and without repetition."""
    chosen = {method.name for name in names for method in (GROUPS[name] if name in GROUPS else (get_method(name),))}
    return [method for method in METHODS.values() if method.name in chosen]


def without_weights(
    methods: Sequence[Method], *, named: Sequence[str], options: Callable[[str], MethodOptions]
) -> dict[str, str]:
    """Rows that are left out of a group because they mean nothing without weights: name -> why.

    A row that the user named is never left out: running it tells what it lacks.
    """
    reasons = {}
    for method in methods:
        if method.name in named:
            continue
        try:
            method.settings(options(method.name))
        except MissingWeightsError as error:
            reasons[method.name] = str(error)
        except (TypeError, ValueError):
            continue  # told with the row's name when the grid is checked
    return reasons
