"""ONNX graphs that became Keras layers, in the real Keras 3: python onnx_layers.py DIRECTORY 3

Every DIRECTORY/NAME.layers.keras gives the outputs of the ONNX model NAME, which lie beside it. Findings go to onnx-layers.json: null, or what is wrong.
"""
import json

from oracle import keras, root

import numpy as np

from onnx_arrays import load

results = {}
for path in sorted(root.glob("*.layers.keras")):
    name = path.name.removesuffix(".layers.keras")
    try:
        model = keras.models.load_model(str(path))
        arrays = load(root / f"{name}.onnx.safetensors")
        given = {k[3:]: v for k, v in arrays.items() if k.startswith("in:")}
        found = model([given[i.name] for i in model.inputs], training=False)
        found = found if isinstance(found, (list, tuple)) else [found]
        expected = [v for k, v in arrays.items() if k.startswith("out:")]
        worst = max(float(np.max(np.abs(np.asarray(a) - b) / (1 + np.abs(b)), initial=0)) for a, b in zip(found, expected, strict=True))
        results[name] = None if worst <= 1e-5 else f"differs by {worst:.2e}"
    except Exception as e:
        results[name] = f"{type(e).__name__}: {str(e)[:400]}"
(root / "onnx-layers.json").write_text(json.dumps(results))
