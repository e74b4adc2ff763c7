"""What shows the cases of a report: the form it takes volumes in, and its parts of the page."""

from __future__ import annotations

from dataclasses import dataclass

from spd_bench.report.coders import Coders


@dataclass(frozen=True, kw_only=True)
class Viewer:
    """A viewer of cases.

    Attributes:
        name: what it is chosen by.
        coders: the forms of a case that its script reads, from fine to coarse.
        picture: the template of the place that it draws in.
        scripts: the files of its script among the templates; they define ``openScreen``.
        library: the text of a script by others that they need; empty where it needs none.
        notice: the terms under which that script may be passed on inside the page.
    """

    name: str
    coders: Coders
    picture: str
    scripts: tuple[str, ...]
    library: str = ""
    notice: str = ""
