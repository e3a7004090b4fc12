/** From what users give to `fit`, `evaluate` and `predict` to arrays that fit the model, checked. */
import { hostArray } from '../../../ir/dtype.js';
import { didYouMean, ShapeError, ValueError } from '../../../ir/errors.js';
import { kerasShapeText } from '../backend/trace.js';
import type { Layer } from '../layers/layer.js';
import type { Loss } from '../losses/index.js';
import { type HostArray, type NestedStrings, type StringTensor, toStringTensor } from '../strings.js';
import { type ArrayLikeInput, firstNonFinite, Tensor, toTensor } from '../tensor.js';
import { describe, finiteNumber, isPlainObject } from '../utils/options.js';
import type { Feed, InputSpec } from './base.js';
import type { ArraySpec, DataSpec, Form } from './programs.js';

/** One array, or one for each input or output: a list or an object by names. */
export type DataArgument =
  | ArrayLikeInput
  | StringTensor
  | NestedStrings
  | readonly (ArrayLikeInput | StringTensor | NestedStrings)[]
  | Readonly<Record<string, ArrayLikeInput | StringTensor | NestedStrings>>;

/** Samples that fit the model. */
export interface DataSet {
  readonly count: number;
  readonly x: readonly Tensor[];
  readonly y: readonly (Tensor | null)[];
  readonly weights: readonly (Tensor | null)[];
  /** For steps of one's own. */
  readonly forms?: DataSpec['forms'];
}

/** Splits an argument for several inputs or outputs. */
function parts(what: string, value: unknown, names: readonly string[]): unknown[] {
  if (value === null || value === undefined) return names.map(() => null);
  if (isPlainObject(value) && !('data' in value && 'shape' in value)) {
    for (const key of Object.keys(value))
      if (!names.includes(key)) throw new ValueError(`${what}: unknown name '${key}'.${didYouMean(key, names)} Expected: ${names.join(', ')}`);
    return names.map((n) => value[n] ?? null);
  }
  if (names.length === 1) return [Array.isArray(value) && value.length === 1 && value[0] instanceof Tensor ? value[0] : value];
  if (!Array.isArray(value) || value.length !== names.length) {
    throw new ValueError(
      `${what}: the model has ${names.length} of them (${names.join(', ')}): expected a list of ${names.length} arrays or an object by names, got ${describe(value)}`,
    );
  }
  return value;
}

/** float64 and float16 travel as float32, bool as uint8. */
function onDevice(t: Tensor): Tensor {
  if (t.dtype === 'float64' || t.dtype === 'float16') return new Tensor(hostArray('float32', t.data), t.shape, 'float32');
  return t.dtype === 'bool' ? new Tensor(t.data, t.shape, 'uint8') : t;
}

export function checkFinite(what: string, t: Tensor): void {
  const at = firstNonFinite(t.data);
  if (at < 0) return;
  const row = t.data.length / t.shape[0]!;
  throw new ValueError(`${what}: found ${t.data[at]} in sample ${Math.floor(at / row)} (element ${at % row}): data must be finite`);
}

/** What the model's programs take, from its inputs: the inputs, or what layers on the host make of them. */
export function feedArrays(
  what: string,
  x: unknown,
  model: { readonly name: string; readonly inputSpecs: readonly InputSpec[]; readonly feeds: readonly Feed[] },
): Tensor[] {
  const { inputSpecs: specs, feeds } = model;
  if (feeds.every((f) => f.compute === null)) return inputArrays(what, x, specs);
  if (x === null || x === undefined) throw new ValueError(`${what}: 'x' is required`);
  const names = specs.map((s) => s.name);
  const given = parts(`${what}: 'x'`, x, names).map((v, i): HostArray => {
    const s = specs[i]!;
    if (s.dtype !== 'string') return inputArrays(what, v, [s])[0]!;
    const label = names.length === 1 ? `${what}: 'x'` : `${what}: input '${s.name}'`;
    if (v === null) throw new ValueError(`${label} is missing`);
    const t = toStringTensor(label, v);
    const u = t.rank === s.shape.length - 1 && s.shape.at(-1) === 1 ? t.reshape([...t.shape, 1]) : t;
    if (u.size === 0) throw new ValueError(`${what}: the data set is empty`);
    if (u.rank !== s.shape.length || !s.shape.every((d, a) => a === 0 || d === null || d === u.shape[a]))
      throw new ShapeError(`${label}: the input '${s.name}' expects shape ${kerasShapeText([null, ...s.shape.slice(1)])}, got ${kerasShapeText(u.shape)}`);
    return u;
  });
  given.forEach((t, i) => {
    if (t.shape[0] !== given[0]!.shape[0])
      throw new ShapeError(
        `${what}: all inputs must have the same number of samples, '${names[0]!}' has ${given[0]!.shape[0]}, '${names[i]!}' has ${t.shape[0]}`,
      );
  });
  const fed = feeds.map((f) => f.compute!(given) as Tensor);
  return inputArrays(what, fed, feeds);
}

