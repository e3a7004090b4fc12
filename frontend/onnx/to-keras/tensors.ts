/**
 * ONNX values as tensors of a functional Keras model. A value may be there with its axes in another order (Keras wants the channels last, recurrent layers the batch before the time) and without
 * axes of size 1; a transposition then costs nothing until a layer asks for an order that is not there. Axis 0 of a Keras tensor is the batch.
 */
import { type Dim, equalDim, isStatic, type Shape, sizeDim } from '../../../ir/dim.js';
import { UnsupportedError } from '../../../ir/errors.js';
import type { Value } from '../../../ir/graph.js';
import { Flatten, Reshape } from '../../keras/layers/core.js';
import type { Layer } from '../../keras/layers/layer.js';
import type { KerasTensor } from '../../keras/layers/node.js';
import { Permute } from '../../keras/layers/reshaping.js';

/** A Keras tensor that holds a value: which axis of the value each of its axes is; -1: an axis of size 1 that the value lacks. Axes of the value that are missing have size 1. */
export interface Held {
  readonly tensor: KerasTensor;
  readonly axes: readonly number[];
}

type Namer = (hint: string) => string;
const product = (shape: Shape): Dim | null => {
  try {
    return sizeDim(shape);
  } catch {
    return null;
  }
};
const sameProduct = (a: Shape, b: Shape): boolean => {
  const [x, y] = [product(a), product(b)];
  if (x !== null && y !== null) return equalDim(x, y);
  const rest = (s: Shape): string => s.filter((d) => d !== 1).join(' ');
  return rest(a) === rest(b);
};

export class Tensors {
  private readonly held = new Map<Value, Held[]>();
  /** Sequences that are there from the last step to the first: along this axis of the value. */
  private readonly reversed = new Map<Value, { readonly held: Held; readonly axis: number }>();
  /** What a reshaped tensor was before. */
  private readonly sources = new Map<KerasTensor, KerasTensor>();

  constructor(private readonly nameOf: Namer) {}

  has(v: Value): boolean {
    return this.held.has(v) || this.reversed.has(v);
  }
  define(v: Value, tensor: KerasTensor, axes: readonly number[] = v.shape.map((_, i) => i)): void {
    const list = this.held.get(v) ?? [];
    list.push({ tensor, axes });
    this.held.set(v, list);
  }
  defineReversed(v: Value, held: Held, axis: number): void {
    this.reversed.set(v, { held, axis });
  }
  reversedOf(v: Value): { readonly held: Held; readonly axis: number } | undefined {
    return this.reversed.get(v);
  }
  private all(v: Value): readonly Held[] {
    const list = this.held.get(v);
    if (list) return list;
    if (this.reversed.has(v)) throw new UnsupportedError('a sequence in reverse order is used, which no layer gives');
    throw new UnsupportedError('it uses a value that is no tensor of the model');
  }
  first(v: Value): Held {
    return this.all(v)[0]!;
  }
  /** The axis of the value that is the batch. */
  batchAxis(v: Value): number {
    return this.first(v).axes[0]!;
  }
  /** All axes of the value in the order in which it is there, those of size 1 that are missing last; `last` (negative counts from the end) moved to the end. */
  order(v: Value, ...last: readonly number[]): number[] {
    const { axes } = this.first(v);
    const there = axes.filter((a) => a >= 0);
    const every = [...there, ...v.shape.map((_, i) => i).filter((i) => !there.includes(i))];
    return [...every.filter((a) => !last.includes(a)), ...last];
  }

  /** The value with its axes in this order; -1 is a new axis of size 1, axes of size 1 may be left out. Adds Permute and Reshape layers where it is not there in that order. */
  get(v: Value, order: readonly number[]): KerasTensor {
    const list = this.all(v);
    const matters = (a: number, i: number): boolean => i === 0 || (a >= 0 && v.shape[a] !== 1);
    const key = (axes: readonly number[]): string => axes.filter(matters).join();
    const wanted = key(order);
    const target = order.map((a) => (a < 0 ? 1 : v.shape[a]!));
    for (const h of list)
      if (
        h.axes.length === order.length &&
        h.axes.every((a, i) => (a < 0 || v.shape[a] === 1) === (order[i]! < 0 || v.shape[order[i]!] === 1)) &&
        key(h.axes) === wanted
      )
        return h.tensor;
    let from = list.find((h) => key(h.axes) === wanted);
    if (!from) {
      const [h] = list as readonly [Held, ...Held[]];
      const [batch] = h.axes as readonly [number, ...number[]];
      if (order[0] !== batch) throw new UnsupportedError(`the batch axis would have to move from axis ${batch} to ${order.indexOf(batch)}`);
      const moved = [batch, ...order.filter((a, i) => i > 0 && a >= 0 && h.axes.includes(a)), ...h.axes.filter((a, i) => i > 0 && !order.includes(a))];
      // axes of size 1 that nobody asked for go last
      const at = new Set<number>();
      const dims = moved.slice(1).map((a) => {
        const i = h.axes.findIndex((x, k) => k > 0 && x === a && !at.has(k));
        at.add(i);
        return i;
      });
      from = { tensor: Permute(dims, { name: this.nameOf('permute') })(h.tensor) as KerasTensor, axes: moved };
      (list as Held[]).push(from);
      if (moved.length === order.length && moved.every((a, i) => a === order[i])) return from.tensor;
    }
    const tensor = this.reshape(from.tensor, target.slice(1));
    (list as Held[]).push({ tensor, axes: [...order] });
    return tensor;
  }
  /** The value with its axes as they are in ONNX. */
  plain(v: Value): KerasTensor {
    return this.get(
      v,
      v.shape.map((_, i) => i),
    );
  }

