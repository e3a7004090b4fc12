/** Puts what a file holds into a model. Every shape is compared before anything is read or changed. */
import type { TypedArray } from '../../../ir/dtype.js';
import { ModelFormatError } from '../../../ir/errors.js';
import { iterationSlot } from '../backend/trace.js';
import type { Variable } from '../backend/variable.js';
import type { Layer } from '../layers/layer.js';
import type { ModelBase } from '../models/base.js';
import type { Optimizer } from '../optimizers/index.js';
import { uniqueNames } from '../utils/naming.js';
import { matchTracked, trackedOptimizer } from './apply-tracked.js';
import { keras1Weights } from './keras1-weights.js';
import { objectsFor, ownWeightsOf } from './objects.js';
import { type OptimizerVariable, optimizerVariables } from './optimizer-variables.js';
import type { ExtraState, SavedArray, SavedModel, SavedWeights } from './saved-model.js';

export interface ApplyOptions {
  readonly byName?: boolean;
  readonly skipMismatch?: boolean;
}

interface Assignment {
  readonly variable: Variable;
  readonly array: SavedArray;
}

const shapeText = (s: readonly number[]): string => `[${s.join(',')}]`;

/** Weights of a layer in the order of files. */
const ordered = (l: Layer): Variable[] => [...l.trainableWeights, ...l.nonTrainableWeights];

/** Pairs weights of one layer with arrays of the file, or says what does not fit. */
function paired(what: string, source: string, variables: readonly Variable[], arrays: readonly SavedArray[]): Assignment[] | string {
  if (variables.length !== arrays.length)
    return `${source}: ${what} has ${variables.length} weights, the file holds ${arrays.length} for it (${arrays.map((a) => a.name).join(', ')})`;
  for (const [i, v] of variables.entries()) {
    const found = arrays[i]!.shape;
    if (v.shape.join() !== found.join())
      return `${source}: ${v.path}: expected shape ${shapeText(v.shape)}, the file holds ${shapeText(found)} (${arrays[i]!.name})`;
  }
  return variables.map((variable, i) => ({ variable, array: arrays[i]! }));
}

function byLayers(model: ModelBase, source: string, saved: Extract<SavedWeights, { kind: 'layers' }>, o: ApplyOptions): Assignment[] {
  const fail = (message: string): never => {
    throw new ModelFormatError(message);
  };
  const out: Assignment[] = [];
  const pair = (layer: Layer, arrays: readonly SavedArray[], variables = ordered(layer)): void => {
    const fits = paired(`layer '${layer.name}'`, source, variables, keras1Weights(layer, variables, arrays, saved.by ?? { keras1: false, theano: false }));
    if (typeof fits !== 'string') out.push(...fits);
    else if (!o.skipMismatch) fail(fits);
  };
  if (o.byName) {
    const mine = new Map(model.layers.map((l) => [l.name, l]));
    for (const l of saved.layers) {
      const layer = mine.get(l.name);
      if (layer) pair(layer, l.weights);
    }
    return out;
  }
  const theirs = saved.layers.filter((l) => l.weights.length > 0);
  const weighted = model.layers.map((layer) => ({ layer, variables: ordered(layer) })).filter((l) => l.variables.length > 0);
  const mine = weighted.map((l) => l.layer);
  if (theirs.length !== mine.length) {
    fail(
      `${source}: the file holds weights of ${theirs.length} layers (${theirs.map((l) => l.name).join(', ')}), model '${model.name}' has ${mine.length} layers with weights (${mine.map((l) => l.name).join(', ')}); { byName: true } takes those whose names agree`,
    );
  }
  weighted.forEach(({ layer, variables }, i) => {
    pair(layer, theirs[i]!.weights, variables);
  });
  const own = paired(`model '${model.name}' itself`, source, ownWeightsOf(model), saved.own ?? []);
  if (typeof own !== 'string') out.push(...own);
  else if (!o.skipMismatch) fail(own);
  return out;
}

function byObjects(model: ModelBase, source: string, saved: Extract<SavedWeights, { kind: 'objects' }>, o: ApplyOptions): Assignment[] {
  const out: Assignment[] = [];
  for (const x of objectsFor(model, saved)) {
    if (x.variables.length === 0) continue;
    // early Keras 3 knew the private names alone
    const stored = saved.objects.get(x.path) ?? saved.objects.get(x.path.replace(/(^|\/)(?=[a-z]+_dense$)/, '$1_'));
    const arrays = [...(stored ?? new Map<string, SavedArray>())].sort(([a], [b]) => Number(a) - Number(b)).map(([, a]) => a);
    const fits = paired(`'${x.title}' (${x.path})`, source, x.variables, arrays);
    if (typeof fits !== 'string') out.push(...fits);
    else if (!o.skipMismatch) throw new ModelFormatError(fits);
  }
  return out;
}

