/** Gather and scatter. */
import type { Random } from '../random-graph.js';
import { input, int, ordinary, type PrimitiveCase, pick } from './case.js';

export function gathers(r: Random): PrimitiveCase[] {
  const out: PrimitiveCase[] = [];
  for (const t of ['float32', 'int32', 'uint32', 'bool'] as const) {
    const shape = [pick(r, [5, 9]), 4, pick(r, [1, 6])];
    const axis = int(r, 0, 2);
    // out of range: clamped
    const indices = pick(r, [[-1], [3, -1], [7], []]);
    out.push({
      op: 'gather',
      name: `gather ${t} axis ${axis} by ${indices}`,
      inputs: [input(t, shape), input('int32', indices, (i) => [0, 3, -2, 100, 2, 1][i % 6]!)],
      build: (b, [x, i]) => b.gather(x!, i!, axis),
      rtol: 0,
      atol: 0,
    });
  }
  for (const t of ['uint8', 'int8'] as const) {
    out.push({
      op: 'gather',
      name: `rows of ${t}`,
      inputs: [input(t, [20, 16]), input('int32', [-1], (i) => (i * 7) % 20)],
      build: (b, [x, i]) => b.mul(b.cast(b.gather(x!, i!, 0), 'float32'), 1 / 255),
      rtol: 1e-6,
      atol: 1e-6,
    });
  }
  for (const fn of ['add', 'set', 'mul', 'max', 'min'] as const) {
    for (const t of ['float32', 'int32'] as const) {
      const axis = int(r, 0, 1);
      const shape = axis === 0 ? [9, 6] : [3, 11];
      const updates = axis === 0 ? [-1, 2, 6] : [3, -1, 2];
      out.push({
        op: 'scatter',
        name: `scatter ${fn} ${t} axis ${axis}`,
        inputs: [input(t, shape), input('int32', [-1, 2], (i) => [0, 3, 3, -1, 40, 5][i % 6]!), input(t, updates, ordinary(t, 3))],
        build: (b, [x, i, u]) => b.emit('scatter', [x!, i!, u!], { axis, fn }),
        rtol: 1e-6,
        atol: 1e-6,
      });
    }
  }
  return out;
}
