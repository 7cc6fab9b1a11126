"""The protobuf reader, on bytes put together by hand after the encoding guide."""

from __future__ import annotations

import pytest

from lwdash.keras_models.saved_model.protobuf_wire import Malformed, Message


def test_fields_of_every_kind() -> None:
    data = bytes([0x08, 0x96, 0x01]) + b"\x12\x07testing" + b"\x19" + bytes(8) + b"\x25" + bytes(4)
    message = Message(data)
    assert message.number(1) == 150
    assert message.text(2) == "testing"
    assert len(message.bytes_of(3)[0]) == 8
    assert len(message.bytes_of(4)[0]) == 4
    assert message.text(9) == ""
    assert message.number(9, 5) == 5


def test_negative_numbers_and_last_value() -> None:
    assert Message(b"\x08" + b"\xff" * 9 + b"\x01").number(1) == -1
    assert Message(b"\x08\x01\x08\x02").number(1) == 2


def test_maps_and_merged_submessages() -> None:
    entry = b"\x0a\x01a" + b"\x12\x02\x08\x07"
    assert Message(b"\x0a" + bytes([len(entry)]) + entry).map_of(1)["a"].number(1) == 7
    assert Message(b"\x0a\x02\x08\x01\x0a\x02\x10\x02").message(1).number(2) == 2


@pytest.mark.parametrize(
    "data",
    [b"\x12\x05ab", b"\x08", b"\x08" + b"\xff" * 11, b"\x0b", b"\x00\x01", b"\x12\xff\xff\xff\xff\x0f"],
)
def test_damage_is_noticed(data: bytes) -> None:
    with pytest.raises(Malformed):
        Message(data)