function byNames(model: ModelBase, source: string, saved: Extract<SavedWeights, { kind: 'names' }>, o: ApplyOptions): Assignment[] {
  const { arrays } = saved;
  const names = uniqueNames(model.weights.map((v) => v.path));
  const found = names.map((name) => arrays.get(name) ?? arrays.get(`${name}:0`));
  if (saved.inOrder && found.every((a) => a === undefined)) {
    const variables = [...new Set(model.layers.flatMap(ordered))];
    const fits = paired(`model '${model.name}'`, source, variables, [...arrays.values()]);
    if (typeof fits === 'string') throw new ModelFormatError(fits);
    return fits;
  }
  return model.weights.flatMap((v, i) => {
    const array = found[i];
    if (!array && !o.skipMismatch)
      throw new ModelFormatError(`${source}: has no array '${names[i]}'; it has ${[...arrays.keys()].slice(0, 20).join(', ') || 'none'}`);
    const fits = paired(`'${v.path}'`, source, [v], array ? [array] : []);
    if (typeof fits !== 'string') return fits;
    if (o.skipMismatch) return [];
    throw new ModelFormatError(fits);
  });
}

function byAttributes(model: ModelBase, source: string, saved: Extract<SavedWeights, { kind: 'tracked' }>, o: ApplyOptions): Assignment[] {
  const { found, faults } = matchTracked(model, source, saved.root);
  if (faults.length > 0 && !o.skipMismatch) throw new ModelFormatError(faults.slice(0, 3).join('; '));
  return [...found].flatMap(([v, node]) => {
    const fits = paired(`'${v.path}'`, source, [v], node.array ? [node.array] : []);
    if (typeof fits !== 'string') return fits;
    if (o.skipMismatch) return [];
    throw new ModelFormatError(fits);
  });
}

/** Which array goes to which weight; throws where they do not fit. */
function assignments(model: ModelBase, source: string, saved: SavedWeights, o: ApplyOptions): Assignment[] {
  if (o.byName && saved.kind !== 'layers') throw new ModelFormatError(`${source}: the option byName is for H5 files in the layout of Keras 2`);
  if (saved.kind === 'layers') return byLayers(model, source, saved, o);
  if (saved.kind === 'objects') return byObjects(model, source, saved, o);
  if (saved.kind === 'names') return byNames(model, source, saved, o);
  if (saved.kind === 'tracked') return byAttributes(model, source, saved, o);
  const fits = paired(`model '${model.name}'`, source, model.weights, saved.arrays);
  if (typeof fits === 'string') throw new ModelFormatError(fits);
  return fits;
}

/** The weights of a file into a model. They are read one by one; a large one is never twice in memory. */
export async function applyWeights(model: ModelBase, source: string, saved: SavedWeights, o: ApplyOptions = {}): Promise<void> {
  const done = new Set<Variable>();
  const list = assignments(model, source, saved, o).filter((a) => !done.has(a.variable) && done.add(a.variable));
  const values: [Variable, TypedArray][] = [];
  for (const { variable, array } of list) {
    const data = await array.read();
    if (data.length !== variable.size) throw new ModelFormatError(`${source}: ${array.name} has ${data.length} elements, its shape says ${variable.size}`);
    values.push([variable, data]);
  }
  for (const [variable, data] of values) variable.adopt(data);
}

interface FoundVariables {
  readonly iteration: SavedArray | null;
  readonly slots: readonly SavedArray[];
  readonly scalars: ReadonlyMap<string, SavedArray>;
}

/** What the arrays of a file are: one by one as they are expected, or the slots at the end, behind the step counter and perhaps the learning rate. */
function arraysOfSlots(
  o: Optimizer,
  saved: readonly SavedArray[],
  wanted: readonly OptimizerVariable[],
  shapeOf: (v: OptimizerVariable) => readonly number[],
): FoundVariables {
  if (saved.length === wanted.length && wanted.every((w, i) => shapeOf(w).join() === saved[i]!.shape.join())) {
    const scalars = wanted.flatMap((w, i) => (w.kind === 'scalar' && w.slot !== null ? [[w.slot, saved[i]!] as const] : []));
    return { iteration: saved[0]!, slots: saved.filter((_, i) => wanted[i]!.kind === 'slot'), scalars: new Map(scalars) };
  }
  const count = wanted.filter((w) => w.kind === 'slot').length;
  const isCounter = (a: SavedArray): boolean => a.shape.length === 0;
  // in front of the slots: the step counter, where the file has one, and perhaps the learning rate
  const front = saved.findIndex((a) => !isCounter(a));
  const counters = saved.slice(0, Math.max(0, count > 0 ? saved.length - count : saved.length));
  const rest = saved.slice(counters.length);
  // early Keras wrote a vhat of one element for each weight when there was none
  const slots = rest.length === count ? rest : saved.filter((a) => !isCounter(a)).slice(0, count);
  const plain = rest.length === count && counters.every(isCounter) ? counters : saved.slice(0, Math.max(0, front));
  // in front of them, where losses were scaled: what the outer optimizer counts
  const head = plain.length > 2 ? plain.slice(o.schedule ? -1 : -2) : plain;
  return { iteration: head[0] ?? null, slots, scalars: new Map() };
}

