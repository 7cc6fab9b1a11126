"""The clusters of a kernel's weights whose shared values change a layer's outputs least, by the moments of its inputs.

k-means on the weights alone ignores which inputs are large and which weights can compensate for each other. From its
clusters on, two steps alternate: the values are solved for by least squares, and each weight in turn moves to the value
that is best while all others stay (coordinate descent, as for the integers of `weight_rounding`).
"""

from __future__ import annotations

import numpy as np

from lwdash.training.layerwise.brain_surgeon import damped, squared_error

ROUNDS = 4
"""Maximum number of times that both steps are done."""
MAX_OPERATIONS = 1e11
MAX_MOVES = 1e6
"""Limits of the floating-point operations and of the steps of one round; larger kernels keep the means of k-means."""

UNUSED = -1
"""The code book of clusters without weights: no weight moves to them, since a zero may be a value already."""


def fitted(
    weights: np.ndarray, moments: np.ndarray, clusters: np.ndarray, books: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """(values, clusters): the weights with shared values, and the cluster of each.

    weights: (G, k, o). moments: (G, k, k). clusters: (G, k, o), the cluster of each weight, from 0; −1 for a weight that
    stays zero. books: (clusters,), the code book that each cluster belongs to: a weight moves within its own book only.
    The squared error is never larger than with the means of the given clusters.
    """
    weights, matrices = weights.astype(np.float64), damped(moments.astype(np.float64))
    used = np.bincount(clusters.ravel() + 1, minlength=len(books) + 1)[1:] > 0
    books = np.where(used, books, UNUSED)
    own_books = np.where(clusters >= 0, books[clusters], -1)
    best_clusters = clusters
    best = _means(weights, clusters, len(books))[clusters] * (clusters >= 0)
    groups, inputs, outputs = weights.shape
    size = int(np.bincount(books + 1)[1:].max(initial=1))
    if (
        groups * inputs**2 * outputs * size > MAX_OPERATIONS
        or groups * inputs * len(books) / size > MAX_MOVES
    ):
        return best, clusters
    best_error = squared_error(best - weights, matrices)
    values = _solved(weights, matrices, clusters, len(books))
    for _ in range(ROUNDS):
        clusters = _moved(weights, matrices, clusters, values, books, own_books)
        values = _solved(weights, matrices, clusters, len(books))
        found = values[clusters] * (clusters >= 0)
        error = squared_error(found - weights, matrices)
        if not error < best_error:
            break
        best, best_clusters, best_error = found, clusters, error
    return best, best_clusters


def _means(weights: np.ndarray, clusters: np.ndarray, count: int) -> np.ndarray:
    places = clusters.ravel() + 1
    sums = np.bincount(places, weights.ravel(), minlength=count + 1)
    return (sums / np.maximum(np.bincount(places, minlength=count + 1), 1))[1:]


def _solved(weights: np.ndarray, matrices: np.ndarray, clusters: np.ndarray, count: int) -> np.ndarray:
    """The value of each cluster, (count,), with the least squared error for all outputs together."""
    system, right = np.zeros((count, count)), np.zeros(count)
    for g, j in np.ndindex(weights.shape[0], weights.shape[2]):
        own, places = np.unique(clusters[g, :, j], return_inverse=True)
        members = np.zeros((len(own), weights.shape[1]))
        members[places, np.arange(weights.shape[1])] = 1
        members, own = members[own >= 0], own[own >= 0]
        sums = members @ matrices[g]
        system[np.ix_(own, own)] += sums @ members.T
        right[own] += sums @ weights[g, :, j]
    system += 1e-9 * max(float(np.trace(system)), 1e-30) / count * np.eye(count)
    return np.linalg.solve(system, right)


def _moved(
    weights: np.ndarray,
    matrices: np.ndarray,
    clusters: np.ndarray,
    values: np.ndarray,
    books: np.ndarray,
    own_books: np.ndarray,
) -> np.ndarray:
    """The clusters after one round, input by input, of moving each weight to its best value."""
    clusters = clusters.copy()
    tables = {book: np.flatnonzero(books == book) for book in np.unique(books[books != UNUSED])}
    tables = {book: members[np.argsort(values[members])] for book, members in tables.items()}
    for g in range(len(weights)):
        changes = np.where(clusters[g] >= 0, values[clusters[g]], 0.0) - weights[g]
        gradients = matrices[g] @ changes
        for i in range(weights.shape[1]):
            wanted = weights[g, i] + changes[i] - gradients[i] / matrices[g, i, i]
            for book, members in tables.items():
                outputs = np.flatnonzero(own_books[g, i] == book)
                if outputs.size:
                    sorted_values = values[members]
                    middles = (sorted_values[1:] + sorted_values[:-1]) / 2
                    clusters[g, i, outputs] = members[np.searchsorted(middles, wanted[outputs])]
            moved = np.where(clusters[g, i] >= 0, values[clusters[g, i]], 0.0) - weights[g, i]
            gradients += np.outer(matrices[g][:, i], moved - changes[i])
            changes[i] = moved
    return clusters
