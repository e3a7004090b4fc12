/** Threefry-2x32-20 against the known answers of Random123, and random_bits as documented. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { GraphBuilder } from '../../ir/builder.js';
import { evaluate } from '../../ir/evaluate.js';
import { threefry2x32 } from '../../ir/ops/threefry.js';
import { tensorData } from '../../ir/tensor-data.js';

const vectors = [
  { counter: [0, 0], key: [0, 0], expected: [0x6b200159, 0x99ba4efe] },
  { counter: [0xffffffff, 0xffffffff], key: [0xffffffff, 0xffffffff], expected: [0x1cb996fc, 0xbb002be7] },
  { counter: [0x243f6a88, 0x85a308d3], key: [0x13198a2e, 0x03707344], expected: [0xc4923a9c, 0x483df7a0] },
] as const;

for (const { counter, key, expected } of vectors) {
  test(`known answer for counter ${counter.map((c) => c.toString(16)).join(',')}`, () => {
    assert.equal(threefry2x32(key[0], key[1], counter[0], counter[1]), expected);
  });
}

test('random_bits: element i is word i%2 of the block with counter (i/2, 0)', () => {
  const b = new GraphBuilder();
  b.output('y', b.emit('random_bits', [b.input('key', 'uint32', [2])], { shape: [3, 3] }));
  const { y } = evaluate(b.build(), { inputs: { key: tensorData('uint32', [2], [7, 0xdeadbeef]) } }).outputs;
  const expected = Array.from({ length: 9 }, (_, i) => threefry2x32(7, 0xdeadbeef, Math.floor(i / 2), 0)[i % 2]!);
  assert.equal([...y!.data], expected);
});

test.run();
