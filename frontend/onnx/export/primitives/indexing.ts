/** Gathers, scatters, reductions. */
import { UnsupportedError } from '../../../../ir/errors.js';
import type { NodeOf, Value } from '../../../../ir/graph.js';
import { elementNumber } from '../proto.js';
import { axisIn, type Form, type Writer } from '../writer.js';

/** Indices out of range are an error in ONNX; the graph clamps them. */
export function writeGather(w: Writer, node: NodeOf<'gather'>) {
  const [x, at] = node.inputs as readonly [Value, Value];
  w.emit(node.outputs[0]!, 'Gather', [w.name(x), w.name(at)], { axis: node.attrs.axis });
}

export function writeScatter(w: Writer, node: NodeOf<'scatter'>) {
  const [x, at, updates] = node.inputs as readonly [Value, Value, Value];
  const { axis, fn } = node.attrs;
  const since = { set: 13, add: 16, mul: 16, max: 18, min: 18 }[fn];
  if (w.opset < since) throw new UnsupportedError(`${node.origin}: scatter with '${fn}' needs opset ${since} or newer, not ${w.opset}`);
  if (axis !== 0) throw new UnsupportedError(`${node.origin}: scatter along axis ${axis} cannot be written as ONNX; the first axis can`);
  const hint = node.origin;
  const wide = w.node('Cast', [w.name(at)], { to: elementNumber('int64') }, { hint })[0]!;
  const index = w.node('Unsqueeze', [wide, w.int64([at.shape.length], 'axes')], {}, { hint })[0]!;
  w.emit(node.outputs[0]!, 'ScatterND', [w.name(x), index, w.name(updates)], { reduction: fn === 'set' ? null : fn });
}

const reductions = { sum: 'ReduceSum', prod: 'ReduceProd', max: 'ReduceMax', min: 'ReduceMin', any: 'ReduceMax', all: 'ReduceMin' } as const;

/** A reduction that removes its axes: since opset 18 (13 for sums) they are an input. */
export function reduceNode(w: Writer, op: string, x: string, axes: readonly number[], y: Value | null, hint: string, keepdims = 0): string {
  const asInput = op === 'ReduceSum' || w.opset >= 18;
  return w.node(op, asInput ? [x, w.int64(axes, 'axes')] : [x], { ...(asInput ? {} : { axes }), keepdims }, y ? { value: y } : { hint })[0]!;
}

/** The form in which axes can be reduced without a transpose: the axes that stay must keep their order. */
export function reductionForm(w: Writer, x: Value, axes: readonly number[]): Form {
  const rank = x.shape.length;
  if (rank < 3 || w.formOf(x) === 'plain') return 'plain';
  const kept = x.shape.map((_, a) => a).filter((a) => !axes.includes(a));
  const places = kept.map((a) => axisIn('channelsFirst', a, rank));
  return places.every((p, i) => i === 0 || p > places[i - 1]!) ? 'channelsFirst' : 'plain';
}

export function writeReduce(w: Writer, node: NodeOf<'reduce'>) {
  const [x, y] = [node.inputs[0]!, node.outputs[0]!];
  const { fn, axes } = node.attrs;
  if (axes.length === 0) return w.alias(y, x);
  const form = reductionForm(w, x, axes);
  const at = axes.map((a) => axisIn(form, a, x.shape.length)).sort((a, b) => a - b);
  const name = w.name(x, form);
  if (x.dtype !== 'bool') return w.define(y, reduceNode(w, reductions[fn], name, at, y, node.origin));
  const [numbers] = w.node('Cast', [name], { to: elementNumber('int32') }, { hint: node.origin });
  w.emit(y, 'Cast', [reduceNode(w, reductions[fn], numbers!, at, null, node.origin)], { to: elementNumber('bool') });
}

export function writeArgReduce(w: Writer, node: NodeOf<'arg_reduce'>) {
  const { fn, axis } = node.attrs;
  const [wide] = w.node(fn === 'argmax' ? 'ArgMax' : 'ArgMin', [w.name(node.inputs[0]!)], { axis, keepdims: 0 }, { hint: node.origin });
  w.emit(node.outputs[0]!, 'Cast', [wide!], { to: elementNumber('int32') });
}

export function writeCumulative(w: Writer, node: NodeOf<'cumulative'>) {
  const { fn, axis, exclusive, reverse } = node.attrs;
  const since = fn === 'sum' ? 13 : 26;
  if (fn === 'max' || fn === 'min' || w.opset < since)
    throw new UnsupportedError(`${node.origin}: running ${fn} cannot be written as ONNX${fn === 'prod' ? ` before opset ${since}` : ''}`);
  w.emit(node.outputs[0]!, fn === 'sum' ? 'CumSum' : 'CumProd', [w.name(node.inputs[0]!), w.scalar(axis, 'int64')], {
    exclusive: exclusive ? 1 : 0,
    reverse: reverse ? 1 : 0,
  });
}