/** The inputs as arrays that fit the model. */
export function inputArrays(what: string, x: unknown, specs: readonly InputSpec[]): Tensor[] {
  if (x === null || x === undefined) throw new ValueError(`${what}: 'x' is required`);
  const list = parts(
    `${what}: 'x'`,
    x,
    specs.map((s) => s.name),
  ).map((v, i) => {
    const s = specs[i]!;
    const label = specs.length === 1 ? `${what}: 'x'` : `${what}: input '${s.name}'`;
    if (v === null) throw new ValueError(`${label} is missing`);
    let t = onDevice(toTensor(label, v));
    if (t.shape[0] === 0) throw new ValueError(`${what}: the data set is empty`);
    if (t.rank === s.shape.length - 1 && s.shape.at(-1) === 1) t = t.reshape([...t.shape, 1]);
    const fits = t.rank === s.shape.length && s.shape.every((d, a) => a === 0 || d === null || d === t.shape[a]);
    if (!fits)
      throw new ShapeError(`${label}: the input '${s.name}' expects shape ${kerasShapeText([null, ...s.shape.slice(1)])}, got ${kerasShapeText(t.shape)}`);
    checkFinite(label, t);
    return t;
  });
  const count = list[0]!.shape[0]!;
  list.forEach((t, i) => {
    if (t.shape[0] !== count)
      throw new ShapeError(`${what}: all inputs must have the same number of samples, '${specs[0]!.name}' has ${count}, '${specs[i]!.name}' has ${t.shape[0]}`);
  });
  return list;
}

/** What a model tells the checks of targets. */
export interface TargetSpecs {
  readonly outputNames: readonly string[];
  readonly losses: readonly (Loss | null)[];
  /** Number of classes of each output, where its last axis is known. */
  readonly classes: readonly (number | null)[];
}

export function targetArrays(what: string, y: unknown, specs: TargetSpecs, count: number): (Tensor | null)[] {
  return parts(`${what}: 'y'`, y, specs.outputNames).map((v, i) => {
    const name = specs.outputNames[i]!;
    const label = specs.outputNames.length === 1 ? `${what}: 'y'` : `${what}: target '${name}'`;
    if (v === null) {
      if (specs.losses[i]) throw new ValueError(`${label} is required: the output '${name}' has a loss`);
      return null;
    }
    let t = onDevice(toTensor(label, v));
    if (t.shape[0] !== count) throw new ShapeError(`${label}: expected ${count} samples as in 'x', got ${t.shape[0]}`);
    if (t.rank === 1) t = t.reshape([count, 1]);
    checkFinite(label, t);
    if (specs.losses[i]?.className === 'SparseCategoricalCrossentropy') checkClasses(label, t, specs.classes[i] ?? null, specs.losses[i]!);
    return t;
  });
}

function checkClasses(label: string, t: Tensor, classes: number | null, loss: Loss): void {
  const ignored = loss.getConfig().ignore_class;
  const bad = t.data.findIndex((c) => c !== ignored && (c < 0 || !Number.isInteger(c) || (classes !== null && c >= classes)));
  if (bad < 0) return;
  const row = t.data.length / t.shape[0]!;
  throw new ValueError(
    `${label}: sample ${Math.floor(bad / row)} has the class ${t.data[bad]}, expected whole numbers from 0 to ${classes === null ? '…' : classes - 1} (the output has ${classes ?? 'unknown'} classes)`,
  );
}

/** Sample weights for each output, class weights multiplied in. */
export function weightArrays(
  what: string,
  sampleWeight: unknown,
  classWeight: Readonly<Record<number, number>> | null,
  y: readonly (Tensor | null)[],
  specs: TargetSpecs,
  count: number,
): (Tensor | null)[] {
  const names = specs.outputNames;
  let list =
    names.length > 1 &&
    sampleWeight !== null &&
    sampleWeight !== undefined &&
    !isPlainObject(sampleWeight) &&
    !(Array.isArray(sampleWeight) && sampleWeight.length === names.length && typeof sampleWeight[0] !== 'number')
      ? names.map(() => sampleWeight)
      : parts(`${what}: 'sampleWeight'`, sampleWeight, names);
  if (classWeight) {
    if (names.length > 1) throw new ValueError(`${what}: 'classWeight' is for models with one output`);
    list = [times(classWeights(what, classWeight, y[0]!), list[0] === null ? null : toTensor(`${what}: 'sampleWeight'`, list[0]))];
  }
  return list.map((v) => {
    if (v === null || v === undefined) return null;
    const t = onDevice(toTensor(`${what}: 'sampleWeight'`, v));
    if (t.shape[0] !== count) throw new ShapeError(`${what}: 'sampleWeight': expected ${count} weights as in 'x', got ${t.shape[0]}`);
    checkFinite(`${what}: 'sampleWeight'`, t);
    return t.dtype === 'float32' ? t : new Tensor(hostArray('float32', t.data), t.shape, 'float32');
  });
}

