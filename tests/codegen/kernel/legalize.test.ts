/** Expansions of elementary functions: error in units in the last place of float32 over their ranges, and special values. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { evaluate, operation, runTape, tapeOf } from '../../../codegen/kernel/evaluate.js';
import { binary, cast, compare, constant, type Expr, load, splat, type UnaryFn, unary, variable } from '../../../codegen/kernel/expr.js';
import { store } from '../../../codegen/kernel/ir.js';
import { expand, legalizeExpr, legalizeFor, type Target } from '../../../codegen/kernel/legalize.js';
import { mapExpr, visitExprs } from '../../../codegen/kernel/walk.js';
import { floats, global, kernel, run } from './kernels.js';

const x = variable('x', 'let', 'f32');
const y = variable('y', 'let', 'f32');

/**
 * Fully expanded, for WGSL too (its printer does this function by function). A function whose expansion only guards the target's own function is expanded once.
 */
const full = (e: Expr, target: Target, native: Set<UnaryFn> = new Set()): Expr => {
  const guarded = new Set<UnaryFn>();
  const once = mapExpr(legalizeExpr(e, target), (n) => {
    if (n.kind === 'unary' && native.has(n.fn)) return n;
    const out = expand(n, target);
    if (out && n.kind === 'unary')
      visitExprs([store(global('out', 'write', 1), constant(0), out)], (x) => void (x.kind === 'unary' && x.fn === n.fn && guarded.add(x.fn)));
    return out ?? n;
  });
  return once === e ? e : full(once, target, new Set([...native, ...guarded]));
};

/** The size of a float32 step at v. */
const ulp = (v: number): number => 2 ** Math.max(-149, Math.floor(Math.log2(Math.abs(v))) - 23);

function distance(got: number, want: number): number {
  if (Number.isNaN(want)) return Number.isNaN(got) ? 0 : Number.POSITIVE_INFINITY;
  const nearest = Math.fround(want);
  if (got === nearest) return 0;
  if (!Number.isFinite(nearest))
    return Number.isFinite(got) && Math.abs(got) > 3.4028e38 && Math.sign(got) === Math.sign(nearest) ? 1 : Number.POSITIVE_INFINITY;
  return Math.abs(got - want) / (want === 0 ? 2 ** -149 : ulp(want));
}

/** Values over a range, dense near its ends and by magnitudes, with the special ones. */
function* sweep(lo: number, hi: number): Generator<number> {
  for (const v of [
    0,
    -0,
    1,
    -1,
    0.5,
    -0.5,
    2,
    1e-45,
    -1e-45,
    1e-39,
    -1e-39,
    1.1754944e-38,
    1e-20,
    -1e-20,
    3.4028235e38,
    -3.4028235e38,
    Infinity,
    -Infinity,
    NaN,
  ])
    yield Math.fround(v);
  for (let i = 0; i <= 6000; i++) yield Math.fround(lo + ((hi - lo) * i) / 6000);
  for (let e = -40; e < 8; e += 0.13) for (const s of [1, -1]) if (s * 2 ** e >= lo && s * 2 ** e <= hi) yield Math.fround(s * 2 ** e);
}

const unaries: [UnaryFn, number, number, number][] = [
  ['exp', -104, 90, 1.2],
  ['expm1', -30, 90, 2],
  ['log', 1e-38, 100, 1.2],
  ['log1p', -0.9999, 50, 3],
  ['sin', -100, 100, 2.5],
  ['cos', -100, 100, 2.5],
  ['tan', -20, 20, 3.5],
  ['asin', -1, 1, 2.5],
  ['acos', -1, 1, 2],
  ['atan', -20, 20, 1.6],
  ['sinh', -90, 90, 2.5],
  ['cosh', -90, 90, 2.5],
  ['tanh', -12, 12, 2],
  ['asinh', -50, 50, 4],
  ['acosh', 1, 50, 4],
  ['atanh', -1, 1, 4],
  ['sigmoid', -100, 100, 3],
  ['erf', -5, 5, 2],
];

