"""The calibration linter: checks of prepared rows before any run."""
