/**
 * Constant folding. A node whose inputs are all constants is evaluated by its op record and rounded to its dtype, as long as the result is not large compared with
 * the inputs: what grows (broadcast, iota, pad) stays, since kernels compute it from the index for nothing. Elementwise ops on splats (one number
 * broadcast to a shape) are computed on the number.
 */

import type { GraphBuilder } from '../ir/builder.js';
import { isStaticShape } from '../ir/dim.js';
import { hostArray, isWide } from '../ir/dtype.js';
import { evaluateContext, toFloat64, toHost } from '../ir/evaluate.js';
import type { Graph, Node, Value } from '../ir/graph.js';
import type { OpAttrs, OpName } from '../ir/op-attrs.js';
import { opDef } from '../ir/ops/index.js';
import { scalarData, sizeOf, type TensorData, tensorData } from '../ir/tensor-data.js';
import { mapSubgraphs, rebuild } from '../ir/transform.js';

/** A result of at most this many elements is folded whatever its inputs; a larger one only if no larger than they are. */
const smallElements = 64;
/** Nothing larger is folded: the reference loops are slow. Larger constants are transformed once at load (prepare.ts). */
const mostElements = 65536;

const uniform = new WeakMap<TensorData, number | null>();

/** The number that all elements are, or null; null also for 64-bit integers that are not numbers. */
export function uniformValue(t: TensorData): number | null {
  let u = uniform.get(t);
  if (u === undefined) {
    const first = t.data.length > 0 ? t.data[0]! : null;
    const all = first !== null && Array.prototype.every.call(t.data, (x) => Object.is(x, first)) ? Number(first) : null;
    u = all !== null && isWide(t.dtype) && !Number.isSafeInteger(all) ? null : all;
    uniform.set(t, u);
  }
  return u;
}

/** The number that all elements of `v` are known to be, or null. */
export function splatValue(v: Value): number | null {
  const n = v.producer;
  if (n?.op === 'constant') return uniformValue(n.attrs.value);
  return n?.op === 'broadcast' || n?.op === 'reshape' ? splatValue(n.inputs[0]!) : null;
}

/** The contents of a constant, or null. */
export const constantOf = (v: Value): TensorData | null => (v.producer?.op === 'constant' ? v.producer.attrs.value : null);

/** The contents of a constant or of a splat of at most a few elements, or null. */
function contents(v: Value): TensorData | null {
  const known = constantOf(v);
  const x = known ? null : splatValue(v);
  if (x === null || !isStaticShape(v.shape)) return known;
  const size = sizeOf(v.shape);
  return size <= mostElements ? tensorData(v.dtype, v.shape, hostArray(v.dtype, new Float64Array(size).fill(x))) : null;
}

function run<K extends OpName>(node: Node & { readonly op: K }, inputs: readonly TensorData[], shape: readonly number[]): TensorData {
  const type = { dtype: node.outputs[0]!.dtype, shape };
  return toHost(opDef<K>(node.op).evaluate(inputs.map(toFloat64), node.attrs as OpAttrs[K], [type], evaluateContext({}))[0]!);
}

const isElementwise = (n: Node): boolean => opDef(n.op).kind === 'elementwise';

/** The node's value as a constant (or a broadcast of one) made by `b`, or null where it is not known or too large. */
export function foldNode(b: GraphBuilder, node: Node): Value | null {
  if (node.op === 'constant') {
    const u = uniformValue(node.attrs.value);
    return u !== null && node.attrs.value.data.length > 1 ? b.full(node.attrs.value.shape, u, node.attrs.value.dtype) : null;
  }
  if (node.op === 'dim_size') return typeof node.attrs.dim === 'number' ? b.scalar(node.attrs.dim, 'int32') : null;
  const [out] = node.outputs;
  if (node.outputs.length !== 1 || node.inputs.length === 0 || node.op === 'broadcast') return null;
  if (isElementwise(node)) {
    const numbers = node.inputs.map(splatValue);
    if (numbers.every((x): x is number => x !== null)) {
      const value = run(
        node,
        numbers.map((x, i) => scalarData(node.inputs[i]!.dtype, x)),
        [],
      );
      return b.broadcastTo(b.constant(value), out!.shape);
    }
  }
  const given = node.inputs.reduce((n, v) => n + (constantOf(v)?.data.length ?? 0), 0);
  if (given === 0 || !isStaticShape(out!.shape)) return null;
  const size = sizeOf(out!.shape);
  if (size > mostElements || given > mostElements || size > Math.max(given, smallElements)) return null;
  const data = node.inputs.map(contents);
  if (!data.every((t): t is TensorData => t !== null)) return null;
  return b.constant(run(node, data, out!.shape));
}

export function foldConstants(graph: Graph): Graph {
  return rebuild(graph, (node, r) => {
    const attrs = mapSubgraphs(node, foldConstants);
    r.copy(node, attrs ?? node.attrs);
    const copied = r.value(node.outputs[0]!).producer;
    const folded = copied && r.at(node, () => foldNode(r.b, copied));
    if (folded) r.set(node.outputs[0]!, folded);
    return true;
  });
}
