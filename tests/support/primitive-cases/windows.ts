/** Reduce-window and its transpose. */
import type { Pair } from '../../../ir/op-attrs.js';
import type { Random } from '../random-graph.js';
import { input, int, ordinary, type PrimitiveCase, pick } from './case.js';

export function windows(r: Random): PrimitiveCase[] {
  const out: PrimitiveCase[] = [];
  for (const fn of ['sum', 'max', 'min', 'prod'] as const) {
    for (let k = 0; k < 3; k++) {
      const window = [1, int(r, 1, 3), int(r, 1, 3), 1];
      const strides = [1, int(r, 1, 3), int(r, 1, 2), 1];
      const dilated = k === 1;
      const padding: Pair[] = [
        [0, 0],
        [int(r, 0, 1), int(r, 0, 2)],
        [0, int(r, 0, 1)],
        [0, 0],
      ];
      const ones = [1, 1, 1, 1];
      out.push({
        op: 'reduce_window',
        name: `window ${fn} ${window} strides ${strides}${dilated ? ' dilated' : ''}`,
        inputs: [input('float32', [-1, 7, 6, pick(r, [3, 8])])],
        rtol: 1e-5,
        atol: 1e-5,
        build: (b, [x]) =>
          b.emit('reduce_window', [x!], {
            fn,
            window,
            strides,
            padding,
            baseDilation: dilated ? [1, 2, 1, 1] : ones,
            windowDilation: dilated ? [1, 1, 2, 1] : ones,
          }),
      });
    }
  }
  out.push({
    op: 'reduce_window',
    name: 'window max over one axis of int32',
    inputs: [input('int32', [5, 20])],
    build: (b, [x]) =>
      b.emit('reduce_window', [x!], {
        fn: 'max',
        window: [1, 4],
        strides: [1, 2],
        padding: [
          [0, 0],
          [1, 1],
        ],
        baseDilation: [1, 1],
        windowDilation: [1, 1],
      }),
    rtol: 0,
    atol: 0,
  });
  for (const fn of ['max', 'min'] as const) {
    for (const overlap of [false, true]) {
      const window = overlap ? [1, 3, 3, 1] : [1, 2, 2, 1];
      const padding: Pair[] = overlap
        ? [
            [0, 0],
            [1, 1],
            [0, 1],
            [0, 0],
          ]
        : [
            [0, 0],
            [0, 0],
            [0, 0],
            [0, 0],
          ];
      const windows_ = overlap ? [-1, 4, 3, 5] : [-1, 3, 3, 5];
      // ties: each window's first extreme
      out.push({
        op: 'select_and_scatter',
        name: `select_and_scatter ${fn}${overlap ? ' overlapping' : ''}`,
        inputs: [input('float32', [-1, 7, 6, 5], (i) => Math.round(ordinary('float32')(i))), input('float32', windows_, ordinary('float32', 4))],
        build: (b, [x, dy]) => b.emit('select_and_scatter', [x!, dy!], { fn, window, strides: [1, 2, 2, 1], padding }),
        rtol: 1e-5,
        atol: 1e-5,
      });
    }
  }
  return out;
}
