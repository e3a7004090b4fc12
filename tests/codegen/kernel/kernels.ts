/** Kernels for tests: hand-made ones of the usual kinds, and random ones. */
import {
  add,
  and,
  binary,
  cast,
  compare,
  div,
  type Expr,
  extract,
  f32,
  i32,
  type Lanes,
  load,
  mad,
  max,
  min,
  mul,
  rem,
  type Scalar,
  select,
  sub,
  symbolVar,
  truth,
  unary,
  type VarExpr,
  variable,
} from '../../../codegen/kernel/expr.js';
import { type Interpretation, interpret, type TypedArray } from '../../../codegen/kernel/interpret.js';
import { assign, barrier, forLoop, ifThen, type Kernel, letVar, type Memory, mutable, type Stmt, store } from '../../../codegen/kernel/ir.js';

export const global = (name: string, access: Memory['access'], size: number, scalar: Scalar = 'f32', storage: Memory['storage'] = 'same'): Memory => ({
  name,
  space: 'global',
  scalar,
  storage,
  access,
  size,
});
export const shared = (name: string, size: number, scalar: Scalar = 'f32'): Memory => ({
  name,
  space: 'workgroup',
  scalar,
  storage: 'same',
  access: 'read_write',
  size,
});
export const own = (name: string, size: number, scalar: Scalar = 'f32'): Memory => ({
  name,
  space: 'private',
  scalar,
  storage: 'same',
  access: 'read_write',
  size,
});
export const groupId = (axis: 0 | 1 | 2, count: number): VarExpr => variable(`group${axis}`, 'group', 'i32', [0, count - 1]);
export const localId = (axis: 0 | 1 | 2, count: number): VarExpr => variable(`local${axis}`, 'local', 'i32', [0, count - 1]);
export const loopVar = (name: string, count: number): VarExpr => variable(name, 'loop', 'i32', [0, count - 1]);

export const kernel = (name: string, parts: Pick<Kernel, 'args' | 'body'> & Partial<Kernel>): Kernel => ({
  notes: [],
  symbols: [],
  grid: [1, 1, 1],
  workgroupSize: [1, 1, 1],
  locals: [],
  name,
  ...parts,
});

/** y = max(x * s + b, 0), four elements a thread; channels last. */
export function mapKernel(rows: number, channels: number): Kernel {
  const n = rows * channels;
  const [x, b, y] = [global('x', 'read', n), global('bias', 'read', channels), global('y', 'write', n)];
  const groups = Math.ceil(n / 256);
  const at = mul(add(mul(groupId(0, groups), i32(64)), localId(0, 64)), i32(4));
  const v = unary('tanh', max(mad(load(x, at, 4), f32x(0.5), load(b, rem(at, i32(channels)), 4)), f32x(0)));
  return kernel('dense/bias_relu_tanh', {
    notes: ['y = tanh(max(x * 0.5 + bias, 0))'],
    args: [x, b, y],
    grid: [groups, 1, 1],
    workgroupSize: [64, 1, 1],
    body: ifThen(compare('lt', at, i32(n)), [store(y, at, v)]),
  });
}
const f32x = (v: number): Expr => f32(v);

/** Row sums of exp(x - max(x)), one row a workgroup of 32 threads, with trees in workgroup memory. */
export function rowReduceKernel(cols: number, maxRows: number): Kernel {
  const [x, y] = [global('x', 'read', maxRows * cols), global('y', 'write', maxRows)];
  const tile = shared('tile', 32);
  const [row, t] = [groupId(0, maxRows), localId(0, 32)];
  const [most, total] = [variable('most', 'mutable', 'f32'), variable('total', 'mutable', 'f32')];
  const [i, j] = [loopVar('i', cols), loopVar('j', cols)];
  const at = (k: Expr): Expr => add(mul(row, i32(cols)), k);
  const tree = (fn: 'add' | 'max'): Stmt[] =>
    [16, 8, 4, 2, 1].flatMap((w) => [...ifThen(compare('lt', t, i32(w)), [store(tile, t, binary(fn, load(tile, t), load(tile, add(t, i32(w)))))]), barrier]);
  const top = variable('top', 'let', 'f32');
  return kernel('softmax/denominator', {
    notes: ['y[row] = sum(exp(x[row] - max(x[row])))'],
    args: [x, y],
    symbols: ['batch'],
    grid: [{ symbol: 'batch' }, 1, 1],
    workgroupSize: [32, 1, 1],
    locals: [tile],
    body: [
      mutable(most, load(x, at(rem(t, i32(cols))))),
      forLoop(i, t, i32(cols), [assign(most, max(most, load(x, at(i))))], { step: 32 }),
      store(tile, t, most),
      barrier,
      ...tree('max'),
      letVar(top, load(tile, i32(0))),
      barrier,
      mutable(total, f32(0)),
      forLoop(j, t, i32(cols), [assign(total, add(total, unary('exp', sub(load(x, at(j)), top))))], { step: 32 }),
      store(tile, t, total),
      barrier,
      ...tree('add'),
      ...ifThen(compare('eq', t, i32(0)), [store(y, row, load(tile, i32(0)))]),
    ],
  });
}

