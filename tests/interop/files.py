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


def run(job):
    custom = {"Scale": Scale}
    arrays = load(root / f"{job['name']}.safetensors")
    x, y = numbered(arrays, "x"), numbered(arrays, "y")
    if job["kind"] == "weights":
        model = keras.models.model_from_json((root / job["architecture"]).read_text(), custom_objects=custom)
        model.load_weights(str(root / job["file"]))
    else:
        model = keras.models.load_model(str(root / job["file"]), custom_objects=custom)
    out = {}
    p = model(one(x), training=False)
    out |= {f"p{i}": np.asarray(a, np.float32) for i, a in enumerate(p if isinstance(p, (list, tuple)) else [p])}
    if job["kind"] == "model":
        losses = []
        for _ in range(job["steps"]):
            if hasattr(model, "reset_metrics"):
                model.reset_metrics()
            losses.append(float(np.ravel(model.train_on_batch(one(x), one(y)))[0]))
        out["losses"] = np.asarray(losses, np.float32)
    out |= {f"w{i}": np.asarray(w, np.float32) for i, w in enumerate(model.get_weights())}
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
