/** Cases of ops: branches, loops and maps. */
import { backend, ops, type SymbolicTensor } from '../../../frontend/keras/index.js';
import { a, m, type OpCases } from './operands.js';

export const controlCases: OpCases = {
  vectorizedMap: [[m], (x) => ops.vectorizedMap((r) => ops.sum(r), x), [6, 5]],
  cond: [
    [[3], [1, 2]],
    (x, y) =>
      ops.cond(
        ops.greater(ops.sum(x), 2),
        () => ops.multiply(y, 10) as SymbolicTensor,
        () => ops.negative(y) as SymbolicTensor,
      ),
    [10, 20],
  ],
  whileLoop: [
    [[1]],
    (x) =>
      ops.whileLoop(
        (v) => ops.less(ops.sum(v), 100),
        (v) => [ops.multiply(v, 3)],
        [x],
      )[0]!,
    [243],
  ],
  'whileLoop, limited': [
    [[1]],
    (x) =>
      ops.whileLoop(
        () => ops.greater(ops.sum(x as SymbolicTensor), 0),
        (v) => [ops.add(v, 1)],
        [x],
        { maximumIterations: 4 },
      )[0]!,
    [5],
  ],
  scan: [[[0], [[1], [2], [3]]], (c, x) => ops.scan((s, v) => [ops.add(s, v), ops.multiply(s, 2)], c, x).ys, [0, 2, 6]],
  foriLoop: [[[1]], (x) => ops.foriLoop(1, 5, (i, v) => ops.multiply(v, ops.cast(i, 'float32')), x), [24]],
  map: [[m], (x) => ops.map((row) => ops.max(row), x), [3, 6]],
  switchCase: [
    [[1], [5]],
    (i, x) => ops.switchCase(ops.squeeze(ops.cast(i, 'int32')), [() => ops.add(x, 1), () => ops.add(x, 2), () => ops.add(x, 3)] as never),
    [7],
  ],
  'backend batchDot': [[[[1, 2]], [[3, 4]]], (x, y) => backend.batchDot(x, y), [11]],
  'backend relu': [[a], (x) => backend.relu(x, 0.1, 2, 0), [0.5, -0.15, 2, 2]],
  'backend batchFlatten': [[[m]], (x) => backend.batchFlatten(x), [1, 2, 3, 4, -5, 6]],
  'backend repeat': [[m], (x) => backend.repeat(x, 2), [1, 2, 3, 1, 2, 3, 4, -5, 6, 4, -5, 6]],
  'backend permuteDimensions': [[m], (x) => backend.permuteDimensions(x, [1, 0]), [1, 4, 2, -5, 3, 6]],
  'backend rnn': [[[[[1], [2], [3]]], [[0]]], (x, s) => backend.rnn((v, [h]) => [ops.add(v, h!), [ops.add(v, h!)]], x, [s]).outputs, [1, 3, 6]],
  'backend switch': [
    [[1], [2]],
    (x, y) =>
      backend.switch(
        ops.greater(ops.sum(x), 0),
        () => ops.multiply(y, 2) as SymbolicTensor,
        () => y as SymbolicTensor,
      ),
    [4],
  ],
};
