"""Trained models as they are published, in onnxruntime: python real.py MODELS DIRECTORY

MODELS holds the .onnx files. For each the inputs and onnxruntime's outputs are written to DIRECTORY/NAME.safetensors: file types of some seeded contents (magika), and
voice activity in 100 windows of seeded, audio-like sound, the state carried over (silero-vad).
"""
import json
import pathlib
import struct
import sys

sys.path = [p for p in sys.path if pathlib.Path(p or ".").resolve() != pathlib.Path(__file__).resolve().parent]
import numpy as np
import onnxruntime as ort

ort.set_default_logger_severity(3)
models, out = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
rng = np.random.default_rng(11)


def save(path, arrays):
    header, data = {}, b""
    for name, a in arrays.items():
        a = np.ascontiguousarray(a)
        header[name] = {"dtype": {"float32": "F32", "int32": "I32"}[a.dtype.name], "shape": list(a.shape), "data_offsets": [len(data), len(data) + a.nbytes]}
        data += a.tobytes()
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)


def session(name):
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    return ort.InferenceSession(str(models / name), options, providers=["CPUExecutionProvider"])


contents = rng.integers(0, 257, (5, 2048)).astype(np.int32)
text = b"import numpy as np\n\n\ndef main():\n    print(np.zeros(3))\n" * 60
contents[1] = np.frombuffer(text[:2048], np.uint8)
contents[2, 40:] = 256
contents[3] = 256
short = b'{"name": "tenon", "version": 1, "list": [1, 2, 3]}\n'
contents[3, : len(short)] = np.frombuffer(short, np.uint8)
(labels,) = session("magika.onnx").run(None, {"bytes": contents})
save(out / "magika.safetensors", {"bytes": contents, "target_label": labels})

# words: a fundamental that glides, overtones, pauses, noise
windows, size, context = 100, 512, 64
t = np.arange(windows * size) / 16000
pitch = 120 + 40 * np.sin(2 * np.pi * 0.7 * t)
phase = 2 * np.pi * np.cumsum(pitch) / 16000
voice = sum(np.sin(k * phase) / k * (1 + 0.5 * np.sin(2 * np.pi * 3 * t + k)) for k in range(1, 20))
loud = np.clip(np.sin(2 * np.pi * 0.9 * t), 0, 1) * (0.6 + 0.4 * np.sin(2 * np.pi * 5 * t))
sound = (0.2 * voice * loud + 0.01 * rng.standard_normal(t.size)).astype(np.float32)
padded = np.concatenate([np.zeros(context, np.float32), sound])
frames = np.stack([padded[i * size : i * size + size + context] for i in range(windows)])
for name in ("silero_vad", "silero_vad_16k_op15", "silero_vad_op18_ifless"):
    s = session(f"{name}.onnx")
    state, probabilities = np.zeros((2, 1, 128), np.float32), []
    for f in frames:
        p, state = s.run(["output", "stateN"], {"input": f[None], "state": state, "sr": np.array(16000, np.int64)})
        probabilities.append(p[0, 0])
    save(out / f"{name}.safetensors", {"frames": frames, "probabilities": np.asarray(probabilities, np.float32), "state": state})