/** The optimizer's variables, in Keras' order, into a compiled model. Gives why not, where they do not fit. */
export async function applyOptimizer(model: ModelBase, source: string, saved: readonly SavedArray[]): Promise<string | null> {
  const o = model.optimizer;
  if (!o || saved.length === 0) return null;
  const weights = model.trainableWeights;
  const wanted = optimizerVariables(o, o.api, weights);
  const { flat } = model.parameterLayout;
  const inOrder = flat.parts.map((p) => p.variable);
  const partOf = (slot: string, weight: number) => o.slotLayout(slot, inOrder).parts.find((p) => p.variable === weights[weight])!;
  const slots = wanted.filter((w) => w.kind === 'slot');
  const found = arraysOfSlots(o, saved, wanted, (w) => (w.kind === 'slot' ? partOf(w.slot, w.weight).shape : []));
  if (found.slots.length !== slots.length)
    return `${source}: the optimizer ${o.className} has ${slots.length} slots for ${weights.length} weights, the file holds ${found.slots.length}`;
  for (const [i, s] of slots.entries()) {
    const expected = partOf(s.slot, s.weight).shape;
    if (found.slots[i]!.shape.join() !== expected.join())
      return `${source}: optimizer variable ${i} (${s.name}): expected shape ${shapeText(expected)}, the file holds ${shapeText(found.slots[i]!.shape)}`;
  }
  const contents = new Map<string, TypedArray>();
  const steps = Int32Array.from(found.iteration ? await found.iteration.read() : [0]).slice(0, 1);
  contents.set(iterationSlot, steps);
  for (const [slot, value] of Object.entries(o.scalarSlots(Math.max(0, steps[0] ?? 0)))) {
    const array = found.scalars.get(slot);
    contents.set(o.stateName(slot), array ? Float32Array.from(await array.read()).slice(0, 1) : Float32Array.of(value));
  }
  for (const [i, s] of slots.entries()) {
    const name = o.stateName(s.slot);
    const all = contents.get(name) ?? new Float32Array(o.slotLayout(s.slot, inOrder).size);
    contents.set(name, all);
    all.set(await found.slots[i]!.read(), partOf(s.slot, s.weight).offset);
  }
  model.restoreState({ slots: contents });
  return null;
}

/** The optimizer's variables of a file, wherever it has them. Gives why not, where they do not fit; undefined where there are none. */
export async function applySavedOptimizer(model: ModelBase, saved: SavedModel): Promise<string | null | undefined> {
  const { optimizer } = model;
  if (!optimizer) return undefined;
  if (saved.optimizer) return applyOptimizer(model, saved.source, saved.optimizer);
  if (saved.weights?.kind !== 'tracked') return undefined;
  const { root } = saved.weights;
  const tracked = trackedOptimizer(model, root, matchTracked(model, saved.source, root).found);
  if (!tracked) return undefined;
  const fault = await applyOptimizer(model, saved.source, tracked.arrays);
  const rate = fault === null && tracked.learningRate?.shape.length === 0 ? (await tracked.learningRate.read())[0]! : null;
  // it was written with 32 bits: a rate that was not changed stays as it was given
  if (rate !== null && !optimizer.schedule && Number.isFinite(rate) && rate >= 0 && Math.fround(optimizer.learningRate) !== rate) optimizer.learningRate = rate;
  return fault;
}

/** What Tenon kept beside what Keras knows. */
export async function applyExtra(model: ModelBase, extra: ExtraState, withTraining: boolean): Promise<void> {
  const slots = new Map<string, TypedArray>();
  if (withTraining) for (const [name, array] of extra.slots) slots.set(name, await array.read());
  const states = model.allState;
  if (extra.states.length === states.length && extra.states.every((s, i) => s.shape.join() === states[i]!.shape.join())) {
    for (const [i, s] of states.entries()) s.adopt(await extra.states[i]!.read());
  }
  model.restoreState(withTraining ? { seed: extra.seed, shuffle: extra.shuffle, slots } : {});
}

/** All of a file into a model that was just made from its configuration. */
export async function applyAll(model: ModelBase, saved: SavedModel): Promise<void> {
  if (saved.weights) await applyWeights(model, saved.source, saved.weights);
  const fault = await applySavedOptimizer(model, saved);
  if (fault) throw new ModelFormatError(fault);
  if (saved.extra) await applyExtra(model, saved.extra, model.optimizer !== null);
}
