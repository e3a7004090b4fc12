/** Random kernels: what the emitter makes of them must agree with the interpreter, before and after lowering. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { finishKernel } from '../../../codegen/finish.js';
import * as E from '../../../codegen/kernel/expr.js';
import { interpret } from '../../../codegen/kernel/interpret.js';
import * as K from '../../../codegen/kernel/ir.js';
import { printKernel } from '../../../codegen/kernel/print.js';
import { substituteStmts } from '../../../codegen/kernel/walk.js';
import { wasmTarget } from '../../../codegen/target.js';
import { runKernel } from './run.js';

/** A small generator of numbers (mulberry32), so that a failure names its seed. */
function random(seed: number): (n: number) => number {
  let a = seed;
  return (n) => {
    a = (a + 0x6d2b79f5) | 0;
    let t = Math.imul(a ^ (a >>> 15), 1 | a);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) % n;
  };
}

const size = 4096;
const x: K.Memory = { name: 'x', space: 'global', scalar: 'f32', storage: 'same', access: 'read', size };
const y: K.Memory = { name: 'y', space: 'global', scalar: 'i32', storage: 'same', access: 'read', size };
const out: K.Memory = { name: 'out', space: 'global', scalar: 'f32', storage: 'same', access: 'read_write', size };
const tmp: K.Memory = { name: 'tmp', space: 'private', scalar: 'f32', storage: 'same', access: 'read_write', size: 64 };

/** Integers stay small: any index is brought into range by a remainder, most by construction. */
function randomKernel(seed: number, group: E.Expr): K.Kernel {
  const r = random(seed);
  const pick = <T>(xs: readonly T[]): T => xs[r(xs.length)]!;
  const n = E.symbolVar('n', 9);
  const m = E.symbolVar('m', 7);
  type Scope = { ints: E.Expr[]; floats: Record<1 | 4, E.Expr[]>; mutables: E.VarExpr[]; depth: number };

  const int = (s: Scope, d: number): E.Expr => {
    if (d === 0 || r(4) === 0) return r(3) === 0 ? E.i32(r(12) - 4) : pick(s.ints);
    const [a, b] = [int(s, d - 1), int(s, d - 1)];
    switch (r(7)) {
      case 0:
        return E.mul(E.rem(a, E.i32(11)), E.rem(b, E.i32(7)));
      case 1:
        return E.sub(a, b);
      case 2:
        return E.mul(a, E.i32(r(9) - 3));
      case 3:
        return E.div(a, E.i32(1 + r(5)));
      case 4:
        return pick([E.min, E.max])(a, b);
      default:
        return E.add(a, b);
    }
  };
  const inRange = (e: E.Expr, lanes: number): E.Expr => {
    if (e.lo >= 0 && e.hi + lanes <= size) return e;
    // ((e rem 2000) + 2000) is in (0, 4000)
    return E.add(E.rem(e, E.i32(2000)), E.i32(2000));
  };
  const condition = (s: Scope, lanes: 1 | 4): E.Expr => {
    if (lanes === 1 && r(2) === 0) return E.compare(pick(['lt', 'eq', 'ge'] as const), int(s, 2), int(s, 1));
    return E.compare(pick(['lt', 'ne', 'ge'] as const), float(s, 1, lanes), float(s, 1, lanes));
  };
  const float = (s: Scope, d: number, lanes: 1 | 4): E.Expr => {
    if (d === 0 || r(5) === 0) {
      if (s.floats[lanes].length > 0 && r(2) === 0) return pick(s.floats[lanes]);
      return r(3) === 0 ? E.constant(r(9) / 4 - 1, 'f32', lanes) : E.load(pick([x, x, out]), inRange(int(s, 2), lanes), lanes);
    }
    const [a, b] = [float(s, d - 1, lanes), float(s, d - 1, lanes)];
    switch (r(9)) {
      case 0:
        return E.mul(a, E.constant(0.5, 'f32', lanes));
      case 1:
        return E.sub(a, b);
      case 2:
        return E.select(condition(s, lanes), a, b);
      case 3:
        return pick([E.min, E.max])(a, b);
      case 4:
        return lanes === 1 ? E.cast(E.rem(int(s, 2), E.i32(50)), 'f32') : E.splat(float(s, d - 1, 1), 4);
      case 5:
        return lanes === 1 ? E.extract(float(s, d - 1, 4), r(4)) : E.vector([float(s, 0, 1), float(s, 0, 1), E.f32(r(3)), float(s, 0, 1)]);
      case 6:
        return E.unary(pick(['neg', 'abs', 'floor'] as const), a);
      default:
        return E.add(a, b);
    }
  };
  /** Values shrink, so that sums over loops stay exact enough in float32. */
  const tame = (e: E.Expr): E.Expr => E.min(E.max(e, E.constant(-64, 'f32', e.lanes)), E.constant(64, 'f32', e.lanes));

  const block = (outer: Scope): K.Stmt[] => {
    const s: Scope = {
      ints: [...outer.ints],
      floats: { 1: [...outer.floats[1]], 4: [...outer.floats[4]] },
      mutables: [...outer.mutables],
      depth: outer.depth + 1,
    };
    const stmts: K.Stmt[] = [];
    for (let k = 0; k < 2 + r(4); k++) {
      const lanes = pick([1, 4] as const);
      switch (r(s.depth > 3 ? 6 : 10)) {
        case 0: {
          const value = r(4) === 0 ? E.load(y, inRange(int(s, 2), 1)) : int(s, 3);
          const v = E.variable('li', 'let', 'i32', value.kind === 'load' ? undefined : [value.lo, value.hi]);
          stmts.push(K.letVar(v, value));
          s.ints.push(v);
          break;
        }
        case 1: {
          const v = E.variable('lf', 'let', 'f32', undefined, lanes);
          stmts.push(K.letVar(v, float(s, 3, lanes)));
          s.floats[lanes].push(v);
          break;
        }
        case 2: {
          const v = E.variable('acc', 'mutable', 'f32', undefined, lanes);
          stmts.push(K.mutable(v, float(s, 1, lanes)));
          s.floats[lanes].push(v);
          s.mutables.push(v);
          break;
        }
        case 3:
          if (s.mutables.length > 0) {
            const v = pick(s.mutables);
            stmts.push(K.assign(v, tame(float(s, 3, v.lanes as 1 | 4))));
          }
          break;
        case 4:
          if (r(3) === 0) {
            const at = E.add(E.rem(int(s, 1), E.i32(20)), E.i32(20));
            stmts.push(K.store(tmp, at, float(s, 1, 1)));
            const v = E.variable('lp', 'let', 'f32');
            stmts.push(K.letVar(v, E.load(tmp, at)));
            s.floats[1].push(v);
          }
          stmts.push(K.store(out, inRange(int(s, 3), lanes), tame(float(s, 3, lanes))));
          break;
        case 5:
          stmts.push(K.store(out, inRange(int(s, 2), lanes), tame(float(s, 2, lanes))));
          break;
        case 6:
          stmts.push(...K.ifThen(condition(s, 1), block(s), r(2) ? block(s) : []));
          break;
        default: {
          const begin = pick([E.i32(0), E.i32(2), E.i32(-1), m]);
          const end = pick([E.i32(4), n, E.add(m, E.i32(1)), E.i32(3)]);
          const v = E.variable('v', 'loop', 'i32', [begin.lo, Math.max(begin.lo, end.hi - 1)]);
          const unroll = begin.kind === 'const' && end.kind === 'const' && r(3) === 0;
          stmts.push(K.forLoop(v, begin, end, block({ ...s, ints: [...s.ints, v, v] }), { step: 1 + r(2), unroll }));
        }
      }
    }
    return stmts;
  };
  const body = block({ ints: [n, m, group, E.mul(group, n)], floats: { 1: [], 4: [] }, mutables: [], depth: 0 });
  return { name: `fuzz${seed}`, notes: [], args: [x, y, out], symbols: ['n', 'm'], grid: [3, 1, 1], workgroupSize: [1, 1, 1], locals: [tmp], body };
}

