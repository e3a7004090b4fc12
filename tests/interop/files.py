"""Files that Tenon wrote, in the real Keras: python files.py DIRECTORY {2|3}

DIRECTORY/files.json lists jobs: a file, its kind, arrays x0, y0, … for `steps` training steps, and `custom` where the model has the layer Scale. A whole model is loaded, predicts and
trains on from its optimizer's state; weights are loaded into a model of the architecture given. Results go to NAME.out.safetensors.
"""
import json
import sys
import traceback

from oracle import keras, load, numbered, one, root, save, version

import numpy as np


class Scale(keras.layers.Layer):
    def __init__(self, shift=0.0, **kwargs):
        super().__init__(**kwargs)
        self.shift = shift

    def build(self, shape):
        self.factor = self.add_weight(name="factor", shape=(shape[-1],), initializer="ones")
        super().build(shape)

    def call(self, x):
        return x * self.factor + self.shift

    def get_config(self):
        return {**super().get_config(), "shift": self.shift}


def tfjs(path, custom):
    """A model of TensorFlow.js as its format is described: weights one after the other in the shards of their group, in the order of layers."""
    model_json = json.loads(path.read_text())
    model = keras.models.model_from_json(json.dumps(model_json["modelTopology"]["model_config"]), custom_objects=custom)
    found = {}
    for group in model_json["weightsManifest"]:
        data, at = b"".join((path.parent / p).read_bytes() for p in group["paths"]), 0
        for w in group["weights"]:
            n = int(np.prod(w["shape"], dtype=int)) * 4
            found[w["name"]] = np.frombuffer(data[at : at + n], w["dtype"]).reshape(w["shape"])
            at += n
        assert at == len(data)
    weights = [w for layer in model.layers for w in layer.trainable_weights + layer.non_trainable_weights]
    unique = list({id(w): w for w in weights}.values())
    assert len(unique) == len(found), (len(unique), len(found))
    for w, value in zip(unique, found.values()):
        w.assign(value)
    return model


def named(model, arrays):
    """Weights by their names; of equal ones the second is called name_1."""
    used = {}
    for w in model.weights:
        name = w.name.split(":")[0]
        n = used[name] = used.get(name, -1) + 1
        w.assign(arrays.pop(name if n == 0 else f"{name}_{n}"))
    assert not arrays, list(arrays)


def steps(model, job, x, y):
    losses = []
    for _ in range(job["steps"]):
        if hasattr(model, "reset_metrics"):
            model.reset_metrics()
        losses.append(float(np.ravel(model.train_on_batch(one(x), one(y)))[0]))
    return np.asarray(losses, np.float32)


def run(job):
    custom = {"Scale": Scale}
    kind, path = job["kind"], root / job["file"]
    arrays = load(root / f"{job['name']}.safetensors")
    x, y = numbered(arrays, "x"), numbered(arrays, "y")
    if kind == "tfjs":
        model = tfjs(path, custom)
    elif kind in ("model", "untrained"):
        model = keras.models.load_model(str(path), custom_objects=custom)
    else:
        model = keras.models.model_from_json((root / job["architecture"]).read_text(), custom_objects=custom)
        if kind == "weights":
            model.load_weights(str(path))
        elif kind == "checkpoint":
            given = json.loads((root / f"{job['architecture']}.compile").read_text())
            given["optimizer"]["config"]["is_legacy_optimizer"] = False
            # by class: tf_keras does not find all of its own by name
            optimizer = getattr(keras.optimizers, given["optimizer"]["class_name"]).from_config(given["optimizer"]["config"])
            model.compile(optimizer, given["loss"])
            # where Keras' own checkpoint passes: slots are made and the training function is there
            model.optimizer.build(model.trainable_variables)
            model.load_weights(str(path)).assert_consumed()
        else:
            named(model, dict(np.load(path)) if kind == "npz" else load(path))
    out = {}
    p = model(one(x), training=False)
    out |= {f"p{i}": np.asarray(a, np.float32) for i, a in enumerate(p if isinstance(p, (list, tuple)) else [p])}
    if kind in ("model", "checkpoint"):
        out["losses"] = steps(model, job, x, y)
    out |= {f"w{i}": np.asarray(w, np.float32) for i, w in enumerate(model.get_weights())}
    if version == 2 and kind == "model" and job["name"].endswith(".h5"):
        # to be read by Tenon; a SavedModel takes Keras long
        model.save_weights(str(root / f"{job['name']}.checkpoint"), save_format="tf")
        if job["name"].split(".")[0] in ("mlp", "functional", "sequence", "nested", "custom"):
            model.save(str(root / f"{job['name']}.savedmodel"), save_format="tf")
        out["more"] = steps(model, job, x, y)
    save(root / f"{job['name']}.out.safetensors", out)


results = {}
for job in json.loads((root / "files.json").read_text()):
    if job["keras"] == version:
        try:
            run(job)
            results[job["name"]] = None
        except Exception as error:
            results[job["name"]] = "".join(traceback.format_exception_only(error)).strip().replace("\n", " ")[:500]
(root / f"files{version}.json").write_text(json.dumps(results))
sys.exit(0)
