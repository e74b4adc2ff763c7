"""ITK's warnings, which it writes to standard error in several lines that name its own source files."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import SimpleITK as sitk


@contextmanager
def without_itk_warnings() -> Iterator[None]:
    """Keep ITK's warnings off standard error, for a caller that checks what they warn of itself."""
    shown = sitk.ProcessObject.GetGlobalWarningDisplay()
    sitk.ProcessObject.SetGlobalWarningDisplay(False)
    try:
        yield
    finally:
        sitk.ProcessObject.SetGlobalWarningDisplay(shown)
