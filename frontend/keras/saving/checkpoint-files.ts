/**
 * What TensorFlow checkpoints of models hold, as `model.save_weights('path/prefix')` of Keras 2 writes them: weights and optimizer by their places in the object graph. Tenon's own state
 * lies in entries that the graph does not name, so that Keras neither reads nor misses them.
 */
import { ModelFormatError } from '../../../ir/errors.js';
import { besideTarget, type FileTarget, writeFiles } from '../../formats/sink.js';
import { isNode, type OpenFile } from '../../formats/source.js';
import { type Bundle, type NewTensor, openBundle, shardName, writeShard } from '../../formats/tensorflow/bundle.js';
import { stateFile, stateText } from '../../formats/tensorflow/checkpoint-state.js';
import { decodeGraph, encodeGraph, type TrackableObject } from '../../formats/tensorflow/messages.js';
import { readExtra } from './extra-state.js';
import type { ArrayContents, ModelContents, SavedArray, SavedModel, SavedNode, TrackedContents } from './saved-model.js';

const graphKey = '_CHECKPOINTABLE_OBJECT_GRAPH';
const extraKey = '_TENON_STATE';
const largestGraph = 256 << 20;
const value = 'VARIABLE_VALUE';

/** The objects of a checkpoint; gives the root. */
export async function nodesOf(bundle: Bundle): Promise<SavedNode> {
  const where = `${bundle.name}: the object graph`;
  if (!bundle.tensors.has(graphKey))
    throw new ModelFormatError(`${bundle.name}: has no object graph: checkpoints of TensorFlow 1 (by variable names alone) are not read`);
  const { nodes: stored } = decodeGraph(where, await bundle.readString(graphKey, largestGraph));
  const arrayAt = (key: string): SavedArray => {
    const t = bundle.tensors.get(key);
    if (!t) throw new ModelFormatError(`${where} names the tensor ${JSON.stringify(key.slice(0, 200))}, which is not in the index`);
    return { name: key, shape: t.shape, read: () => bundle.read(key) };
  };
  const nodes = stored.map((n) => {
    const key = n.attributes?.find((a) => a.name === value)?.checkpoint_key;
    return { children: new Map<string, SavedNode>(), slots: new Map<string, SavedArray>(), array: key === undefined ? null : arrayAt(key) };
  });
  const at = (id: number | undefined) => {
    const n = nodes[id ?? 0];
    if (!n) throw new ModelFormatError(`${where} points to object ${id} of ${nodes.length}`);
    return n;
  };
  stored.forEach((n, i) => {
    for (const c of n.children ?? []) nodes[i]!.children.set(c.local_name ?? '', at(c.node_id));
    for (const s of n.slot_variables ?? []) {
      const { array } = at(s.slot_variable_node_id);
      if (array) at(s.original_variable_node_id).slots.set(s.slot_name ?? '', array);
    }
  });
  return at(0);
}

/** What a checkpoint holds, from its index. */
export async function readCheckpoint(file: OpenFile): Promise<SavedModel> {
  const bundle = await openBundle(file);
  try {
    const root = await nodesOf(bundle);
    const arrayOf = (name: string): SavedArray => {
      const key = `${extraKey}/${name}`;
      const t = bundle.tensors.get(key);
      if (!t) throw new ModelFormatError(`${file.name}: the state that Tenon keeps in the file lacks ${name}`);
      return { name, shape: t.shape, read: () => bundle.read(key) };
    };
    const extra = bundle.tensors.has(extraKey) ? readExtra(file.name, await bundle.readString(extraKey, 1 << 26), arrayOf) : null;
    return {
      source: file.name.replace(/\.index$/, ''),
      generation: null,
      config: null,
      weights: { kind: 'tracked', root },
      training: null,
      optimizer: null,
      extra,
      close: () => bundle.close(),
    };
  } catch (e) {
    await bundle.close();
    throw e;
  }
}

// ---- writing

/** An object to write. */
interface NewNode {
  readonly children: [string, NewNode][];
  readonly array: ArrayContents | null;
  readonly slots: { readonly name: string; readonly of: NewNode; readonly slot: NewNode }[];
}
const node = (array: ArrayContents | null = null): NewNode => ({ children: [], array, slots: [] });
const scalar = (name: string, x: number): NewNode => node({ name, shape: [], data: Float32Array.of(x) });

