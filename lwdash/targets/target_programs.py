"""The programs of targets that may end their process: one server for all of them."""

from lwdash.forked_programs.prepared_programs import PreparedPrograms

MICRO, VELA = "lwdash.forked_programs.micro_program", "ethosu.vela"

PROGRAMS = PreparedPrograms(["numpy", "tflite_micro.python.tflite_micro.runtime", "ethosu.vela.vela"])