const xs = Float32Array.from({ length: size }, (_, j) => ((j * 37) % 64) / 8 - 4);
const ys = Int32Array.from({ length: size }, (_, j) => ((j * 29) % 41) - 8);

function check(group: E.Expr, kernel: K.Kernel, lowered: K.Kernel, symbols: Record<string, number>): boolean {
  const expected = Float32Array.from({ length: size }, (_, j) => (j % 16) / 4);
  const result = expected.slice();
  // Groups may race: they are interpreted one by one, as one thread runs them. A kernel that takes too long says nothing.
  for (let g = 0; g < 3; g++) {
    const one = { ...kernel, grid: [1, 1, 1] as const, body: substituteStmts(kernel.body, new Map([[group, E.i32(g)]])) };
    if (interpret(one, [xs, ys, expected], symbols, { maxSteps: 100_000 }).errors.length > 0) return false;
  }
  try {
    runKernel(lowered, [xs, ys, result], symbols);
  } catch (e) {
    assert.unreachable(`${kernel.name}, n=${symbols.n}, m=${symbols.m}: ${String(e)}\n${printKernel(lowered)}`);
  }
  for (let j = 0; j < size; j++) {
    if (Object.is(result[j], expected[j]) || result[j] === expected[j] || (Number.isNaN(result[j]) && Number.isNaN(expected[j]))) continue;
    assert.unreachable(`${kernel.name}, n=${symbols.n}, m=${symbols.m}: element ${j} is ${result[j]}, expected ${expected[j]}\n${printKernel(lowered)}`);
  }
  return true;
}

const first = Number(process.env.TENON_FUZZ_SEED ?? 1);
const count = Number(process.env.TENON_FUZZ_COUNT ?? 150);

test('random kernels give what the interpreter gives', () => {
  let compared = 0;
  for (let seed = first; seed < first + count; seed++) {
    E.resetExpressions();
    const group = E.variable('group0', 'group', 'i32', [0, 2]);
    const kernel = randomKernel(seed, group);
    for (const symbols of [
      { n: 5, m: 2 },
      { n: 1, m: 7 },
    ]) {
      if (check(group, kernel, kernel, symbols)) compared++;
      check(group, kernel, finishKernel(kernel, wasmTarget(1, false)), symbols);
    }
  }
  assert.ok(compared > count, `${compared} runs compared`);
});

test.run();
