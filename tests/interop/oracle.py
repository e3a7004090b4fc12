"""The real Keras on the other side of the interoperability tests: python oracle.py DIRECTORY {2|3}

DIRECTORY/jobs.json lists jobs. `read`: a model that Tenon wrote (configuration and weights) is loaded, predicts, and trains some steps; results go to
NAME.keras.safetensors. `write`: a model of `models()` below is built here; configuration, weights, data, predictions and a training trajectory are
written for Tenon to read. 2 is tf_keras, 3 is keras on TensorFlow. Arrays travel as safetensors, by hand: an 8-byte length, a JSON header, the bytes.
"""
import json
import os
import pathlib
import struct
import sys

root, version = pathlib.Path(sys.argv[1]), int(sys.argv[2])
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
os.environ["CUDA_VISIBLE_DEVICES"] = ""
os.environ["KERAS_BACKEND"] = "tensorflow"

import numpy as np
import tensorflow as tf

tf.config.threading.set_inter_op_parallelism_threads(1)
if version == 2:
    import tf_keras as keras
else:
    import keras
L = keras.layers

DTYPES = {"F32": np.float32, "I32": np.int32, "F64": np.float64, "U8": np.uint8}


def load(path):
    raw = path.read_bytes()
    (n,) = struct.unpack("<Q", raw[:8])
    header = json.loads(raw[8 : 8 + n])
    out = {}
    for name, t in header.items():
        if name != "__metadata__":
            a, b = t["data_offsets"]
            out[name] = np.frombuffer(raw[8 + n + a : 8 + n + b], DTYPES[t["dtype"]]).reshape(t["shape"])
    return out


def save(path, arrays):
    header, data = {}, b""
    for name, a in arrays.items():
        a = np.ascontiguousarray(a)
        code = {"float32": "F32", "int32": "I32"}[a.dtype.name]
        header[name] = {"dtype": code, "shape": list(a.shape), "data_offsets": [len(data), len(data) + a.nbytes]}
        data += a.tobytes()
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)


def numbered(arrays, prefix):
    return [arrays[f"{prefix}{i}"] for i in range(len(arrays)) if f"{prefix}{i}" in arrays]


def one(list_):
    return list_ if len(list_) > 1 else list_[0]


def run(model, arrays, job):
    """Predictions, then `steps` training steps on the same batch: the losses and the weights after them."""
    x, y = numbered(arrays, "x"), numbered(arrays, "y")
    out = {f"p{i}": np.asarray(p, np.float32) for i, p in enumerate([model(one(x), training=False)] if len(model.outputs) == 1 else model(one(x), training=False))}
    if job.get("compile"):
        c = job["compile"]
        # By class: optimizers.get of tf_keras makes a legacy optimizer of a configuration that does not deny it.
        optimizer = getattr(keras.optimizers, c["optimizer"]["class_name"]).from_config(c["optimizer"]["config"])
        model.compile(optimizer=optimizer, loss=c["loss"])
        losses = []
        for _ in range(job["steps"]):
            if hasattr(model, "reset_metrics"):
                model.reset_metrics()
            losses.append(float(np.ravel(model.train_on_batch(one(x), one(y)))[0]))
        out["losses"] = np.asarray(losses, np.float32)
        out |= {f"w{i}": w for i, w in enumerate(model.get_weights())}
    return out


def models():
    """Models for Tenon to read: name, model, inputs, targets, compile arguments."""
    rng = np.random.default_rng(7)
    f = lambda *s: rng.standard_normal(s).astype(np.float32)
    classes = lambda n, c: rng.integers(0, c, n).astype(np.int32)

    m = keras.Sequential([keras.Input((12,)), L.Dense(16, activation="relu", kernel_regularizer="l2"), L.BatchNormalization(), L.Dropout(0.0), L.Dense(5, activation="softmax")])
    yield "mlp", m, [f(8, 12)], [classes(8, 5)], {"loss": "sparse_categorical_crossentropy", "optimizer": keras.optimizers.Adam(0.01)}

    m = keras.Sequential([
        keras.Input((10, 10, 3)), L.Conv2D(8, 3, padding="same", activation="relu"), L.DepthwiseConv2D(3), L.BatchNormalization(), L.Activation("relu"), L.MaxPooling2D(2),
        L.Conv2D(6, (2, 3), strides=1, use_bias=False), L.AveragePooling2D(2, padding="same"), L.Flatten(), L.Dense(3, activation="softmax")])
    yield "cnn", m, [f(4, 10, 10, 3)], [np.eye(3, dtype=np.float32)[classes(4, 3)]], {"loss": "categorical_crossentropy", "optimizer": keras.optimizers.SGD(0.01, momentum=0.9, nesterov=True)}

    a, b = keras.Input((6,), name="left"), keras.Input((6,), name="right")
    shared = L.Dense(8, activation="tanh", name="shared")
    u, v = shared(a), shared(b)
    h = L.LayerNormalization()(L.Add()([u, v]))
    o = L.Dense(1, activation="sigmoid")(L.Concatenate()([h, u, v]))
    yield "functional", keras.Model([a, b], o), [f(8, 6), f(8, 6)], [classes(8, 2).reshape(8, 1).astype(np.float32)], {"loss": "binary_crossentropy", "optimizer": keras.optimizers.RMSprop(0.01)}

    m = keras.Sequential([keras.Input((9,), dtype="int32"), L.Embedding(40, 6), L.LSTM(7, return_sequences=True), L.LSTM(5), L.Dense(2)])
    tokens = rng.permutation(40)[:36].astype(np.int32).reshape(4, 9)  # none twice: Keras 3 sums squares of a repeated row's gradients
    yield "sequence", m, [tokens], [f(4, 2)], {"loss": "mse", "optimizer": keras.optimizers.Adam(0.005)}


def serialized_optimizer(o):
    config = {k: v for k, v in o.get_config().items() if isinstance(v, (int, float, bool, str)) or v is None}
    return {"class_name": type(o).__name__, "config": {k: float(v) if isinstance(v, np.floating) else v for k, v in config.items()}}


def main():
    done = []
    for job in json.loads((root / "jobs.json").read_text()):
        if job["kind"] == "read" and version in job["keras"]:
            model = keras.models.model_from_json((root / f"{job['name']}.json").read_text())
            arrays = load(root / f"{job['name']}.safetensors")
            model.set_weights(numbered(arrays, "w"))
            save(root / f"{job['name']}.keras{version}.safetensors", run(model, {k: v for k, v in arrays.items() if k[0] != "w"}, job))
            done.append(job["name"])
        if job["kind"] == "write":
            for name, model, x, y, compile_ in models():
                rng = np.random.default_rng(11)
                model.set_weights([np.abs(rng.standard_normal(w.shape) * 0.3).astype(np.float32) if "variance" in v.name else (rng.standard_normal(w.shape) * 0.3).astype(np.float32)
                                   for v, w in zip(model.weights, model.get_weights())])
                given = {f"x{i}": a for i, a in enumerate(x)} | {f"y{i}": a for i, a in enumerate(y)} | {f"v{i}": w for i, w in enumerate(model.get_weights())}
                described = {"optimizer": serialized_optimizer(compile_["optimizer"]), "loss": compile_["loss"]}
                (root / f"{name}.from{version}.json").write_text(json.dumps({"model": json.loads(model.to_json()), "compile": described, "steps": job["steps"]}))
                save(root / f"{name}.from{version}.safetensors", given | run(model, given, {"compile": described, "steps": job["steps"]}))
                done.append(f"{name}.from{version}")
    print(json.dumps(done))


if __name__ == "__main__":
    main()
