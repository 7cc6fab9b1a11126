"""Errors in two families: mistakes that a user can correct, and faults of lwdash."""

import re

MAX_CHARACTERS = 1000
CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")


class LwdashError(Exception):
    """Something went wrong."""

    def __init__(self, message: str | None = None):
        super().__init__(message or (type(self).__doc__ or "").strip())


class UserMistake(LwdashError):
    """The input cannot be used as it is."""


class InternalFault(LwdashError):
    """lwdash or a library beneath it failed; the log has the details."""


class FileRefused(UserMistake):
    """This file cannot be used."""

    def __init__(self, message: str | None = None):
        """message: may repeat names from the file; control characters and the middle of long texts are removed."""
        text = CONTROL.sub("\ufffd", message or "")
        if len(text) > MAX_CHARACTERS:
            text = f"{text[: MAX_CHARACTERS // 2]} … {text[-MAX_CHARACTERS // 2 :]}"
        super().__init__(text or None)


class ModelRefused(FileRefused):
    """This model file cannot be used."""


class DataRefused(FileRefused):
    """This data file cannot be used with this model."""


class RecipeError(UserMistake):
    """This recipe cannot be read."""


class UploadRefused(UserMistake):
    """This upload was not accepted."""


class NotFound(UserMistake):
    """There is no such experiment, run or file."""


class BridgeRefused(UserMistake):
    """This Keras 3 model has no Keras 2 twin, so its structure cannot be changed."""


class ConversionFailed(InternalFault):
    """The converter could not convert this model to a .tflite."""


class NotFlashable(UserMistake):
    """TensorFlow Lite Micro does not run the file."""


class ResultRejected(InternalFault):
    """The produced .tflite disagrees with its source model."""


class EngineUnavailable(InternalFault):
    """No engine takes jobs: start the server, or a worker that offers the needed resources."""


class MessageRefused(InternalFault):
    """A message between the server and a child process cannot be read."""
