/** Sub-graphs: scan, if, while, and composites, which are ops of their name or are opened. */
import type { Graph, NodeOf, Value } from '../../../../ir/graph.js';
import type { GraphProto } from '../../schema/types.js';
import { unaryOp } from '../activations.js';
import { valueInfo } from '../proto.js';
import type { Writer } from '../writer.js';
import { reduceNode } from './indexing.js';

/** A sub-graph as a message. `inputs`: its inputs by name, the others of `graph` are defined already. */
function message(
  w: Writer,
  name: string,
  inputs: readonly { readonly name: string; readonly value: Value }[],
  outputs: readonly { readonly name: string; readonly value: Value }[],
): GraphProto {
  return {
    name,
    node: w.nodes,
    input: inputs.map((i) => valueInfo(i.name, i.value.dtype, i.value.shape)),
    output: outputs.map((o) => valueInfo(o.name, o.value.dtype, o.value.shape)),
    value_info: w.infos,
  };
}

/** The values as outputs of a sub-graph: each in a name of its own. */
function results(w: Writer, values: readonly Value[], hint: string): { name: string; value: Value }[] {
  return values.map((value) => ({ name: w.node('Identity', [w.name(value)], {}, { hint: `${hint}/out` })[0]!, value }));
}

export function writeScan(w: Writer, node: NodeOf<'scan'>) {
  const { body, carries, xs, length, reverse } = node.attrs;
  const sub = w.child(body);
  const hint = node.origin || 'scan';
  const own = body.inputs.slice(0, carries + xs).map((i) => ({ name: w.unique(`${hint}/${i.name}`), value: i.value }));
  for (const i of own) sub.define(i.value, i.name);
  body.inputs.slice(carries + xs).forEach((i, at) => sub.define(i.value, w.name(node.inputs[carries + xs + at]!)));
  const sequences = node.inputs.slice(carries, carries + xs).map((v) => w.name(v));
  if (xs === 0) {
    // a Scan counts its steps by a sequence
    const zero = w.scalar(0, 'float32');
    sequences.push(w.node('Expand', [zero, w.dim(length)], {}, { hint })[0]!);
  }
  const counter = xs === 0 ? [{ name: w.unique(`${hint}/step`), value: null }] : [];
  const outputs = results(
    sub,
    body.outputs.map((o) => o.value),
    hint,
  );
  const graph = message(sub, `${hint}/body`, own, outputs);
  for (const c of counter) graph.input!.push(valueInfo(c.name, 'float32', []));
  const ys = node.outputs.length - carries;
  const directions = (n: number) => new Array<number>(n).fill(1);
  const names = w.node(
    'Scan',
    [...node.inputs.slice(0, carries).map((v) => w.name(v)), ...sequences],
    {
      body: graph,
      num_scan_inputs: sequences.length,
      ...(reverse ? { scan_input_directions: directions(sequences.length), ...(ys > 0 ? { scan_output_directions: directions(ys) } : {}) } : {}),
    },
    { hint, outputs: node.outputs.length },
  );
  node.outputs.forEach((v, i) => w.define(v, names[i]!));
}

/** Writes a sub-graph in place, for inputs of these names; gives the names of its outputs. */
function inPlace(w: Writer, graph: Graph, inputs: readonly string[]): string[] {
  const sub = w.child(graph);
  graph.inputs.forEach((i, at) => sub.define(i.value, inputs[at]!));
  const names = graph.outputs.map((o) => sub.name(o.value));
  w.nodes.push(...sub.nodes);
  w.infos.push(...sub.infos);
  return names;
}

export function writeIf(w: Writer, node: NodeOf<'if'>) {
  const [condition, ...operands] = node.inputs;
  const names = operands.map((v) => w.name(v));
  const hint = node.origin || 'if';
  const branch = (graph: Graph, name: string): GraphProto => {
    const sub = w.child(graph);
    graph.inputs.forEach((i, at) => sub.define(i.value, names[at]!));
    const outputs = results(
      sub,
      graph.outputs.map((o) => o.value),
      hint,
    );
    return message(sub, `${hint}/${name}`, [], outputs);
  };
  const given = w.name(condition!);
  const out = w.node(
    'If',
    [given],
    { then_branch: branch(node.attrs.then, 'then'), else_branch: branch(node.attrs.else, 'else') },
    { hint, outputs: node.outputs.length },
  );
  node.outputs.forEach((v, i) => w.define(v, out[i]!));
}

export function writeWhile(w: Writer, node: NodeOf<'while'>) {
  const { cond, body, carries } = node.attrs;
  const given = node.inputs.map((v) => w.name(v));
  const constants = given.slice(carries);
  const [start] = inPlace(w, cond, given);
  const hint = node.origin || 'loop';
  const sub = w.child(body);
  const own = body.inputs.slice(0, carries).map((i) => ({ name: w.unique(`${hint}/${i.name}`), value: i.value }));
  for (const i of own) sub.define(i.value, i.name);
  body.inputs.slice(carries).forEach((i, at) => sub.define(i.value, constants[at]!));
  const outputs = results(
    sub,
    body.outputs.map((o) => o.value),
    hint,
  );
  const [again] = inPlace(sub, cond, [...outputs.map((o) => o.name), ...constants]);
  const [more] = sub.node('Identity', [again!], {}, { hint: `${hint}/more` });
  const graph = message(sub, `${hint}/body`, own, outputs);
  const scalar = (name: string, dtype: 'int64' | 'bool') => valueInfo(name, dtype, []);
  graph.input!.unshift(scalar(w.unique(`${hint}/step`), 'int64'), scalar(w.unique(`${hint}/running`), 'bool'));
  graph.output!.unshift(scalar(more!, 'bool'));
  const names = w.node('Loop', ['', start!, ...given.slice(0, carries)], { body: graph }, { hint, outputs: node.outputs.length });
  node.outputs.forEach((v, i) => w.define(v, names[i]!));
}

export function writeComposite(w: Writer, node: NodeOf<'composite'>) {
  const { name, attributes, body } = node.attrs;
  const [x, y] = [node.inputs[0]!, node.outputs[0]!];
  const axis = Number(attributes.axis ?? -1);
  switch (name) {
    case 'softmax':
      return w.emit(y, 'Softmax', [w.name(x)], { axis });
    case 'log_softmax':
      return w.emit(y, 'LogSoftmax', [w.name(x)], { axis });
    case 'logsumexp':
      return w.define(y, reduceNode(w, 'ReduceLogSumExp', w.name(x), [axis], y, node.origin));
    case 'relu6':
      return unaryOp(w, y, 'Clip', x, {}, [w.scalar(0, x.dtype), w.scalar(6, x.dtype)]);
    case 'gelu':
      if (w.opset < 20) break;
      return unaryOp(w, y, 'Gelu', x, attributes.approximate ? { approximate: 'tanh' } : {});
    default:
  }
  body.inputs.forEach((i, at) => w.alias(i.value, node.inputs[at]!));
  node.outputs.forEach((o, i) => {
    w.alias(o, body.outputs[i]!.value);
  });
}
