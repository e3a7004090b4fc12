/**
 * LSTM, GRU and SimpleRNN as ONNX's LSTM, GRU and RNN: weights with the gates first and in ONNX's order, sequences with time first. Masks, states that are kept between
 * runs, and activations that those ops do not have leave a call to the Scan of its primitives.
 */
import { hostArray, type TypedArray } from '../../../../ir/dtype.js';
import type { Value } from '../../../../ir/graph.js';
import type { Activation } from '../../../keras/activations.js';
import type { Variable } from '../../../keras/backend/variable.js';
import type { DenseCell } from '../../../keras/layers/recurrent/cell.js';
import type { GRUCellClass } from '../../../keras/layers/recurrent/gru.js';
import type { LSTMCellClass } from '../../../keras/layers/recurrent/lstm.js';
import type { RecurrentLayer } from '../../../keras/layers/recurrent/rnn.js';
import type { LayerCall } from '../observer.js';
import type { Static } from '../static.js';
import type { Attrs, Writer } from '../writer.js';

/** ONNX's names of activations that have no parameters. */
const activationNames: Readonly<Record<string, string>> = { tanh: 'Tanh', sigmoid: 'Sigmoid', relu: 'Relu', softsign: 'Softsign', softplus: 'Softplus' };

function activationAttrs(list: readonly Activation[]): Attrs | null {
  const found = list.map((a) => (Object.hasOwn(activationNames, a.name) ? activationNames[a.name]! : null));
  return found.every((f) => f !== null) ? { activations: found } : null;
}

/** Rows of a kernel (in, gates · units) as (1, gates · units, in) with the gates in another order. */
function gatesFirst(w: Writer, kernel: Variable, units: number, order: readonly number[]): Static {
  const s = w.weight(kernel);
  const [rows, columns] = s.shape as readonly [number, number];
  const from = s.data as TypedArray;
  const data = new Float32Array(from.length);
  order.forEach((gate, to) => {
    for (let u = 0; u < units; u++) for (let r = 0; r < rows; r++) data[(to * units + u) * rows + r] = from[r * columns + gate * units + u]!;
  });
  return { ...s, shape: [1, columns, rows], data, key: `${s.key} gates ${order.join('')}` };
}

/** A bias (gates · units), for the input alone, or (2, gates · units) for input and state, as (1, 2 · gates · units). */
function biases(w: Writer, bias: Variable, units: number, order: readonly number[]): Static {
  const s = w.weight(bias);
  const from = s.data as TypedArray;
  const width = order.length * units;
  const data = hostArray('float32', 2 * width) as Float32Array;
  for (let part = 0; part < from.length / width; part++)
    order.forEach((gate, to) => {
      data.set(from.subarray(part * width + gate * units, part * width + (gate + 1) * units), part * width + to * units);
    });
  return { ...s, shape: [1, 2 * width], data, key: `${s.key} gates ${order.join('')}` };
}

function recurrent(w: Writer, call: LayerCall, op: string, cell: DenseCell, order: readonly number[], attrs: Attrs | null): boolean {
  const layer = call.layer as RecurrentLayer;
  if (call.masked || layer.stateful || attrs === null) return false;
  const [x, ...listed] = call.inputs as readonly [Value, ...Value[]];
  const initial = listed.length > 0 ? listed : call.states;
  const { units } = cell;
  const hint = layer.name;
  const sequence = layer.timeMajor ? w.name(x) : w.node('Transpose', [w.name(x)], { perm: [1, 0, 2] }, { hint: `${hint}/time_first` })[0]!;
  const states = initial.map((s) => w.node('Unsqueeze', [w.name(s), w.int64([0], 'axes')], {}, { hint: `${hint}/initial` })[0]!);
  const inputs = [
    sequence,
    w.initializer(gatesFirst(w, cell.kernel, units, order)),
    w.initializer(gatesFirst(w, cell.recurrentKernel, units, order)),
    cell.bias ? w.initializer(biases(w, cell.bias, units, order)) : '',
    '',
    ...states,
  ];
  const [output, ...finals] = call.outputs as readonly [Value, ...Value[]];
  const ends = layer.returnSequences ? finals : [output, ...finals.slice(1)];
  const keep = [layer.returnSequences, ...Array.from({ length: cell.stateCount }, (_, i) => i < Math.max(ends.length, layer.returnSequences ? 0 : 1))];
  const names = w.node(
    op,
    inputs,
    { ...attrs, hidden_size: units, direction: layer.goBackwards ? 'reverse' : 'forward' },
    { hint: `${hint}/${op.toLowerCase()}`, outputs: 1 + keep.slice(1).lastIndexOf(true) + 1, keep },
  );
  if (layer.returnSequences) {
    const squeezed = w.node('Squeeze', [names[0]!, w.int64([1], 'axes')], {}, { hint })[0]!;
    // the op leaves results at their steps; the layer gives them in the order of processing
    const backwards = layer.goBackwards;
    if (layer.timeMajor && !backwards) w.emit(output, 'Identity', [squeezed]);
    else if (layer.timeMajor) w.defineBackwards(output, squeezed, 0);
    else if (!backwards) w.emit(output, 'Transpose', [squeezed], { perm: [1, 0, 2] });
    else w.defineBackwards(output, w.node('Transpose', [squeezed], { perm: [1, 0, 2] }, { hint })[0]!, 1);
  }
  const defined = new Set<Value>();
  ends.forEach((v, i) => {
    if (defined.has(v)) return;
    defined.add(v);
    w.emit(v, 'Squeeze', [names[1 + i]!, w.int64([0], 'axes')]);
  });
  return true;
}

/** Gates i, f, c, o of Keras in the order i, o, f, c. */
export function lstm(w: Writer, call: LayerCall): boolean {
  const cell = (call.layer as RecurrentLayer).cell as LSTMCellClass;
  return recurrent(w, call, 'LSTM', cell, [0, 3, 1, 2], activationAttrs([cell.recurrentActivation, cell.activation, cell.activation]));
}

/** Gates z, r, h, as ONNX has them. */
export function gru(w: Writer, call: LayerCall): boolean {
  const cell = (call.layer as RecurrentLayer).cell as GRUCellClass;
  const attrs = activationAttrs([cell.recurrentActivation, cell.activation]);
  return recurrent(w, call, 'GRU', cell, [0, 1, 2], attrs && { ...attrs, linear_before_reset: cell.resetAfter ? 1 : 0 });
}

export function simpleRnn(w: Writer, call: LayerCall): boolean {
  const cell = (call.layer as RecurrentLayer).cell as DenseCell;
  return recurrent(w, call, 'RNN', cell, [0], activationAttrs([cell.activation]));
}