/** The weight of each sample's class, 1 for classes without one. Targets are class numbers or one-hot rows. */
function classWeights(what: string, weights: Readonly<Record<number, number>>, y: Tensor): Tensor {
  if (!isPlainObject(weights) && !Array.isArray(weights))
    throw new ValueError(`${what}: 'classWeight' must be an object with a weight for each class number such as { 0: 1, 1: 2.5 }, got ${describe(weights)}`);
  for (const [c, w] of Object.entries(weights)) {
    if (!/^\d+$/.test(c)) throw new ValueError(`${what}: 'classWeight' names the class '${c}', expected whole numbers from 0`);
    finiteNumber(what, `classWeight[${c}]`, w);
  }
  const classes = y.rank === 2 ? y.shape[1]! : 1;
  if (y.rank > 2) throw new ValueError(`${what}: 'classWeight' needs targets of rank 1 or 2, got shape ${kerasShapeText(y.shape)}`);
  const out = Float32Array.from({ length: y.shape[0]! }, (_, i) => {
    let c = y.data[i * classes]!;
    if (classes > 1) {
      const row = y.data.subarray(i * classes, (i + 1) * classes);
      c = row.indexOf(Math.max(...row));
    }
    return weights[c] ?? 1;
  });
  return new Tensor(out, [out.length]);
}

function times(a: Tensor, b: Tensor | null): Tensor {
  if (!b) return a;
  if (b.size !== a.size) throw new ShapeError(`sampleWeight has ${b.size} values, classWeight gives ${a.size}`);
  return new Tensor(
    Float32Array.from(a.data, (v, i) => v * b.data[i]!),
    a.shape,
  );
}

const specOf = (t: Tensor): ArraySpec => ({ dtype: t.dtype, shape: t.shape.slice(1) });

export const dataSpec = (d: DataSet): DataSpec => ({
  x: d.x.map(specOf),
  y: d.y.map((t) => t && specOf(t)),
  weights: d.weights.map((t) => t && specOf(t)),
  ...(d.forms ? { forms: d.forms } : {}),
});

const isArray = (v: unknown): boolean => v instanceof Tensor || ArrayBuffer.isView(v) || (isPlainObject(v) && 'data' in v && 'shape' in v);

/** How several arrays are given: one alone, a list of arrays, or an object by names. */
export function formOf(x: unknown): Form {
  if (isPlainObject(x) && !isArray(x)) return Object.keys(x);
  return Array.isArray(x) && x.length > 0 && x.every(isArray) ? 'list' : 'one';
}

/** Names of the parts of targets that belong to no outputs. */
export const partNames = (x: unknown, form: Form): readonly string[] =>
  typeof form !== 'string' ? form : form === 'one' ? ['y'] : (x as unknown[]).map((_, i) => `y_${i}`);

/** Rows [start, end) of every array. */
export const rowsOf = (d: DataSet, start: number, end: number): DataSet => ({
  count: end - start,
  forms: d.forms,
  x: d.x.map((t) => t.rows(start, end)),
  y: d.y.map((t) => t?.rows(start, end) ?? null),
  weights: d.weights.map((t) => t?.rows(start, end) ?? null),
});

/** Ids outside an embedding's table would be clamped silently: they are an error. */
export function checkEmbeddingIds(
  what: string,
  x: readonly Tensor[],
  tables: readonly (readonly { readonly layer: Layer; readonly inputDim: number }[])[],
): void {
  x.forEach((t, i) => {
    for (const { layer, inputDim } of tables[i] ?? []) {
      const bad = t.data.findIndex((v) => v < 0 || v >= inputDim || !Number.isInteger(v));
      if (bad < 0) continue;
      const row = t.data.length / t.shape[0]!;
      throw new ValueError(
        `${what}: sample ${Math.floor(bad / row)} has the id ${t.data[bad]}, layer '${layer.name}' has ${inputDim} rows (ids 0 to ${inputDim - 1})`,
      );
    }
  });
}
