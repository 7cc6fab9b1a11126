"""The System page: queue, workers, disk, versions, log."""
