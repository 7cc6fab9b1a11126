"""Parameters per layer, counted from the shapes in the weights file; its two layouts name layers differently."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from lwdash.keras_models.network import Network, walk

LEGACY_ROOT = "model_weights/"


def snake_case(class_name: str) -> str:
    """Keras's group name of a class: "Conv2DTranspose" → "conv2d_transpose"."""
    name = re.sub(r"\W+", "", class_name)
    name = re.sub("(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub("([a-z])([A-Z])", r"\1_\2", name).lower()


def count_archive(network: Network, sizes: Mapping[str, int]) -> dict[str, int]:
    """Parameters by layer path, from a `.weights.h5`, whose groups are numbered by class in model order.

    sizes: elements by dataset path. States of random generators and of the optimizer are not counted.
    """
    below: Counter[str] = Counter()
    for path, size in sizes.items():
        # Keras before 2.14 named the group of a model's layers after the attribute that held them.
        parts = path.replace("_layer_checkpoint_dependencies", "layers").split("/")
        if parts[0] == "optimizer" or any(part.startswith("seed_generator") for part in parts):
            continue
        for end in range(1, len(parts)):
            below["/".join(parts[:end])] += size
    return {path: below[group] if group else 0 for path, group in archive_groups(network)}


def archive_groups(network: Network, group: str = "", prefix: str = "") -> Iterator[tuple[str, str]]:
    """The path of every layer, and the group of its weights in a `.weights.h5`; "" for an operation."""
    used: Counter[str] = Counter()
    for node in network.nodes:
        if node.is_operation:
            yield prefix + node.name, ""
            continue
        name = snake_case(node.class_name)
        path = f"{group}layers/{name}_{used[name]}" if used[name] else f"{group}layers/{name}"
        used[name] += 1
        if node.network is None:
            yield prefix + node.name, path
        else:
            yield from archive_groups(node.network, path + "/", f"{prefix}{node.name}/")


def archive_statistics(
    network: Network, values: Mapping[str, Sequence[float]]
) -> dict[str, dict[str, Sequence[float]]]:
    """Mean and variance of the normalizations by layer path, from the `values` of a `.weights.h5`.

    A Normalization stores (mean, variance, count); the last two entries of a BatchNormalization are (moving
    mean, moving variance).
    """
    classes = {path: node.class_name for path, node in walk(network)}
    found: dict[str, dict[str, Sequence[float]]] = {}
    for path, group in archive_groups(network):
        numbered: list[Sequence[float]] = []
        while group and (key := f"{group}/vars/{len(numbered)}") in values:
            numbered.append(values[key])
        pair = numbered[:2] if classes[path] == "Normalization" else numbered[-2:]
        if len(pair) == 2:
            found[path] = {"mean": pair[0], "variance": pair[1]}
    return found


def legacy_statistics(
    network: Network, values: Mapping[str, Sequence[float]]
) -> dict[str, dict[str, Sequence[float]]]:
    """Mean and variance of the top-level normalizations by layer path, from the `values` of a legacy `.h5`."""
    tops = {node.name: node for node in network.nodes if node.network is None}
    found: dict[str, dict[str, Sequence[float]]] = {}
    for path, numbers in values.items():
        rest = path.removeprefix(LEGACY_ROOT)
        leaf = rest.rsplit("/", 1)[-1].removesuffix(":0").removeprefix("moving_")
        layer = _owner(rest, tops)
        if layer is not None and leaf in ("mean", "variance"):
            found.setdefault(layer, {})[leaf] = numbers
    return found


def count_legacy(network: Network, sizes: Mapping[str, int]) -> dict[str, int]:
    """Parameters by layer path, from a legacy `.h5`: one group per top-level layer, named after it.

    sizes: elements by dataset path in the whole file. Within the group of a nested model the weights have the
    names of the inner layers.
    """
    counts = {path: 0 for path, _ in walk(network)}
    tops = {node.name: node for node in network.nodes}
    leaves: dict[str, _Leaves] = {}
    for path, size in sizes.items():
        if not path.startswith(LEGACY_ROOT):
            continue
        rest = path[len(LEGACY_ROOT) :]
        top = _owner(rest, tops)
        if top is None or any(part.startswith("seed_generator") for part in rest.split("/")):
            continue
        inner = tops[top].network
        if inner is None:
            counts[top] += size
            continue
        if top not in leaves:
            leaves[top] = _Leaves([leaf for leaf, _ in walk(inner)])
        counts[f"{top}/{leaves[top].innermost(rest[len(top) + 1 :])}"] += size
    return counts


def _owner(path: str, names: Mapping[str, object]) -> str | None:
    """The layer whose group holds `path`; names may contain slashes, so the longest match counts."""
    parts = path.split("/")
    for end in range(len(parts) - 1, 0, -1):
        name = "/".join(parts[:end])
        if name in names:
            return name
    return None


class _Leaves:
    """The layers inside a nested model, found by the path of a weight."""

    def __init__(self, leaves: Sequence[str]):
        self.longest = max(leaves, key=lambda leaf: len(leaf.split("/")[-1]))
        self.by_end: dict[str, str] = {}
        for leaf in sorted(leaves, key=lambda leaf: -len(leaf.split("/")[-1])):
            names = leaf.split("/")
            for start in range(len(names)):
                self.by_end.setdefault("/".join(names[start:]), leaf)

    def innermost(self, path: str) -> str:
        """The layer that a weight's path names; the longest match with "outer/inner" wins."""
        groups = path.split("/")[:-1]
        for width in range(len(groups), 0, -1):
            spelled = ("/".join(groups[start : start + width]) for start in range(len(groups) - width + 1))
            if found := [self.by_end[names] for names in spelled if names in self.by_end]:
                return max(found, key=lambda leaf: len(leaf.split("/")[-1]))
        return self.longest
