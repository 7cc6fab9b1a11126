"""Layers and graph of a small file, as they are measured."""

LAYERS = [
    {"index": 0, "subgraph": 0, "type": "CONV_2D", "layer": "conv", "parameters": 30, "bytes": 100, "weight_bytes": 60,
     "quantization_bytes": 20, "graph_bytes": 15, "name_bytes": 5, "constant_bytes": 0, "sparsity": 0.5,
     "output_sqnr_db": 40.0, "macs": 1000, "time_share": 0.75},
    {"index": 1, "subgraph": 0, "type": "ADD", "layer": "conv", "parameters": 10, "bytes": 40, "weight_bytes": 10,
     "quantization_bytes": 10, "graph_bytes": 15, "name_bytes": 5, "constant_bytes": 0, "sparsity": 0.1,
     "output_sqnr_db": 12.0, "macs": 0, "time_share": 0.25},
    {"index": 2, "subgraph": 0, "type": "SOFTMAX", "layer": None, "name": "out", "parameters": 0, "bytes": 30,
     "weight_bytes": 0, "quantization_bytes": 10, "graph_bytes": 20, "name_bytes": 0, "constant_bytes": 0,
     "sparsity": None, "output_sqnr_db": None},
]  # fmt: skip

GRAPH = {
    "nodes": [{"index": i, "type": row["type"], "layer": row["layer"]} for i, row in enumerate(LAYERS)],
    "ports": [{"id": "in:0", "name": 'an "input"', "dtype": "int8", "shape": [-1, 8]},
              {"id": "out:0", "name": "out", "dtype": "int8", "shape": [1, 3]}],
    "edges": [{"from": "in:0", "to": 0, "dtype": "int8", "shape": [-1, 8]},
              {"from": 0, "to": 1, "dtype": "int8", "shape": [1, 8]},
              {"from": 1, "to": 2, "dtype": "int8", "shape": []},
              {"from": 2, "to": "out:0", "dtype": "int8", "shape": [1, 3]}],
    "subgraphs": 1,
}  # fmt: skip
