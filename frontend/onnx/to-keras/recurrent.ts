/** RNN, GRU and LSTM as SimpleRNN, GRU and LSTM, in both directions as Bidirectional. */
import type { Value } from '../../../ir/graph.js';
import type { Layer } from '../../keras/layers/layer.js';
import { Concatenate } from '../../keras/layers/merging.js';
import type { KerasTensor } from '../../keras/layers/node.js';
import { GRU } from '../../keras/layers/recurrent/gru.js';
import { LSTM } from '../../keras/layers/recurrent/lstm.js';
import { SimpleRNN } from '../../keras/layers/recurrent/simple-rnn.js';
import { Bidirectional } from '../../keras/layers/wrappers.js';
import type { Call } from '../import.js';
import { type ConversionContext, int, type LayerMaker } from './context.js';
import type { Contents } from './graph.js';

/** Keras' names of activations whose parameters are the defaults. */
const activationNames: Readonly<Record<string, string>> = {
  tanh: 'tanh',
  sigmoid: 'sigmoid',
  relu: 'relu',
  softsign: 'softsign',
  softplus: 'softplus',
  elu: 'elu',
};

interface Kind {
  readonly make: (options: object) => Layer;
  /** Where each gate of Keras is in ONNX. */
  readonly gates: readonly number[];
  readonly states: number;
  readonly defaults: readonly string[];
}
const kinds: Readonly<Record<string, Kind>> = {
  RNN: { make: SimpleRNN as unknown as Kind['make'], gates: [0], states: 1, defaults: ['Tanh'] },
  GRU: { make: GRU as unknown as Kind['make'], gates: [0, 1, 2], states: 1, defaults: ['Sigmoid', 'Tanh'] },
  // i, o, f, c there; i, f, c, o here
  LSTM: { make: LSTM as unknown as Kind['make'], gates: [0, 2, 3, 1], states: 2, defaults: ['Sigmoid', 'Tanh', 'Tanh'] },
};

/** Direction d of (directions, gates · units, columns) as (columns, gates · units) with the gates in Keras' order. */
function kernelOf(w: Contents, d: number, units: number, gates: readonly number[]): Float32Array {
  const [, rows, columns] = w.shape as readonly [number, number, number];
  const out = new Float32Array(rows * columns);
  gates.forEach((from, to) => {
    for (let u = 0; u < units; u++) for (let k = 0; k < columns; k++) out[k * rows + to * units + u] = w.values[(d * rows + from * units + u) * columns + k]!;
  });
  return out;
}
/** Part 0 (for the input) or 1 (for the state) of the biases of direction d. */
function biasOf(b: Contents, d: number, part: number, units: number, gates: readonly number[]): Float32Array {
  const width = gates.length * units;
  const out = new Float32Array(width);
  gates.forEach((from, to) => {
    for (let u = 0; u < units; u++) out[to * units + u] = b.values[(2 * d + part) * width + from * units + u]!;
  });
  return out;
}

function activationsOf(c: ConversionContext, call: Call, kind: Kind, directions: number): readonly string[] {
  const given = (call.attributes.activations as readonly string[] | null) ?? Array.from({ length: directions }, () => kind.defaults).flat();
  if (call.attributes.activation_alpha || call.attributes.activation_beta) c.refuse('activations with parameters');
  const names = given.map((n) => activationNames[n.toLowerCase()] ?? c.refuse(`the activation ${n}`));
  const own = names.slice(0, kind.defaults.length);
  if (names.some((n, i) => n !== own[i % own.length])) c.refuse('other activations on the way back');
  if (own.length === 3 && own[1] !== own[2]) c.refuse('different activations of cell and output');
  return own;
}

/** The initial state, where it is not zero. */
function initialOf(c: ConversionContext, call: Call, i: number): Value | null {
  const v = call.inputs[i];
  if (!v) return null;
  if (c.graph.number(v) === 0) return null;
  return v;
}

