/** Contents that are known when a model is written: constants, weights, and what follows from them alone. */
import { isStaticShape } from '../../../ir/dim.js';
import type { DType, HostArray } from '../../../ir/dtype.js';
import { toFloat64, toHost } from '../../../ir/evaluate.js';
import type { Node, Value } from '../../../ir/graph.js';
import type { OpDef } from '../../../ir/op.js';
import type { OpName } from '../../../ir/op-attrs.js';
import { opDef } from '../../../ir/ops/index.js';
import { sizeOf, type TensorData } from '../../../ir/tensor-data.js';
import type { ModelContext } from './writer.js';

export interface Static extends TensorData {
  /** What the initializer is called. */
  readonly name: string;
  /** Equal for equal contents. */
  readonly key: string;
  readonly dtype: DType;
  readonly shape: readonly number[];
  readonly data: HostArray;
}

const foldable = new Set<OpName>([
  'iota',
  'unary',
  'binary',
  'compare',
  'select',
  'cast',
  'broadcast',
  'reshape',
  'transpose',
  'slice',
  'pad',
  'concat',
  'reverse',
  'reduce',
]);
/** So many elements may come from fewer ones: larger ones are made by nodes. */
const mostGrown = 4096;

let constants = 0;
const constantKeys = new WeakMap<TensorData, string>();
/** Small constants are the same where their contents are. */
function keyOf(t: TensorData): string {
  if (t.data.length <= 64) return `${t.dtype}[${t.shape.join(',')}]=${Array.from(t.data as ArrayLike<number | bigint>, String).join(',')}`;
  const old = constantKeys.get(t);
  if (old !== undefined) return old;
  const key = `constant ${constants++}`;
  constantKeys.set(t, key);
  return key;
}

/** The contents of a value; null where they are not known, or are better computed by nodes. `resolve`: what an input of an opened body stands for. */
export function evaluateStatic(value: Value, model: ModelContext, resolve: (v: Value) => Value): Static | null {
  const v = resolve(value);
  const old = model.statics.get(v);
  if (old !== undefined) return old;
  const found = find(v, model, resolve);
  model.statics.set(v, found);
  return found;
}

function find(v: Value, model: ModelContext, resolve: (v: Value) => Value): Static | null {
  const weight = model.weights.get(v);
  if (weight) return { ...weight.data, name: weight.name, key: `weight ${weight.name}` };
  const p = v.producer;
  if (!p) return null;
  if (p.op === 'constant') return { ...p.attrs.value, name: p.origin === '' ? 'const' : `${p.origin}/const`, key: keyOf(p.attrs.value) };
  if (!foldable.has(p.op) || !isStaticShape(v.shape)) return null;
  const inputs: Static[] = [];
  for (const x of p.inputs) {
    const s = evaluateStatic(x, model, resolve);
    if (!s) return null;
    inputs.push(s);
  }
  if (sizeOf(v.shape) > Math.max(mostGrown, ...inputs.map((s) => s.data.length))) return null;
  const data = evaluateNode(p, inputs);
  const first = inputs.find((s) => s.key.startsWith('weight'));
  return { ...data, name: first?.name ?? (p.origin === '' ? 'const' : `${p.origin}/const`), key: keyOf(data) };
}

function evaluateNode(node: Node, inputs: readonly TensorData[]): TensorData {
  const def = opDef(node.op) as unknown as OpDef;
  const none = (): never => {
    throw new Error('internal: a sub-graph in a static value');
  };
  const [result] = def.evaluate(inputs.map(toFloat64), node.attrs as never, node.outputs, { bindings: {}, run: none });
  return toHost(result!);
}
