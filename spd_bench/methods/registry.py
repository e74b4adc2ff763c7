"""All rows by name, in the order of the table's columns. A new row is one file and one line here."""

from __future__ import annotations

from collections.abc import Sequence

from spd_bench.errors import InputError
from spd_bench.methods.empty import EMPTY
from spd_bench.methods.method import Method
from spd_bench.methods.nnunet import NNUNET
from spd_bench.methods.spd import SPD
from spd_bench.methods.unet import UNET

METHODS: dict[str, Method] = {method.name: method for method in (EMPTY, UNET, NNUNET, SPD)}


def get_method(name: str) -> Method:
    """The row called ``name``.

    Raises:
        InputError: there is no such row.
    """
    if name not in METHODS:
        raise InputError(f"unknown method {name!r}", remedy=f"choose one of {', '.join(METHODS)}")
    return METHODS[name]


def get_methods(names: Sequence[str]) -> list[Method]:
    """Several rows, or all of them for ``["all"]``, in the table's order and without repetition."""
    if "all" in names:
        return list(METHODS.values())
    chosen = {get_method(name).name for name in names}
    return [method for method in METHODS.values() if method.name in chosen]
