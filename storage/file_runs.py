"""Runs of files that were made elsewhere: a .tflite brought into an experiment, measured like every other run.

Such a run has no recipe. In place of it stands `file(NAME)`, which the recipe language does not know.
"""

import re

from sqlalchemy import ColumnElement, Engine

from storage.runs import new_run
from storage.tables import Run

PREFIX = "file("
MAX_NAME_LETTERS = 80


def is_file_recipe(recipe: str) -> bool:
    """True for the text that stands in place of a recipe."""
    return recipe.startswith(PREFIX)


def file_recipe(name: str) -> str:
    """`file(kws_int8.tflite)`; signs with a meaning in recipes become hyphens."""
    plain = re.sub(r"[^\w.,@ -]+", "-", name.rsplit("/", 1)[-1]).strip(" -") or "model.tflite"
    return f"{PREFIX}{plain[-MAX_NAME_LETTERS:]})"


def has_recipe() -> ColumnElement[bool]:
    """Condition for runs of recipes."""
    return Run.recipe.not_like(f"{PREFIX}%")


def add_file_run(
    engine: Engine, experiment_id: int, name: str, sha256: str, submission: str, owner: str | None
) -> int:
    """Queue a run of a file in the artifact store; return its id. name: of the file before it was added."""
    statement = new_run(engine, experiment_id, (file_recipe(name), False, False), submission, owner)
    with engine.begin() as connection:
        return connection.execute(statement.values(tflite_sha256=sha256)).scalar_one()
