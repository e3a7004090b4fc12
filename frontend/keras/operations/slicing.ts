/** `x[1:3, ..., None, -1]`: slices, indices, new axes and the ellipsis, as configurations have them. */
import { addDim, type Dim, isStatic } from '../../../ir/dim.js';
import { ShapeError, UnsupportedError, ValueError } from '../../../ir/errors.js';
import * as base from '../backend/ops.js';
import { SymbolicTensor } from '../backend/trace.js';
import { isPlainObject } from '../utils/options.js';
import { type Arguments, Sizes, wholeNumber } from './arguments.js';

type S = SymbolicTensor;
type Spec = { readonly start?: unknown; readonly stop?: unknown; readonly step?: unknown };

const isEllipsis = (x: unknown): boolean => isPlainObject(x) && x.class_name === '__ellipsis__';
const sliceOf = (x: unknown): Spec | null => {
  if (!isPlainObject(x)) return null;
  if (x.class_name === '__slice__') return x.config as Spec;
  return 'start' in x && 'stop' in x ? (x as Spec) : null;
};
const bound = (x: unknown, name: string): Dim | null => {
  if (x === null || x === undefined) return null;
  if (x instanceof Sizes && !Array.isArray(x.value)) return x.value as Dim;
  if (typeof x === 'number' && Number.isInteger(x)) return x;
  if (x instanceof SymbolicTensor)
    throw new UnsupportedError(`the ${name} of a slice is computed by the model from values: shapes must be known when it is compiled`);
  throw new ValueError(`the ${name} of a slice must be a whole number, got ${JSON.stringify(x)}`);
};

function sliced(x: S, axis: number, spec: Spec): S {
  const n = x.shape[axis]!;
  const step = wholeNumber(bound(spec.step, 'step') ?? 1, 'the step of a slice');
  if (step === 0) throw new ValueError('the step of a slice must not be 0');
  const [start, stop] = [bound(spec.start, 'start'), bound(spec.stop, 'stop')];
  if (start === null && stop === null && step === 1) return x;
  if (!isStatic(n)) {
    // where the size is not known only what needs no clamping is sure
    if (step !== 1) throw new UnsupportedError(`a slice of axis ${axis}, whose size ${String(n)} is not known, must have step 1`);
    const from = start === null ? 0 : isStatic(start) && start < 0 ? addDim(n, start) : start;
    const to = stop === null ? n : isStatic(stop) && stop < 0 ? addDim(n, stop) : stop;
    return base.sliceAxis(x, axis, from, to);
  }
  const at = (d: Dim | null, fallback: number, low: number, high: number): number => {
    if (d === null) return fallback;
    const i = wholeNumber(d, 'a bound of a slice');
    return Math.min(high, Math.max(low, i < 0 ? i + n : i));
  };
  if (step > 0) {
    const [from, to] = [at(start, 0, 0, n), at(stop, n, 0, n)];
    const part = base.sliceAxis(x, axis, from, Math.max(from, to));
    return step === 1 ? part : strided(part, axis, Math.max(0, to - from), step);
  }
  const [from, to] = [at(start, n - 1, -1, n - 1), at(stop, -1, -1, n - 1)];
  const part = base.reverse(base.sliceAxis(x, axis, Math.min(from, to) + 1, from + 1), [axis]);
  return step === -1 ? part : strided(part, axis, Math.max(0, from - to), -step);
}

/** Every step-th of n elements. */
function strided(x: S, axis: number, n: number, step: number): S {
  const count = Math.ceil(n / step);
  const rows = base.multiply(base.iota(x, [count], 0), base.full(x, [], step, 'int32'));
  return base.take(x, rows, axis);
}

export function getItem(a: Arguments): S {
  const given = a.get(1, 'slice_spec', 'key');
  const list: readonly unknown[] = Array.isArray(given) ? given : [given];
  let x = a.first;
  const rank = x.rank;
  const takes = (s: unknown): boolean => s !== null && s !== undefined && !isEllipsis(s);
  const used = list.filter(takes).length;
  if (used > rank) throw new ShapeError(`${used} indices for a tensor of rank ${rank}`);
  const hasEllipsis = list.some(isEllipsis);
  let axis = 0;
  for (const s of list) {
    if (isEllipsis(s)) axis += rank - used;
    else if (s === null || s === undefined) x = base.expandDims(x, axis++);
    else {
      const spec = sliceOf(s);
      if (spec) x = sliced(x, axis++, spec);
      else if (typeof s === 'number' && Number.isInteger(s)) {
        const n = x.shape[axis]!;
        if (isStatic(n) && (s >= n || s < -n)) throw new ShapeError(`index ${s} is out of range for axis ${axis} of size ${n}`);
        const from = s < 0 ? addDim(n, s) : s;
        x = base.squeeze(base.sliceAxis(x, axis, from, addDim(from, 1)), axis);
      } else if (s instanceof Sizes && !Array.isArray(s.value)) {
        const from = s.value as Dim;
        x = base.squeeze(base.sliceAxis(x, axis, from, addDim(from, 1)), axis);
      } else {
        if (hasEllipsis || list.filter((e) => Array.isArray(e) || e instanceof SymbolicTensor).length > 1)
          throw new UnsupportedError('several lists of indices at once are not supported: use take or gather');
        const indices = base.cast(a.lift(s, 'int32'), 'int32');
        x = base.take(x, indices, axis);
        axis += indices.rank;
      }
    }
  }
  return x;
}