for (const target of ['wasm', 'wgsl'] as const) {
  for (const [fn, lo, hi, bound] of unaries) {
    test(`${fn} for ${target} is within ${bound} ulp`, () => {
      const exact = operation(unary(fn, variable('v', 'let', 'f64')));
      const e = full(unary(fn, x), target);
      visitExprs([store(global('out', 'write', 1), constant(0), e)], (n) =>
        assert.ok(n.kind !== 'unary' || !['tanh', 'erf', 'log1p', 'sin'].includes(n.fn), `${fn} left ${n.kind === 'unary' ? n.fn : ''}`),
      );
      const tape = tapeOf(e);
      let worst = 0;
      let where = 0;
      for (const v of sweep(lo, hi)) {
        const want = exact([v]) as number;
        // Beyond 10^5 sine and cosine only have to be finite; denormal results need not be exact.
        const wild = (fn === 'sin' || fn === 'cos' || fn === 'tan') && Math.abs(v) > 1e5 && Number.isFinite(v);
        const got = runTape(tape, () => v) as number;
        if (wild) {
          assert.ok(!Number.isNaN(got) && (fn === 'tan' || Math.abs(got) <= 1), `${fn}(${v}) = ${got}`);
          continue;
        }
        const d = distance(got, want);
        if (d > worst) [worst, where] = [d, v];
      }
      assert.ok(worst <= bound, `${worst} ulp at ${where}: ${runTape(tape, () => where)} instead of ${exact([where])}`);
    });
  }

  test(`pow for ${target} is within 4 ulp, with C's special cases`, () => {
    const tape = tapeOf(full(binary('pow', x, y), target));
    const exact = operation(binary('pow', variable('a', 'let', 'f64'), variable('b', 'let', 'f64')));
    const at = (a: number, b: number): number => runTape(tape, (v) => (v === x ? a : b)) as number;
    const check = (a: number, b: number): void => {
      const want = exact([a, b]) as number;
      const d = distance(at(a, b), want);
      // Denormal results are rounded once more.
      assert.ok(d <= (Math.abs(want) < 1.2e-38 ? 1 : 4), `${a} ** ${b} = ${at(a, b)} instead of ${want}: ${d} ulp`);
    };
    const specials = [0, -0, 1, -1, 0.5, -0.5, 2, -2, 3, -3, 1.5, -2.5, 1e30, -1e30, 16777217, 1e-42, Infinity, -Infinity, NaN];
    for (const a of specials) for (const b of specials) check(Math.fround(a), Math.fround(b));
    for (let i = 1; i < 3000; i++) {
      const a = Math.fround(Math.exp(((i * 7919) % 6000) / 100 - 30));
      const b = Math.fround((((i * 104729) % 2000) - 1000) / 50);
      check(a, b);
      check(Math.fround(1 + i * 1e-6), Math.fround(i * 31.7));
      check(Math.fround(-i / 7), (i % 9) - 4);
      check(a, 2);
      check(a, 0.5);
    }
  });

  test(`atan2, remainder and sign for ${target}`, () => {
    const tapes = Object.fromEntries((['atan2', 'rem'] as const).map((fn) => [fn, tapeOf(full(binary(fn, x, y), target))]));
    const values = [0, -0, 1, -1, 0.375, -7.25, 2 ** 70, -(2 ** -70), 5.5, Infinity, -Infinity, NaN];
    for (const a of values) {
      for (const b of values) {
        const [fa, fb] = [Math.fround(a), Math.fround(b)];
        const leaf = (v: Expr): number => (v === x ? fa : fb);
        assert.ok(distance(runTape(tapes['atan2']!, leaf) as number, Math.atan2(fa, fb)) <= 3, `atan2(${a}, ${b})`);
        if (Math.abs(fa / fb) > 1e6) continue;
        const [got, want] = [runTape(tapes['rem']!, leaf) as number, fa % fb];
        assert.ok(
          Number.isNaN(want) ? Number.isNaN(got) : Math.abs(got - want) <= 1e-6 * Math.abs(fb) || got === want,
          `${a} % ${b} = ${got} instead of ${want}`,
        );
      }
      assert.ok(Object.is(evaluate(full(unary('sign', x), target), new Map([[x, a]])), Math.sign(a)), `sign(${a})`);
      assert.is(evaluate(full(unary('is_nan', x), target), new Map([[x, a]])), Number.isNaN(a) ? 1 : 0);
      assert.is(evaluate(full(unary('is_inf', x), target), new Map([[x, a]])), Math.abs(a) === Infinity ? 1 : 0);
      for (const c of [0, -1.5]) {
        for (const fn of ['min', 'max'] as const) {
          const want = Number.isNaN(a) ? NaN : Math[fn](a, c);
          const got = evaluate(full(binary(fn, x, constant(c, 'f32')), target), new Map([[x, a]])) as number;
          assert.ok(got === want || (Number.isNaN(got) && Number.isNaN(want)), `${fn}(${a}, ${c}) = ${got}`);
        }
      }
    }
  });
}

test('expansions work on the lanes of a vector', () => {
  const v = variable('v', 'let', 'f32', undefined, 4);
  for (const fn of ['exp', 'log', 'tanh', 'erf', 'sin'] as const) {
    const got = evaluate(legalizeExpr(unary(fn, v), 'wasm'), new Map([[v, [0.1, 0.7, 1.5, 3]]])) as readonly number[];
    assert.equal(
      got,
      [0.1, 0.7, 1.5, 3].map((a) => evaluate(legalizeExpr(unary(fn, x), 'wasm'), new Map([[x, a]]))),
    );
  }
  assert.is(legalizeExpr(unary('exp', splat(x, 4)), 'wasm').lanes, 4);
});

test('bool tensors become words on WASM', () => {
  const [a, m] = [global('a', 'read', 4), global('mask', 'read_write', 4, 'bool', 'bool32')];
  const k = kernel('mask', {
    args: [a, m],
    body: [0, 1, 2, 3].map((i) => store(m, constant(i), binary('or', compare('gt', load(a, constant(i)), constant(0, 'f32')), load(m, constant(i))))),
  });
  const legal = legalizeFor(k, 'wasm');
  assert.is(legal.args[1]!.scalar, 'u32');
  const out = run(legal, [floats(4, (i) => i - 2), Uint32Array.of(1, 0, 0, 0)]);
  assert.equal(out.errors, []);
  assert.equal([...out.args[1]!], [1, 0, 0, 1]);
  assert.is(cast(compare('gt', x, y), 'u32').scalar, 'u32');
});

test.run();
