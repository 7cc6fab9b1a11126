"""Errors of the Python interface: every error that a caller can correct is an LwdashError with a message."""

import contextlib
from collections.abc import Iterator

from lwdash.engine.home import DiskFull, explain_storage
from lwdash.errors import LwdashError, UserMistake
from lwdash.settings import Settings
from storage.errors import StorageError


@contextlib.contextmanager
def errors_in_words(settings: Settings) -> Iterator[None]:
    """Context in which errors of the storage, and a full disk, become errors of lwdash with the same message."""
    try:
        yield
    except LwdashError:
        raise
    except StorageError as error:
        raise UserMistake(str(error)) from error
    except Exception as error:
        message = explain_storage(error, settings)
        if message is None:
            raise
        raise DiskFull(message) from error
