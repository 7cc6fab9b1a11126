"""A guess whether runs need TensorFlow, whose import takes seconds.

Post-training recipes start from the float .tflite of the model. Where an earlier run has exported it, its stage is
kept, and LiteRT and the quantizer are enough. A wrong guess costs nothing but the import that the guess was to avoid: a
child imports TensorFlow when it needs it.
"""

from collections.abc import Iterable, Sequence

from lwdash.errors import LwdashError
from lwdash.recipe import Recipe, parse_recipe
from storage.run_rows import has_float_file, recipes_with_models
from storage.store import Store


def may_need_tensorflow(store: Store, model_sha256: str, recipes: Iterable[Recipe]) -> bool:
    """True if a recipe trains, or the model has not been exported."""
    return any(recipe.keras_steps for recipe in recipes) or not has_float_file(store.database, model_sha256)


def runs_may_need_tensorflow(store: Store, run_ids: Sequence[int]) -> bool:
    """The same for queued runs."""
    found = recipes_with_models(store.database, run_ids)
    try:
        recipes = [parse_recipe(text) for text, _ in found]
    except LwdashError:  # not a recipe, such as a file from elsewhere
        return True
    return any(
        may_need_tensorflow(store, model, [recipe]) for recipe, (_, model) in zip(recipes, found, strict=True)
    )
