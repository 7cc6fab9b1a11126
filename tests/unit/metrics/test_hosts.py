"""Times of different hosts are never in one column."""

from typing import Any

from lwdash.metrics.hosts import columns_of_hosts


def result(
    ms: float | None, *, host: str = "11111111", litert: str = "2.3.0", label: str = "Pi 4"
) -> dict[str, Any]:
    metrics = {
        "latency_ms_p50": {"value": ms},
        "speedup": {"value": 2.0},
        "added_memory_bytes": {"value": 5000},
    }
    return {
        "label": label,
        "host": {"id": host, "threads": 1, "litert": litert},
        "metrics": metrics if ms else {},
    }


def test_a_device_has_one_column_for_each_metric() -> None:
    columns = columns_of_hosts(
        {2: {"device_1": result(3.0), "tflm": {"metrics": {}}}, 3: {"device_1": result(None)}}
    )
    by_metric = {column.metric: column for column in columns}
    assert len(columns) == len(by_metric) == 4
    assert by_metric["latency_ms_p50"].heading == "p50 on Pi 4 (µs)"
    assert by_metric["latency_ms_p50"].values == {2: 3000.0, 3: None}
    assert by_metric["added_memory_bytes"].values[2] == 5.0


def test_after_an_update_a_device_is_another_host() -> None:
    columns = columns_of_hosts(
        {2: {"device_1": result(3.0)}, 3: {"device_1": result(2.0, host="22222222", litert="2.4.0")}}
    )
    times = [column for column in columns if column.metric == "latency_ms_p50"]
    assert [column.values for column in times] == [{2: 3000.0}, {3: 2000.0}]
    assert [column.heading for column in times] == [
        "p50 on Pi 4, LiteRT 2.3.0, 11111111 (µs)",
        "p50 on Pi 4, LiteRT 2.4.0, 22222222 (µs)",
    ]


def test_two_devices_of_one_kind_have_columns_of_their_own() -> None:
    columns = columns_of_hosts({2: {"device_1": result(3.0), "device_2": result(4.0, label="Pi 4 b")}})
    times = {column.heading: column.values for column in columns if column.metric == "latency_ms_p50"}
    assert times == {"p50 on Pi 4 (µs)": {2: 3000.0}, "p50 on Pi 4 b (µs)": {2: 4000.0}}


def test_targets_without_times_have_no_column() -> None:
    assert columns_of_hosts({2: {"tflm": {"metrics": {}}}}) == []


def test_another_runtime_is_compared_with_litert() -> None:
    columns = columns_of_hosts({2: {"openvino": result(3.0, label="OpenVINO")}})
    assert [column.heading for column in columns] == [
        "p50 in OpenVINO (µs)",
        "OpenVINO / LiteRT",
        "Rows that differ in OpenVINO",
    ]
