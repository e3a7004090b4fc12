/**
 * Which pass, and which rewrite of it, first changes what a graph computes. Each pass's result is evaluated (ir/evaluate.ts) on the same seeded random inputs as the graph before it; where they
 * differ, the pass runs again with fewer and fewer rewrites (halving), until the first one that makes the difference is left.
 */
import { evalShape, symbolsOf } from '../ir/dim.js';
import { type DType, hostArray, isFloat } from '../ir/dtype.js';
import { type EvaluateResult, evaluate } from '../ir/evaluate.js';
import type { Graph, Node, Value } from '../ir/graph.js';
import { sizeOf, type TensorData } from '../ir/tensor-data.js';
import { passes as allPasses, type Pass, type PipelineOptions } from './pipeline.js';

export interface Departure {
  readonly pass: string;
  /** The rewrite rule, the node that it replaced and how many rewrites of the pass came before; null: the pass itself, or folding of constants. */
  readonly rewrite: { readonly rule: string; readonly node: string; readonly origin: string; readonly before: number } | null;
  /** What differs: `output 'y'` or `update of 'weights'`. */
  readonly where: string;
  /** Largest difference, divided by 1 + the size of what is expected; infinite where one is NaN and the other is not, or shapes differ. */
  readonly difference: number;
}

export interface BisectOptions extends Pick<PipelineOptions, 'target' | 'training'> {
  /** Default 1. */
  readonly seed?: number;
  /** Differences up to this count as rounding (evaluation is in float64); default 1e-6. */
  readonly tolerance?: number;
  /** Sizes of symbols; default: 3, or the largest allowed where that is less. */
  readonly symbols?: Readonly<Record<string, number>>;
  /** Default: the pipeline's. */
  readonly passes?: readonly Pass[];
}

/** Seeded contents: floats between 0.1 and 1 (variances must be positive, and logarithms exist), whole numbers below 3. */
function contents(dtype: DType, shape: readonly number[], seed: number): TensorData {
  let s = (seed * 2654435761 + 12345) >>> 0;
  const next = (): number => {
    s = (Math.imul(s, 1664525) + 1013904223) >>> 0;
    return s / 4294967296;
  };
  const one = (): number => (isFloat(dtype) ? 0.1 + 0.9 * next() : Math.floor(next() * (dtype === 'bool' ? 2 : 3)));
  const data = hostArray(dtype, Array.from({ length: sizeOf(shape) }, one));
  return { dtype, shape: [...shape], data };
}

/** The largest difference between two results; null where all are within the tolerance. */
function differ(a: EvaluateResult, b: EvaluateResult, tolerance: number): { where: string; difference: number } | null {
  let worst: { where: string; difference: number } | null = null;
  for (const [kind, x, y] of [
    ['output', a.outputs, b.outputs],
    ['update of', a.updates, b.updates],
  ] as const)
    for (const name of Object.keys(x)) {
      const [e, f] = [x[name]!, y[name]];
      let difference = !f || String(f.shape) !== String(e.shape) ? Infinity : 0;
      for (let i = 0; f && difference < Infinity && i < e.data.length; i++) {
        const [p, q] = [Number(e.data[i]), Number(f.data[i])];
        if (Object.is(p, q) || p === q) continue;
        const d = Math.abs(p - q) / (1 + Math.abs(p));
        difference = Math.max(difference, Number.isNaN(d) ? Infinity : d);
      }
      if (difference > tolerance && difference > (worst?.difference ?? 0)) worst = { where: `${kind} '${name}'`, difference };
    }
  return worst;
}

/** The first pass or rewrite that changes what the graph computes, or null. Errors of a pass are thrown on. */
export function bisect(graph: Graph, options: BisectOptions): Departure | null {
  const { seed = 1, tolerance = 1e-6, passes = allPasses } = options;
  const bindings: Record<string, number> = Object.fromEntries(graph.symbols.map((s) => [s.name, Math.min(s.max, options.symbols?.[s.name] ?? 3)]));
  let made = seed;
  const make = (v: Value): TensorData => contents(v.dtype, evalShape(v.shape, bindings), made++);
  const inputs = Object.fromEntries(graph.inputs.map((i) => [i.name, make(i.value)]));
  const state = Object.fromEntries(graph.state.map((s) => [s.name, s.initial ?? make(s.value)]));
  const open = graph.inputs.flatMap((i) => symbolsOf(i.value.shape));
  const run = (g: Graph): EvaluateResult =>
    evaluate(g, { inputs, state, bindings: Object.fromEntries(Object.entries(bindings).filter(([s]) => !open.includes(s))) });
  let [g, expected] = [graph, run(graph)];
  for (const pass of passes) {
    const found = differ(expected, run(pass.run(g, options)), tolerance);
    if (found) return { pass: pass.name, ...firstRewrite(pass, g, options, (h) => differ(expected, run(h), tolerance), found) };
    g = pass.run(g, options);
    // what is within the tolerance here must not add up over the passes
    expected = run(g);
  }
  return null;
}

/** The first rewrite of a pass that makes the difference. */
function firstRewrite(
  pass: Pass,
  graph: Graph,
  options: BisectOptions,
  check: (g: Graph) => { where: string; difference: number } | null,
  whole: { where: string; difference: number },
): Omit<Departure, 'pass'> {
  const applied: { rule: string; node: Node }[] = [];
  pass.run(graph, { ...options, rewrite: { onRewrite: (rule, node) => applied.push({ rule, node }) } });
  const limited = (limit: number): ReturnType<typeof check> => check(pass.run(graph, { ...options, rewrite: { limit } }));
  const bare = limited(0);
  if (applied.length === 0 || bare) return { rewrite: null, ...(bare ?? whole) };
  // after `good` rewrites all is well, after `bad` it is not
  let [good, bad, found] = [0, applied.length, whole];
  while (bad - good > 1) {
    const middle = (good + bad) >> 1;
    const here = limited(middle);
    if (here) [bad, found] = [middle, here];
    else good = middle;
  }
  const { rule, node } = applied[good]!;
  const text = `${node.op}${'fn' in node.attrs ? ` ${String(node.attrs.fn)}` : ''} ${node.outputs.map((v) => `${v.dtype}[${v.shape.join(',')}]`).join(', ')}`;
  return { rewrite: { rule, node: text, origin: node.origin, before: good }, ...found };
}
