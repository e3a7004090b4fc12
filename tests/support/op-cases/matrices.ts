/** Cases of ops: products, equations, norms and order statistics. */
import { ops, type Tensor } from '../../../frontend/keras/index.js';
import { m, n, type OpCases, spd } from './operands.js';

export const matricesCases: OpCases = {
  matmul: [[m, n], ops.matmul, [10, 6, 22, -8]],
  dot: [[m, [1, 0, 1]], ops.dot, [4, 10]],
  inner: [[m, m], ops.inner, [14, 12, 12, 77]],
  outer: [
    [
      [1, 2],
      [3, 4],
    ],
    ops.outer,
    [3, 4, 6, 8],
  ],
  vdot: [
    [
      [1, 2],
      [3, 4],
    ],
    ops.vdot,
    11,
  ],
  tensordot: [[m, n], (x, y) => ops.tensordot(x, y, 1), [10, 6, 22, -8]],
  einsum: [[m, n], (x, y) => ops.einsum('ij,jk->ki', x, y), [10, 22, 6, -8]],
  'einsum of one': [[m], (x) => ops.einsum('ij->j', x), [5, -3, 9]],
  'einsum of three': [[m, n, [1, 2]], (x, y, z) => ops.einsum('ij,jk,k->i', x, y, z), [22, 6]],
  norm: [[m], (x) => ops.norm(x, null, 1), [Math.sqrt(14), Math.sqrt(77)]],
  'norm 1': [[m], (x) => ops.norm(x, 1, 1), [6, 15]],
  cross: [
    [
      [1, 0, 0],
      [0, 1, 0],
    ],
    ops.cross,
    [0, 0, 1],
  ],
  det: [
    [
      [
        [2, 1, 0],
        [1, 3, 1],
        [0, 1, 4],
      ],
    ],
    ops.det,
    18,
  ],
  'det of 4 rows': [[spd], ops.det, 142],
  cholesky: [
    [
      [
        [4, 2],
        [2, 5],
      ],
    ],
    ops.cholesky,
    [2, 0, 1, 2],
  ],
  inv: [
    [
      [
        [0, 2],
        [4, 6],
      ],
    ],
    ops.inv,
    [-0.75, 0.25, 0.5, 0],
  ],
  solve: [
    [
      [
        [0, 2],
        [4, 6],
      ],
      [2, 10],
    ],
    (x, y) => ops.solve(x, y),
    [1, 1],
  ],
  slogdet: [
    [
      [
        [0, 2],
        [4, 6],
      ],
    ],
    (x) => ops.stack(ops.slogdet(x) as unknown as Tensor[]),
    [-1, Math.log(8)],
  ],
  logdet: [
    [
      [
        [2, 0],
        [0, 3],
      ],
    ],
    ops.logdet,
    Math.log(6),
  ],
  quantile: [[[[3, 1, 2, 10]]], (x) => ops.quantile(x, 0.25, 1), [1.75]],
  median: [[m], (x) => ops.median(x), 2.5],
  searchsorted: [
    [
      [1, 3, 5],
      [
        [0, 3],
        [4, 9],
      ],
    ],
    (x, v) => ops.searchsorted(x, v),
    [0, 1, 2, 3],
  ],
  'searchsorted, right': [[[1, 3, 5], [3]], (x, v) => ops.searchsorted(x, v, 'right'), [2]],
  bincount: [[[1, 0, 1, 3]], (x) => ops.bincount(x, 4), [1, 2, 0, 1]],
  l2Normalize: [
    [
      [
        [3, 4],
        [0, 2],
      ],
    ],
    (x) => ops.l2Normalize(x, 1),
    [0.6, 0.8, 0, 1],
  ],
};