/** c = a @ b, tiles of 16 x 16 by 8 x 8 threads of 2 x 2 outputs, staged in workgroup memory; sizes are multiples of 16. */
export function matmulKernel(m: number, n: number, k: number): Kernel {
  const [a, b, c] = [global('a', 'read', m * k), global('b', 'read', k * n), global('c', 'write', m * n)];
  const [ta, tb, acc] = [shared('tile_a', 256), shared('tile_b', 256), own('acc', 4)];
  const [gx, gy, x, y] = [groupId(0, n / 16), groupId(1, m / 16), localId(0, 8), localId(1, 8)];
  const flat = add(mul(y, i32(8)), x);
  const at = mul(flat, i32(4));
  const [r, col] = [div(at, i32(16)), rem(at, i32(16))];
  const v = (name: string, count: number): VarExpr => loopVar(name, count);
  const [k0, kk, p, q, s, u, w] = [v('k0', k / 16), v('kk', 16), v('p', 2), v('q', 2), v('s', 4), v('u', 2), v('w', 2)];
  return kernel('matmul', {
    notes: [`c[${m},${n}] = a[${m},${k}] @ b[${k},${n}]`],
    args: [a, b, c],
    grid: [n / 16, m / 16, 1],
    workgroupSize: [8, 8, 1],
    locals: [ta, tb, acc],
    body: [
      forLoop(s, i32(0), i32(4), [store(acc, s, f32(0))], { unroll: true }),
      forLoop(k0, i32(0), i32(k / 16), [
        store(ta, at, load(a, add(mul(add(mul(gy, i32(16)), r), i32(k)), add(mul(k0, i32(16)), col)), 4)),
        store(tb, at, load(b, add(mul(add(mul(k0, i32(16)), r), i32(n)), add(mul(gx, i32(16)), col)), 4)),
        barrier,
        forLoop(kk, i32(0), i32(16), [
          forLoop(
            p,
            i32(0),
            i32(2),
            [
              forLoop(
                q,
                i32(0),
                i32(2),
                [
                  store(
                    acc,
                    add(mul(p, i32(2)), q),
                    mad(
                      load(ta, add(mul(add(mul(y, i32(2)), p), i32(16)), kk)),
                      load(tb, add(mul(kk, i32(16)), add(mul(x, i32(2)), q))),
                      load(acc, add(mul(p, i32(2)), q)),
                    ),
                  ),
                ],
                { unroll: true },
              ),
            ],
            { unroll: true },
          ),
        ]),
        barrier,
      ]),
      forLoop(
        u,
        i32(0),
        i32(2),
        [
          forLoop(
            w,
            i32(0),
            i32(2),
            [
              store(
                c,
                add(mul(add(add(mul(gy, i32(16)), mul(y, i32(2))), u), i32(n)), add(add(mul(gx, i32(16)), mul(x, i32(2))), w)),
                load(acc, add(mul(u, i32(2)), w)),
              ),
            ],
            { unroll: true },
          ),
        ],
        { unroll: true },
      ),
    ],
  });
}

/** Small numbers from a seed (mulberry32). */
export function random(seed: number): (n: number) => number {
  let s = seed >>> 0;
  return (n) => {
    s = (s + 0x6d2b79f5) >>> 0;
    let t = Math.imul(s ^ (s >>> 15), s | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) % n;
  };
}

/**
 * A random kernel of two groups of one thread: nested loops (some run zero times), branches, lets, accumulators, private memory, reads of read-only and of written memory.
 * Values are small integers, so that sums are exact in any order.
 */
