"""Parts → one HTML file: headings, paragraphs, tables, plotly figures; light or dark as the reader's system."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from importlib.resources import files
from pathlib import Path
from typing import Any

import pandas as pd
import plotly.graph_objects as go
from plotly.io.json import to_json_plotly

_FOLDER = Path(__file__).parent
FITTING = _FOLDER.parent / "charts" / "narrow.js"
"""The script that fits a figure to its place, shared by pages and reports."""

POLICY = (
    "default-src 'none'; script-src 'unsafe-inline' 'unsafe-eval'; style-src 'unsafe-inline'; "
    "img-src data: blob:; font-src data:"
)
"""The file needs no network, and its content may not use one. plotly.js compiles shaders from text."""

SENTENCE = 80
"""Letters; a longer text would be very tall in a narrow column."""


@dataclass(frozen=True)
class Paragraph:
    """A paragraph, as plain text."""

    text: str
    is_small: bool = False


@dataclass(frozen=True)
class Table:
    """Cells as displayed text. `is_text` names the columns that are not numbers."""

    cells: pd.DataFrame
    is_text: frozenset[str] = frozenset()
    file_name: str = "table"
    records: Sequence[Mapping[str, Any]] = ()
    """Content of its CSV and JSON: exact values in stored units."""


@dataclass(frozen=True)
class Drawing:
    """A figure with its text alternative."""

    figure: go.Figure
    alt: str
    file_name: str


@dataclass(frozen=True)
class Section:
    """A heading and the parts below it."""

    title: str
    parts: Sequence[Paragraph | Table | Drawing] = field(default_factory=tuple)


def to_html(
    title: str, subtitle: str, sections: Sequence[Section], footer: str, *, has_figures: bool = True
) -> str:
    """The whole file; text of users is escaped, also inside scripts.

    has_figures: with plotly.js (4.5 MB) once and figures to point at; else the figures' text alternatives stand for them.
    """
    drawings: list[dict[str, Any]] = []
    data: list[dict[str, Any]] = []
    shown = [section if has_figures else _without_figures(section) for section in sections]
    body = "\n".join(_section(section, drawings, data) for section in shown)
    links = "".join(f'<a href="#part-{i}">{escape(s.title)}</a>' for i, s in enumerate(sections))
    for i, section in enumerate(sections):
        heading = f"<h2>{escape(section.title)}</h2>"
        body = body.replace(heading, f'<h2 id="part-{i}">{escape(section.title)}</h2>', 1)
    style = (_FOLDER / "report.css").read_text(encoding="utf-8")
    script = "\n".join(path.read_text(encoding="utf-8") for path in (FITTING, _FOLDER / "report.js"))
    library = f"<script>{_plotly()}</script>\n" if has_figures else ""
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">\n'
        '<meta name="color-scheme" content="light dark">\n<link rel="icon" href="data:,">\n'
        f"<title>{escape(title)}</title>\n<style>\n{style}</style>\n</head>\n<body>\n<main>\n"
        f"<header><h1>{escape(title)}</h1><p>{escape(subtitle)}</p><nav>{links}</nav></header>\n{body}\n"
        f"<footer>{escape(footer)}</footer>\n</main>\n"
        f"{library}"
        f'<script type="application/json" id="drawings">{_json(drawings)}</script>\n'
        f'<script type="application/json" id="tables">{_json(data)}</script>\n'
        f"<script>\n{script}</script>\n</body>\n</html>\n"
    )


def _plotly() -> str:
    library = (files("plotly") / "package_data" / "plotly.min.js").read_text(encoding="utf-8")
    return library.replace("</script", "<\\/script")


def _without_figures(section: Section) -> Section:
    parts = [
        Paragraph(part.alt, is_small=True) if isinstance(part, Drawing) else part for part in section.parts
    ]
    return Section(section.title, parts)


def _section(section: Section, drawings: list[dict[str, Any]], data: list[dict[str, Any]]) -> str:
    parts = []
    for part in section.parts:
        if isinstance(part, Paragraph):
            parts.append(f"<p{' class=small' if part.is_small else ''}>{escape(part.text)}</p>")
        elif isinstance(part, Table):
            parts.append(_table(part, len(data)))
            data.append({"name": part.file_name, "records": list(part.records)})
        else:
            spec = part.figure.to_plotly_json()
            spec["layout"].pop("template", None)
            height = part.figure.layout.height or 450
            parts.append(
                f'<div class="drawing" role="figure" aria-label="{escape(part.alt, quote=True)}" '
                f'style="height:{int(height)}px" data-number="{len(drawings)}"></div>'
            )
            drawings.append({"name": part.file_name, **spec})
    return f"<section>\n<h2>{escape(section.title)}</h2>\n" + "\n".join(parts) + "\n</section>"


def _table(table: Table, number: int) -> str:
    kinds = [_kind(table.cells[column], is_text=column in table.is_text) for column in table.cells]
    head = "".join(
        f'<th{kind} scope="col">{escape(str(c))}</th>' for c, kind in zip(table.cells, kinds, strict=True)
    )
    rows = "\n".join(
        f'<tr><th{kinds[0]} scope="row">{escape(str(first))}</th>'
        + "".join(f"<td{kind}>{escape(str(v))}</td>" for v, kind in zip(others, kinds[1:], strict=True))
        + "</tr>"
        for first, *others in table.cells.itertuples(index=False, name=None)
    )
    saves = "".join(
        f'<button type="button" data-table="{number}" data-kind="{kind}">{kind.upper()}</button>'
        for kind in ("csv", "json")
        if table.records
    )
    return (
        f'<div class="table" tabindex="0" role="region" aria-label="{escape(table.file_name, quote=True)}">'
        f"<table><thead><tr>{head}</tr></thead>\n<tbody>{rows}</tbody></table></div>"
        + (f'<p class="saves">Save the table: {saves}</p>' if saves else "")
    )


def _kind(column: pd.Series, *, is_text: bool) -> str:
    """The class of a column's cells: sentences get more room than names."""
    if not is_text:
        return ' class="number"'
    return ' class="long"' if column.astype(str).str.len().max() > SENTENCE else ""


def _json(value: Any) -> str:
    """JSON that cannot end its script element."""
    return to_json_plotly(value).replace("<", "\\u003c")
