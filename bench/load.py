"""ResNet50 in an H5 file of the real Keras: `load.py make FILE` writes it, `load.py read FILE` reads all its arrays with h5py and prints how long that took, and a digest of each."""
import hashlib
import json
import os
import sys
import time


def make(path):
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    import tf_keras

    tf_keras.utils.set_random_seed(7)
    tf_keras.applications.ResNet50(weights=None).save(path, save_format="h5")


def read(path):
    import h5py

    arrays = []
    start = time.perf_counter()
    with h5py.File(path, "r") as f:
        f["model_weights"].visititems(lambda _, x: arrays.append(x[()]) if isinstance(x, h5py.Dataset) else None)
    ms = (time.perf_counter() - start) * 1e3
    print(json.dumps({"kind": "load", "ms": ms, "digests": sorted(hashlib.md5(a.tobytes()).hexdigest() for a in arrays)}))


{"make": make, "read": read}[sys.argv[1]](sys.argv[2])
