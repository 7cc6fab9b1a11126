"""The GPU that this process sees, as TensorFlow finds it. Only processes that train see one."""

from lwdash.errors import LwdashError


class NoGpu(LwdashError):
    """TensorFlow cannot compute on the GPU of this host."""


def gpu_name() -> str | None:
    """The name of the first GPU that TensorFlow finds; None: it finds none."""
    import tensorflow as tf

    found = tf.config.list_physical_devices("GPU")
    if not found:
        return None
    return str(tf.config.experimental.get_device_details(found[0]).get("device_name") or found[0].name)


def require_gpu() -> None:
    """Raises NoGpu where TensorFlow finds no GPU."""
    if gpu_name() is None:
        raise NoGpu(
            "TensorFlow finds no GPU: it needs the driver, and the CUDA libraries that `pip install "
            "'tensorflow[and-cuda]'` installs"
        )


def tested_gpu() -> str | None:
    """The name of the GPU after a first computation on it; None: TensorFlow finds none. Raises what TensorFlow raises."""
    import tensorflow as tf

    name = gpu_name()
    if name is not None:
        with tf.device("/GPU:0"):
            tf.matmul(tf.ones((2, 2)), tf.ones((2, 2))).numpy()
    return name
