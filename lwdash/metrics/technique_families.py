"""Families of techniques, with the symbol and the colour of their runs on every chart."""

import re

FAMILIES = {
    "baseline": ("Baseline", "star", "#7a8794"),
    "post-training": ("Post-training", "circle", "#0072B2"),
    "prune": ("Pruned", "diamond", "#C47F00"),
    "cluster": ("Clustered", "square", "#009E73"),
    "prune + cluster": ("Pruned and clustered", "hexagon2", "#CC79A7"),
    "lowbit": ("Below 8 bits", "pentagon", "#7E6BC4"),
    "qat": ("Quantization-aware", "cross", "#2F97D2"),
    "smaller network": ("Smaller network", "triangle-up", "#D55E00"),
    "added": ("Added file", "x", "#9C6B4A"),
}
"""Family → label, symbol, colour. The colours are those of `charts.palette`, a violet and a brown; colour or shape alone
identifies a family.
"""


ADDED_FILE = "file"
"""Stands in place of a recipe's steps for a .tflite that was made elsewhere."""


def family(recipe: str, is_baseline: bool) -> str:
    """The technique family of a run."""
    if is_baseline:
        return "baseline"
    steps = techniques_of(recipe)
    if steps == [ADDED_FILE]:
        return "added"
    if "channels" in steps or "low_rank" in steps:
        return "smaller network"
    if "lowbit" in steps:
        return "lowbit"
    made = " + ".join(name for name in ("prune", "cluster") if name in steps)
    return made or ("qat" if "qat" in steps else "post-training")


def techniques_of(recipe: str) -> list[str]:
    """The names of a recipe's steps."""
    return re.findall(r"(?:^|\+)\s*(\w+)", recipe)


def short_recipe(recipe: str) -> str:
    """A recipe without the parameter names that are obvious: `prune(0.8) + int8`."""
    return re.sub(r"\b(sparsity|clusters|ratio|energy|bits)=", "", recipe)
