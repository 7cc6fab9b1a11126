"""Entries of the glossary as a list, each with an anchor for addresses."""

from collections.abc import Sequence
from html import escape
from pathlib import Path

import streamlit as st

from lwdash.ui.glossary.glossary_entry import GROUPS, Entry
from lwdash.ui.shared.number_text import counted

_STYLE = (Path(__file__).parent / "glossary.css").read_text(encoding="utf-8")
_TO_ANCHOR = """
if (document.activeElement === document.body && location.hash) location.replace(location.hash);
"""
"""The browser looks for the address' anchor before it exists. While a user searches, the page does not scroll."""
INLINE_SCRIPTS = (_TO_ANCHOR,)
"""Scripts that the server's Content-Security-Policy has to allow."""


def show_entries(entries: Sequence[Entry]) -> None:
    """Show all entries in one element: one element per entry would make the page much slower."""
    st.html(
        f"<style>{_STYLE}</style>{entries_html(entries)}<script>{_TO_ANCHOR}</script>",
        unsafe_allow_javascript=True,
    )


def entries_html(entries: Sequence[Entry]) -> str:
    """Entries by group. A technique's parameters are folded below it, and open if it is the only entry."""
    sections = (
        _section(group, own, is_open=len(entries) == 1)
        for group in GROUPS
        if (own := [entry for entry in entries if entry.group == group])
    )
    return f'<div class="glossary">{"".join(sections)}</div>'


def _section(group: str, entries: Sequence[Entry], *, is_open: bool) -> str:
    anchor = group.lower().replace(" ", "-")
    articles = "".join(_article(entry, is_open=is_open) for entry in entries)
    return f'<section><h2 id="{anchor}"><a href="#{anchor}">{escape(group)}</a></h2>{articles}</section>'


def _article(entry: Entry, *, is_open: bool) -> str:
    trap = f'<p class="trap">{escape(entry.trap)}</p>' if entry.trap else ""
    return (
        f'<article id="{entry.slug}"><h3><a href="#{entry.slug}">{escape(entry.title)}</a></h3>'
        f"<div><p>{escape(entry.text)}</p>{trap}{_parameters(entry, is_open=is_open)}</div></article>"
    )


def _parameters(entry: Entry, *, is_open: bool) -> str:
    if not entry.parameters:
        return ""
    rows = "".join(
        f"<div><dt><code>{escape(key)}</code>{escape(label)}</dt><dd>{escape(what)}</dd>"
        f'<dd class="bounds">{escape(bounds)}<br>default {escape(default)}</dd></div>'
        for key, label, what, bounds, default in entry.parameters
    )
    return (
        f"<details{' open' if is_open else ''}><summary>{counted(len(entry.parameters), 'parameter')}</summary>"
        f"<dl>{rows}</dl></details>"
    )
