/**
 * Compile-time evaluation: the contents of a value as far as they follow from constants, dimensions and initializers. Shape chains (Shape, Gather, Concat, Reshape, Range, arithmetic) end
 * here as numbers or as affine dimensions; nothing of them is left for the run. What depends on the data of a graph input throws NeedsValue with the input's name: the model then
 * compiles a plan for that input's contents.
 */
import { addDim, type Dim, dimToString, divDimExact, equalDim, floorDivDim, isStatic, mulDim, subDim } from '../../ir/dim.js';
import { type HostArray, hostArray, isFloat, numbersOf } from '../../ir/dtype.js';
import { TenonError, UnsupportedError } from '../../ir/errors.js';
import { evaluateContext, evaluateNode, toFloat64, toHost } from '../../ir/evaluate.js';
import type { Node, Value } from '../../ir/graph.js';
import { forEachIndex } from '../../ir/ops/loops.js';
import { sizeOf, stridesOf, type TensorData } from '../../ir/tensor-data.js';

/** The contents of these graph inputs are needed to compile. */
export class NeedsValue extends TenonError {
  override name = 'NeedsValue';
  constructor(readonly inputs: readonly string[]) {
    super(`the contents of the inputs ${inputs.map((n) => `'${n}'`).join(', ')} decide shapes and are needed to compile`);
  }
}

/** Integers of which some are symbolic, in row-major order. */
interface Symbolic {
  readonly shape: readonly number[];
  readonly dims: readonly Dim[];
}
type Known = TensorData | Symbolic;
const isData = (k: Known): k is TensorData => 'data' in k;

/** Elements that one node may have to be evaluated at import. */
const maxEvaluated = 2 ** 24;

/** What a value without a producer stands for. */
export type Source =
  | { readonly kind: 'input'; readonly name: string }
  | { readonly kind: 'data'; readonly data: TensorData }
  | { readonly kind: 'outer'; readonly value: Value }
  | { readonly kind: 'step'; readonly what: string };

const dimsOfKnown = (k: Known): readonly Dim[] => (isData(k) ? Array.from(numbersOf(k.data)) : k.dims);
const symbolicScalar = (k: Known): boolean => !isData(k);

/** Integer functions on dimensions; null where the result is not affine. */
function binaryDim(fn: string, a: Dim, b: Dim): Dim | null {
  switch (fn) {
    case 'add':
      return addDim(a, b);
    case 'sub':
      return subDim(a, b);
    case 'mul':
      return isStatic(a) || isStatic(b) ? mulDim(a, b) : null;
    case 'div':
      if (!isStatic(b) || b === 0) return equalDim(a, b) ? 1 : null;
      return isStatic(a) ? Math.trunc(a / b) : (divDimExact(a, b) ?? floorDivDim(a, b));
    case 'rem':
      if (isStatic(a) && isStatic(b) && b !== 0) return a % b;
      return isStatic(b) && b !== 0 && divDimExact(a, b) !== null ? 0 : null;
    case 'max':
    case 'min': {
      const d = subDim(a, b);
      if (isStatic(d)) return (fn === 'max') === d >= 0 ? a : b;
      // Symbols are at least 1.
      const low = d.terms.every(([, c]) => c > 0) ? d.offset + d.terms.reduce((s, [, c]) => s + c, 0) : -Infinity;
      if (low >= 0) return fn === 'max' ? a : b;
      return null;
    }
    default:
      return null;
  }
}

/** Whether a comparison holds for every value (at least 1) of the symbols; null where it depends on them. */
function compareDim(fn: string, a: Dim, b: Dim): number | null {
  const d = subDim(a, b);
  if (isStatic(d)) return Number(fn === 'eq' ? d === 0 : fn === 'ne' ? d !== 0 : fn === 'lt' ? d < 0 : fn === 'le' ? d <= 0 : fn === 'gt' ? d > 0 : d >= 0);
  const low = d.terms.every(([, c]) => c > 0) ? d.offset + d.terms.reduce((s, [, c]) => s + c, 0) : -Infinity;
  if (low > 0) return Number(fn === 'ne' || fn === 'gt' || fn === 'ge');
  return null;
}

