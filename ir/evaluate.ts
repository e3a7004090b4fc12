/**
 * Reference evaluation: runs a graph node by node with the plain loops of the op records, floats in float64. It is the meaning of a graph: tests
 * compare kernels with it, constant folding uses it, `--bisect` runs it between passes.
 */
import { type Bindings, evalDim, isStatic } from './dim.js';
import { type DType, hostArray, isFloat } from './dtype.js';
import { InternalError, ShapeError, ValueError } from './errors.js';
import type { Graph, NodeOf, Value } from './graph.js';
import type { EvaluateContext } from './op.js';
import type { OpName } from './op-attrs.js';
import { opDef } from './ops/index.js';
import { roundFloat } from './ops/loops.js';
import { numberData, type TensorData } from './tensor-data.js';

export interface EvaluateOptions {
  /** `float64` (default): floats are never rounded. `dtype`: the result of every op is rounded to its own dtype (float32, float16). */
  readonly precision?: 'float64' | 'dtype';
}

export interface EvaluateArguments extends EvaluateOptions {
  /** By the names of the graph's inputs. */
  readonly inputs: Readonly<Record<string, TensorData>>;
  /** By the names of the state slots; a slot that is missing has its initial value. */
  readonly state?: Readonly<Record<string, TensorData>>;
  /** Values of symbols that do not follow from the shapes of the inputs. */
  readonly bindings?: Bindings;
}

export interface EvaluateResult {
  /** Floats are Float64Array; toHost gives the host array of the dtype. */
  readonly outputs: Record<string, TensorData>;
  /** New values of the state slots that the graph updates. */
  readonly updates: Record<string, TensorData>;
}

/** Floats as Float64Array, other dtypes as they are. */
export const toFloat64 = (t: TensorData): TensorData =>
  isFloat(t.dtype) && !(t.data instanceof Float64Array) ? { ...t, data: Float64Array.from(numberData(t).data) } : t;

/** The data in the host array of its dtype. */
export const toHost = (t: TensorData): TensorData => ({ ...t, data: hostArray(t.dtype, isShort(t.dtype) ? rounded(t).data : t.data) });

const isShort = (t: DType): boolean => t === 'float16' || t === 'bfloat16';

function rounded(t: TensorData): TensorData {
  return isFloat(t.dtype) && t.dtype !== 'float64' ? { ...t, data: Float64Array.from(numberData(t).data, (x) => roundFloat(t.dtype, x)) } : t;
}

/** Solves each dimension with one unknown symbol, until all dimensions agree with the data. */
export function bindSymbols(
  expected: readonly (readonly [name: string, value: Value])[],
  given: (name: string) => TensorData,
  start: Bindings = {},
): Record<string, number> {
  const bindings: Record<string, number> = { ...start };
  for (const [name, { shape }] of expected) {
    const found = given(name).shape;
    const mismatch = (): never => {
      throw new ShapeError(
        `'${name}': expected shape [${shape.join(',')}], found [${found.join(',')}]${
          Object.keys(bindings).length
            ? ` with ${Object.entries(bindings)
                .map(([s, n]) => `${s}=${n}`)
                .join(', ')}`
            : ''
        }`,
      );
    };
    if (found.length !== shape.length) mismatch();
    for (const [i, d] of shape.entries()) {
      if (!isStatic(d)) {
        const open = d.terms.filter(([s]) => bindings[s] === undefined);
        if (open.length === 1) {
          const [s, c] = open[0]!;
          bindings[s] = (found[i]! - evalDim(d, { ...bindings, [s]: 0 })) / c;
          if (!Number.isInteger(bindings[s]) || bindings[s]! < 0) mismatch();
        }
        if (open.length > 1) continue;
      }
      if (evalDim(d, bindings) !== found[i]) mismatch();
    }
  }
  return bindings;
}

/** Evaluates one node; inputs and outputs hold floats as Float64Array. */
export function evaluateNode<K extends OpName>(node: NodeOf<K>, inputs: readonly TensorData[], ctx: EvaluateContext): TensorData[] {
  try {
    return opDef(node.op).evaluate(inputs, node.attrs, node.outputs, ctx);
  } catch (e) {
    if (e instanceof Error && node.origin && !e.message.startsWith(`${node.origin}: `)) e.message = `${node.origin}: ${e.message}`;
    throw e;
  }
}

/** What evaluateNode needs to run sub-graphs. */
export function evaluateContext(bindings: Bindings, options: EvaluateOptions = {}): EvaluateContext {
  const ctx: EvaluateContext = {
    bindings,
    run: (graph, inputs) => {
      const values = new Map<Value, TensorData>(graph.inputs.map((p, i) => [p.value, inputs[i]!]));
      runNodes(graph, values, ctx, options);
      return graph.outputs.map((o) => lookup(values, o.value));
    },
  };
  return ctx;
}

function lookup(values: ReadonlyMap<Value, TensorData>, v: Value): TensorData {
  const t = values.get(v);
  if (!t) throw new InternalError(`value %${v.id} is used before it is computed`);
  return t;
}

function runNodes(graph: Graph, values: Map<Value, TensorData>, ctx: EvaluateContext, options: EvaluateOptions): void {
  for (const node of graph.nodes) {
    const results = evaluateNode(
      node,
      node.inputs.map((v) => lookup(values, v)),
      ctx,
    );
    for (const [i, r] of results.entries()) values.set(node.outputs[i]!, options.precision === 'dtype' ? rounded(r) : r);
  }
}

/** Runs the whole graph. Throws ValueError for a missing input, ShapeError where shapes or dtypes of the given data do not fit. */
export function evaluate(graph: Graph, args: EvaluateArguments): EvaluateResult {
  const given = (name: string): TensorData => {
    const t = args.inputs[name];
    if (!t) throw new ValueError(`graph '${graph.name}': no data for input '${name}'; given: ${Object.keys(args.inputs).join(', ') || 'nothing'}`);
    return t;
  };
  const bindings = bindSymbols(
    graph.inputs.map((p) => [p.name, p.value] as const),
    given,
    args.bindings,
  );
  const values = new Map<Value, TensorData>();
  const put = (name: string, value: Value, t: TensorData): void => {
    if (t.dtype !== value.dtype) throw new ShapeError(`'${name}': expected dtype ${value.dtype}, found ${t.dtype}`);
    values.set(value, toFloat64(t));
  };
  for (const p of graph.inputs) put(p.name, p.value, given(p.name));
  for (const s of graph.state) {
    const t = args.state?.[s.name] ?? s.initial;
    if (!t) throw new ValueError(`graph '${graph.name}': state '${s.name}' has neither data nor an initial value`);
    bindSymbols([[s.name, s.value]], () => t);
    put(s.name, s.value, t);
  }
  runNodes(graph, values, evaluateContext(bindings, args), args);
  return {
    outputs: Object.fromEntries(graph.outputs.map((o) => [o.name, lookup(values, o.value)])),
    updates: Object.fromEntries(graph.updates.map((u) => [u.slot, lookup(values, u.value)])),
  };
}