/** Numbers of legacy optimizers that TensorFlow keeps as variables. */
const hyperparameters = [
  'beta_1',
  'beta_2',
  'decay',
  'learning_rate',
  'rho',
  'momentum',
  'learning_rate_power',
  'l1_regularization_strength',
  'l2_regularization_strength',
  'beta',
];

/** Lists of slots by the attributes of tf.keras' new optimizers, for the names that slots have there. */
const slotLists: Readonly<Record<string, string>> = {
  'SGD m': 'momentums',
  'Adagrad accumulator': '_accumulators',
  'Adadelta accumulated_grad': '_accumulated_grads',
  'Adadelta accumulated_delta_var': '_accumulated_delta_vars',
  'Adamax m': '_m',
  'Adamax u': '_u',
  'Ftrl accumulator': '_accumulators',
  'Ftrl linear': '_linears',
  'Lion m': 'momentums',
  'Adafactor r': '_r',
  'Adafactor c': '_c',
  'Adafactor v': '_v',
  m: '_momentums',
  v: '_velocities',
  vhat: '_velocity_hats',
  velocity: '_velocities',
  momentum: '_momentums',
  average_gradient: '_average_gradients',
  average: '_model_variables_moving_average',
};

function optimizerNode(m: ModelContents, nodes: ReadonlyMap<ArrayContents, NewNode>): NewNode | null {
  const o = m.optimizer;
  if (!o) return null;
  const out = node();
  const config = o.config.config;
  const rate = o.learningRate;
  const [iteration, ...slots] = o.variables;
  if (o.legacy) {
    out.children.push(['iter', node(iteration)]);
    for (const key of hyperparameters) {
      const x = key === 'learning_rate' ? (o.scheduled ? null : rate) : config[key];
      if (typeof x === 'number') out.children.push([key, scalar(`${o.config.class_name}/${key}`, x)]);
    }
    for (const s of slots) {
      const [of, slot] = [s.of && nodes.get(s.of), node(s)];
      if (of && s.slot !== null) out.slots.push({ name: s.slot, of, slot });
    }
    return out;
  }
  const first = node(iteration);
  const list = node();
  list.children.push(['0', first]);
  out.children.push(['_variables', list], ['_iterations', first]);
  out.children.push(o.scheduled ? ['_current_learning_rate', scalar('current_learning_rate', rate)] : ['_learning_rate', scalar('learning_rate', rate)]);
  const lists = new Map<string, NewNode>();
  for (const s of slots) {
    if (s.slot === null) continue;
    const slot = node(s);
    list.children.push([String(list.children.length), slot]);
    const name = slotLists[`${o.config.class_name} ${s.slot}`] ?? slotLists[s.slot];
    if (name === undefined) continue;
    const own = lists.get(name) ?? node();
    lists.set(name, own);
    own.children.push([String(own.children.length), slot]);
  }
  // tf_keras has numbers that nothing uses in the places of rows and columns of vectors
  if (o.config.class_name === 'Adafactor') {
    const weights = slots.flatMap((s) => (s.slot === 'v' ? [s.weight] : []));
    for (const slot of ['r', 'c']) {
      const mine = lists.get(`_${slot}`)?.children.map(([, n]) => n) ?? [];
      const held = new Set(slots.flatMap((s) => (s.slot === slot ? [s.weight] : [])));
      const children = weights.map((w, i): [string, NewNode] => [
        String(i),
        held.has(w) ? mine.shift()! : node({ name: `${slot}/${w}`, shape: [], data: Int32Array.of(0) }),
      ]);
      lists.set(`_${slot}`, { ...node(), children });
    }
  }
  out.children.push(...lists);
  return out;
}

/** Local names as keys have them. */
const escaped = (name: string): string => name.replaceAll('.', '..').replaceAll('/', '.S');