  /** A tensor in another shape (without the batch). At most one size may be unknown. */
  reshape(tensor: KerasTensor, shape: Shape, name?: string): KerasTensor {
    const open = shape.filter((d) => !isStatic(d)).length;
    if (open > 1) throw new UnsupportedError(`a Reshape to [${shape.join(', ')}] has more than one open size`);
    const target = shape.map((d) => (isStatic(d) ? d : -1));
    const fits = (t: KerasTensor): boolean =>
      t.shape.length === target.length + 1 && target.every((d, i) => (d < 0 ? t.shape[i + 1] === null : t.shape[i + 1] === d));
    if (fits(tensor)) return tensor;
    const source = this.sources.get(tensor) ?? tensor;
    if (fits(source)) return source;
    const own = name ?? this.nameOf('reshape');
    const result = (target.length === 1 && !this.sources.has(tensor) ? Flatten({ name: own }) : Reshape(target, { name: own }))(source) as KerasTensor;
    this.sources.set(result, source);
    return result;
  }

  /** y is x with its axes in another order: axis i of y is axis perm[i] of x. */
  transpose(x: Value, y: Value, perm: readonly number[]): void {
    const moved = (h: Held): Held => ({ tensor: h.tensor, axes: h.axes.map((a) => (a < 0 ? -1 : perm.indexOf(a))) });
    this.carry(x, y, moved, (a) => perm.indexOf(a));
  }
  private carry(x: Value, y: Value, moved: (h: Held) => Held, axis: (a: number) => number): void {
    for (const h of this.held.get(x) ?? []) {
      const m = moved(h);
      this.define(y, m.tensor, m.axes);
    }
    const back = this.reversed.get(x);
    if (back) this.reversed.set(y, { held: moved(back.held), axis: axis(back.axis) });
    if (!this.has(y)) this.all(x);
  }

  /** y has the elements of x, row by row, in another shape. */
  reshaped(x: Value, y: Value): void {
    const long = (s: Shape): number[] => s.flatMap((d, i) => (d === 1 ? [] : [i]));
    const source = this.held.get(x)?.[0] ?? this.reversed.get(x)?.held ?? this.first(x);
    const [batch] = source.axes as readonly [number, ...number[]];
    // the batch is the axis of the same size with as much before it as in x
    const before = x.shape.slice(0, batch);
    const to = y.shape.findIndex(
      (d, i) => equalDim(d, x.shape[batch]!) && sameProduct(y.shape.slice(0, i), before) && (d !== 1 || i >= Math.min(batch, y.shape.length - 1)),
    );
    if (to < 0) throw new UnsupportedError(`the shape [${y.shape.join(', ')}] mixes the batch of [${x.shape.join(', ')}] with other axes`);
    const [a, b] = [long(x.shape).filter((i) => i !== batch), long(y.shape).filter((i) => i !== to)];
    if (a.length === b.length && a.every((i, k) => equalDim(x.shape[i]!, y.shape[b[k]!]!))) {
      const map = (i: number): number => (i === batch ? to : i < 0 || !a.includes(i) ? -1 : b[a.indexOf(i)]!);
      this.carry(x, y, (h) => ({ tensor: h.tensor, axes: h.axes.map(map) }), map);
      return;
    }
    const rest = (s: Shape, i: number): number[] => s.map((_, k) => k).filter((k) => k !== i);
    const t = this.get(x, [batch, ...rest(x.shape, batch)]);
    const axes = [to, ...rest(y.shape, to)];
    this.define(
      y,
      this.reshape(
        t,
        axes.slice(1).map((i) => y.shape[i]!),
      ),
      axes,
    );
  }
}

/** What a layer is called on and gives here: one tensor. */
export const callOn = (layer: Layer, x: KerasTensor | readonly KerasTensor[]): KerasTensor | readonly KerasTensor[] =>
  (layer as unknown as (x: unknown) => KerasTensor | readonly KerasTensor[])(x);
