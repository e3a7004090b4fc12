/** Ops that move elements: broadcast, reshape, transpose, slice, reverse, pad, concat. */
import type { GraphBuilder } from '../../../ir/builder.js';
import { symbol } from '../../../ir/dim.js';
import type { Value } from '../../../ir/graph.js';
import type { OpName } from '../../../ir/op-attrs.js';
import { type Random, random } from '../random-graph.js';
import { type CaseInput, dimsOf, input, int, ordinary, type PrimitiveCase, pick, shuffled, someShape } from './case.js';

export function shapes(r: Random): PrimitiveCase[] {
  const out: PrimitiveCase[] = [];
  const add = (op: OpName, name: string, inputs: readonly CaseInput[], build: PrimitiveCase['build']): void =>
    void out.push({ op, name, inputs, build, rtol: 1e-6, atol: 1e-7 });
  for (let k = 0; k < 4; k++) {
    const t = pick(r, ['float32', 'int32', 'uint32', 'bool'] as const);
    const shape = someShape(r);
    const rank = shape.length;
    const x = input(t, shape);
    // alone, and in front of and behind arithmetic
    const around = (f: (b: GraphBuilder, x: Value) => Value): PrimitiveCase['build'] =>
      k % 2 === 0 ? (b, [v]) => f(b, v!) : (b, [v]) => b.cast(f(b, b.cast(v!, 'float32')), 'int32');
    const wide = [...shape.slice(0, 1), 3, ...shape.slice(1)];
    add(
      'broadcast',
      `broadcast ${shape} into ${wide}`,
      [x],
      around((b, v) =>
        b.broadcast(
          v,
          dimsOf(wide),
          shape.map((_, i) => (i === 0 ? 0 : i + 1)),
        ),
      ),
    );
    add(
      'broadcast',
      `stretch to ${shape}`,
      [
        input(
          t,
          shape.map((d, i) => (i === 0 ? 1 : d)),
        ),
      ],
      around((b, v) =>
        b.broadcast(
          v,
          dimsOf(shape),
          shape.map((_, i) => i),
        ),
      ),
    );
    add(
      'reshape',
      `flatten ${shape}`,
      [x],
      around((b, v) => b.reshape(v, [-1])),
    );
    add(
      'reshape',
      `split ${shape}`,
      [input(t, [-1, 12, ...shape.filter((d) => d !== -1).slice(0, 1)])],
      around((b, v) => b.reshape(v, [-1, 3, 2, 2, ...dimsOf(shape.filter((d) => d !== -1).slice(0, 1))])),
    );
    const perm = shuffled(r, rank);
    add(
      'transpose',
      `transpose ${shape} by ${perm}`,
      [x],
      around((b, v) => b.transpose(v, perm)),
    );
    const static_ = someShape(r, int(r, 1, 3), 2).map((d) => (d === -1 ? 6 : d));
    const start = static_.map((d) => int(r, 0, d - 1));
    const limit = static_.map((d, i) => int(r, start[i]! + 1, d));
    add(
      'slice',
      `slice ${static_} from ${start} to ${limit}`,
      [input(t, static_)],
      around((b, v) =>
        b.slice(
          v,
          start,
          limit,
          static_.map(() => int(random(k), 1, 3)),
        ),
      ),
    );
    add(
      'slice',
      `slice rows of [batch, 9]`,
      [input(t, [-1, 9])],
      around((b, v) => b.slice(v, [0, k], [symbol('batch'), 9 - k], [1, 1 + (k % 3)])),
    );
    add(
      'reverse',
      `reverse ${shape}`,
      [x],
      around((b, v) =>
        b.reverse(
          v,
          shape.flatMap((_, i) => (i % 2 === k % 2 || rank === 1 ? [i] : [])),
        ),
      ),
    );
    const sides = shape.map((d) => (d === -1 ? [0, 0, 0] : [int(r, -Math.min(1, d - 1), 2), int(r, 0, 3), int(r, 0, 2)]));
    add(
      'pad',
      `pad ${shape} with ${sides.join(' | ')}`,
      [x],
      around((b, v) =>
        b.pad(
          v,
          sides.map((s) => s[0]!),
          sides.map((s) => s[1]!),
          1,
          sides.map((s) => s[2]!),
        ),
      ),
    );
    const axis = int(r, 0, rank - 1);
    const parts = [0, 1, 2].map((i) =>
      input(
        t,
        shape.map((d, a) => (a === axis && d !== -1 ? i + 1 : d)),
        ordinary(t, i),
      ),
    );
    if (shape[axis] !== -1)
      add('concat', `concat on ${axis} of ${shape}`, parts, (b, vs) => b.concat(k % 2 === 0 ? vs : vs.map((v) => b.cast(v, 'float32')), axis));
  }
  add('concat', 'concat of the symbol and a size', [input('float32', [-1, 4]), input('float32', [2, 4])], (b, vs) =>
    b.concat(
      vs.map((v) => b.mul(v, 2)),
      0,
    ),
  );
  add('concat', 'concat of one-row vectors, in place', [input('float32', [300]), input('float32', [5])], (b, vs) =>
    b.concat(
      vs.map((v) => b.exp(v)),
      0,
    ),
  );
  return out;
}
