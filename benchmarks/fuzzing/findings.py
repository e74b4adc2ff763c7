"""The inputs that a reader failed on, kept: one for each place in the code where it failed."""

from __future__ import annotations

import hashlib
from pathlib import Path


def keep_finding(folder: Path, *, name: str, content: bytes, details: str) -> None:
    """Write an input, and beside it what happened; an input of the same name stays as it is.

    Args:
        folder: where findings are kept.
        name: reader and place of the failure, of any length.
        content: the input.
        details: what happened.
    """
    folder.mkdir(parents=True, exist_ok=True)
    plain = "".join(letter if letter.isalnum() or letter in "-_." else "_" for letter in name)[:120]
    if any(folder.glob(f"{plain}-*.input")):
        return
    path = folder / f"{plain}-{hashlib.sha256(content).hexdigest()[:8]}.input"
    path.write_bytes(content)
    path.with_suffix(".txt").write_text(details, encoding="utf-8", errors="backslashreplace")
