"""The title, tags and note of a run, in one form."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import streamlit as st

from lwdash.ui.results.run_frame import forget_notes
from lwdash.ui.shared.markdown_text import plain
from storage import annotations
from storage.errors import StorageError
from storage.records import StoredRun
from storage.store import Store


@dataclass(frozen=True)
class RunNotes:
    """A user's notes on a run; each field is empty if nothing was written."""

    run: int
    recipe: str
    title: str
    tags: tuple[str, ...]
    note: str


def edit_notes(store: Store, old: RunNotes, *, scope: Literal["app", "fragment"]) -> None:
    """A button that opens the form. scope: the part that is redrawn after saving."""
    number = old.run
    with (
        st.popover("Title, tags, note", icon=":material/edit_note:"),
        st.form(f"words:{number}", border=False),
    ):
        title = st.text_input(
            "Title", old.title, max_chars=annotations.LONGEST_TITLE, placeholder=old.recipe,
            help="Shown instead of the recipe; leave empty to show the recipe", width=340,
        )  # fmt: skip
        tags = tags_in(
            st.text_input(
                "Tags",
                ", ".join(old.tags),
                placeholder="candidate, board B",
                help="Separate with commas",
                width=340,
            )
        )
        note = st.text_area("Note", old.note, max_chars=annotations.LONGEST_NOTE, width=340)
        if not st.form_submit_button("Save", icon=":material/save:"):
            return
        try:
            annotations.add_tags(store.database, [number], tags)
            annotations.remove_tags(store.database, [number], [tag for tag in old.tags if tag not in tags])
            annotations.set_title(store.database, number, title)
            annotations.set_note(store.database, number, note)
        except StorageError as refused:
            st.error(plain(str(refused)), icon=":material/error:")
            return
    forget_notes()
    st.rerun(scope=scope)


def notes_of(run: StoredRun) -> RunNotes:
    """The notes of a run."""
    return RunNotes(run.id, run.recipe, run.title or "", run.tags, run.note)


def notes_of_row(row: Mapping[str, Any]) -> RunNotes:
    """The notes of a run in a frame, which has NaN if only other runs have notes."""
    title, tags, note = row["title"], row["tags"], row["note"]
    return RunNotes(
        int(row["id"]),
        row["recipe"],
        title if isinstance(title, str) else "",
        tuple(str(tag) for tag in tags) if isinstance(tags, (list, tuple)) else (),
        note if isinstance(note, str) else "",
    )


def tags_in(text: str) -> list[str]:
    """The tags in a field, separated by commas; each once."""
    return list(dict.fromkeys(tag for part in text.split(",") if (tag := " ".join(part.split()))))
