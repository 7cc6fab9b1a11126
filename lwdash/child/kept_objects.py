"""Objects that the jobs of one child share: prepared rows, the workbench of a model, outputs, measured latencies."""

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lwdash.child import jobs
from lwdash.child.jobs import RowsJob
from lwdash.child.link import Link
from lwdash.child.stage_link import LinkCache, LinkTrainer


class KeptObjects:
    """The link and the cached stages of a child, and what its next job can use again."""

    def __init__(self, link: Link, network: str | None = None):
        """network: why this process can reach a network; None: it cannot, or was not asked to leave it."""
        self.link, self.cache, self.network = link, LinkCache(link), network
        self._kept: dict[str, Any] = {}

    def once(self, key: str, make: Callable[[], Any]) -> Any:
        """The object of this key: made by the first call, and kept."""
        if key not in self._kept:
            self._kept[key] = make()
        return self._kept[key]

    def part(self, part: str, dataset: Any, key: str) -> Any:
        """Inputs and labels of a part of the rows that `dataset` has returned."""
        return self.once(f"{part} {key}", lambda: dataset.part(part))

    def dataset(self, job: RowsJob) -> tuple[Any, str]:
        """The rows as arrays, and their cache key: the hash of all their inputs."""
        from lwdash.compress.cached_stages import content_key
        from lwdash.datasets.data_facts import DataFacts
        from lwdash.datasets.data_settings import DataSettings
        from lwdash.datasets.dataset import Dataset
        from lwdash.datasets.prepare import prepare
        from lwdash.keras_models.model_facts import ModelFacts

        facts = ModelFacts.from_dict(job.model_facts)
        inputs, outputs = facts.ports
        key = content_key(
            {
                "kind": "dataset",
                "data": job.data.sha256,
                "parts": {part: file.sha256 for part, file in job.parts.items()},
                "settings": job.settings,
                "ports": [inputs, outputs],
                "task": facts.task,
                "labelled_task": facts.labelled_task,
            }
        )

        def load() -> Any:
            found = self.cache.get(key)
            if found:
                return Dataset.load(found[0])
            self.link.progress("reading the data", 0.0)
            started = time.monotonic()
            own = {part: Path(file.path) for part, file in job.parts.items()}
            dataset = prepare(
                Path(job.data.path),
                DataSettings.from_dict(job.settings),
                inputs,
                outputs,
                task=facts.task,
                labelled_task=facts.labelled_task,
                facts=DataFacts.from_dict(job.data_facts) if job.data_facts else None,
                evaluation_path=own.get("evaluation"),
                calibration_path=own.get("calibration"),
            )
            path = Path(tempfile.mkdtemp()) / "dataset.npz"
            dataset.save(path)
            self.cache.put(key, "dataset", path, {}, time.monotonic() - started)
            return dataset

        return self.once(f"dataset {key}", load), key

    def workbench(self, job: jobs.Compress | jobs.TrainStages | jobs.TakeFile | jobs.CompareLabels) -> Any:
        """The workbench of the job's model and rows."""
        from lwdash.compress.workbench import Workbench
        from lwdash.keras_models.model_facts import ModelFacts

        dataset, key = self.dataset(job)
        return self.once(
            f"workbench {job.model.sha256} {key}",
            lambda: Workbench(
                model_path=Path(job.model.path),
                model_sha256=job.model.sha256,
                facts=ModelFacts.from_dict(job.model_facts),
                dataset=dataset,
                dataset_key=key,
                task=job.task or dataset.task,
                seed=job.seed,
                cache=self.cache,
                code=code_file(job.code),
                elsewhere=LinkTrainer(self.link) if isinstance(job, jobs.Compress) else None,
                gpu=job.gpu if isinstance(job, jobs.TrainStages) else None,
            ),
        )

    def output_cache(self, job: jobs.MeasureRun | jobs.MeasureDetails) -> Any:
        """The outputs of files on the evaluation rows of the job."""
        from lwdash.measure.output_cache import OutputCache
        from lwdash.measure.timing.host_facts import this_host

        dataset, key = self.dataset(job)
        inputs, _ = self.part("evaluation", dataset, key)
        threads = job.threads
        return self.once(
            f"outputs {key} {threads}",
            lambda: OutputCache(inputs, threads=threads, cores=this_host().cores),
        )


def code_file(file: jobs.UploadedFile | None) -> Any:
    """A job's code file as `keras_models` takes it."""
    from lwdash.keras_models.custom_code.code_file import CodeFile

    return None if file is None else CodeFile(Path(file.path), file.name, file.sha256)


def layer_names(job: RowsJob) -> list[str]:
    """Paths of the layers of the uploaded model."""
    return [layer["path"] for layer in job.model_facts["layers"]]


def output_ports(job: RowsJob) -> Any:
    """The model's outputs: (name, shape, dtype) of each."""
    from lwdash.keras_models.model_facts import ModelFacts

    return ModelFacts.from_dict(job.model_facts).ports[1]


def known_cut(job: RowsJob, dataset: Any) -> bool | None:
    """True if yes/no outputs are logits; None if their training does not show it (`output_heads.known_cut`)."""
    from lwdash.keras_models.model_facts import ModelFacts
    from lwdash.keras_models.output_heads import known_cut

    is_judged = dataset.judged(output_ports(job)) == 0  # the loss is that of the first output
    loss = ModelFacts.from_dict(job.model_facts).loss if is_judged else None
    return known_cut(loss, job.task or dataset.task, dataset.classes)
