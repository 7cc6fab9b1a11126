"""Metrics of runs from their results on targets, which are recorded after the runs have succeeded."""

from collections.abc import Mapping, Sequence

from lwdash.targets.boards import load_boards
from lwdash.targets.result_columns import npu_of, target_columns
from storage.store import Store
from storage.target_results import chosen_targets, target_results


def target_metrics(
    store: Store, experiment_id: int, run_ids: Sequence[int]
) -> Mapping[int, Mapping[str, float | None]]:
    """Run → the columns of lwdash.targets.result_columns; runs without results are left out."""
    npu, assumptions = npu_of(chosen_targets(store.database, experiment_id)), load_boards().assumptions
    found = target_results(store.database, run_ids)
    return {run: target_columns(results, assumptions, npu) for run, results in found.items()}
