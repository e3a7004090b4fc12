/**
 * Element types that kernels do not compute in are carried by wider ones, from the first pass on: float16 and bfloat16 by float32, 8- and 16-bit integers by 32-bit ones, and on WebGPU
 * (which has no 64-bit types) int64 and uint64 by int32 and uint32, and float64 by float32 (with fewer digits: `doubles` says where, and `float64: 'refuse'` makes an error of it).
 * A carried value is otherwise always one that its own type has: integers are wrapped after the ops that can leave
 * the type's range; short floats are rounded where the graph casts to them and where values leave it, and not between (a float16 sum is accumulated and kept in float32).
 *
 * Needs: nothing. Leaves: no carried type but in inputs, state that is not updated, and large constants, which lie in memory as they are: 8- and 16-bit integers are widened by
 * the load; the bits of short floats are read as uint16 and decoded. Outputs and updated state lie in memory as their carriers; the host narrows them when it reads
 * (`ports`). A graph without such types is left alone.
 */
import { GraphBuilder } from '../ir/builder.js';
import { type DType, hostArray, isFloat, isInteger, isUnsigned, isWide, limitsOf, numbersOf } from '../ir/dtype.js';
import { UnsupportedError, ValueError } from '../ir/errors.js';
import type { Graph, Node, StateSlot, Value } from '../ir/graph.js';
import type { BinaryFunction, OpAttrs, OpName } from '../ir/op-attrs.js';
import { halfBits, roundFloat } from '../ir/ops/loops.js';
import { type TensorData, tensorData } from '../ir/tensor-data.js';
import { mapSubgraphs, Rebuilder, subgraphsOf } from '../ir/transform.js';

/** Element type for the host, where the graph has another one. */
export type PortTypes = ReadonlyMap<string, DType>;

export interface CarriedGraph {
  readonly graph: Graph;
  /** By `in:NAME`, `out:NAME` and `state:NAME`. */
  readonly ports: PortTypes;
  readonly doubles: NarrowedDoubles;
}

/** Where float64 is computed in float32, if it is. */
export interface NarrowedDoubles {
  /** The first input, state slot or node. */
  readonly first: string | null;
  /** The first constant or initial state with a finite value that became infinite. */
  readonly overflow: string | null;
}

type Target = 'webgpu' | 'wasm';

/** What becomes of float64 on a target that has none: computed in float32, or an error. */
export type DoublePolicy = 'float32' | 'refuse';

/** What elements of a type are computed in. */
function carrierOf(dtype: DType, target: Target): DType {
  switch (dtype) {
    case 'float16':
    case 'bfloat16':
      return 'float32';
    case 'int8':
    case 'int16':
      return 'int32';
    case 'uint8':
    case 'uint16':
      return 'uint32';
    case 'int64':
      return target === 'webgpu' ? 'int32' : dtype;
    case 'uint64':
      return target === 'webgpu' ? 'uint32' : dtype;
    case 'float64':
      return target === 'webgpu' ? 'float32' : dtype;
    default:
      return dtype;
  }
}

const isShort = (t: DType): t is 'float16' | 'bfloat16' => t === 'float16' || t === 'bfloat16';
const isSmall = (t: DType): boolean => t === 'int8' || t === 'uint8' || t === 'int16' || t === 'uint16';

function anyType(graph: Graph, test: (t: DType) => boolean): boolean {
  const found = (v: Value): boolean => test(v.dtype);
  return (
    graph.inputs.some((i) => found(i.value)) ||
    graph.state.some((s) => found(s.value)) ||
    graph.nodes.some((n) => n.outputs.some(found) || subgraphsOf(n).some((g) => anyType(g, test)))
  );
}

/** `updated`: slots that some program of the plan updates. Throws UnsupportedError for float64 where `float64` is 'refuse', and for its bits, on a target without it. */
export function carryElementTypes(graph: Graph, target: Target, updated: ReadonlySet<string>, float64: DoublePolicy = 'float32'): CarriedGraph {
  const carried = (t: DType): boolean => carrierOf(t, target) !== t;
  const first = carried('float64') ? firstDouble(graph) : null;
  if (first !== null && float64 === 'refuse')
    throw new UnsupportedError(`${first} is float64, which WebGPU does not have; cast to float32, or use the wasm device`);
  if (!anyType(graph, carried)) return { graph, ports: new Map(), doubles: { first, overflow: null } };
  const shared: Shared = { target, ports: new Map(), updated, overflow: null };
  const r = new Carrier(graph, new GraphBuilder(graph.name), shared, false);
  return { graph: r.run(), ports: shared.ports, doubles: { first, overflow: shared.overflow } };
}

