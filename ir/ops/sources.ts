/** Sources: values that come from attributes alone (or, for random bits, from a key). */
import { AttrReader, attrText } from '../attr-text.js';
import { dimToString, equalShape, evalDim, shapeToString } from '../dim.js';
import { numberAt } from '../dtype.js';
import { defineOp } from '../op.js';
import { isNumberData, stridesOf } from '../tensor-data.js';
import { expectAxis, expectInputs, fail } from './check.js';
import { allocate, allocateFor, fill } from './loops.js';
import { threefry2x32 } from './threefry.js';
import { smallNumbers } from './wide.js';

export const constant = defineOp({
  name: 'constant',
  kind: 'source',
  infer: (inputs, { value }) => {
    expectInputs('constant', inputs, 0);
    return [{ dtype: value.dtype, shape: value.shape }];
  },
  evaluate: (_inputs, { value }) => {
    if (!isNumberData(value)) return [value];
    return [fill(allocate(value.dtype, value.shape), (i) => value.data[i]!)];
  },
  gradient: { none: 'it has no inputs' },
  axes: () => [],
  print: ({ value }, p) => attrText({ value: p.tensor(value) }),
  parse: (attrs, p) => ({ value: p.tensor(new AttrReader(attrs).text('value')) }),
});

export const iota = defineOp({
  name: 'iota',
  kind: 'source',
  infer: (inputs, { shape, axis, dtype }) => {
    expectInputs('iota', inputs, 0);
    expectAxis('iota', axis, shape.length);
    if (dtype === 'bool') fail('iota', 'dtype must be numeric, found bool');
    return [{ dtype, shape }];
  },
  evaluate: smallNumbers('iota', (_inputs, { axis }, [type], { bindings }) => {
    const out = allocateFor(type!, bindings);
    const stride = stridesOf(out.shape)[axis]!;
    return [fill(out, (i) => Math.floor(i / stride) % out.shape[axis]!)];
  }),
  gradient: { none: 'it has no inputs' },
  axes: () => [],
  print: ({ shape, axis, dtype }) => attrText({ shape: shapeToString(shape), axis, dtype }),
  parse: (attrs) => {
    const a = new AttrReader(attrs);
    return { shape: a.shape('shape'), axis: a.number('axis'), dtype: a.dtype('dtype') };
  },
});

export const dimSize = defineOp({
  name: 'dim_size',
  kind: 'source',
  infer: (inputs) => {
    expectInputs('dim_size', inputs, 0);
    return [{ dtype: 'int32', shape: [] }];
  },
  evaluate: (_inputs, { dim }, [type], { bindings }) => [fill(allocateFor(type!, bindings), () => evalDim(dim, bindings))],
  gradient: { none: 'it has no inputs' },
  axes: () => [],
  print: ({ dim }) => attrText({ dim: dimToString(dim) }),
  parse: (attrs) => ({ dim: new AttrReader(attrs).dim('dim') }),
});

export const randomBits = defineOp({
  name: 'random_bits',
  kind: 'source',
  infer: (inputs, { shape }) => {
    expectInputs('random_bits', inputs, 1);
    const key = inputs[0]!;
    if (key.dtype !== 'uint32' || !equalShape(key.shape, [2])) fail('random_bits', `the key must be uint32[2], found ${key.dtype}${shapeToString(key.shape)}`);
    return [{ dtype: 'uint32', shape }];
  },
  evaluate: ([key], _attrs, [type], { bindings }) => {
    const [k0, k1] = [numberAt(key!.data, 0), numberAt(key!.data, 1)];
    return [fill(allocateFor(type!, bindings), (i) => threefry2x32(k0, k1, i >>> 1, 0)[i & 1]!)];
  },
  gradient: { none: 'its key is an integer' },
  axes: () => [[null]],
  print: ({ shape }) => attrText({ shape: shapeToString(shape) }),
  parse: (attrs) => ({ shape: new AttrReader(attrs).shape('shape') }),
});
