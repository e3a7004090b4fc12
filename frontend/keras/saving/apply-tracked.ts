/** Which object of a checkpoint is which object of a model: by the names of attributes from the root down, and in order where names say nothing. */
import { ModelFormatError } from '../../../ir/errors.js';
import type { Variable } from '../backend/variable.js';
import type { ModelBase } from '../models/base.js';
import { optimizerVariables } from './optimizer-variables.js';
import type { SavedArray, SavedNode } from './saved-model.js';
import { type TrackedObject, trackedObjects } from './tracked.js';

/** Objects with numbers in or below them. Objects may hold each other in circles. */
function weightedNodes(root: SavedNode): Set<SavedNode> {
  const parents = new Map<SavedNode, SavedNode[]>([[root, []]]);
  const queue = [root];
  for (let n = queue.pop(); n; n = queue.pop())
    for (const child of n.children.values()) {
      const known = parents.get(child);
      if (known) known.push(n);
      else {
        parents.set(child, [n]);
        queue.push(child);
      }
    }
  const out = new Set<SavedNode>();
  const rising = [...parents.keys()].filter((n) => n.array !== null);
  for (let n = rising.pop(); n; n = rising.pop()) {
    if (out.has(n)) continue;
    out.add(n);
    rising.push(...(parents.get(n) ?? []));
  }
  return out;
}

/** What Keras and TensorFlow keep beside attributes of the user's. */
const service =
  /^(?:root|optimizer|save_counter|keras_api|signatures|variables|trainable_variables|non_trainable_variables|regularization_losses|layers|metrics|layer_metrics|loss|_.*)$/;

export interface TrackedMatch {
  readonly found: ReadonlyMap<Variable, SavedNode>;
  /** What does not fit. */
  readonly faults: readonly string[];
}

/** The place of the model: the root, or the one child of it that looks like the model (`tf.train.Checkpoint(model=…)`). */
function placeOf(source: string, ours: TrackedObject, root: SavedNode): SavedNode {
  const names = ours.children.filter(([, c]) => c.weighted).map(([n]) => n);
  const fits = (n: SavedNode): boolean => names.some((name) => n.children.has(name));
  if (names.length === 0 || fits(root)) return root;
  const inside = [...root.children].filter(([, n]) => fits(n));
  if (new Set(inside.map(([, n]) => n)).size > 1)
    throw new ModelFormatError(`${source}: holds several objects that may be the model: ${inside.map(([name]) => name).join(', ')}`);
  return inside[0]?.[1] ?? root;
}

export function matchTracked(model: ModelBase, source: string, root: SavedNode): TrackedMatch {
  const found = new Map<Variable, SavedNode>();
  const faults: string[] = [];
  const weighted = weightedNodes(root);
  const match = (ours: TrackedObject, theirs: SavedNode, path: string): void => {
    if (ours.variable) {
      if (theirs.array) found.set(ours.variable, theirs);
      else faults.push(`${source}: ${ours.variable.path}: the checkpoint holds no numbers for it at ${path}`);
      return;
    }
    const done = new Set<TrackedObject>();
    const taken = new Set<SavedNode>();
    const open: (readonly [string, TrackedObject])[] = [];
    for (const [name, child] of ours.children) {
      if (!child.weighted || done.has(child)) continue;
      done.add(child);
      const there = theirs.children.get(name);
      if (!there || !weighted.has(there)) open.push([name, child]);
      else {
        taken.add(there);
        match(child, there, `${path}/${name}`);
      }
    }
    if (open.length === 0) return;
    const left = [...theirs.children].filter(([name, n]) => weighted.has(n) && !taken.has(n) && !service.test(name) && !name.startsWith('layer-'));
    const kinds = open.every(([, o], i) => (o.variable === null) === (left[i]?.[1].array === null));
    if (left.length === open.length && kinds) {
      open.forEach(([, child], i) => {
        match(child, left[i]![1], `${path}/${left[i]![0]}`);
      });
      return;
    }
    const has = [...theirs.children.keys()].slice(0, 20).join(', ') || 'nothing';
    for (const [name, child] of open)
      faults.push(`${source}: ${child.variable?.path ?? `'${name}' of the model`} is not in the checkpoint at ${path}, which has ${has}`);
  };
  const ours = trackedObjects(model);
  match(ours, placeOf(source, ours, root), '(root)');
  return { found, faults };
}

export interface TrackedOptimizer {
  /** In Keras' order: the step counter, slots. */
  readonly arrays: readonly SavedArray[];
  readonly learningRate: SavedArray | null;
}

/** The optimizer's variables; null where the checkpoint has none for a model compiled like this one. */
export function trackedOptimizer(model: ModelBase, root: SavedNode, found: ReadonlyMap<Variable, SavedNode>): TrackedOptimizer | null {
  const o = model.optimizer;
  const places = [root, ...root.children.values()];
  const node = places.map((n) => n.children.get('optimizer')).find((n) => n && (n.children.has('_iterations') || n.children.has('iter')));
  if (!o || !node) return null;
  const child = (name: string): SavedArray | null => node.children.get(name)?.array ?? null;
  const learningRate = child('_learning_rate') ?? child('learning_rate');
  const iteration = child('_iterations') ?? child('iter');
  if (!iteration) return null;
  const listed = node.children.get('_variables');
  if (!node.children.has('iter')) {
    const slots = [...(listed?.children ?? [])].filter(([k]) => k !== '0').sort(([a], [b]) => Number(a) - Number(b));
    const arrays = slots.flatMap(([, n]) => (n.array ? [n.array] : []));
    return { arrays: [iteration, ...arrays], learningRate };
  }
  const weights = model.trainableWeights;
  const names = new Map(optimizerVariables(o, 'legacy', weights).flatMap((v) => (v.kind === 'slot' ? [[v.slot, v.kerasSlot] as const] : [])));
  const slots = optimizerVariables(o, o.api, weights).flatMap((v) => {
    if (v.kind !== 'slot') return [];
    return [found.get(weights[v.weight]!)?.slots.get(names.get(v.slot) ?? v.kerasSlot) ?? null];
  });
  const all = slots.flatMap((s) => (s ? [s] : []));
  return { arrays: all.length === slots.length ? [iteration, ...all] : [iteration], learningRate };
}