export function randomKernel(seed: number): Kernel {
  const pick = random(seed);
  const [x, sel, y, p] = [global('x', 'read', 64), global('sel', 'read', 64, 'i32'), global('y', 'read_write', 64), own('p', 8)];
  const g = groupId(0, 2);
  const n = symbolVar('n', 8);
  const one = <T>(xs: readonly T[]): T => xs[pick(xs.length)]!;
  interface Env {
    ints: Expr[];
    floats: Expr[];
    mutables: VarExpr[];
  }
  const int = (e: Env, depth = 2): Expr => {
    if (depth === 0 || pick(4) === 0) return pick(4) === 0 ? i32(pick(9)) : one(e.ints);
    const a = int(e, depth - 1);
    switch (pick(5)) {
      case 0:
        return mul(a, i32(1 + pick(8)));
      case 1:
        return div(a, i32(1 + pick(4)));
      case 2:
        return rem(a, i32(1 + pick(8)));
      default:
        return add(a, int(e, depth - 1));
    }
  };
  const mine = (i: Expr): Expr => add(mul(g, i32(32)), rem(i, i32(32)));
  const float = (e: Env, depth = 3): Expr => {
    if (depth === 0 || pick(5) === 0) return pick(3) === 0 ? f32(pick(5) - 2) : one(e.floats);
    const a = float(e, depth - 1);
    switch (pick(9)) {
      case 0:
        return load(x, rem(int(e), i32(64)));
      case 1:
        return load(x, load(sel, rem(int(e), i32(64))));
      case 2:
        return load(y, mine(int(e)));
      case 3:
        return load(p, rem(int(e), i32(8)));
      case 4:
        return max(a, float(e, depth - 1));
      case 5:
        return min(a, float(e, depth - 1));
      case 6:
        return select(compare('lt', int(e), int(e)), a, float(e, depth - 1));
      case 7:
        return cast(int(e), 'f32');
      default:
        return binary(one(['add', 'sub'] as const), a, float(e, depth - 1));
    }
  };
  /** A value that is asked for again later, so that there is something to share. */
  const again = (e: Env): Expr => {
    const v = float(e);
    e.floats.push(v);
    return v;
  };
  const block = (outer: Env, depth: number): Stmt[] => {
    const e: Env = { ints: [...outer.ints], floats: [...outer.floats], mutables: [...outer.mutables] };
    const out: Stmt[] = [];
    for (let k = 2 + pick(4); k > 0; k--) {
      switch (pick(depth > 0 ? 9 : 6)) {
        case 0: {
          const v = variable('t', 'let', 'f32');
          out.push(letVar(v, again(e)));
          e.floats.push(v);
          break;
        }
        case 1: {
          const value = int(e);
          const v = variable('i', 'let', 'i32', [value.lo, value.hi]);
          out.push(letVar(v, value));
          e.ints.push(v);
          break;
        }
        case 2: {
          const v = variable('m', 'mutable', 'f32');
          out.push(mutable(v, again(e)));
          e.mutables.push(v);
          e.floats.push(v);
          break;
        }
        case 3:
          if (e.mutables.length > 0) {
            const v = one(e.mutables);
            // Clamped, so that values stay small and exact.
            out.push(assign(v, max(min(again(e), f32(1000)), f32(-1000))));
          }
          break;
        case 4:
          out.push(store(p, rem(int(e), i32(8)), max(min(again(e), f32(1000)), f32(-1000))));
          break;
        case 5:
          out.push(store(y, mine(int(e)), max(min(again(e), f32(1000)), f32(-1000))));
          break;
        case 6:
        case 7: {
          const v = loopVar('l', 8);
          const end = one([i32(3), i32(1), n, rem(int(e), i32(4)), i32(0)]);
          out.push(forLoop(v, i32(0), end, block({ ...e, ints: [...e.ints, v] }, depth - 1), { unroll: end.kind === 'const' && pick(2) === 0 }));
          break;
        }
        default:
          out.push(...ifThen(compare(one(['lt', 'ge', 'eq'] as const), int(e), int(e)), block(e, depth - 1), pick(2) ? block(e, depth - 1) : []));
      }
    }
    return out;
  };
  const init = loopVar('z', 8);
  const body = [
    forLoop(init, i32(0), i32(8), [store(p, init, cast(init, 'f32'))], { unroll: pick(2) === 0 }),
    ...block({ ints: [g, n, i32(3)], floats: [f32(1), f32(2)], mutables: [] }, 3),
  ];
  return kernel('random', { args: [x, sel, y], symbols: ['n'], grid: [2, 1, 1], locals: [p], body });
}

