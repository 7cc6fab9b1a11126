"""The functions that execute jobs in a child process, one for each kind of job."""

from collections.abc import Callable, Mapping
from typing import Any

from lwdash.child import data_jobs, file_jobs, jobs, run_steps
from lwdash.child.job_results import Result
from lwdash.child.jobs import Job
from lwdash.child.kept_objects import KeptObjects

EXECUTORS: Mapping[type[Job], Callable[[KeptObjects, Any], Result]] = {
    jobs.Compress: run_steps.compress,
    jobs.TrainStages: run_steps.train_stages,
    jobs.TakeFile: run_steps.take_file,
    jobs.MeasureRun: run_steps.measure,
    jobs.MeasureDetails: run_steps.details,
    jobs.MeasureOnTarget: run_steps.on_target,
    jobs.PackDeviceRows: run_steps.pack_device_rows,
    jobs.MeasureSensitivity: run_steps.sensitivity,
    jobs.Lint: data_jobs.lint,
    jobs.CompareLabels: data_jobs.compare_labels,
    jobs.EvaluationRows: data_jobs.evaluation_rows,
    jobs.WriteProject: data_jobs.write_project,
    jobs.InspectModel: file_jobs.inspect_model,
    jobs.GenerateRows: data_jobs.generate_rows,
    jobs.InspectTflite: file_jobs.inspect_tflite,
    jobs.InspectData: data_jobs.inspect_data,
    jobs.Dissect: file_jobs.dissect,
    jobs.CompareFiles: file_jobs.compare_files,
    jobs.Check: file_jobs.check,
}


def execute(job: Job, kept: KeptObjects) -> Result:
    """The result of a job. Raises LwdashError, and what libraries raise."""
    return EXECUTORS[type(job)](kept, job)
