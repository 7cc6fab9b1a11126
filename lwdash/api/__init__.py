"""Python interface for scripts and notebooks, on the same home and engine as the dashboard and the command line.

    import lwdash

    experiment = lwdash.experiment("kws", model, x, y)
    experiment.run(["int8", "prune(sparsity=0.8) + int8 + sparse"])
    experiment.runs()

`lwdash.experiment` and `lwdash.experiments` are these functions. See docs/python.md.
"""

from lwdash.api.experiment_handle import ExperimentHandle, SearchOutcome
from lwdash.api.open_experiment import experiment, experiments
from lwdash.api.run_handle import RunHandle

__all__ = ["ExperimentHandle", "RunHandle", "SearchOutcome", "experiment", "experiments"]
