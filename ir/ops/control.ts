/** Ops with sub-graphs: scan, if, while, composite. Sub-graphs see nothing but their inputs, and hold no state. */
import { AttrReader, attrText, recordText } from '../attr-text.js';
import { dimToString, equalDim, equalShape, evalDim } from '../dim.js';
import { copyElements } from '../dtype.js';
import { type Graph, type TensorType, typeToString } from '../graph.js';
import { defineOp } from '../op.js';
import type { TensorData } from '../tensor-data.js';
import { expectInts, fail } from './check.js';
import { compositeGradient, ifGradient } from './control-gradient.js';
import { allocateAny } from './loops.js';
import { scanGradient } from './scan-gradient.js';

const sameType = (a: TensorType, b: TensorType): boolean => a.dtype === b.dtype && equalShape(a.shape, b.shape);

/** Checks that `graph` takes `types`; gives the types of its outputs. */
function signature(op: string, what: string, graph: Graph, types: readonly TensorType[]): TensorType[] {
  if (graph.state.length > 0 || graph.updates.length > 0) fail(op, `${what} '${graph.name}' holds state; pass it as an input and give its update as an output`);
  if (graph.inputs.length !== types.length) fail(op, `${what} '${graph.name}' takes ${graph.inputs.length} inputs, ${types.length} are given`);
  for (const [i, input] of graph.inputs.entries()) {
    if (!sameType(input.value, types[i]!))
      fail(op, `input '${input.name}' of ${what} '${graph.name}' is ${typeToString(input.value)}, given ${typeToString(types[i]!)}`);
  }
  return graph.outputs.map((o) => ({ dtype: o.value.dtype, shape: o.value.shape }));
}

export const scan = defineOp({
  name: 'scan',
  kind: 'control',
  infer: (inputs, { body, carries, xs, length }) => {
    expectInts('scan', 'carries and xs', [carries, xs], 2, 0);
    if (inputs.length < carries + xs) fail('scan', `${inputs.length} inputs for ${carries} carries and ${xs} sequences`);
    const slices = inputs.map((t, i): TensorType => {
      if (i < carries || i >= carries + xs) return t;
      if (t.shape.length === 0 || !equalDim(t.shape[0]!, length))
        fail('scan', `sequence ${i - carries} is ${typeToString(t)}; its axis 0 must have the scan's length ${length}`);
      return { dtype: t.dtype, shape: t.shape.slice(1) };
    });
    const outputs = signature('scan', 'body', body, slices);
    if (outputs.length < carries) fail('scan', `body '${body.name}' has ${outputs.length} outputs for ${carries} carries`);
    return outputs.map((t, i): TensorType => {
      if (i >= carries) return { dtype: t.dtype, shape: [length, ...t.shape] };
      if (!sameType(t, inputs[i]!)) fail('scan', `carry ${i} ('${body.inputs[i]!.name}') is ${typeToString(inputs[i]!)}, after a step ${typeToString(t)}`);
      return t;
    });
  },
  evaluate: (inputs, { body, carries, xs, length, reverse }, outputs, ctx) => {
    const n = evalDim(length, ctx.bindings);
    let state = inputs.slice(0, carries);
    const constants = inputs.slice(carries + xs);
    const stacked = outputs.slice(carries).map((t) => allocateAny(t, ctx.bindings));
    for (let step = 0; step < n; step++) {
      const t = reverse ? n - 1 - step : step;
      const slices = inputs.slice(carries, carries + xs).map((x): TensorData => {
        const size = x.data.length / n;
        return { dtype: x.dtype, shape: x.shape.slice(1), data: x.data.slice(t * size, (t + 1) * size) };
      });
      const results = ctx.run(body, [...state, ...slices, ...constants]);
      state = results.slice(0, carries);
      for (const [i, y] of results.slice(carries).entries()) copyElements(stacked[i]!.data, y.data, t * y.data.length);
    }
    return [...state, ...stacked];
  },
  gradient: scanGradient,
  axes: { none: 'it has several outputs and a sub-graph' },
  print: ({ body, carries, xs, length, reverse }, p) => attrText({ carries, xs, length: dimToString(length), reverse, body: p.graph(body) }),
  parse: (attrs, p) => {
    const a = new AttrReader(attrs);
    return { body: p.graph(a.text('body')), carries: a.number('carries'), xs: a.number('xs'), length: a.dim('length'), reverse: a.bool('reverse') };
  },
});