export class StaticEvaluator {
  private readonly known = new Map<Value, Known>();

  /** `source` says what inputs and state of a builder stand for. */
  constructor(private readonly source: (v: Value) => Source) {}

  /** The contents as numbers. Throws NeedsValue, or UnsupportedError where they depend on symbols or on the step of a loop. */
  data(v: Value): TensorData {
    const k = this.resolve(v);
    if (isData(k)) return k;
    if (k.dims.every(isStatic)) return this.toData(v, k);
    throw new UnsupportedError(`a value depends on the symbolic dimension ${dimToString(k.dims.find((d) => !isStatic(d))!)} where a number is needed`);
  }

  /** The integers as dimensions. */
  dims(v: Value): readonly Dim[] {
    return dimsOfKnown(this.resolve(v));
  }

  private toData(v: Value, k: Symbolic): TensorData {
    const values = k.dims.map(Number);
    return { dtype: v.dtype, shape: k.shape, data: hostArray(v.dtype, values) as HostArray };
  }

  private resolve(v: Value): Known {
    const done = this.known.get(v);
    if (done) return done;
    // Depth first without recursion: graphs are deep.
    const stack: Value[] = [v];
    const missing = new Set<string>();
    const blocked = new Map<Value, string>();
    while (stack.length > 0) {
      const top = stack.at(-1)!;
      if (this.known.has(top) || blocked.has(top)) {
        stack.pop();
        continue;
      }
      if (top.producer === null) {
        stack.pop();
        const s = this.source(top);
        if (s.kind === 'data') this.known.set(top, toFloat64(s.data));
        else if (s.kind === 'outer') {
          try {
            this.known.set(top, this.resolve(s.value));
          } catch (e) {
            if (e instanceof NeedsValue) for (const n of e.inputs) missing.add(n);
            blocked.set(top, e instanceof Error ? e.message : String(e));
          }
        } else {
          if (s.kind === 'input') missing.add(s.name);
          blocked.set(top, s.kind === 'input' ? s.name : s.what);
        }
        continue;
      }
      const { inputs } = top.producer;
      if (!needsInputs(top.producer)) {
        stack.pop();
        this.known.set(top, this.evaluate(top.producer, top));
        continue;
      }
      const open = inputs.filter((i) => !this.known.has(i) && !blocked.has(i));
      if (open.length > 0) {
        stack.push(...open);
        continue;
      }
      stack.pop();
      const stop = inputs.find((i) => blocked.has(i));
      if (stop) blocked.set(top, blocked.get(stop)!);
      else this.known.set(top, this.evaluate(top.producer, top));
    }
    const result = this.known.get(v);
    if (result) return result;
    if (missing.size > 0) throw new NeedsValue([...missing]);
    throw new UnsupportedError(`a shape depends on ${blocked.get(v)}, which is known only when the model runs`);
  }

  private evaluate(node: Node, want: Value): Known {
    const inputs = node.inputs.map((i) => this.known.get(i)!);
    const shape = want.shape;
    if (node.op === 'dim_size') return isStatic(node.attrs.dim) ? { shape: [], dims: [node.attrs.dim] } : { shape: [], dims: [node.attrs.dim] };
    if (shape.every(isStatic) && needsInputs(node) && inputs.some(symbolicScalar)) {
      const s = symbolicNode(node, inputs, shape as number[]);
      if (s) return s;
      throw new UnsupportedError(`a shape is computed by ${node.op}${'fn' in node.attrs ? ` ${String(node.attrs.fn)}` : ''} of a symbolic dimension`);
    }
    if (!node.outputs.every((o) => o.shape.every(isStatic)))
      throw new UnsupportedError(`the contents of a tensor of symbolic shape [${shape.join(',')}] are needed to compile`);
    const size = node.outputs.reduce((n, o) => n + sizeOf(o.shape as number[]), 0);
    if (size > maxEvaluated) throw new UnsupportedError(`${size} elements would have to be computed at import; up to ${maxEvaluated}`);
    const results = evaluateNode(
      node,
      inputs.map((k) => k as TensorData),
      evaluateContext({}, { precision: 'dtype' }),
    );
    for (const [i, r] of results.entries()) this.known.set(node.outputs[i]!, isFloat(r.dtype) && r.dtype !== 'float64' ? toFloat64(toHost(r)) : r);
    return this.known.get(want)!;
  }
}