/** The first value of type float64, in words; null where there is none. */
function firstDouble(graph: Graph): string | null {
  for (const i of graph.inputs) if (i.value.dtype === 'float64') return `input '${i.name}'`;
  for (const s of graph.state) if (s.value.dtype === 'float64') return `state '${s.name}'`;
  for (const n of graph.nodes) {
    if (n.outputs.some((o) => o.dtype === 'float64')) return `${n.op}${n.origin ? ` of '${n.origin}'` : ''}`;
    for (const g of subgraphsOf(n)) {
      const inside = firstDouble(g);
      if (inside !== null) return inside;
    }
  }
  return null;
}

/** Constants of more elements than constant folding touches keep their short form in memory: others would be folded piece by piece. */
const largeConstant = 65536;

// ---- conversions as primitives

const scalarLike = (b: GraphBuilder, x: Value, v: number): Value => b.scalar(v, x.dtype);
const withNumber = (b: GraphBuilder, fn: BinaryFunction, x: Value, v: number): Value => b.binary(fn, x, b.broadcastTo(scalarLike(b, x, v), x.shape));

/** An integer in 32 bits modulo the range of a narrower type. */
function wrapped(b: GraphBuilder, x: Value, t: DType): Value {
  switch (t) {
    case 'uint8':
      return withNumber(b, 'and', x, 0xff);
    case 'uint16':
      return withNumber(b, 'and', x, 0xffff);
    case 'int8':
    case 'int16': {
      const shift = t === 'int8' ? 24 : 16;
      return withNumber(b, 'shift_right', withNumber(b, 'shift_left', x, shift), shift);
    }
    default:
      return x;
  }
}

/** The float32 value of float16 or bfloat16 bits, given as uint32. By integers, since hardware may flush subnormal float32 numbers. */
function decoded(b: GraphBuilder, bits: Value, t: 'float16' | 'bfloat16'): Value {
  if (t === 'bfloat16') return b.bitcast(withNumber(b, 'shift_left', bits, 16), 'float32');
  const magnitude = withNumber(b, 'and', bits, 0x7fff);
  const shifted = withNumber(b, 'shift_left', magnitude, 13);
  const subnormal = b.bitcast(b.mul(b.cast(magnitude, 'float32'), 2 ** -24), 'uint32');
  const infinite = withNumber(b, 'or', shifted, 0x7f800000);
  const unsigned = b.select(b.compare('lt', magnitude, 0x400), subnormal, b.select(b.compare('ge', magnitude, 0x7c00), infinite, b.add(shifted, 0x38000000)));
  return b.bitcast(b.binary('or', unsigned, withNumber(b, 'shift_left', withNumber(b, 'and', bits, 0x8000), 16)), 'float32');
}

/** A float32 value rounded to float16 or bfloat16, to nearest even, as float32. */
function roundedShort(b: GraphBuilder, x: Value, t: 'float16' | 'bfloat16'): Value {
  const drop = t === 'float16' ? 13 : 16;
  const bits = b.bitcast(x, 'uint32');
  const odd = withNumber(b, 'and', withNumber(b, 'shift_right', bits, drop), 1);
  const even = b.add(b.add(bits, 2 ** (drop - 1) - 1), odd);
  const near = b.bitcast(withNumber(b, 'and', even, 2 ** 32 - 2 ** drop), 'float32');
  const nan = b.unary('is_nan', x);
  if (t === 'bfloat16') return b.select(nan, x, near);
  const size = b.unary('abs', x);
  const overflow = b.select(b.compare('gt', x, 0), b.full(x.shape, Infinity), -Infinity);
  const subnormal = b.mul(b.unary('round', b.mul(x, 2 ** 24)), 2 ** -24);
  const finite = b.select(b.compare('ge', size, 65520), overflow, b.select(b.compare('lt', size, 2 ** -14), subnormal, near));
  return b.select(nan, x, finite);
}

/** Bits, as uint32, of a float32 value that float16 or bfloat16 has. */
function encoded(b: GraphBuilder, x: Value, t: 'float16' | 'bfloat16'): Value {
  const bits = b.bitcast(x, 'uint32');
  if (t === 'bfloat16') return withNumber(b, 'shift_right', bits, 16);
  const sign = withNumber(b, 'and', withNumber(b, 'shift_right', bits, 16), 0x8000);
  const size = b.unary('abs', x);
  const normal = withNumber(b, 'shift_right', b.sub(withNumber(b, 'and', bits, 0x7fffffff), 0x38000000), 13);
  const subnormal = b.cast(b.mul(b.select(b.compare('lt', size, 2 ** -14), size, 0), 2 ** 24), 'uint32');
  const special = b.select(b.unary('is_nan', x), b.full(x.shape, 0x7e00, 'uint32'), 0x7c00);
  const magnitude = b.select(b.compare('lt', size, 2 ** -14), subnormal, b.select(b.compare('lt', size, 65520), normal, special));
  return b.binary('or', magnitude, sign);
}

