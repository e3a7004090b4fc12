"""Files of odd models: python odd.py DIRECTORY {2|3} writes them; what Tenon made of them comes back through files.py.

Each model of odd_models.py gets random weights, trains two steps where it is compiled, and is saved in all ways. DIRECTORY/odd{2|3}.json tells names, files, and what Keras could not write.
NAME.safetensors has inputs x0, …, targets y0, …, predictions p0, …, weights w0, … and the losses of the next steps.
"""
import json
import sys
import traceback

from oracle import keras, one, root, save, version

import numpy as np

from odd_models import BUILDERS

STEPS = 3


def listed(x):
    return [x[k] for k in sorted(x)] if isinstance(x, dict) else list(x) if isinstance(x, (list, tuple)) else [x]


def write(name, build):
    rng = np.random.default_rng(len(name))
    f = lambda *s: rng.standard_normal(s).astype(np.float32)
    ints = lambda limit, *s: rng.integers(0, limit, s).astype(np.int32)
    keras.backend.clear_session()
    model, x, y, given = build(keras, version, f, ints)
    values = []
    for v in model.weights:
        w = v.numpy()
        keep = w.dtype.kind != "f" or any(s in v.name for s in ("mean", "variance", "count", "seed")) and "moving" not in v.name
        values.append(w if keep else (np.abs(f(*w.shape)) * 0.3 + (0.1 if "variance" in v.name else 0.0) if "variance" in v.name else f(*w.shape) * 0.3).astype(w.dtype))
    model.set_weights(values)
    entry = {"name": name, "files": [], "faults": {}, "steps": 0, "targets": 0}
    feed = x if isinstance(x, dict) else one(x)
    arrays = {f"x{i}": a for i, a in enumerate(x.values() if isinstance(x, dict) else x)}
    if isinstance(x, dict):
        entry["inputs"] = list(x)
    if given is not None:
        model.compile(**given)
        # each step by itself: tracing would take most of the time
        model.run_eagerly = True
        entry["steps"], entry["targets"] = STEPS, len(y)
        arrays |= {f"y{i}": a for i, a in enumerate(y)}
        for _ in range(2):
            model.train_on_batch(feed, one(y))
    (root / f"{name}.odd{version}.json").write_text(model.to_json())
    # H5 last: writing it, Keras 3 takes the optimizer out of what it writes into .keras files from then on
    kinds = {"keras": lambda p: model.save(p), "weights.h5": lambda p: model.save_weights(p)}
    if version == 2:
        kinds["w.h5"] = lambda p: model.save_weights(p)
        kinds["ckpt"] = lambda p: model.save_weights(p, save_format="tf")
    kinds["h5"] = lambda p: model.save(p)
    if name == "lookup_adapted":  # what adapt learned is in no other file
        kinds = {"keras": kinds["keras"]}
    for ending, put in kinds.items():
        file = f"{name}.odd{version}.{ending}"
        try:
            put(str(root / file))
            entry["files"].append(file)
        except Exception as error:
            entry["faults"][file] = str(error)[:200]
    for layer in getattr(model, "layers", []):
        if getattr(layer, "stateful", False) and hasattr(layer, "reset_states"):
            layer.reset_states()
    p = listed(model(feed, training=False))
    arrays |= {f"p{i}": np.asarray(a, np.float32) for i, a in enumerate(p)}
    arrays |= {f"w{i}": np.asarray(w, np.float32) for i, w in enumerate(model.get_weights())}
    if given is not None:
        losses = []
        for _ in range(STEPS):
            model.reset_metrics()
            losses.append(float(np.ravel(model.train_on_batch(feed, one(y)))[0]))
        arrays["losses"] = np.asarray(losses, np.float32)
        arrays |= {f"a{i}": np.asarray(w, np.float32) for i, w in enumerate(model.get_weights())}
        if name.startswith("metrics_"):
            logs = model.evaluate(feed, one(y), batch_size=5, verbose=0, return_dict=True)
            entry["logs"] = {k: float(v) for k, v in logs.items()}
    save(root / f"{name}.odd{version}.safetensors", {k: np.asarray(a, np.int32 if np.asarray(a).dtype.kind == "i" else np.float32) for k, a in arrays.items()})
    return entry


done = []
for name, (build, versions) in BUILDERS.items():
    if version in versions:
        try:
            done.append(write(name, build))
        except Exception as error:
            done.append({"name": name, "files": [], "faults": {name: "".join(traceback.format_exception_only(error)).strip()[:500]}, "steps": 0, "targets": 0})
(root / f"odd{version}.json").write_text(json.dumps(done))
sys.exit(0)