const needsInputs = (n: Node): boolean => n.op !== 'constant' && n.op !== 'iota' && n.op !== 'dim_size';

/** Integer vectors with symbolic elements through the ops that shape chains are made of; null for others. */
function symbolicNode(node: Node, inputs: readonly Known[], shape: readonly number[]): Known | null {
  const lists = inputs.map(dimsOfKnown);
  const first = lists[0] ?? [];
  const read = (offsetOf: (index: readonly number[]) => number): Symbolic => {
    const dims: Dim[] = [];
    forEachIndex(shape, (index) => dims.push(first[offsetOf(index)]!));
    return { shape, dims };
  };
  const from = inputs[0]?.shape ?? [];
  const strides = stridesOf(from);
  switch (node.op) {
    case 'reshape':
    case 'cast':
      return node.op === 'cast' && node.attrs.dtype === 'bool' ? null : { shape, dims: first };
    case 'broadcast': {
      const { axes } = node.attrs;
      return read((ix) => axes.reduce((s, a, i) => s + (from[i] === 1 ? 0 : ix[a]! * strides[i]!), 0));
    }
    case 'slice': {
      const { start, stride } = node.attrs;
      return read((ix) => ix.reduce((s, k, i) => s + (Number(start[i]) + k * stride[i]!) * strides[i]!, 0));
    }
    case 'transpose':
      return read((ix) => ix.reduce((s, k, i) => s + k * strides[node.attrs.perm[i]!]!, 0));
    case 'reverse':
      return read((ix) => ix.reduce((s, k, i) => s + (node.attrs.axes.includes(i) ? from[i]! - 1 - k : k) * strides[i]!, 0));
    case 'concat': {
      if (shape.length !== 1) return null;
      return { shape, dims: lists.flat() };
    }
    case 'gather': {
      const at = lists[1]!;
      if (!at.every(isStatic)) return null;
      const { axis } = node.attrs;
      const inner = sizeOf(from.slice(axis + 1));
      const n = from[axis]!;
      const dims: Dim[] = [];
      for (let o = 0; o < sizeOf(from.slice(0, axis)); o++)
        for (const i of at as number[]) for (let k = 0; k < inner; k++) dims.push(first[(o * n + Math.min(Math.max(i, 0), n - 1)) * inner + k]!);
      return { shape, dims };
    }
    case 'unary':
      return node.attrs.fn === 'neg' ? { shape, dims: first.map((d) => mulDim(d, -1)) } : null;
    case 'binary': {
      const dims = first.map((a, i) => binaryDim(node.attrs.fn, a, lists[1]![i]!));
      return dims.every((d) => d !== null) ? { shape, dims: dims as Dim[] } : null;
    }
    case 'compare': {
      const r = first.map((a, i) => compareDim(node.attrs.fn, a, lists[1]![i]!));
      return r.every((x) => x !== null) ? { dtype: 'bool', shape, data: Uint8Array.from(r as number[]) } : null;
    }
    case 'select':
      return first.every(isStatic) ? { shape, dims: first.map((c, i) => (c ? lists[1]![i]! : lists[2]![i]!)) } : null;
    case 'reduce': {
      if (shape.length !== 0 || (node.attrs.fn !== 'prod' && node.attrs.fn !== 'sum')) return null;
      let acc: Dim | null = node.attrs.fn === 'prod' ? 1 : 0;
      for (const d of first) acc = acc === null ? null : binaryDim(node.attrs.fn === 'prod' ? 'mul' : 'add', acc, d);
      return acc === null ? null : { shape, dims: [acc] };
    }
    default:
      return null;
  }
}
