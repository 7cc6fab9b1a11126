"""A real S3 API started by the test session itself: moto's server, with what its clients need to find it."""

import itertools
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field


@dataclass
class S3:
    """The running server."""

    environment: Mapping[str, str]
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    def bucket(self) -> str:
        """A new bucket's fsspec URL."""
        import s3fs

        name = f"lwdash-{next(self._numbers)}"
        files = s3fs.S3FileSystem(
            endpoint_url=self.environment["AWS_ENDPOINT_URL"],
            key=self.environment["AWS_ACCESS_KEY_ID"],
            secret=self.environment["AWS_SECRET_ACCESS_KEY"],
        )
        files.mkdir(name)
        return f"s3://{name}/artifacts"


@contextmanager
def start_s3() -> Iterator[S3]:
    """Serves until the block ends."""
    from moto.server import ThreadedMotoServer  # slow to import; most sessions need no S3

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        yield S3(
            {
                "AWS_ENDPOINT_URL": f"http://{host}:{port}",
                "AWS_ACCESS_KEY_ID": "test",
                "AWS_SECRET_ACCESS_KEY": "test",
                "AWS_DEFAULT_REGION": "us-east-1",
            }
        )
    finally:
        server.stop()
