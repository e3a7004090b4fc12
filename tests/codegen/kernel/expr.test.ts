/** Index simplification: random expressions have the same value before and after, inside the range that they claim. */
import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { evaluate } from '../../../codegen/kernel/evaluate.js';
import {
  add,
  binary,
  coefficient,
  compare,
  div,
  type Expr,
  extract,
  i32,
  linear,
  load,
  mul,
  rem,
  select,
  sub,
  substitute,
  symbolVar,
  type VarExpr,
  variable,
  vector,
} from '../../../codegen/kernel/expr.js';

const names = ['a', 'b', 'c', 'd'] as const;
const ranges: Record<(typeof names)[number], [number, number]> = { a: [0, 5], b: [0, 3], c: [0, 11], d: [-3, 4] };
const vars = Object.fromEntries(names.map((n) => [n, variable(n, 'loop', 'i32', ranges[n])])) as Record<(typeof names)[number], VarExpr>;

/** An expression as written, before any constructor has seen it. */
type Tree = number | (typeof names)[number] | { op: 'add' | 'sub' | 'mul' | 'div' | 'rem' | 'min' | 'max' | 'lt' | 'pick'; a: Tree; b: Tree };

const { tree } = fc.letrec<{ tree: Tree }>((tie) => ({
  tree: fc.oneof(
    { maxDepth: 5, depthIdentifier: 'tree' },
    fc.constantFrom(...names),
    fc.oneof(fc.constantFrom(1, 2, 3, 4, 8, 12), fc.integer({ min: -9, max: 40 })),
    fc.record({ op: fc.constantFrom('add', 'sub', 'mul', 'min', 'max', 'lt', 'pick'), a: tie('tree'), b: tie('tree') }),
    fc.record({ op: fc.constantFrom('add', 'mul'), a: tie('tree'), b: tie('tree') }),
    fc.record({ op: fc.constantFrom('div', 'rem'), a: tie('tree'), b: fc.constantFrom(1, 2, 3, 4, 6, 8, 16) }),
  ),
}));

function build(t: Tree): Expr {
  if (typeof t === 'number') return i32(t);
  if (typeof t === 'string') return vars[t];
  const [a, b] = [build(t.a), build(t.b)];
  if (t.op === 'lt') return select(compare('lt', a, b), i32(1), i32(0));
  if (t.op === 'pick') return select(compare('ge', a, i32(2)), a, b);
  return binary(t.op, a, b);
}

function value(t: Tree, at: Record<string, number>): number {
  if (typeof t === 'number') return t;
  if (typeof t === 'string') return at[t]!;
  const [a, b] = [value(t.a, at), value(t.b, at)];
  switch (t.op) {
    case 'add':
      return (a + b) | 0;
    case 'sub':
      return (a - b) | 0;
    case 'mul':
      return Math.imul(a, b);
    case 'div':
      return Math.trunc(a / b) | 0;
    case 'rem':
      return (a % b) | 0;
    case 'min':
      return Math.min(a, b);
    case 'max':
      return Math.max(a, b);
    case 'lt':
      return a < b ? 1 : 0;
    case 'pick':
      return a >= 2 ? a : b;
  }
}

const assignments: Record<string, number>[] = [];
for (let a = 0; a <= 5; a++)
  for (let b = 0; b <= 3; b++) for (let c = 0; c <= 11; c += 1 + ((a + b) % 2)) for (let d = -3; d <= 4; d += 1 + (c % 3)) assignments.push({ a, b, c, d });

test('random index expressions keep their values, and stay inside their ranges', () => {
  fc.assert(
    fc.property(tree, (t) => {
      const e = build(t);
      for (const at of assignments) {
        const want = value(t, at);
        const got = evaluate(e, new Map(names.map((n) => [vars[n], at[n]!]))) as number;
        if (got !== want) throw new Error(`${got} instead of ${want} at ${JSON.stringify(at)}`);
        if (got < e.lo || got > e.hi) throw new Error(`${got} outside [${e.lo}, ${e.hi}]`);
      }
    }),
    { seed: 1, numRuns: 800 },
  );
});

