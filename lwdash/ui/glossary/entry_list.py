"""Words of the glossary, one under the other, each with an anchor that an address can name."""

from collections.abc import Sequence
from html import escape
from pathlib import Path

import streamlit as st

from lwdash.ui.glossary.entries import GROUPS, Word
from lwdash.ui.shared.number_text import counted

_STYLE = (Path(__file__).parent / "glossary.css").read_text(encoding="utf-8")
_TO_ANCHOR = """
if (document.activeElement === document.body && location.hash) location.replace(location.hash);
"""
"""The browser looks for the address' anchor before there is any; a person who searches is left where they are."""
INLINE_SCRIPTS = (_TO_ANCHOR,)
"""What the server's Content-Security-Policy has to allow."""


def show_words(words: Sequence[Word]) -> None:
    """All of them as one element: an element of its own for each word takes the browser longer than any other page."""
    st.html(
        f"<style>{_STYLE}</style>{words_html(words)}<script>{_TO_ANCHOR}</script>",
        unsafe_allow_javascript=True,
    )


def words_html(words: Sequence[Word]) -> str:
    """Group by group; a technique's parameters are folded below it, and open where it is the only word."""
    sections = (
        _section(group, own, is_open=len(words) == 1)
        for group in GROUPS
        if (own := [word for word in words if word.group == group])
    )
    return f'<div class="glossary">{"".join(sections)}</div>'


def _section(group: str, words: Sequence[Word], *, is_open: bool) -> str:
    anchor = group.lower().replace(" ", "-")
    articles = "".join(_article(word, is_open=is_open) for word in words)
    return f'<section><h2 id="{anchor}"><a href="#{anchor}">{escape(group)}</a></h2>{articles}</section>'


def _article(word: Word, *, is_open: bool) -> str:
    trap = f'<p class="trap">{escape(word.trap)}</p>' if word.trap else ""
    return (
        f'<article id="{word.slug}"><h3><a href="#{word.slug}">{escape(word.title)}</a></h3>'
        f"<div><p>{escape(word.text)}</p>{trap}{_parameters(word, is_open=is_open)}</div></article>"
    )


def _parameters(word: Word, *, is_open: bool) -> str:
    if not word.parameters:
        return ""
    rows = "".join(
        f"<div><dt><code>{escape(key)}</code>{escape(label)}</dt><dd>{escape(what)}</dd>"
        f'<dd class="bounds">{escape(bounds)}<br>default {escape(default)}</dd></div>'
        for key, label, what, bounds, default in word.parameters
    )
    return (
        f"<details{' open' if is_open else ''}><summary>{counted(len(word.parameters), 'parameter')}</summary>"
        f"<dl>{rows}</dl></details>"
    )