export const recurrent: LayerMaker = (c, call) => {
  const kind = kinds[call.op]!;
  const x = c.in(call, 0);
  const [w, r] = [c.known(call, 1), c.known(call, 2)];
  const b = c.knownOrNull(call, 3);
  const units = r.shape[2]!;
  const direction = String(call.attributes.direction);
  const directions = direction === 'bidirectional' ? 2 : 1;
  const batchFirst = int(call, 'layout') !== 0;
  if (call.attributes.clip !== null) c.refuse('clip');
  if (call.op === 'LSTM' && int(call, 'input_forget')) c.refuse('input_forget');
  if (call.inputs[7] && c.graph.number(call.inputs[7]) !== 0) c.refuse('peepholes');
  const lengths = call.inputs[4];
  if (lengths && c.graph.number(lengths) !== x.shape[batchFirst ? 1 : 0]) c.refuse('lengths of sequences');
  const acts = activationsOf(c, call, kind, directions);
  const initial = Array.from({ length: kind.states }, (_, i) => initialOf(c, call, 5 + i));
  const given = initial.filter((v) => v !== null);
  if (given.length > 0 && (given.length < initial.length || directions === 2)) c.refuse('initial states of this form');

  const [y, ...ends] = [0, 1, 2].map((i) => (c.graph.isUsed(call.outputs[i]) ? call.outputs[i]! : null));
  const returnSequences = y !== null;
  const returnState = (returnSequences && ends.some((e) => e !== null)) || (ends[1] ?? null) !== null;
  const resetAfter = call.op === 'GRU' && int(call, 'linear_before_reset') !== 0;
  const name = c.layerName(call);
  const layer = kind.make({
    units,
    activation: acts.at(-1),
    ...(acts.length > 1 ? { recurrentActivation: acts[0] } : {}),
    useBias: b !== null,
    returnSequences,
    returnState,
    goBackwards: direction === 'reverse',
    ...(call.op === 'GRU' ? { resetAfter } : {}),
    name: directions === 2 ? `${name}_rnn` : name,
  });
  const weights = Array.from({ length: directions }, (_, d) => {
    const list: Float32Array[] = [kernelOf(w, d, units, kind.gates), kernelOf(r, d, units, kind.gates)];
    if (!b) return list;
    const [input, state] = [biasOf(b, d, 0, units, kind.gates), biasOf(b, d, 1, units, kind.gates)];
    return [...list, resetAfter ? Float32Array.of(...input, ...state) : input.map((v, i) => v + state[i]!)];
  }).flat();
  const sequence = c.tensors.get(x, batchFirst ? [0, 1, 2] : [1, 0, 2]);
  const start = given.map((v) => c.tensors.get(v!, batchFirst ? [0, 2] : [1, 2]));
  const whole = directions === 2 ? Bidirectional(layer, { name }) : layer;
  const outputs = c.applyAll(whole, sequence, weights, start.length > 0 ? { initialState: start } : {});

  const [first, ...states] = outputs as readonly [KerasTensor, ...KerasTensor[]];
  if (y) {
    const axes = batchFirst ? [0, 1, 3] : [2, 0, 3];
    if (directions === 2) c.tensors.define(y, c.tensors.reshape(first, [y.shape[batchFirst ? 1 : 0]!, 2, units]), batchFirst ? [0, 1, 2, 3] : [2, 0, 1, 3]);
    else if (direction === 'reverse') c.tensors.defineReversed(y, { tensor: first, axes }, batchFirst ? 1 : 0);
    else c.tensors.define(y, first, axes);
  }
  ends.forEach((v, i) => {
    if (!v || i >= kind.states) return;
    if (directions === 1) return c.tensors.define(v, states.length > 0 ? states[i]! : first, batchFirst ? [0, 2] : [1, 2]);
    const joined = states.length > 0 ? c.apply(Concatenate({ name: c.unique(`${name}_state`) }), [states[i]!, states[kind.states + i]!]) : first;
    return c.tensors.define(v, c.tensors.reshape(joined, [2, units]), batchFirst ? [0, 1, 2] : [1, 0, 2]);
  });
  return null;
};
