"""A run's own words: its title, its tags and its note, in one form."""

from collections.abc import Mapping
from typing import Any, Literal

import streamlit as st

from lwdash.ui.results.run_frame import forget_notes
from lwdash.ui.shared.markdown_text import plain
from storage import annotations
from storage.errors import StorageError
from storage.store import Store


def edit_words(store: Store, run: Mapping[str, Any], *, scope: Literal["app", "fragment"]) -> None:
    """A button that opens the form. run: `id`, `recipe`, `title`, `tags`, `note`; scope: what is drawn anew after saving."""
    number, (old_title, own, old_note) = int(run["id"]), words_of(run)
    with (
        st.popover("Title, tags, note", icon=":material/edit_note:"),
        st.form(f"words:{number}", border=False),
    ):
        title = st.text_input(
            "Title", old_title, max_chars=annotations.LONGEST_TITLE, placeholder=run["recipe"],
            help="Shown instead of the recipe; empty gives the recipe back", width=340,
        )  # fmt: skip
        tags = tags_in(
            st.text_input(
                "Tags", ", ".join(own), placeholder="candidate, board B", help="Commas part them", width=340
            )
        )
        note = st.text_area("Note", old_note, max_chars=annotations.LONGEST_NOTE, width=340)
        if not st.form_submit_button("Save", icon=":material/save:"):
            return
        try:
            annotations.add_tags(store.database, [number], tags)
            annotations.remove_tags(store.database, [number], [tag for tag in own if tag not in tags])
            annotations.set_title(store.database, number, title)
            annotations.set_note(store.database, number, note)
        except StorageError as refused:
            st.error(plain(str(refused)), icon=":material/error:")
            return
    forget_notes()
    st.rerun(scope=scope)


def words_of(run: Mapping[str, Any]) -> tuple[str, list[str], str]:
    """Title, tags and note, each empty where the run has none: a row of a frame has NaN there if others have some."""
    title, tags, note = run["title"], run["tags"], run["note"]
    return (
        title if isinstance(title, str) else "",
        [str(tag) for tag in tags] if isinstance(tags, (list, tuple)) else [],
        note if isinstance(note, str) else "",
    )


def tags_in(text: str) -> list[str]:
    """The tags of a field, which commas part; each once."""
    return list(dict.fromkeys(tag for part in text.split(",") if (tag := " ".join(part.split()))))