/** A random loop that can be vectorized: parallel with inner loops and gathers, or a reduction. */
export function randomLoop(seed: number): Kernel {
  const pick = random(seed);
  const [x, sel, y] = [global('x', 'read', 256), global('sel', 'read', 96, 'i32'), global('y', 'write', 256)];
  const n = symbolVar('n', 80);
  const one = <T>(xs: readonly T[]): T => xs[pick(xs.length)]!;
  const v = loopVar('v', 80);
  const r = loopVar('r', 3);
  const index = (inner: boolean): Expr => {
    const i = inner ? one([v, r, add(v, r)]) : v;
    return one<Expr>([
      i,
      i,
      mul(i, i32(2)),
      add(i, i32(5)),
      div(i, i32(4)),
      rem(i, i32(8)),
      rem(add(i, i32(1)), i32(8)),
      add(mul(div(i, i32(8)), i32(16)), rem(i, i32(8))),
      i32(7),
      load(sel, i),
      mul(n, i32(2)),
    ]);
  };
  const value = (inner: boolean, depth: number): Expr => {
    if (depth === 0) return pick(4) === 0 ? cast(index(inner), 'f32') : load(x, index(inner));
    const a = value(inner, depth - 1);
    if (pick(5) === 0) return select(compare('lt', index(inner), i32(9)), a, value(inner, depth - 1));
    return binary(one(['add', 'sub', 'max', 'min', 'mul'] as const), a, depth === 1 ? f32(1 + pick(3)) : value(inner, depth - 1));
  };
  const end = one<Expr>([i32(16), i32(19), n, n, i32(3), i32(32), i32(80), i32(64)]);
  const begin = one<Expr>([i32(0), i32(0), i32(2)]);
  const t = variable('t', 'let', 'f32');
  const acc = variable('acc', 'mutable', 'f32');
  if (pick(2) === 0) {
    const body: Stmt[] = [
      letVar(t, value(false, 2)),
      mutable(acc, t),
      forLoop(r, i32(0), i32(3), [assign(acc, add(acc, value(true, 1)))]),
      store(y, one<Expr>([v, add(v, i32(3)), mul(v, i32(2))]), add(acc, t)),
    ];
    return kernel('random_map', { args: [x, sel, y], symbols: ['n'], body: [forLoop(v, begin, end, body, { parallel: true })] });
  }
  const fn = one(['add', 'max', 'min'] as const);
  const most = variable('most', 'mutable', 'f32');
  const body: Stmt[] = [
    letVar(t, value(false, 1)),
    assign(acc, pick(2) && fn === 'add' ? mad(t, value(false, 0), acc) : binary(fn, acc, t)),
    assign(most, max(t, most)),
  ];
  return kernel('random_sum', {
    args: [x, sel, y],
    symbols: ['n'],
    body: [mutable(acc, f32(3)), mutable(most, f32(-1)), forLoop(v, begin, end, body), store(y, i32(0), acc), store(y, i32(1), most)],
  });
}

/** Runs a kernel on copies of its arguments. */
export function run(k: Kernel, args: readonly TypedArray[], symbols: Record<string, number> = {}): Interpretation & { readonly args: TypedArray[] } {
  const copies = args.map((a) => a.slice());
  return { ...interpret(k, copies, symbols), args: copies };
}

export const floats = (n: number, f: (i: number) => number): Float32Array => Float32Array.from({ length: n }, (_, i) => f(i));
export const ints = (n: number, f: (i: number) => number): Int32Array => Int32Array.from({ length: n }, (_, i) => f(i));

export type { Expr, Lanes, Stmt, VarExpr };
export {
  add,
  and,
  assign,
  barrier,
  binary,
  cast,
  compare,
  div,
  extract,
  f32,
  forLoop,
  i32,
  ifThen,
  letVar,
  load,
  mad,
  max,
  min,
  mul,
  mutable,
  rem,
  select,
  store,
  sub,
  symbolVar,
  truth,
  unary,
  variable,
};
