/** Kernels with the same key are the same but for names. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { add, constant, i32, load, mul, resetExpressions, variable } from '../../../codegen/kernel/expr.js';
import { forLoop, type Kernel, type Memory, store } from '../../../codegen/kernel/ir.js';
import { kernelKey } from '../../../codegen/kernel/key.js';

function kernel(o: { factor?: number; size?: number; hint?: string; parallel?: boolean; swapped?: boolean }): Kernel {
  resetExpressions();
  const memory = (name: string, access: 'read' | 'write'): Memory => ({
    name: `${name}${o.hint ?? ''}`,
    space: 'global',
    scalar: 'f32',
    storage: 'same',
    access,
    size: o.size ?? 8,
  });
  const [x, y, out] = [memory('x', 'read'), memory('y', 'read'), memory('out', 'write')];
  const i = variable(o.hint ?? 'i', 'loop', 'i32', [0, 7]);
  const [a, b] = [load(o.swapped ? y : x, i), load(o.swapped ? x : y, i)];
  const value = add(mul(a, constant(o.factor ?? 2, 'f32')), mul(b, b));
  const body = [forLoop(i, i32(0), i32(8), [store(out, i, value)], { parallel: o.parallel })];
  return { name: `k${o.hint ?? ''}`, notes: [o.hint ?? ''], args: [x, y, out], symbols: [], grid: [1, 1, 1], workgroupSize: [1, 1, 1], locals: [], body };
}

test('names do not count', () => {
  assert.is(kernelKey(kernel({})), kernelKey(kernel({ hint: 'other' })));
});

test('all else does', () => {
  const keys = [{}, { factor: 3 }, { factor: -0 }, { factor: 0 }, { size: 16 }, { parallel: true }, { swapped: true }].map((o) => kernelKey(kernel(o)));
  assert.is(new Set(keys).size, keys.length);
});

test.run();
