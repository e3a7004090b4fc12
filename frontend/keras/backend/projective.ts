/**
 * Images under an affine map, as TensorFlow's ImageProjectiveTransformV3 computes them: each output pixel (x, y) reads the input at (a0 x + a1 y + a2, b0 x + b1 y + b2). What lies outside is
 * filled by reflecting, wrapping, repeating the edge, or a constant.
 */
import { type Dim, isStatic } from '../../../ir/dim.js';
import { ShapeError } from '../../../ir/errors.js';
import * as ops from './ops.js';
import type { SymbolicTensor } from './trace.js';

export const fillModes = ['reflect', 'wrap', 'constant', 'nearest'] as const;
export type FillMode = (typeof fillModes)[number];
export const pixelInterpolations = ['bilinear', 'nearest'] as const;
export type PixelInterpolation = (typeof pixelInterpolations)[number];

/** One map for each image: numbers, or tensors of shape (batch). */
export type AffineMap = readonly [a0: Entry, a1: Entry, a2: Entry, b0: Entry, b1: Entry, b2: Entry];
type Entry = SymbolicTensor | number;

export interface ProjectiveOptions {
  readonly fillMode: FillMode;
  readonly fillValue: number;
  readonly interpolation: PixelInterpolation;
}

const truncated = (x: SymbolicTensor): SymbolicTensor => ops.multiply(ops.sign(x), ops.floor(ops.abs(x)));
/** Half away from zero, as C rounds. */
const rounded = (x: SymbolicTensor): SymbolicTensor => ops.multiply(ops.sign(x), ops.floor(ops.add(ops.abs(x), 0.5)));

/** Brings coordinates into [0, size - 1], except where a constant fills. */
function mapped(x: SymbolicTensor, size: number, mode: FillMode): SymbolicTensor {
  const last = size - 1;
  if (mode === 'constant') return x;
  if (mode === 'nearest' || size === 1) return ops.clip(x, 0, last);
  if (mode === 'wrap') {
    const below = ops.add(x, ops.multiply(ops.add(truncated(ops.divide(ops.negative(x), last)), 1), size));
    const above = ops.subtract(x, ops.multiply(truncated(ops.divide(x, last)), size));
    return ops.clip(ops.where(ops.less(x, 0), below, ops.where(ops.greater(x, last), above, x)), 0, last);
  }
  // [abcd] continues as [dcba|abcd|dcba]
  const period = 2 * size;
  const shifted = ops.where(ops.less(x, period), ops.add(ops.multiply(truncated(ops.divide(ops.negative(x), period)), period), x), x);
  const below = ops.where(ops.less(shifted, -size), ops.add(shifted, period), ops.subtract(ops.negative(shifted), 1));
  const rest = ops.subtract(x, ops.multiply(truncated(ops.divide(x, period)), period));
  const above = ops.where(ops.greaterEqual(rest, size), ops.subtract(period - 1, rest), rest);
  return ops.clip(ops.where(ops.less(x, 0), below, ops.where(ops.greater(x, last), above, x)), 0, last);
}

/** Images (batch, height, width, channels) of the same size. Height and width must be known. */
export function projective(x: SymbolicTensor, map: AffineMap, o: ProjectiveOptions): SymbolicTensor {
  const [batch, height, width, channels] = x.shape as readonly [Dim, Dim, Dim, Dim];
  if (!isStatic(height) || !isStatic(width)) throw new ShapeError('the height and width of images must be known to transform them');
  const entry = (e: Entry): Entry => (typeof e === 'number' ? e : ops.reshape(e, [e.shape[0]!, 1, 1]));
  const [a0, a1, a2, b0, b1, b2] = map.map(entry) as [Entry, Entry, Entry, Entry, Entry, Entry];
  const columns = ops.iota(x, [1, 1, width], 2, 'float32');
  const rows = ops.iota(x, [1, height, 1], 1, 'float32');
  const at = (p: Entry, q: Entry, shift: Entry) => ops.add(ops.add(ops.multiply(columns, p), ops.multiply(rows, q)), shift);
  const column = mapped(at(a0, a1, a2), width, o.fillMode);
  const row = mapped(at(b0, b1, b2), height, o.fillMode);
  const flat = ops.reshape(x, [-1, channels]);
  const image = ops.multiply(ops.iota(x, [batch, 1, 1], 0), height * width);
  /** The pixels at whole coordinates, or the fill value. */
  const read = (r: SymbolicTensor, c: SymbolicTensor): SymbolicTensor => {
    const index = (v: SymbolicTensor, size: number) => ops.cast(ops.clip(v, 0, size - 1), 'int32');
    const values = ops.take(flat, ops.add(image, ops.add(ops.multiply(index(r, height), width), index(c, width))), 0);
    if (o.fillMode !== 'constant') return values;
    const within = (v: SymbolicTensor, size: number) => ops.logicalAnd(ops.greaterEqual(v, 0), ops.lessEqual(v, size - 1));
    return ops.where(ops.expandDims(ops.logicalAnd(within(r, height), within(c, width)), -1), values, o.fillValue);
  };
  if (o.interpolation === 'nearest') return read(rounded(row), rounded(column));
  const [top, left] = [ops.floor(row), ops.floor(column)];
  const [bottom, right] = [ops.add(top, 1), ops.add(left, 1)];
  const [down, across] = [ops.expandDims(ops.subtract(row, top), -1), ops.expandDims(ops.subtract(column, left), -1)];
  const between = (r: SymbolicTensor) => ops.add(ops.multiply(read(r, left), ops.subtract(1, across)), ops.multiply(read(r, right), across));
  return ops.add(ops.multiply(between(top), ops.subtract(1, down)), ops.multiply(between(bottom), down));
}
