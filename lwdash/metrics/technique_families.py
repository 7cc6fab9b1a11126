"""Families of techniques, each with the symbol and the colour that its runs have on every chart."""

import re

FAMILIES = {
    "baseline": ("Baseline", "star", "#7a8794"),
    "post-training": ("Post-training", "circle", "#0072B2"),
    "prune": ("Pruned", "diamond", "#E69F00"),
    "cluster": ("Clustered", "square", "#009E73"),
    "prune + cluster": ("Pruned and clustered", "hexagon2", "#CC79A7"),
    "qat": ("Trained for integers", "cross", "#56B4E9"),
    "smaller network": ("Smaller network", "triangle-up", "#D55E00"),
}
"""Family → label, symbol, colour: Okabe and Ito's, so that neither colour nor shape is needed alone."""


def family(recipe: str, is_baseline: bool) -> str:
    """Which group of techniques made a run."""
    if is_baseline:
        return "baseline"
    steps = techniques_of(recipe)
    if "channels" in steps or "low_rank" in steps:
        return "smaller network"
    made = " + ".join(name for name in ("prune", "cluster") if name in steps)
    return made or ("qat" if "qat" in steps else "post-training")


def techniques_of(recipe: str) -> list[str]:
    """The names of a recipe's steps."""
    return re.findall(r"(?:^|\+)\s*(\w+)", recipe)


def short_recipe(recipe: str) -> str:
    """A recipe without the parameter names that go without saying: `prune(0.8) + int8`."""
    return re.sub(r"\b(sparsity|clusters|ratio|energy|bits)=", "", recipe)