test('substituting 4*q + lane into a random expression gives what it has there', () => {
  const q = variable('q', 'loop', 'i32', [0, 2]);
  fc.assert(
    fc.property(tree, fc.integer({ min: 0, max: 3 }), (t, lane) => {
      const e = substitute(build(t), new Map<Expr, Expr>([[vars.c, add(mul(q, i32(4)), i32(lane))]]));
      for (const at of assignments.filter((x) => x['c']! <= 2)) {
        const want = value(t, { ...at, c: at['c']! * 4 + lane });
        const got = evaluate(e, new Map<Expr, number>([...names.map((n): [Expr, number] => [vars[n], at[n]!]), [q, at['c']!]])) as number;
        if (got !== want) throw new Error(`${got} instead of ${want} at ${JSON.stringify(at)}`);
      }
    }),
    { seed: 2, numRuns: 400 },
  );
});

test('quotient and remainder recombine', () => {
  const i = variable('i', 'loop', 'i32', [0, 999]);
  const x = add(mul(i, i32(3)), i32(5));
  assert.is(add(mul(div(i, i32(10)), i32(10)), rem(i, i32(10))), i);
  assert.is(add(mul(div(x, i32(7)), i32(14)), mul(rem(x, i32(7)), i32(2))), mul(x, i32(2)));
  assert.is(add(rem(i, i32(8)), mul(rem(div(i, i32(8)), i32(5)), i32(8))), rem(i, i32(40)));
  // A three-axis index decoded and encoded again.
  const [n, h, w] = [div(i, i32(50)), rem(div(i, i32(5)), i32(10)), rem(i, i32(5))];
  assert.is(add(add(mul(n, i32(50)), mul(h, i32(5))), w), i);
});

test('ranges decide divisions, remainders and comparisons', () => {
  const i = variable('i', 'loop', 'i32', [0, 7]);
  const j = variable('j', 'loop', 'i32', [0, 3]);
  const at = add(mul(i, i32(4)), j);
  assert.is(div(at, i32(4)), i);
  assert.is(rem(at, i32(4)), j);
  assert.is(div(at, i32(32)), i32(0));
  assert.is(rem(add(mul(i, i32(64)), i32(3)), i32(16)), i32(3));
  assert.is(rem(mul(i, i32(4)), i32(16)), mul(rem(i, i32(4)), i32(4)));
  assert.equal(compare('lt', at, i32(32)), compare('eq', i32(0), i32(0)));
});

test('equal expressions are one object; linear forms and coefficients', () => {
  const i = variable('i', 'loop', 'i32', [0, 7]);
  const n = symbolVar('batch', 32);
  assert.is(add(i, n), add(n, i));
  assert.is(sub(add(i, n), n), i);
  assert.is(linear(add(mul(i, i32(6)), i32(2))).constant, 2);
  assert.is(coefficient(add(mul(i, i32(6)), n), i), 6);
  assert.is(coefficient(add(mul(i, n), i), i), null);
  assert.is.not(symbolVar('batch', 16), n, 'another maximum is another variable');
});

test('coefficients beyond 32 bits wrap as integers do', () => {
  const x = variable('x', 'mutable', 'i32');
  const big = mul(mul(x, i32(2654435)), i32(2246822));
  for (const v of [0, 1, -7, 123456789]) assert.is(evaluate(big, new Map([[x, v]])), Math.imul(Math.imul(v, 2654435), 2246822));
});

test('vectors of equal or consecutive parts fold', () => {
  const m = { name: 'm', space: 'global', scalar: 'f32', storage: 'same', access: 'read', size: 16 } as const;
  const v = load(m, i32(0), 4);
  assert.is(vector([0, 1, 2, 3].map((l) => extract(v, l))), v);
  assert.is(vector([i32(2), i32(2)]).kind, 'const');
});

test.run();
