"""onnx and onnxruntime on the other side: python onnx.py DIRECTORY

Every model that DIRECTORY/onnx.json names passes onnx.checker with full shape inference, and gives the outputs that lie beside it: in onnxruntime, or, at opsets that onnxruntime does not know
yet, in onnx's reference evaluator. Findings go to onnx-results.json by model: null, or what is wrong; "runners" counts who ran what.
"""
import json
import pathlib
import sys

# this file has the name of the package that it needs
here = pathlib.Path(__file__).resolve().parent
sys.path = [p for p in sys.path if pathlib.Path(p or ".").resolve() != here]
import numpy as np
import onnx
import onnxruntime as ort
from onnx.reference import ReferenceEvaluator

sys.path.append(str(here))
from onnx_arrays import load

ort.set_default_logger_severity(3)
root = pathlib.Path(sys.argv[1])
TOLERANCE = 1e-5
# of keras.applications' outputs as Keras gives them, through some hundred layers
GOLDEN = 2e-3
runners = {"onnxruntime": 0, "reference evaluator": 0}


def session(path):
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    return ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def newest():
    """The newest opset that onnxruntime loads."""
    x = onnx.helper.make_tensor_value_info("x", 1, [1])
    y = onnx.helper.make_tensor_value_info("y", 1, [1])
    graph = onnx.helper.make_graph([onnx.helper.make_node("Identity", ["x"], ["y"])], "g", [x], [y])
    for opset in range(onnx.defs.onnx_opset_version(), 12, -1):
        model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", opset)])
        model.ir_version = onnx.helper.find_min_ir_version_for(model.opset_import)
        try:
            ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
        except Exception:
            continue
        return opset
    raise RuntimeError("onnxruntime loads no opset from 13 on")


NEWEST = newest()


def runner(path, opset):
    """What runs a model: a function from names and inputs to outputs."""
    if opset <= NEWEST:
        s = session(path)
        runners["onnxruntime"] += 1
        return s.run
    evaluator = ReferenceEvaluator(str(path))
    runners["reference evaluator"] += 1
    return evaluator.run


def examine(name):
    path = root / f"{name}.onnx"
    onnx.checker.check_model(str(path), full_check=True)
    model = onnx.load(str(path))
    opset = int(name.rsplit("@", 1)[1])
    found = {(o.domain, o.version) for o in model.opset_import}
    if found != {("", opset)}:
        return f"opsets {found}"
    lowest = onnx.helper.find_min_ir_version_for(model.opset_import)
    if model.ir_version != lowest:
        return f"IR version {model.ir_version}, the lowest is {lowest}"
    unnamed = [n.op_type for n in model.graph.node if not n.name]
    if unnamed:
        return f"nodes without names: {unnamed}"
    arrays = load(root / f"{name}.onnx.safetensors")
    run = runner(path, opset)
    given = {k[3:]: v for k, v in arrays.items() if k.startswith("in:")}
    for key, expected in arrays.items():
        kind, _, output = key.partition(":")
        if kind == "in":
            continue
        (actual,) = run([output], given)
        if list(actual.shape) != list(expected.shape):
            return f"{key}: shape {actual.shape}, expected {expected.shape}"
        worst = float(np.max(np.abs(actual - expected) / (1 + np.abs(expected)), initial=0))
        if not worst <= (GOLDEN if kind == "golden" else TOLERANCE):
            return f"{key}: differs by {worst:.2e}"
    return None


results = {}
for name in json.loads((root / "onnx.json").read_text()):
    try:
        results[name] = examine(name)
    except Exception as e:
        results[name] = f"{type(e).__name__}: {str(e)[:400]}"
(root / "onnx-results.json").write_text(json.dumps({"newest": NEWEST, "runners": runners, "models": results}))
