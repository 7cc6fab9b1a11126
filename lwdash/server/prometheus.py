"""The text of `/metrics` in Prometheus' format, read from the database and the host at each request."""

import logging
import shutil
from collections.abc import Iterator

import psutil
from prometheus_client import CollectorRegistry, Metric, generate_latest
from prometheus_client.core import GaugeMetricFamily, HistogramMetricFamily, InfoMetricFamily
from prometheus_client.registry import Collector

import lwdash
from lwdash.engine.step_journal import STEP_SECONDS
from lwdash.server.backend import Dashboard
from storage.statistics import RUN_SECONDS, queue_by_step, run_seconds, runs_by_state

_LOG = logging.getLogger(__name__)

ENGINE_STATES = ("embedded", "cluster", "elsewhere", "starting", "down")


def metrics_text(dashboard: Dashboard) -> bytes:
    """All metrics of this server. Those of the database are left out while it does not respond."""
    registry = CollectorRegistry()
    registry.register(_Numbers(dashboard))
    registry.register(STEP_SECONDS)
    return generate_latest(registry)


class _Numbers(Collector):
    def __init__(self, dashboard: Dashboard):
        self.dashboard = dashboard

    def collect(self) -> Iterator[Metric]:
        yield InfoMetricFamily("lwdash", "This server.", {"version": lwdash.__version__})
        yield from self._host()
        yield from self._engine()
        try:
            found = list(self._database())
        except Exception:  # any exception of the driver
            _LOG.exception("the database does not respond to a request for metrics")
            found = []
        yield _gauge("lwdash_database_up", "1 when the database responds.", 1 if found else 0)
        yield from found

    def describe(self) -> Iterator[Metric]:
        return iter(())

    def _host(self) -> Iterator[Metric]:
        home = self.dashboard.settings.home
        disk = shutil.disk_usage(home)
        yield _gauge("lwdash_disk_free_bytes", "Free on the disk of LWDASH_HOME.", disk.free)
        yield _gauge("lwdash_disk_used_bytes", "Used on the disk of LWDASH_HOME.", disk.used)
        process = psutil.Process()
        yield _gauge(
            "lwdash_process_resident_bytes", "Memory of the server's process.", process.memory_info().rss
        )
        yield _gauge(
            "lwdash_process_start_time_seconds",
            "Start time of the server, seconds since 1970.",
            process.create_time(),
        )

    def _engine(self) -> Iterator[Metric]:
        engine, state = self.dashboard.engine, self.dashboard.engine.state
        states = GaugeMetricFamily(
            "lwdash_engine_state", "1 for the present state of the engine.", labels=["state"]
        )
        for name in ENGINE_STATES:
            states.add_metric([name], 1 if name == state else 0)
        yield states
        workers = engine.workers()
        yield _gauge("lwdash_slots", "Steps that can run at once.", sum(worker.slots for worker in workers))
        yield _gauge(
            "lwdash_workers", "Workers that get steps.", sum(worker.refused is None for worker in workers)
        )

    def _database(self) -> Iterator[Metric]:
        database = self.dashboard.store.database
        runs = GaugeMetricFamily("lwdash_runs", "Runs by state.", labels=["state"])
        for state, number in runs_by_state(database).items():
            runs.add_metric([state], number)
        yield runs
        steps = queue_by_step(database)
        for name, description in (("queued", "Steps that wait"), ("running", "Steps that run")):
            family = GaugeMetricFamily(f"lwdash_steps_{name}", f"{description}, by step.", labels=["step"])
            for step, number in steps[name].items():
                family.add_metric([step], number)
            yield family
        taken = HistogramMetricFamily(
            "lwdash_run_seconds",
            "Seconds from a run's first claim to its end, by its final state.",
            labels=["state"],
        )
        for state, (counts, total) in run_seconds(database).items():
            buckets = [(str(float(bound)), count) for bound, count in zip(RUN_SECONDS, counts, strict=False)]
            taken.add_metric([state], [*buckets, ("+Inf", counts[-1])], total)
        yield taken


def _gauge(name: str, description: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, description, value)
