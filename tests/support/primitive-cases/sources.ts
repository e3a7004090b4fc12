/** Ops without operands: iota, constants, sizes of dimensions, random bits. */
import { symbol } from '../../../ir/dim.js';
import { tensorData } from '../../../ir/tensor-data.js';
import type { Random } from '../random-graph.js';
import { dimsOf, input, int, type PrimitiveCase, someShape } from './case.js';

export function sources(r: Random): PrimitiveCase[] {
  const out: PrimitiveCase[] = [];
  for (const t of ['float32', 'int32', 'uint32'] as const) {
    const shape = someShape(r);
    const axis = int(r, 0, shape.length - 1);
    out.push({ op: 'iota', name: `iota ${t}`, inputs: [], build: (b) => b.iota(dimsOf(shape), axis, t), rtol: 0, atol: 0 });
    out.push({
      op: 'iota',
      name: `${t} plus iota`,
      inputs: [input(t, shape)],
      build: (b, [x]) => b.add(x!, b.iota(dimsOf(shape), axis, t)),
      rtol: 1e-7,
      atol: 0,
    });
    out.push({
      op: 'constant',
      name: `constant ${t}`,
      inputs: [input(t, [4, 6])],
      build: (b, [x]) => b.add(x!, b.constant(tensorData(t, [6], [0, 1, 2, 3, 4, 5]))),
      rtol: 1e-7,
      atol: 0,
    });
  }
  out.push({ op: 'constant', name: 'a constant as output', inputs: [], build: (b) => b.constant(tensorData('bool', [3], [1, 0, 1])), rtol: 0, atol: 0 });
  out.push({ op: 'dim_size', name: 'dim_size', inputs: [input('int32', [-1, 3])], build: (b, [x]) => b.mul(x!, b.dimSize(symbol('batch'))), rtol: 0, atol: 0 });
  for (const shape of [[7], [-1, 33], [2, 3, 4]]) {
    out.push({
      op: 'random_bits',
      name: `random_bits ${shape}`,
      inputs: [input('uint32', [2], (i) => [0x12345678, 0x9abcdef0][i]!)],
      build: (b, [key]) => b.emit('random_bits', [key!], { shape: dimsOf(shape) }),
      rtol: 0,
      atol: 0,
    });
  }
  return out;
}