function expectPredicate(op: string, what: string, t: TensorType | undefined): void {
  if (t === undefined || t.dtype !== 'bool' || t.shape.length !== 0) fail(op, `${what} must be a bool scalar, found ${t ? typeToString(t) : 'nothing'}`);
}

export const ifOp = defineOp({
  name: 'if',
  kind: 'control',
  infer: (inputs, attrs) => {
    expectPredicate('if', 'the condition', inputs[0]);
    const operands = inputs.slice(1);
    const then = signature('if', 'branch', attrs.then, operands);
    const other = signature('if', 'branch', attrs.else, operands);
    if (then.length !== other.length) fail('if', `the branches have ${then.length} and ${other.length} outputs`);
    for (const [i, t] of then.entries())
      if (!sameType(t, other[i]!)) fail('if', `output ${i} is ${typeToString(t)} in one branch, ${typeToString(other[i]!)} in the other`);
    return then;
  },
  evaluate: ([condition, ...operands], attrs, _outputs, ctx) => ctx.run(condition!.data[0] ? attrs.then : attrs.else, operands),
  gradient: ifGradient,
  axes: { none: 'it has sub-graphs' },
  print: (attrs, p) => attrText({ then: p.graph(attrs.then), else: p.graph(attrs.else) }),
  parse: (attrs, p) => {
    const a = new AttrReader(attrs);
    return { then: p.graph(a.text('then')), else: p.graph(a.text('else')) };
  },
});

export const whileOp = defineOp({
  name: 'while',
  kind: 'control',
  infer: (inputs, { cond, body, carries }) => {
    expectInts('while', 'carries', [carries], 1, 0);
    if (inputs.length < carries) fail('while', `${inputs.length} inputs for ${carries} carries`);
    const [test, ...rest] = signature('while', 'condition', cond, inputs);
    expectPredicate('while', `the result of condition '${cond.name}'`, test);
    if (rest.length > 0) fail('while', `condition '${cond.name}' has ${rest.length + 1} outputs, expected one`);
    const outputs = signature('while', 'body', body, inputs);
    if (outputs.length !== carries) fail('while', `body '${body.name}' has ${outputs.length} outputs for ${carries} carries`);
    for (const [i, t] of outputs.entries())
      if (!sameType(t, inputs[i]!)) fail('while', `carry ${i} ('${body.inputs[i]!.name}') is ${typeToString(inputs[i]!)}, after a step ${typeToString(t)}`);
    return outputs;
  },
  evaluate: (inputs, { cond, body, carries }, _outputs, ctx) => {
    let state = inputs.slice(0, carries);
    const constants = inputs.slice(carries);
    while (ctx.run(cond, [...state, ...constants])[0]!.data[0]) state = ctx.run(body, [...state, ...constants]);
    return state;
  },
  gradient: { none: 'the number of steps is known only when it runs, so nothing can hold the values of each step; use scan' },
  axes: { none: 'it has sub-graphs' },
  print: ({ cond, body, carries }, p) => attrText({ carries, cond: p.graph(cond), body: p.graph(body) }),
  parse: (attrs, p) => {
    const a = new AttrReader(attrs);
    return { cond: p.graph(a.text('cond')), body: p.graph(a.text('body')), carries: a.number('carries') };
  },
});

export const composite = defineOp({
  name: 'composite',
  kind: 'control',
  infer: (inputs, { name, body }) => signature(`composite ${name}`, 'body', body, inputs),
  evaluate: (inputs, { body }, _outputs, ctx) => ctx.run(body, inputs),
  gradient: compositeGradient,
  axes: { none: 'the decompose pass opens it; its body has the axes' },
  print: ({ name, attributes, body }, p) => attrText({ name: JSON.stringify(name), attributes: recordText(attributes), body: p.graph(body) }),
  parse: (attrs, p) => {
    const a = new AttrReader(attrs);
    return { name: a.string('name'), attributes: a.record('attributes'), body: p.graph(a.text('body')) };
  },
});
