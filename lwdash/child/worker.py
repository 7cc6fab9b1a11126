"""The jobs of a child process: each step of a run, and the looks into files that pages ask for."""

import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from lwdash.child.link import Link
from lwdash.child.stage_link import LinkCache, write_scratch
from lwdash.errors import LwdashError, ResultRejected

DETAIL_SECONDS = 0.5
"""Longest time for the figures of single layers."""
MAX_COMPARED_ROWS, COMPARING_SECONDS = 1000, 10.0
"""Rows on which labels are held against the model, and the longest time that their outputs may take."""
Job = Mapping[str, Any]


class Worker:
    """Serves the jobs of one step; what the next job can use again is kept."""

    def __init__(self, link: Link):
        self.link, self.cache = link, LinkCache(link)
        self._kept: dict[str, Any] = {}

    def compress(self, job: Job) -> dict[str, Any]:
        from lwdash.recipe import parse_recipe

        compressed = self._workbench(job).compress(parse_recipe(job["recipe"]), self.link.progress)
        return {
            "tflite": str(write_scratch(compressed.tflite)),
            "baseline": str(write_scratch(compressed.baseline)),
            "compressed": compressed.to_dict(),
        }

    def measure(self, job: Job) -> dict[str, Any]:
        """The headline metrics of a run: size, accuracy, verdict, latency."""
        from lwdash.measure.measure_run import measure

        dataset, key = self._dataset(job)
        inputs, labels = self._once(f"evaluation {key}", lambda: dataset.part("evaluation"))
        tflite, baseline = (Path(job[file]).read_bytes() for file in ("tflite", "baseline"))
        measures = measure(
            tflite,
            baseline,
            inputs,
            labels,
            task=job["task"],
            judged=dataset.judged(_outputs(job)),
            is_logit=_known_cut(job, dataset),
            threads=job["threads"],
            answers=self._answers(job),
            layer_names=_layer_names(job),
            progress=lambda doing, share: self.link.progress(f"measuring {doing}", share),
            latency=self._latency(job, tflite, baseline, inputs),
        ).to_dict()
        if dataset.lines is not None:
            lines = dataset.lines[dataset.parts["evaluation"]]
            measures["flips"] = [{**flip, "line": int(lines[flip["row"]])} for flip in measures["flips"]]
        bulky = {
            key: measures.pop(key)
            for key in ("layers", "ledger", "flips", "turned", "confusion", "baseline_confusion")
        }
        return {"figures": measures, "measured": {**bulky, "classes": dataset.classes}, "has_details": True}

    def details(self, job: Job) -> dict[str, Any]:
        """What the page of a measured run shows beside its headline metrics."""
        from lwdash.measure.deep_compression import deep_compression
        from lwdash.measure.measure_run import detailed_layers
        from lwdash.tflite.reader import read_tflite

        dataset, key = self._dataset(job)
        _, labels = self._once(f"evaluation {key}", lambda: dataset.part("evaluation"))
        tflite = Path(job["tflite"]).read_bytes()
        self.link.progress("measuring layers", 0.0)
        layers = detailed_layers(
            tflite,
            Path(job["baseline"]).read_bytes(),
            self._once(f"calibration {key}", lambda: dataset.part("calibration")[0]),
            layer_names=_layer_names(job),
            threads=job["threads"],
            seconds=DETAIL_SECONDS,
        )
        coded = deep_compression(read_tflite(tflite), _layer_names(job))
        self.link.progress("measuring what each stage lost", 0.8)
        waterfall = self._waterfall(job, tflite, self._answers(job), labels, dataset)
        return {"measured": {"layers": layers, "deep_compression": coded, "waterfall": waterfall}}

    def _answers(self, job: Job) -> Any:
        from lwdash.measure.output_cache import Answers
        from lwdash.measure.timing.host_facts import this_host

        dataset, key = self._dataset(job)
        inputs, _ = self._once(f"evaluation {key}", lambda: dataset.part("evaluation"))
        threads = job["threads"]
        return self._once(
            f"answers {key} {threads}",
            lambda: Answers(inputs, threads=threads, cores=this_host().cores),
        )

    def _latency(self, job: Job, tflite: bytes, baseline: bytes, inputs: Any) -> Any:
        """The run's latency: measured in one rotation with those of the runs that this child measures next."""
        from lwdash.measure.timing.latency import digest, measure_latencies

        threads = job["threads"]
        known: dict[tuple[str, str, int], Any] = self._once("latencies", dict)

        def key(data: bytes) -> tuple[str, str, int]:
            return digest(data), digest(baseline), threads

        if key(tflite) not in known:
            files = [tflite, *(Path(path).read_bytes() for path in job.get("peers", ()))]
            doing = f"measuring latency of {len(files)} files" if len(files) > 1 else "measuring latency"
            found = measure_latencies(
                [data for data in files if key(data) not in known],
                baseline,
                inputs,
                threads=threads,
                progress=lambda share: self.link.progress(doing, share),
            )
            known.update({(name, digest(baseline), threads): latency for name, latency in found.items()})
        if isinstance(known[key(tflite)], LwdashError):
            raise known[key(tflite)]
        return known[key(tflite)]

    def _waterfall(
        self, job: Job, tflite: bytes, answers: Any, labels: Any, dataset: Any
    ) -> list[dict[str, Any]]:
        """What each stage of the run lost; empty where a stage before the file is no longer kept."""
        from lwdash.analyses.accuracy_waterfall import measure_waterfall

        kept = [(step, self.cache.get(step["key"])) for step in job["trail"]]
        trail = [(step["stage"], step["kind"], found[0].read_bytes()) for step, found in kept if found]
        if not trail or len(trail) < len(kept):
            return []
        return measure_waterfall(
            trail,
            tflite,
            answers,
            labels,
            task=job["task"],
            judged=dataset.judged(_outputs(job)),
            is_logit=_known_cut(job, dataset),
        )

    def sensitivity(self, job: Job) -> dict[str, Any]:
        """Which layer of a run's float file is to blame for what quantizing it costs."""
        from lwdash.analyses.layer_sensitivity import analyse
        from lwdash.measure.timing.host_facts import this_host
        from lwdash.recipe import parse_recipe

        dataset, _ = self._dataset(job)
        recipe = parse_recipe(job["recipe"])
        float_file = Path(job["baseline"])
        if recipe.keras_steps:
            found = self.cache.get(job["trail"][-1]["key"]) if job["trail"] else None
            if found is None:
                raise ResultRejected("the run's float .tflite is no longer kept; start the run again first")
            float_file = found[0]
        rows, labels = dataset.part("calibration")
        found_out = analyse(
            float_file.read_bytes(),
            recipe,
            rows,
            labels,
            task=job["task"],
            judged=dataset.judged(_outputs(job)),
            is_logit=_known_cut(job, dataset),
            cores=this_host().cores,
            progress=self.link.progress,
        )
        return {"measured": found_out.to_dict()}

    def inspect_model(self, job: Job) -> dict[str, Any]:
        from lwdash.keras_models.inspection import inspect_model

        return {"facts": inspect_model(Path(job["path"])).to_dict()}

    def inspect_data(self, job: Job) -> dict[str, Any]:
        from lwdash.datasets.csv_inspection import inspect_data

        reading = {key: job.get(key) for key in ("label", "delimiter", "has_header")}
        return {"facts": inspect_data(Path(job["path"]), **reading).to_dict()}

    def lint(self, job: Job) -> dict[str, Any]:
        """What the linter finds in the rows that this model would be measured on."""
        from lwdash.datasets.data_facts import DataFacts
        from lwdash.datasets.data_settings import DataSettings
        from lwdash.datasets.fit import fit_to_model
        from lwdash.datasets.linter.checks import lint
        from lwdash.datasets.linter.scaling_check import Expected
        from lwdash.keras_models.model_facts import ModelFacts

        model, data = ModelFacts.from_dict(job["model_facts"]), DataFacts.from_dict(job["data_facts"])
        settings = DataSettings.from_dict(job["settings"])
        fit = fit_to_model(data, settings, *model.ports, task=model.task, labelled_task=model.labelled_task)
        dataset, _ = self._dataset(job)
        expected = {
            s.input: Expected(s.layers, s.scale, s.offset, s.is_learnt)
            for s in model.scaling or ()
            if s.is_told
        }
        found = lint(dataset, fit, data.names, expected=expected, own_parts=tuple(job["parts"]))
        return {
            "findings": [finding.to_dict() for finding in found],
            "rows": {part: len(rows) for part, rows in dataset.parts.items()},
            "label": dataset.label,
            "has_classes": dataset.task in ("classification", "binary") and dataset.labels is not None,
            "task": fit.task,
            "task_note": fit.task_note,
        }

    def compare_labels(self, job: Job) -> dict[str, Any]:
        """Holds the labels as they are read against the classes that the model gives; None for other tasks."""
        from lwdash.datasets.linter.checks import mixed_rows
        from lwdash.measure.accuracy import looks_like_logits, predicted_classes
        from lwdash.measure.label_readings import compare_readings
        from lwdash.measure.runner import run_within

        dataset, _ = self._dataset(job)
        labels, task = dataset.labels, dataset.task
        if labels is None or dataset.classes is None or task not in ("classification", "binary"):
            return {"comparison": None, "classes": None}
        rows, inputs = mixed_rows(dataset, MAX_COMPARED_ROWS)
        float_file = self._workbench(job).float_file(self.link.progress)
        outputs = run_within(float_file, inputs, seconds=COMPARING_SECONDS)[dataset.judged(_outputs(job))]
        is_logit = _known_cut(job, dataset)
        is_logit = looks_like_logits(task, outputs) if is_logit is None else is_logit
        predicted = predicted_classes(task, outputs, is_logit=is_logit)
        classes = outputs.shape[-1] if task == "classification" else 2
        compared = compare_readings(
            predicted, labels[rows[: len(outputs)]].reshape(predicted.shape), dataset.classes, classes
        )
        return {"comparison": compared.to_dict(), "classes": dataset.classes}

    def dissect(self, job: Job) -> dict[str, Any]:
        """The graph and the weight histograms of a run's file, for its page."""
        from lwdash.analyses.graph_data import dissect

        files = [Path(job[which]).read_bytes() for which in ("tflite", "baseline")]
        return {"dissected": dissect(files[0], files[1], job["layer_names"])}

    def evaluation_rows(self, job: Job) -> dict[str, Any]:
        """How to read the evaluation rows without lwdash; the arrays of it are written to the file that `arrays` names."""
        from lwdash.datasets.data_settings import DataSettings
        from lwdash.datasets.evaluation_rows import evaluation_rows, write_arrays
        from lwdash.keras_models.model_facts import ModelFacts
        from lwdash.measure.script_ports import ports_plan
        from lwdash.tflite.reader import read_tflite

        facts, own = ModelFacts.from_dict(job["model_facts"]), job["parts"].get("evaluation")
        dataset, _ = self._dataset(job)
        plan, arrays = evaluation_rows(
            Path(job["data"]["path"]),
            DataSettings.from_dict(job["settings"]),
            *facts.ports,
            dataset,
            task=facts.task,
            labelled_task=facts.labelled_task,
            evaluation_path=Path(own["path"]) if own else None,
        )
        files = [read_tflite(Path(job[which]).read_bytes()) for which in ("tflite", "baseline")]
        write_arrays(Path(job["arrays"]), arrays)
        judged = dataset.judged(facts.ports[1])
        cut = {"is_logit": _known_cut(job, dataset)}
        return {"plan": {**plan, **cut, **ports_plan(files[0], files[1], dataset.inputs, judged)}}

    def compare(self, job: Job) -> dict[str, Any]:
        """What differs between two .tflite files that should be the same."""
        from lwdash.tflite.differences import differences

        return {
            "differences": differences(*(Path(job[which]).read_bytes() for which in ("expected", "found")))
        }

    def check(self, job: Job) -> dict[str, Any]:
        """Whether the libraries can be imported here, and how long that takes."""
        started = time.monotonic()
        import ai_edge_litert.interpreter  # noqa: F401
        import h5py

        return {
            "starts": True,
            "import_seconds": round(time.monotonic() - started, 2),
            "h5py": h5py.__version__,
        }

    def _workbench(self, job: Job) -> Any:
        from lwdash.compress.workbench import Workbench
        from lwdash.keras_models.model_facts import ModelFacts

        dataset, key = self._dataset(job)
        return self._once(
            f"workbench {job['model']['sha256']} {key}",
            lambda: Workbench(
                model_path=Path(job["model"]["path"]),
                model_sha256=job["model"]["sha256"],
                facts=ModelFacts.from_dict(job["model_facts"]),
                dataset=dataset,
                dataset_key=key,
                task=job.get("task") or dataset.task,
                seed=job["seed"],
                cache=self.cache,
            ),
        )

    def _dataset(self, job: Job) -> tuple[Any, str]:
        """The rows as arrays, and the key of all that decides them."""
        from lwdash.compress.cached_stages import content_key
        from lwdash.datasets.data_facts import DataFacts
        from lwdash.datasets.data_settings import DataSettings
        from lwdash.datasets.dataset import Dataset
        from lwdash.datasets.prepare import prepare
        from lwdash.keras_models.model_facts import ModelFacts

        facts = ModelFacts.from_dict(job["model_facts"])
        inputs, outputs = facts.ports
        key = content_key(
            {
                "kind": "dataset",
                "data": job["data"]["sha256"],
                "parts": {part: file["sha256"] for part, file in job["parts"].items()},
                "settings": job["settings"],
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
            own = {part: Path(file["path"]) for part, file in job["parts"].items()}
            dataset = prepare(
                Path(job["data"]["path"]),
                DataSettings.from_dict(job["settings"]),
                inputs,
                outputs,
                task=facts.task,
                labelled_task=facts.labelled_task,
                facts=DataFacts.from_dict(job["data_facts"]) if "data_facts" in job else None,
                evaluation_path=own.get("evaluation"),
                calibration_path=own.get("calibration"),
            )
            path = Path(tempfile.mkdtemp()) / "dataset.npz"
            dataset.save(path)
            self.cache.put(key, "dataset", path, {}, time.monotonic() - started)
            return dataset

        return self._once(f"dataset {key}", load), key

    def _once(self, key: str, make: Callable[[], Any]) -> Any:
        if key not in self._kept:
            self._kept[key] = make()
        return self._kept[key]


def _layer_names(job: Job) -> list[str]:
    return [layer["path"] for layer in job["model_facts"]["layers"]]


def _outputs(job: Job) -> Any:
    """The model's outputs: (name, shape, dtype) of each."""
    from lwdash.keras_models.model_facts import ModelFacts

    return ModelFacts.from_dict(job["model_facts"]).ports[1]


def _known_cut(job: Job, dataset: Any) -> bool | None:
    """Whether yes/no outputs are logits, where their training shows it; see `keras_models.output_heads.known_cut`."""
    from lwdash.keras_models.model_facts import ModelFacts
    from lwdash.keras_models.output_heads import known_cut

    is_judged = dataset.judged(_outputs(job)) == 0  # the loss is that of the first output
    loss = ModelFacts.from_dict(job["model_facts"]).loss if is_judged else None
    return known_cut(loss, job.get("task") or dataset.task, dataset.classes)
