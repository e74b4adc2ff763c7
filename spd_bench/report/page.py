"""The page: everything that was read, put through the template."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any, NamedTuple

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from spd_bench.evaluation.table_formats import PrintedTable
from spd_bench.report.canvas import CANVAS
from spd_bench.report.encoding import script_json
from spd_bench.report.fates import Fate
from spd_bench.report.figures import Figure
from spd_bench.report.text_tables import record_text, turn_table
from spd_bench.report.viewer import Viewer

_TEMPLATES = "templates"

# Okabe and Ito's colours, which all kinds of colour vision tell apart. Black and purple are taken: black is the image,
# purple the saliency. The first one is the leading method's. A second round of them is drawn dashed.
_COLOURS = ("#e69f00", "#56b4e9", "#f0e442", "#0072b2", "#009e73", "#d55e00")


class Layer(NamedTuple):
    """What can be shown or hidden in the viewer.

    Attributes:
        kind: ``reference``, ``raw``, ``consensus``, ``saliency`` or ``method``.
        title: what the reader reads.
        shown: whether it is shown at first.
        method: name of the method, for its mask.
        colour: the mask's colour.
        dashed: whether the mask's outline is dashed.
    """

    kind: str
    title: str
    shown: bool
    method: str = ""
    colour: str = ""
    dashed: bool = False


class CaseEntry(NamedTuple):
    """A case on the page: its title in the list, and the JSON values that the script reads."""

    title: str
    values: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class PageContents:
    """All that the page shows.

    Attributes:
        title: the page's heading.
        tables: the comparison's tables.
        records: the run records.
        figures: the figures.
        left_out: a sentence for each thing that could not be shown.
        cases: the cases of the viewer.
        layers: the layers of the viewer, in the order of their keys.
        leader: title of the method by whose Dice the cases were chosen.
        viewer: what shows the cases.
    """

    title: str
    tables: Sequence[PrintedTable]
    records: Sequence[Mapping[str, Any]]
    figures: Sequence[Figure] = ()
    left_out: Sequence[str] = ()
    cases: Sequence[CaseEntry] = ()
    layers: Sequence[Layer] = ()
    leader: str = ""
    viewer: Viewer = CANVAS


def layers_of(titles: Mapping[str, str], *, leader: str, cases: Sequence[CaseEntry]) -> list[Layer]:
    """The layers of a viewer; kinds that no case has are left out.

    Args:
        titles: method -> title, in the table's order.
        leader: the method that is shown at first; it comes before the others.
        cases: what is shown.
    """
    fates = {point[2] for prompts in _prompt_sets(cases) for points in prompts["points"] for point in points}
    names = [leader, *(name for name in titles if name != leader)]
    return [
        Layer("reference", "Ground truth", shown=True),
        *([Layer("raw", "Raw points", shown=True)] * bool(fates)),
        *([Layer("consensus", "Consensus points", shown=True)] * bool(fates - {Fate.GIVEN})),
        *([Layer("saliency", "Saliency", shown=False)] * any(case.values["saliency"] for case in cases)),
        *(
            Layer(
                "method",
                titles[name],
                shown=name == leader,
                method=name,
                colour=_COLOURS[number % len(_COLOURS)],
                dashed=number >= len(_COLOURS),
            )
            for number, name in enumerate(names)
        ),
    ]


def prompt_titles(cases: Sequence[CaseEntry]) -> list[str]:
    """What the points of a viewer can be chosen by, by severity; none where no case has more than its own."""
    titles = {prompts["title"]: prompts["severity"] for prompts in _prompt_sets(cases)}
    # The comparison's own points have no severity and come first.
    ordered = sorted(titles, key=lambda title: -1.0 if titles[title] is None else titles[title])
    return ordered if len(ordered) > 1 else []


def render_page(contents: PageContents) -> str:
    """One HTML document that needs nothing from anywhere else."""
    environment = Environment(
        loader=PackageLoader("spd_bench.report", _TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    viewer = contents.viewer
    return environment.get_template("report.html.j2").render(
        contents=contents,
        viewer=viewer,
        tables=[turn_table(table) for table in contents.tables],
        records=[record_text(record) for record in contents.records],
        prompt_titles=prompt_titles(contents.cases),
        cases=[(entry.title, script_json(entry.values)) for entry in contents.cases],
        style=_source("report.css"),
        library=script_json(viewer.library),
        scripts=[_source(name) for name in ("tables.js", *((*viewer.scripts, "viewer.js") if contents.cases else ()))],
    )


def _prompt_sets(cases: Sequence[CaseEntry]) -> Iterator[Mapping[str, Any]]:
    return (prompts for case in cases for prompts in case.values["prompt_sets"])


def _source(name: str) -> Markup:
    """A file of ours that goes into the page as it is."""
    text = files("spd_bench.report").joinpath(_TEMPLATES, name).read_text(encoding="utf-8")
    return Markup(text)  # nosec B704 - it comes with the package