// ---- the pass

const wrappingBinary: ReadonlySet<BinaryFunction> = new Set(['add', 'sub', 'mul', 'div', 'pow', 'shift_left']);

/** What the carriers of a graph and of its sub-graphs share. */
interface Shared {
  readonly target: Target;
  readonly ports: Map<string, DType>;
  readonly updated: ReadonlySet<string>;
  overflow: string | null;
}

class Carrier extends Rebuilder {
  constructor(
    graph: Graph,
    b: GraphBuilder,
    private readonly shared: Shared,
    private readonly inner: boolean,
  ) {
    super({ ...graph, inputs: [], state: [] }, b);
    for (const i of graph.inputs)
      this.set(i.value, inner ? b.input(i.name, this.carrier(i.value.dtype), i.value.shape) : this.input(i.name, i.value, i.resident));
    for (const s of graph.state) this.set(s.value, this.slot(s));
    this.whole = graph;
  }

  private readonly whole: Graph;

  private carrier(t: DType): DType {
    return carrierOf(t, this.shared.target);
  }

  /** A value that lies in memory as it comes from the host, carried. */
  private widened(stored: Value, t: DType): Value {
    if (isShort(t)) return decoded(this.b, this.b.cast(stored, 'uint32'), t);
    return this.b.cast(stored, this.carrier(t));
  }

  private input(name: string, v: Value, resident: boolean): Value {
    const stored = this.storedType(v.dtype);
    if (stored !== v.dtype) this.shared.ports.set(`in:${name}`, v.dtype);
    return this.widened(this.b.input(name, stored, v.shape, { resident }), v.dtype);
  }

  /** What elements from the host lie in memory as. */
  private storedType(t: DType): DType {
    return isShort(t) ? 'uint16' : isWide(t) || t === 'float64' ? this.carrier(t) : t;
  }

  private slot(s: StateSlot): Value {
    const { dtype } = s.value;
    const shape = s.value.shape as readonly number[];
    const stored = this.shared.updated.has(s.name) ? this.carrier(dtype) : this.storedType(dtype);
    if (stored !== dtype) this.shared.ports.set(`state:${s.name}`, dtype);
    const initial = s.initial && this.converted(s.initial, stored, `state '${s.name}'`);
    const value = this.b.stateSlot(s.name, stored, shape, { trainable: s.trainable, views: s.views, initial });
    return stored === this.carrier(dtype) ? value : this.widened(value, dtype);
  }

  /** Data of a carried type as another type: its carrier, or the bits of a short float. */
  private converted(t: TensorData, to: DType, where: string): TensorData {
    const from = t.dtype;
    if (from === to) return t;
    if (isShort(from) && to === 'uint16') {
      const bits = numbersOf(t.data);
      return tensorData(
        to,
        t.shape,
        Uint16Array.from(bits, (x) => halfBits(from, roundFloat(from, x))),
      );
    }
    if (isWide(from) && to !== from) {
      const { lowest, highest } = limitsOf(to);
      for (const x of t.data)
        if (x < lowest || x > highest)
          throw new ValueError(`${from} value ${x} of ${where} does not fit 32 bits, which integers have on webgpu; use the wasm device`);
    }
    const narrow = tensorData(to, t.shape, hostArray(to, numbersOf(t.data)));
    if (from === 'float64') {
      const wide = t.data as Float64Array;
      const lost = (narrow.data as Float32Array).findIndex((x, i) => Math.abs(x) === Infinity && Math.abs(wide[i]!) !== Infinity);
      if (lost >= 0) this.shared.overflow ??= `${wide[lost]} of ${where}`;
    }
    return narrow;
  }

  run(): Graph {
    for (const n of this.whole.nodes) this.node(n);
    for (const o of this.whole.outputs) {
      if (this.inner) this.b.output(o.name, this.value(o.value));
      else this.b.output(o.name, this.leaving(`out:${o.name}`, o.value));
    }
    for (const u of this.whole.updates) this.b.update(u.slot, this.leaving(null, u.value));
    return this.b.build();
  }

  /** A value as it leaves the graph. */
  private leaving(port: string | null, v: Value): Value {
    if (port && this.carrier(v.dtype) !== v.dtype) this.shared.ports.set(port, v.dtype);
    const value = this.value(v);
    return isShort(v.dtype) ? roundedShort(this.b, value, v.dtype) : value;
  }

  private node(n: Node): void {
    this.at(n, () => {
      switch (n.op) {
        case 'constant':
          return this.set(n.outputs[0]!, this.constant(n.attrs.value, n.origin));
        case 'cast':
          return this.set(n.outputs[0]!, this.cast(this.value(n.inputs[0]!), n.inputs[0]!.dtype, n.attrs.dtype));
        case 'bitcast':
          return this.set(n.outputs[0]!, this.bitcast(this.value(n.inputs[0]!), n.inputs[0]!.dtype, n.attrs.dtype, n.origin));
        default:
          return this.generic(n);
      }
    });
  }

