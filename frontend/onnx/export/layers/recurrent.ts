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
import type { BidirectionalClass } from '../../../keras/layers/wrappers.js';
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

/** What a layer is in ONNX: its op, where each of ONNX's gates is in Keras, and attributes; null: its activations are not there. */
interface Kind {
  readonly op: string;
  readonly cell: DenseCell;
  readonly gates: readonly number[];
  readonly attrs: Attrs | null;
}
function kindOf(layer: RecurrentLayer): Kind | null {
  switch (layer.className) {
    case 'LSTM': {
      // gates i, f, c, o of Keras in the order i, o, f, c
      const cell = layer.cell as LSTMCellClass;
      return { op: 'LSTM', cell, gates: [0, 3, 1, 2], attrs: activationAttrs([cell.recurrentActivation, cell.activation, cell.activation]) };
    }
    case 'GRU': {
      // gates z, r, h, as ONNX has them
      const cell = layer.cell as GRUCellClass;
      const attrs = activationAttrs([cell.recurrentActivation, cell.activation]);
      return { op: 'GRU', cell, gates: [0, 1, 2], attrs: attrs && { ...attrs, linear_before_reset: cell.resetAfter ? 1 : 0 } };
    }
    case 'SimpleRNN': {
      const cell = layer.cell as DenseCell;
      return { op: 'RNN', cell, gates: [0], attrs: activationAttrs([cell.activation]) };
    }
    default:
      return null;
  }
}

/** LSTM, GRU and SimpleRNN. */
export function recurrentLayer(w: Writer, call: LayerCall): boolean {
  const kind = kindOf(call.layer as RecurrentLayer);
  return kind !== null && recurrent(w, call, kind.op, kind.cell, kind.gates, kind.attrs);
}

/** The weights of both directions as one. */
function stacked(name: string, forward: Static, backward: Static): Static {
  const data = new Float32Array(forward.data.length + backward.data.length);
  data.set(forward.data as Float32Array);
  data.set(backward.data as Float32Array, forward.data.length);
  return { ...forward, name, shape: [2, ...forward.shape.slice(1)], data, key: `${forward.key} and ${backward.key}` };
}

/** Both directions in one op where they are joined one after the other; otherwise each layer is written by itself. */
export function bidirectional(w: Writer, call: LayerCall): boolean {
  const layer = call.layer as BidirectionalClass;
  const { forwardLayer: f, backwardLayer: b } = layer;
  const [first, second] = [kindOf(f), kindOf(b)];
  if (layer.mergeMode !== 'concat' || call.masked || call.inputs.length > 1 || call.states.length > 0 || call.outputs.length > 1) return false;
  if (f.goBackwards || f.stateful || f.timeMajor || b.timeMajor || !first?.attrs || !second?.attrs || first.op !== second.op) return false;
  const [one, two] = [first.cell, second.cell];
  if (one.units !== two.units || (one.bias === null) !== (two.bias === null)) return false;
  const { activations, ...rest } = first.attrs;
  const { activations: back, ...others } = second.attrs;
  if (JSON.stringify(rest) !== JSON.stringify(others)) return false;
  const { units } = one;
  const hint = layer.name;
  const both = (what: string, of: (cell: DenseCell) => Static): string => w.initializer(stacked(`${hint}/${what}`, of(one), of(two)));
  const inputs = [
    w.node('Transpose', [w.name(call.inputs[0]!)], { perm: [1, 0, 2] }, { hint: `${hint}/time_first` })[0]!,
    both('kernel', (c) => gatesFirst(w, c.kernel, units, first.gates)),
    both('recurrent_kernel', (c) => gatesFirst(w, c.recurrentKernel, units, first.gates)),
    ...(one.bias ? [both('bias', (c) => biases(w, c.bias!, units, first.gates))] : []),
  ];
  const list = [...(activations as readonly string[]), ...(back as readonly string[])];
  const attrs = { ...rest, activations: list, hidden_size: units, direction: 'bidirectional' };
  const sequences = f.returnSequences;
  const names = w.node(first.op, inputs, attrs, { hint: `${hint}/${first.op.toLowerCase()}`, outputs: sequences ? 1 : 2, keep: [sequences, true] });
  // (time, 2, batch, units), or (2, batch, units) of the last step: both directions side by side
  const [moved] = w.node('Transpose', [names[sequences ? 0 : 1]!], { perm: sequences ? [2, 0, 1, 3] : [1, 0, 2] }, { hint: `${hint}/batch_first` });
  w.emit(call.outputs[0]!, 'Reshape', [moved!, w.int64(sequences ? [0, 0, 2 * units] : [0, 2 * units])]);
  return true;
}
