"""Arrays of the tests of ONNX: safetensors files of float32 and int32."""
import json

import numpy as np

DTYPES = {"F32": np.float32, "I32": np.int32}


def load(path):
    raw = path.read_bytes()
    n = int.from_bytes(raw[:8], "little")
    out = {}
    for name, t in json.loads(raw[8 : 8 + n]).items():
        a, b = t["data_offsets"]
        out[name] = np.frombuffer(raw[8 + n + a : 8 + n + b], DTYPES[t["dtype"]]).reshape(t["shape"])
    return out
