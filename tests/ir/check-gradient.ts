/**
 * Gradient check in the manner of JAX's check_vjp: one random direction u of the inputs and one random cotangent w of the outputs; the inner product of w with
 * the central difference along u (float64, by the reference evaluation) must be that of the gradient with u.
 */
import * as assert from 'uvu/assert';
import { gradients } from '../../ir/autodiff.js';
import { GraphBuilder } from '../../ir/builder.js';
import { type DType, isFloat, numberAt, numbersOf } from '../../ir/dtype.js';
import { evaluate } from '../../ir/evaluate.js';
import type { Graph, Value } from '../../ir/graph.js';
import { type NumberData, sizeOf, type TensorData } from '../../ir/tensor-data.js';
import { subgraphsOf } from '../../ir/transform.js';

/** A small deterministic generator (mulberry32), uniform in [0, 1). */
export function generator(seed: number): () => number {
  let s = seed | 0;
  return () => {
    s = (s + 0x6d2b79f5) | 0;
    let t = Math.imul(s ^ (s >>> 15), 1 | s);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

export const floats = (shape: readonly number[], random: () => number, lo = -2, hi = 2, dtype: DType = 'float32'): TensorData => ({
  dtype,
  shape,
  data: Float64Array.from({ length: sizeOf(shape) }, () => lo + (hi - lo) * random()),
});

/** Distinct values at least 0.05 apart, in random order: finite differences of max, min and relu stay on one side. */
export function distinct(shape: readonly number[], random: () => number): TensorData {
  const n = sizeOf(shape);
  const values = Array.from({ length: n }, (_, i) => (i - n / 2) * 0.1 + 0.03 + 0.04 * random());
  for (let i = n - 1; i > 0; i--) {
    const j = Math.floor(random() * (i + 1));
    [values[i], values[j]] = [values[j]!, values[i]!];
  }
  return { dtype: 'float32', shape, data: Float64Array.from(values) };
}

export const ints = (shape: readonly number[], random: () => number, lo: number, hi: number): NumberData => ({
  dtype: 'int32',
  shape,
  data: Int32Array.from({ length: sizeOf(shape) }, () => lo + Math.floor(random() * (hi - lo + 1))),
});

export type Build = (b: GraphBuilder, inputs: readonly Value[]) => Value | readonly Value[];

const asList = (v: Value | readonly Value[]): readonly Value[] => (Array.isArray(v) ? v : [v as Value]);
const inner = (a: TensorData, b: TensorData): number => Array.from(numbersOf(a.data)).reduce((s, x, i) => s + x * numberAt(b.data, i), 0);

/** The gradient function of `build` as a function of inputs and output cotangents: what a second-order check differentiates. */
export const gradientOf =
  (build: Build, inputCount: number): Build =>
  (b, values) => {
    const inputs = values.slice(0, inputCount);
    const outputs = asList(build(b, inputs)).filter((o) => isFloat(o.dtype));
    const seeds = outputs.map((value, i) => ({ value, cotangent: values[inputCount + i]! }));
    return gradients(
      b,
      seeds,
      inputs.filter((x) => isFloat(x.dtype)),
    );
  };

function build(f: Build, data: readonly TensorData[], withGradient: boolean): { graph: Graph; outputs: readonly Value[] } {
  const b = new GraphBuilder('check');
  const inputs = data.map((d, i) => b.input(`x${i}`, d.dtype, d.shape));
  const outputs = asList(f(b, inputs));
  for (const [i, y] of outputs.entries()) b.output(`y${i}`, y);
  if (withGradient) {
    const seeds = outputs.flatMap((value, i) => (isFloat(value.dtype) ? [{ value, cotangent: b.input(`w${i}`, value.dtype, value.shape) }] : []));
    const wrt = inputs.filter((v) => isFloat(v.dtype));
    for (const [i, g] of gradients(b, seeds, wrt).entries()) b.output(`g${i}`, g);
  }
  return { graph: b.build(), outputs };
}

/** Ops, and the functions of those that have several, that have been checked in this process. */
export const checkedOps = new Set<string>();

function note(graph: Graph): void {
  for (const n of graph.nodes) {
    checkedOps.add(n.op);
    if ('fn' in n.attrs) checkedOps.add(`${n.op} ${String(n.attrs.fn)}`);
    for (const inner of subgraphsOf(n)) note(inner);
  }
}

export interface CheckOptions {
  readonly seed?: number;
  readonly epsilon?: number;
  readonly tolerance?: number;
  /** 2 also checks the gradient of the gradient. */
  readonly order?: 1 | 2;
}

export function checkGradient(f: Build, data: readonly TensorData[], options: CheckOptions = {}): void {
  const { seed = 1, epsilon = 1e-5, tolerance = 1e-6, order = 1 } = options;
  const random = generator(seed + 1000);
  const { graph, outputs } = build(f, data, true);
  const named = (ts: readonly TensorData[], prefix: string): Record<string, TensorData> => Object.fromEntries(ts.map((t, i) => [`${prefix}${i}`, t]));
  const cotangents = outputs.map((y) => floats(y.shape as readonly number[], random, -1, 1, y.dtype));
  const isReal = (t: TensorData): boolean => isFloat(t.dtype);
  const { outputs: found } = evaluate(graph, { inputs: { ...named(data, 'x'), ...named(cotangents, 'w') } });
  const directions = data.map((d) => floats(d.shape, random, -1, 1, d.dtype));
  const moved = (sign: number): TensorData[] =>
    data.map((d, i) => (isReal(d) ? { ...d, data: Float64Array.from(numbersOf(d.data), (x, j) => x + sign * epsilon * numberAt(directions[i]!.data, j)) } : d));
  const forward = build(f, data, false).graph;
  note(forward);
  const at = (sign: number): Record<string, TensorData> => evaluate(forward, { inputs: named(moved(sign), 'x') }).outputs;
  const [plus, minus] = [at(1), at(-1)];
  let expected = 0;
  for (const [i, y] of outputs.entries())
    if (isFloat(y.dtype)) expected += (inner(plus[`y${i}`]!, cotangents[i]!) - inner(minus[`y${i}`]!, cotangents[i]!)) / (2 * epsilon);
  const reals = data.flatMap((d, i) => (isReal(d) ? [directions[i]!] : []));
  const actual = reals.reduce((s, u, i) => s + inner(found[`g${i}`]!, u), 0);
  const scale = 1 + Math.abs(expected) + Math.abs(actual);
  assert.ok(
    Math.abs(actual - expected) <= tolerance * scale,
    `gradient · direction = ${actual}, finite difference = ${expected} (order ${options.order ?? 1})`,
  );
  if (order === 2) checkGradient(gradientOf(f, data.length), [...data, ...cotangents], { ...options, order: 1, tolerance: tolerance * 10 });
}
