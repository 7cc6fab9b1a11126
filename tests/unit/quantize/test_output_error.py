"""Changed results on calibration rows: the same classes as those that a run is measured by."""

import numpy as np

from lwdash.measure.accuracy import predicted_classes
from lwdash.quantize.output_error import OutputError


def test_an_answer_on_the_threshold_has_the_class_that_the_measurement_gives_it() -> None:
    error = OutputError.__new__(OutputError)
    error.judged = "classes"
    reference, outputs = np.array([[0.52], [0.4], [0.9], [0.5]]), np.array([[0.5], [0.5], [0.9], [0.5]])
    before, after = (predicted_classes("binary", each) for each in (reference, outputs))
    assert error._changed(reference, outputs) == np.mean(before != after) == 0.25
