"""Errors of the storage, which its callers report to users."""


class StorageError(Exception):
    """The database or the artifact store cannot do this."""


class MissingArtifact(StorageError):
    """A file that the database knows is not in the artifact store."""


class DamagedArtifact(MissingArtifact):
    """A file of the artifact store no longer has the content that its name, a hash, stands for."""


class NewerDatabase(StorageError):
    """The database was made by a newer lwdash than this one."""


class NotWritten(StorageError):
    """What a person wanted to write on a run or an experiment cannot be taken."""


class UpgradeFailed(StorageError):
    """The database could not be opened, or not be brought to this code's schema; it is as it was."""
