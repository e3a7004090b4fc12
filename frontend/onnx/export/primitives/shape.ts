/** Primitives that move elements: shapes, slices, pads. */
import { type Dim, equalDim, isStatic } from '../../../../ir/dim.js';
import { UnsupportedError } from '../../../../ir/errors.js';
import type { NodeOf } from '../../../../ir/graph.js';
import { elementNumber } from '../proto.js';
import { axisIn, channelsFirstPerm, type Form, type Writer } from '../writer.js';

/** The form in which a value of rank 3 or more is there. */
const formOf = (w: Writer, v: NodeOf<'reshape'>['inputs'][number]): Form => (v.shape.length < 3 ? 'plain' : w.formOf(v));

export function writeIota(w: Writer, node: NodeOf<'iota'>) {
  const y = node.outputs[0]!;
  const { axis, dtype } = node.attrs;
  const n = y.shape[axis]!;
  const hint = node.origin;
  let line: string;
  if (isStatic(n))
    line = w.constant(
      dtype,
      [n],
      Array.from({ length: n }, (_, i) => i),
      'range',
    );
  else {
    const scalar = (v: number): string => w.constant('int64', [], [v]);
    const limit = w.node('Squeeze', [w.dim(n)], {}, { hint })[0]!;
    const range = w.node('Range', [scalar(0), limit, scalar(1)], {}, { hint })[0]!;
    line = w.node('Cast', [range], { to: elementNumber(dtype) }, { hint })[0]!;
  }
  if (y.shape.length > 1)
    line = w.reshaped(
      line,
      [n],
      y.shape.map((d, a) => (a === axis ? d : 1)),
      hint,
    );
  w.emit(y, 'Expand', [line, w.shape(y.shape)]);
}

export function writeDimSize(w: Writer, node: NodeOf<'dim_size'>) {
  const y = node.outputs[0]!;
  const scalar = w.node('Squeeze', [w.dim(node.attrs.dim)], {}, { hint: node.origin })[0]!;
  w.emit(y, 'Cast', [scalar], { to: elementNumber(y.dtype) });
}

export function writeBroadcast(w: Writer, node: NodeOf<'broadcast'>) {
  const [x, y] = [node.inputs[0]!, node.outputs[0]!];
  const { axes } = node.attrs;
  const rank = y.shape.length;
  const trailing = axes.every((a, i) => a === rank - axes.length + i);
  const lifted = y.shape.map((_, a): Dim => (axes.includes(a) ? x.shape[axes.indexOf(a)]! : 1));
  const known = w.static(x);
  const name = trailing
    ? w.name(x)
    : known
      ? w.initializer({ ...known, shape: lifted as number[], key: `${known.key} as ${lifted.join(',')}` })
      : w.reshaped(w.name(x), x.shape, lifted, `${node.origin}/expanded`);
  // what only gets axes of size 1 needs no Expand
  if (!trailing && lifted.every((d, i) => equalDim(d, y.shape[i]!))) w.define(y, name);
  else w.emit(y, 'Expand', [name, w.shape(y.shape)]);
}

export function writeReshape(w: Writer, node: NodeOf<'reshape'>) {
  const [x, y] = [node.inputs[0]!, node.outputs[0]!];
  const rank = x.shape.length;
  // channels first and last are the same memory where all of space is one point
  const point = rank >= 3 && x.shape.slice(1, -1).every((d) => d === 1);
  const form = point && formOf(w, x) === 'channelsFirst' ? 'channelsFirst' : 'plain';
  const from = form === 'plain' ? x.shape : channelsFirstPerm(rank).map((p) => x.shape[p]!);
  if (rank >= 2 && y.shape.length === 2 && equalDim(x.shape[0]!, y.shape[0]!)) return w.emit(y, 'Flatten', [w.name(x, form)], { axis: 1 });
  w.emit(y, 'Reshape', [w.name(x, form), w.reshapeTarget(from, y.shape)]);
}

export function writeTranspose(w: Writer, node: NodeOf<'transpose'>) {
  const [x, y] = [node.inputs[0]!, node.outputs[0]!];
  const form = formOf(w, x);
  const perm = node.attrs.perm.map((a) => axisIn(form, a, x.shape.length));
  const name = w.name(x, form);
  if (perm.every((p, i) => p === i) && !w.isDefined(y)) return w.define(y, name);
  w.emit(y, 'Transpose', [name], { perm });
}

export function writeSlice(w: Writer, node: NodeOf<'slice'>) {
  const [x, y] = [node.inputs[0]!, node.outputs[0]!];
  const { start, limit, stride } = node.attrs;
  const form = formOf(w, x);
  const rank = x.shape.length;
  const changed = x.shape.map((_, a) => a).filter((a) => !(start[a] === 0 && stride[a] === 1 && equalDim(limit[a]!, x.shape[a]!)));
  if (changed.length === 0) return w.alias(y, x);
  const vector = (list: readonly Dim[]): string => w.shape(list);
  const inputs = [
    w.name(x, form),
    vector(changed.map((a) => start[a]!)),
    vector(changed.map((a) => limit[a]!)),
    w.int64(changed.map((a) => axisIn(form, a, rank))),
  ];
  if (changed.some((a) => stride[a] !== 1)) inputs.push(w.int64(changed.map((a) => stride[a]!)));
  w.emit(y, 'Slice', inputs, {}, form);
}

export function writePad(w: Writer, node: NodeOf<'pad'>) {
  const [x, y] = [node.inputs[0]!, node.outputs[0]!];
  const { low, high, interior, value } = node.attrs;
  if (interior.some((n) => n > 0)) throw new UnsupportedError(`${node.origin}: values between elements (pad with interior) cannot be written as ONNX`);
  const form = formOf(w, x);
  const rank = x.shape.length;
  const order = form === 'plain' ? x.shape.map((_, a) => a) : channelsFirstPerm(rank);
  const pads = [...order.map((a) => low[a]!), ...order.map((a) => high[a]!)];
  const inputs = [w.name(x, form), w.int64(pads, 'pads')];
  if (value !== 0) inputs.push(w.scalar(value, x.dtype));
  w.emit(y, 'Pad', inputs, {}, form);
}

export function writeConcat(w: Writer, node: NodeOf<'concat'>) {
  const y = node.outputs[0]!;
  const rank = y.shape.length;
  const form: Form = rank >= 3 && node.inputs.some((v) => !w.static(v) && w.formOf(v) === 'channelsFirst') ? 'channelsFirst' : 'plain';
  w.emit(
    y,
    'Concat',
    node.inputs.map((v) => w.name(v, form)),
    { axis: axisIn(form, node.attrs.axis, rank) },
    form,
  );
}

export function writeReverse(w: Writer, node: NodeOf<'reverse'>) {
  const [x, y] = [node.inputs[0]!, node.outputs[0]!];
  const { axes } = node.attrs;
  w.formOf(x);
  const back = w.backwardsOf(x);
  if (back && axes.length === 1 && axes[0] === back.axis) return w.define(y, back.name);
  w.define(y, w.reversed(w.name(x), axes, y));
}