/** The tensors of a checkpoint, the object graph with them. */
function tensorsOf(m: ModelContents): Map<string, NewTensor> {
  const nodes = new Map<ArrayContents, NewNode>();
  const made = new Map<TrackedContents, NewNode>();
  const nodeOf = (t: TrackedContents): NewNode => {
    const known = made.get(t);
    if (known) return known;
    const n = node(t.array);
    made.set(t, n);
    if (t.array) nodes.set(t.array, n);
    for (const [name, child] of t.children) n.children.push([name, nodeOf(child)]);
    return n;
  };
  const root = nodeOf(m.tracked);
  const optimizer = optimizerNode(m, nodes);
  if (optimizer) root.children.push(['optimizer', optimizer]);
  // breadth first, which gives numbers and the shortest paths
  const ids = new Map<NewNode, number>([[root, 0]]);
  const keys = new Map<NewNode, string>([[root, '']]);
  const order = [root];
  const meet = (n: NewNode, key: string): void => {
    if (ids.has(n)) return;
    ids.set(n, order.length);
    keys.set(n, key);
    order.push(n);
  };
  for (let i = 0; i < order.length; i++) {
    const n = order[i]!;
    const at = keys.get(n)!;
    for (const [name, child] of n.children) meet(child, at === '' ? escaped(name) : `${at}/${escaped(name)}`);
  }
  for (const s of optimizer?.slots ?? []) meet(s.slot, `${keys.get(s.of)}/.OPTIMIZER_SLOT/optimizer/${escaped(s.name)}`);
  const out = new Map<string, NewTensor>();
  const stored = order.map((n): TrackableObject => {
    const key = `${keys.get(n)}/.ATTRIBUTES/${value}`;
    if (n.array) out.set(key, n.array);
    return {
      children: n.children.map(([local_name, child]) => ({ node_id: ids.get(child)!, local_name })),
      attributes: n.array ? [{ name: value, full_name: n.array.name, checkpoint_key: key }] : [],
      slot_variables: n.slots.map((s) => ({
        original_variable_node_id: ids.get(s.of)!,
        slot_name: s.name,
        slot_variable_node_id: ids.get(s.slot)!,
      })),
    };
  });
  // an object has values when it, or one below it, has
  const filled = new Set(order.filter((n) => n.array));
  for (let size = -1; size !== filled.size; ) {
    size = filled.size;
    for (const n of order) if (n.children.some(([, c]) => filled.has(c))) filled.add(n);
  }
  const graph = stored.map((n, i): TrackableObject => ({ ...n, has_checkpoint_values: filled.has(order[i]!) ? { value: true } : {} }));
  out.set(graphKey, { shape: [], data: { text: encodeGraph({ nodes: graph }) } });
  out.set(extraKey, { shape: [], data: { text: new TextEncoder().encode(JSON.stringify(m.extra.json)) } });
  for (const a of m.extra.arrays) out.set(`${extraKey}/${a.name}`, a);
  return out;
}

const baseName = (path: string): string => path.split(/[\\/]/).at(-1) ?? path;

/** Shards of a prefix that lie on the disk. */
async function shardsOf(target: FileTarget, prefix: string): Promise<{ readonly path: string; readonly count: number }[]> {
  if (typeof target !== 'string' || !isNode()) return [];
  const { readdirSync } = await import('node:fs');
  const { dirname, join } = await import('node:path');
  const folder = dirname(target);
  const fits = (name: string): RegExpExecArray | null => (name.startsWith(`${prefix}.data-`) ? /\.data-\d{5}-of-(\d{5})$/.exec(name) : null);
  let names: string[] = [];
  try {
    names = readdirSync(folder);
  } catch {
    // opening the files will say what is wrong with the folder
  }
  return names.flatMap((name) => {
    const m = fits(name);
    return m ? [{ path: join(folder, name), count: Number(m[1]) }] : [];
  });
}

/** Writes a checkpoint: shard, index, and the state file that names it. */
export async function writeCheckpoint(m: ModelContents, target: FileTarget): Promise<void> {
  const name = typeof target === 'string' ? target : target.name;
  const prefix = baseName(name).replace(/\.index$/, '');
  if (prefix === '') throw new ModelFormatError(`${name}: a checkpoint needs a name, such as ${name}weights`);
  // the shards of a checkpoint that is there already keep their names until the new index is in place: the index tells which are its own
  const old = await shardsOf(target, prefix);
  let count = 1;
  while (old.some((s) => s.count === count)) count++;
  let index: Uint8Array[] = [];
  await writeFiles([
    {
      target: await besideTarget(target, shardName(prefix, 0, count)),
      body: async (sink) => {
        index = writeShard(sink, tensorsOf(m), count);
      },
    },
    {
      target: await besideTarget(target, `${prefix}.index`),
      body: async (sink) => {
        for (const piece of index) sink.write(piece, sink.size);
      },
    },
    {
      target: await besideTarget(target, stateFile),
      body: async (sink) => {
        sink.write(new TextEncoder().encode(stateText(prefix)), 0);
      },
    },
  ]);
  if (old.length > 0) {
    const { rmSync } = await import('node:fs');
    for (const s of old) rmSync(s.path, { force: true });
  }
}
