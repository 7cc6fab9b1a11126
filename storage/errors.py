"""Errors of the storage, which its callers report to users."""


class StorageError(Exception):
    """The database or the artifact store cannot do this."""


class MissingArtifact(StorageError):
    """A file that the database knows is not in the artifact store."""


class DamagedArtifact(MissingArtifact):
    """A file of the artifact store no longer has the content that its name, a hash, states."""


class NewerDatabase(StorageError):
    """The database was made by a newer lwdash than this one."""


class NotWritten(StorageError):
    """A user's annotation of a run or an experiment is not valid."""


class UpgradeFailed(StorageError):
    """The database could not be opened, or not upgraded to this code's schema; it is unchanged."""
