"""The references between tables of the .tflite schema: the fields that are not plain numbers, by slot.

A slot is the field's place in the table's vtable. Kinds: "text"; "bytes1" … "bytes8", a vector with elements
of that many bytes; "Name", a table; "[Name]", a vector of tables; "union Enumeration", a table whose type is
in the slot before. A table that is not listed has only plain numbers. A test compares this with LiteRT's
generated reader.
"""

from __future__ import annotations

TABLES: dict[str, dict[int, str]] = {
    "Model": {
        1: "[OperatorCode]", 2: "[SubGraph]", 3: "text", 4: "[Buffer]", 5: "bytes4", 6: "[Metadata]",
        7: "[SignatureDef]", 8: "[ExternalBufferGroup]", 9: "[ExternalBuffer]",
    },
    "OperatorCode": {1: "text"},
    "SubGraph": {0: "[Tensor]", 1: "bytes4", 2: "bytes4", 3: "[Operator]", 4: "text"},
    "Tensor": {
        0: "bytes4", 3: "text", 4: "QuantizationParameters", 6: "SparsityParameters", 7: "bytes4",
        9: "[VariantSubType]",
    },
    "Operator": {
        1: "bytes4", 2: "bytes4", 4: "union BuiltinOptions", 5: "bytes1", 7: "bytes1", 8: "bytes4",
        12: "union BuiltinOptions2",
    },
    "Buffer": {0: "bytes1"},
    "QuantizationParameters": {
        0: "bytes4", 1: "bytes4", 2: "bytes4", 3: "bytes8", 5: "union QuantizationDetails",
    },
    "CustomQuantization": {0: "bytes1"},
    "BlockwiseQuantization": {3: "bytes4"},
    "MultiAxisQuantization": {3: "bytes4"},
    "SparsityParameters": {0: "bytes4", 1: "bytes4", 2: "[DimensionMetadata]"},
    "DimensionMetadata": {3: "union SparseIndexVector", 5: "union SparseIndexVector"},
    "Int32Vector": {0: "bytes4"},
    "Uint16Vector": {0: "bytes2"},
    "Uint8Vector": {0: "bytes1"},
    "VariantSubType": {0: "bytes4"},
    "Metadata": {0: "text"},
    "SignatureDef": {0: "[TensorMap]", 1: "[TensorMap]", 2: "text"},
    "TensorMap": {0: "text"},
    "ExternalBufferGroup": {0: "text"},
    "ExternalBuffer": {4: "text"},
    "FullyConnectedOptions": {5: "bytes1"},
    "ReshapeOptions": {0: "bytes4"},
    "SqueezeOptions": {0: "bytes4"},
    "ConcatEmbeddingsOptions": {1: "bytes4", 2: "bytes4"},
    "BucketizeOptions": {0: "bytes4"},
    "VarHandleOptions": {0: "text", 1: "text"},
    "StableHLOCompositeOptions": {0: "text", 2: "bytes1"},
    "StablehloBroadcastInDimOptions": {0: "bytes8"},
    "StablehloCaseOptions": {0: "bytes4"},
    "StablehloConvolutionOptions": {
        0: "bytes8", 1: "bytes8", 2: "bytes8", 3: "bytes8", 4: "bytes1", 7: "bytes8", 10: "bytes8",
        13: "bytes8", 16: "bytes4",
    },
    "StablehloCustomCallOptions": {0: "text", 2: "text", 4: "bytes4", 5: "bytes1"},
    "StablehloDotGeneralOptions": {0: "bytes8", 1: "bytes8", 2: "bytes8", 3: "bytes8", 4: "bytes4"},
    "StablehloDynamicSliceOptions": {0: "bytes8"},
    "StablehloGatherOptions": {0: "bytes8", 1: "bytes8", 2: "bytes8", 4: "bytes8"},
    "StablehloPadOptions": {0: "bytes8", 1: "bytes8", 2: "bytes8"},
    "StablehloReduceOptions": {0: "bytes8"},
    "StablehloReduceWindowOptions": {0: "bytes8", 1: "bytes8", 2: "bytes8", 3: "bytes8", 4: "bytes8"},
    "StablehloScatterOptions": {1: "bytes8", 2: "bytes8", 3: "bytes8"},
    "StablehloSliceOptions": {0: "bytes8", 1: "bytes8", 2: "bytes8"},
    "StablehloTransposeOptions": {0: "bytes8"},
}  # fmt: skip
