"""Configurations of layers of the real Keras: python layers.py DIRECTORY {2|3}

DIRECTORY/layer-configs.json lists cases: `name`, `cls`, `args` (layers as arguments are {"layer": class, ...arguments}), `keras` (which versions). layer-configs.keras{2,3}.json
gets `config`, or `error`. layer-configs.ours{2,3}.json, which is written here before, holds configurations of Tenon: `read` says what became of them.
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

if version == 2:
    import tf_keras as keras
else:
    import keras


def plain(x):
    if isinstance(x, dict):
        return {k: plain(v) for k, v in x.items()}
    if isinstance(x, (list, tuple)):
        return [plain(v) for v in x]
    if isinstance(x, (np.generic, np.ndarray)):
        return plain(x.tolist())
    if hasattr(x, "get_config"):
        return {"class_name": type(x).__name__, "config": plain(x.get_config())}
    return x if isinstance(x, (str, int, float, bool, type(None))) else str(x)


def argument(x):
    if isinstance(x, dict) and "layer" in x and isinstance(x["layer"], str):
        return make(x["layer"], {k: v for k, v in x.items() if k != "layer"})
    if isinstance(x, dict) and "class_name" not in x:
        return {k: argument(v) for k, v in x.items()}
    return [argument(v) for v in x] if isinstance(x, list) else x


def make(cls, args):
    return getattr(keras.layers, cls)(**{k: argument(v) for k, v in args.items()})


def attempt(body):
    try:
        return {"config": plain(body().get_config())}
    except Exception as error:
        return {"error": f"{type(error).__name__}: {str(error)[:300]}"}


cases = [c for c in json.loads((root / "layer-configs.json").read_text()) if version in c["keras"]]
ours = json.loads((root / f"layer-configs.ours{version}.json").read_text())
results = {}
for c in cases:
    theirs = attempt(lambda: make(c["cls"], {**c["args"], "name": c["name"]}))
    again = attempt(lambda: getattr(keras.layers, c["cls"]).from_config(ours[c["name"]])) if c["name"] in ours else {"error": "not written"}
    results[c["name"]] = {"theirs": theirs, "again": again}
(root / f"layer-configs.keras{version}.json").write_text(json.dumps(results))
