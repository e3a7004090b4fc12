/** Every op record: all slots present, inference agrees with evaluation, axes are what they say, attributes print and parse. */

import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { splitAttrs } from '../../ir/attr-text.js';
import { numbersOf } from '../../ir/dtype.js';
import { evaluateContext, toFloat64 } from '../../ir/evaluate.js';
import type { Graph, TensorType } from '../../ir/graph.js';
import type { OpDef } from '../../ir/op.js';
import type { OpAttrs, OpName } from '../../ir/op-attrs.js';
import { opDef, ops } from '../../ir/ops/index.js';
import { stridesOf, type TensorData } from '../../ir/tensor-data.js';
import { type Sample, samples } from './samples.js';

/** A sample with the record of its op, the types of both tied together. */
function use<T>(s: Sample, f: <K extends OpName>(def: OpDef<K>, attrs: OpAttrs[K], inputs: readonly TensorData[]) => T): T {
  const tied = <K extends OpName>(op: K, attrs: OpAttrs[K]): T => f(opDef(op), attrs, s.inputs);
  return tied<OpName>(s.op, s.attrs);
}

const inferred = (s: Sample): TensorType[] => use(s, (def, attrs, inputs) => def.infer(inputs, attrs));
const evaluated = (s: Sample, inputs: readonly TensorData[] = s.inputs): TensorData[] =>
  use(s, (def, attrs) => def.evaluate(inputs.map(toFloat64), attrs, def.infer(inputs, attrs), evaluateContext({})));

test('every op has all slots, or says why not, and a sample', () => {
  for (const [name, def] of Object.entries(ops) as [OpName, OpDef][]) {
    assert.is(def.name, name);
    for (const slot of ['infer', 'evaluate', 'print', 'parse'] as const) assert.type(def[slot], 'function', `${name}.${slot}`);
    for (const slot of ['gradient', 'axes'] as const) {
      const value = def[slot];
      if (typeof value !== 'function') assert.ok(value.none.length > 10, `${name}.${slot} has no reason`);
    }
    assert.ok(
      samples.some((s) => s.op === name),
      `no sample of ${name}`,
    );
  }
});

test('evaluation gives the types that inference says', () => {
  for (const s of samples) {
    const types = inferred(s);
    const results = evaluated(s);
    const label = `${s.op} ${use(s, (def, attrs) => ('fn' in attrs ? String(attrs.fn) : def.name))}`;
    assert.equal(
      results.map((r) => [r.dtype, [...r.shape], r.data.length]),
      types.map((t) => [t.dtype, [...t.shape], (t.shape as number[]).reduce((a, d) => a * d, 1)]),
      label,
    );
  }
});

/** Indices along `axis` at which two tensors differ. */
function changed(a: TensorData, b: TensorData, axis: number): Set<number> {
  const stride = stridesOf(a.shape)[axis]!;
  const found = new Set<number>();
  a.data.forEach((x, i) => {
    if (!Object.is(x, b.data[i])) found.add(Math.floor(i / stride) % a.shape[axis]!);
  });
  return found;
}

test('axes: an element at index i of a kept axis reaches index i of the output axis only', () => {
  let kept = 0;
  for (const s of samples) {
    const maps = use(s, (def, attrs, inputs) => (typeof def.axes === 'function' ? def.axes(inputs, attrs) : null));
    if (!maps) continue;
    assert.is(maps.length, s.inputs.length, s.op);
    const [before] = evaluated(s);
    for (const [k, map] of maps.entries()) {
      const input = s.inputs[k]!;
      assert.is(map.length, input.shape.length, s.op);
      for (const [axis, to] of map.entries()) {
        if (to === null) continue;
        assert.is(before!.shape[to], input.shape[axis], `${s.op}: axis ${axis} of input ${k} has another size than axis ${to} of the output`);
        const stride = stridesOf(input.shape)[axis]!;
        for (let i = 0; i < input.shape[axis]!; i++) {
          const data = numbersOf(toFloat64(input).data).map((x, j) =>
            Math.floor(j / stride) % input.shape[axis]! === i ? (input.dtype === 'bool' ? 1 - x : input.dtype === 'int32' ? x ^ 1 : x + 0.05) : x,
          );
          const [after] = evaluated(
            s,
            s.inputs.map((t, j) => (j === k ? { ...input, data } : t)),
          );
          for (const at of changed(before!, after!, to))
            assert.is(at, i, `${s.op}: index ${i} of axis ${axis} of input ${k} reached index ${at} of output axis ${to}`);
          kept++;
        }
      }
    }
  }
  assert.ok(kept > 100);
});

test('a reshape keeps leading and trailing axes that it does not touch', () => {
  const axes = (from: number[], to: number[]) => {
    const def = opDef('reshape');
    return typeof def.axes === 'function' ? def.axes([{ dtype: 'float32', shape: from }], { shape: to }) : null;
  };
  assert.equal(axes([2, 3, 4], [2, 12]), [[0, null, null]]);
  assert.equal(axes([6, 4], [2, 3, 4]), [[null, 2]]);
  assert.equal(axes([2, 1, 3], [2, 3]), [[0, null, 1]]);
  assert.equal(axes([4, 4], [4, 2, 2]), [[0, null]]);
});

test('attributes print as key=value and parse back', () => {
  const graphs: Graph[] = [];
  const tensors: TensorData[] = [];
  const printer = { graph: (g: Graph) => `{g${graphs.push(g) - 1}}`, tensor: (t: TensorData) => `t${tensors.push(t) - 1}` };
  const parser = { graph: (t: string) => graphs[Number(t.slice(2, -1))]!, tensor: (t: string) => tensors[Number(t.slice(1))]! };
  for (const s of samples) {
    use(s, (def, attrs) => {
      const text = def.print(attrs, printer);
      assert.equal(def.parse(splitAttrs(text), parser), attrs, `${s.op}: ${text}`);
    });
  }
  assert.throws(() => opDef('reduce').parse(splitAttrs('fn=summ, axes=[0]'), parser), /attribute 'fn': 'summ' is not one of .* Did you mean 'sum'\?/);
  assert.throws(() => opDef('reduce').parse(splitAttrs('fn=sum'), parser), /attribute 'axes' is missing; found fn/);
});

test.run();