  private constant(t: TensorData, origin: string): Value {
    const to = this.carrier(t.dtype);
    if (to === t.dtype) return this.b.constant(t);
    const where = origin ? `'${origin}'` : 'a constant';
    if (t.data.length <= largeConstant || isWide(t.dtype)) return this.b.constant(this.converted(t, to, where));
    return this.widened(this.b.constant(this.converted(t, this.storedType(t.dtype), where)), t.dtype);
  }

  private cast(x: Value, from: DType, to: DType): Value {
    const { b } = this;
    const carrier = this.carrier(to);
    if (isShort(to)) return from === to ? x : roundedShort(b, b.cast(x, carrier), to);
    if (!isSmall(to)) return b.cast(x, carrier);
    if (isFloat(from)) {
      const { lowest, highest } = limitsOf(to);
      return b.cast(b.min(b.max(x, lowest), highest), carrier);
    }
    return wrapped(b, b.cast(x, carrier), to);
  }

  private bitcast(x: Value, from: DType, to: DType, origin: string): Value {
    const { b } = this;
    if ((from === 'float64' || to === 'float64') && this.carrier('float64') !== 'float64')
      throw new UnsupportedError(`bitcast${origin ? ` of '${origin}'` : ''} wants the bits of float64, which WebGPU does not have; use the wasm device`);
    if (isShort(from) || isShort(to)) {
      const bits = isShort(from) ? encoded(b, roundedShort(b, x, from), from) : wrapped(b, b.cast(x, 'uint32'), 'uint16');
      return isShort(to) ? decoded(b, bits, to) : wrapped(b, b.cast(bits, this.carrier(to)), to);
    }
    if (isSmall(from)) return wrapped(b, b.cast(x, this.carrier(to)), to);
    return isWide(from) && isWide(to) ? b.cast(x, this.carrier(to)) : b.bitcast(x, this.carrier(to));
  }

  private generic(n: Node): void {
    const attrs = this.attrsOf(n);
    const outputs = this.emit(n.op, n, attrs);
    this.setAll(
      n,
      outputs.map((o, i) => this.settled(n, o, n.outputs[i]!.dtype)),
    );
  }

  private emit<K extends OpName>(op: K, n: Node, attrs: OpAttrs[OpName]): readonly Value[] {
    return this.b.emitAll(op, this.all(n.inputs), attrs as OpAttrs[K]);
  }

  private attrsOf(n: Node): OpAttrs[OpName] {
    if (n.op === 'iota') return { ...n.attrs, dtype: this.carrier(n.attrs.dtype) };
    if (n.op === 'pad' && isSmall(n.outputs[0]!.dtype)) return { ...n.attrs, value: numbersOf(hostArray(n.outputs[0]!.dtype, [n.attrs.value]))[0]! };
    if (n.op === 'pad' && this.carrier(n.outputs[0]!.dtype) === 'float32') return { ...n.attrs, value: Math.fround(n.attrs.value) };
    return mapSubgraphs(n, (g) => new Carrier(g, this.subBuilder(g), this.shared, true).run()) ?? n.attrs;
  }

  private subBuilder(g: Graph): GraphBuilder {
    const sub = new GraphBuilder(g.name);
    for (const s of g.symbols) sub.declareSymbol(s.name, s.max);
    return sub;
  }

  /** A result of an op on carriers, brought back to the range of its own type. */
  private settled(n: Node, x: Value, t: DType): Value {
    if (!isInteger(t) || !isSmall(t)) return x;
    const { lowest, highest } = limitsOf(t);
    switch (n.op) {
      case 'iota':
      case 'dot':
      case 'conv':
      case 'select_and_scatter':
        return wrapped(this.b, x, t);
      case 'unary':
        return n.attrs.fn === 'neg' || n.attrs.fn === 'bitwise_not' || (n.attrs.fn === 'abs' && !isUnsigned(t)) ? wrapped(this.b, x, t) : x;
      case 'binary':
        return wrappingBinary.has(n.attrs.fn) ? wrapped(this.b, x, t) : x;
      case 'scatter':
        return n.attrs.fn === 'add' || n.attrs.fn === 'mul' ? wrapped(this.b, x, t) : x;
      case 'reduce':
      case 'cumulative':
      case 'reduce_window':
        // The extreme of no elements is the identity of the carrier.
        if (n.attrs.fn === 'max') return this.b.max(x, lowest);
        if (n.attrs.fn === 'min') return this.b.min(x, highest);
        return wrapped(this.b, x, t);
      default:
        return x;
    }
  }
}
