"""A .tflite as an object that can be changed and written again."""

from typing import Any

ALIGNMENT = 16
"""Weights start at multiples of 16 bytes, so that SIMD loads and microcontrollers can read them in place."""


def read_model(data: bytes) -> Any:
    """The schema's `ModelT` of a .tflite.

    Its arrays are read-only views, since two of them may share the same bytes: assign new ones.
    Buffers after the flatbuffer, as litert-quantizer writes them for larger files, are read from there.
    """
    import numpy as np
    from ai_edge_litert import schema_py_generated as schema

    data = bytes(data)
    model = schema.ModelT.InitFromPackedBuf(data, 0)
    for buffer in model.buffers:
        if buffer.offset > 1:  # 0 and 1 mean that the data are in the flatbuffer
            buffer.data = np.frombuffer(data, np.uint8, buffer.size, buffer.offset)
            buffer.offset = buffer.size = 0
    return model


def write_model(model: Any) -> bytes:
    """The .tflite of a `ModelT`: buffers aligned; equal buffers, vectors and strings stored once."""
    _merge_equal_buffers(model)
    model.buffers = [_aligned(buffer) for buffer in model.buffers]
    builder = _sharing_builder()
    builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
    return bytes(builder.Output())


def text(name: bytes | str | None) -> str:
    """A flatbuffer string as text."""
    return name.decode() if isinstance(name, bytes) else (name or "")


def _sharing_builder() -> Any:
    """A flatbuffer builder that writes equal vectors once.

    Offsets may point to the same place, so readers are not affected. Per-channel quantization repeats the
    same scales and zero points (12 bytes per channel) for every weight and bias. Without the repetitions an
    int8 file of a small model is a sixth smaller. Vectors of offsets are relative to their own position, so
    they are not shared.
    """
    import flatbuffers

    class SharingBuilder(flatbuffers.Builder):
        head: int

        def __init__(self) -> None:
            super().__init__(1024)
            self.places: dict[tuple[int, bytes], int] = {}
            self._open(1, 4)

        def _open(self, item_bytes: int, alignment: int) -> None:
            self.start, self.item_bytes, self.alignment = self.Offset(), item_bytes, max(alignment, 4)
            self.holds_offsets = False

        def StartVector(self, elemSize: int, numElems: int, alignment: int) -> int:
            self._open(elemSize, alignment)
            return super().StartVector(elemSize, numElems, alignment)

        def CreateString(self, s: Any, encoding: str = "utf-8", errors: str = "strict") -> int:
            self._open(1, 4)
            return super().CreateString(s, encoding, errors)

        def PrependUOffsetTRelative(self, off: int) -> None:
            self.holds_offsets = True
            super().PrependUOffsetTRelative(off)

        def EndVector(self, numElems: int | None = None) -> int:
            size = 4 + self.vectorNumElems * self.item_bytes
            place = super().EndVector()
            if self.holds_offsets:
                return place
            key = (self.alignment, bytes(self.Bytes[self.head : self.head + size]))
            if key in self.places:
                self.head = len(self.Bytes) - self.start
            return self.places.setdefault(key, place)

    return SharingBuilder()


def _aligned(buffer: Any) -> Any:
    import numpy as np
    from ai_edge_litert import schema_py_generated as schema

    class AlignedBuffer(schema.BufferT):
        def Pack(self, builder: Any) -> Any:  # the schema's name
            if self.data is None or len(self.data) == 0:
                schema.BufferStart(builder)
                return schema.BufferEnd(builder)
            payload = np.asarray(self.data, dtype=np.uint8).tobytes()
            builder.StartVector(1, len(payload), ALIGNMENT)
            builder.head -= len(payload)
            builder.Bytes[builder.head : builder.head + len(payload)] = payload
            builder.vectorNumElems = len(payload)
            data = builder.EndVector()
            schema.BufferStart(builder)
            schema.BufferAddData(builder, data)
            return schema.BufferEnd(builder)

    copy = AlignedBuffer()
    copy.data = buffer.data
    return copy


def _merge_equal_buffers(model: Any) -> None:
    """Point every tensor to the first of equal buffers and remove unused buffers.

    Buffer 0 stays the empty one, as the format requires; all non-constant tensors may share it.
    """
    first: dict[bytes, int] = {b"": 0}
    kept = [model.buffers[0]]

    def place(index: int) -> int:
        data = model.buffers[index].data
        payload = (
            b""
            if data is None
            else bytes(memoryview(data).cast("B"))
            if not isinstance(data, list)
            else bytes(data)
        )
        if payload not in first:
            first[payload] = len(kept)
            kept.append(model.buffers[index])
        return first[payload]

    for graph in model.subgraphs:
        for tensor in graph.tensors:
            tensor.buffer = 0 if tensor.isVariable else place(tensor.buffer)
    for entry in model.metadata or ():
        entry.buffer = place(entry.buffer)
    model.metadataBuffer = None
    model.buffers = kept
