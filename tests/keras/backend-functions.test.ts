/** Functions of `backend` with TensorFlow's order of arguments, against numbers worked out by hand. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { backend, ops, type Tensor, tensor } from '../../frontend/keras/index.js';

const ints = (...x: number[]) => ops.cast(tensor(x), 'int32');
const table: Readonly<Record<string, readonly [() => Tensor, readonly number[]]>> = {
  batchNormalization: [() => backend.batchNormalization(tensor([1, 5]), tensor([3, 3]), tensor([4, 1]), tensor([1, 2]), tensor([2, 3]), -1, 0), [-1, 8]],
  batchNormalizationAxis1: [
    () =>
      backend.batchNormalization(
        tensor([
          [
            [1, 3],
            [5, 6],
          ],
        ]),
        tensor([3, 3]),
        tensor([4, 1]),
        tensor([1, 2]),
        tensor([2, 3]),
        1,
        0,
      ),
    [-1, 1, 8, 11],
  ],
  castToFloatx: [() => backend.castToFloatx(ints(1, 2)), [1, 2]],
  conv3d: [() => backend.conv3d(tensor([[[[[2], [3]]]]]), tensor([[[[[5]], [[7]]]]])), [31]],
  spatial3dPadding: [
    () =>
      backend.spatial3dPadding(tensor([[[[[9]]]]]), [
        [0, 0],
        [0, 1],
        [1, 0],
      ]),
    [0, 9, 0, 0],
  ],
};
for (const [name, [call, expected]] of Object.entries(table))
  test(name, () => {
    const found = [...call().data].map(Number);
    assert.is(found.length, expected.length);
    for (const [i, x] of found.entries()) assert.ok(Math.abs(x - expected[i]!) < 1e-5, `${name}[${i}]: ${x}, expected ${expected[i]}`);
  });
test('bitwise ops refuse floats; isSparse', () => {
  assert.throws(() => ops.bitwiseAnd(tensor([1.5]), tensor([1])), /bitwiseAnd: expected int32 or uint32, got float32/);
  assert.is(backend.isSparse(tensor([1])), false);
});
test.run();
