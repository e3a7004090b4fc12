"""Preprocessing layers of the real Keras: python preprocessing.py DIRECTORY {2|3}

DIRECTORY/preprocessing.json lists cases: `class`, `config` (arguments), `adapt` (data) and `inputs` (arrays as nested lists), `training`, `text` (inputs are strings),
`keras` (which versions). Results go to preprocessing.keras{2,3}.json: `config` after the calls, `output`, and where there is one `vocabulary`.
"""
import json
import os
import pathlib
import sys

root, version = pathlib.Path(sys.argv[1]), int(sys.argv[2])
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
os.environ["CUDA_VISIBLE_DEVICES"] = ""
os.environ["KERAS_BACKEND"] = "tensorflow"

import numpy as np
import tensorflow as tf

if version == 2:
    import tf_keras as keras
else:
    import keras


def plain(x):
    if isinstance(x, dict):
        return {k: plain(v) for k, v in x.items()}
    if isinstance(x, (list, tuple)):
        return [plain(v) for v in x]
    if isinstance(x, np.generic):
        return x.item()
    if isinstance(x, np.ndarray):
        return plain(x.tolist())
    if isinstance(x, bytes):
        return x.decode()
    return x


def array(values, dtype):
    if dtype == "string":
        return tf.constant(values)
    return tf.constant(values, {"int": "int64", "float": "float32"}[dtype])


def run(case):
    layer = getattr(keras.layers, case["class"])(**case["config"])
    if case.get("adapt") is not None:
        layer.adapt(array(case["adapt"], case["dtype"]))
    inputs = [array(x, d) for x, d in zip(case["inputs"], case.get("dtypes", [case["dtype"]] * len(case["inputs"])))]
    call = {"training": case["training"]} if "training" in case else {}
    output = layer(inputs if len(inputs) > 1 else inputs[0], **call)
    output = output.to_tensor() if hasattr(output, "to_tensor") else output
    result = {"config": plain(layer.get_config()), "output": plain(np.array(output)), "shape": list(output.shape)}
    if hasattr(layer, "get_vocabulary"):
        result["vocabulary"] = plain(layer.get_vocabulary())
    if "shape" in case:
        files(case, layer, inputs, result)
    if case["class"] == "Discretization":
        result["boundaries"] = plain(layer.bin_boundaries)
    return result


def files(case, layer, inputs, result):
    """The layer's file for Tenon, in a model; and what the layer of Tenon's file gives here."""
    x = keras.Input(case["shape"], dtype=inputs[0].dtype)
    model = keras.Model(x, layer(x))
    try:
        model.save(root / f"{case['name']}.{version}.keras")
        keras.models.load_model(root / f"{case['name']}.{version}.keras")
    except Exception as error:
        result["not_saved"] = f"{type(error).__name__}: {str(error)[:200]}"
    try:
        loaded = keras.models.load_model(root / f"{case['name']}.tenon{version}.keras").layers[-1]
        result["of_tenon"] = {"output": plain(np.array(loaded(inputs[0]))), "vocabulary": plain(loaded.get_vocabulary())}
    except Exception as error:
        result["of_tenon"] = {"error": f"{type(error).__name__}: {str(error)[:300]}"}


results = {}
for case in json.loads((root / "preprocessing.json").read_text()):
    if version not in case["keras"]:
        continue
    try:
        results[case["name"]] = run(case)
    except Exception as error:  # the test says which errors it expects
        results[case["name"]] = {"error": f"{type(error).__name__}: {str(error)[:300]}"}
(root / f"preprocessing.keras{version}.json").write_text(json.dumps(results))
