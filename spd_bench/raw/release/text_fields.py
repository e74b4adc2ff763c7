"""What a release's text files say about its cases, as one table."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from spd_bench.raw.release.records import RECORDS, Record
from spd_bench.storage import atomic_path

TABLE = "texts.csv"


def read_text_fields(file: Path) -> dict[str, str]:
    """The lines ``key: value`` of a text file, in UTF-8 or else Latin-1; other lines are passed over.

    EMIDEC's files are Latin-1 (accents of French words); every sequence of bytes is valid Latin-1, so no text
    can stop a conversion.
    """
    content = file.read_bytes()
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = content.decode("latin-1")
    pairs = (line.partition(":") for line in text.splitlines())
    return {key.strip(): value.strip() for key, colon, value in pairs if colon and key.strip()}


def write_text_table(records: Mapping[str, Record], *, source: Path, folder: Path, role: str) -> Path | None:
    """Write ``conversion/texts.csv``, a row a case that has a text file: a subgroup's analysis starts there.

    Args:
        records: the records of the converted cases.
        source: the release's folder.
        folder: the raw dataset's folder.
        role: the role of the text files in the records.

    Returns:
        The file, or None where no case has text.
    """
    rows = []
    for case, record in sorted(records.items()):
        files = [source / entry["name"] for entry in record["source"].get(role, ())]
        found = {key: value for file in files if file.is_file() for key, value in read_text_fields(file).items()}
        if found:
            rows.append({"case": case, **found})
    if not rows:
        return None
    path = folder / RECORDS / TABLE
    with atomic_path(path) as temporary:
        pd.DataFrame(rows).to_csv(temporary, index=False)
    return path
