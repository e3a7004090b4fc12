/** What hoisting moves and shares, as text. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { unary } from '../../../codegen/kernel/expr.js';
import { hoist } from '../../../codegen/kernel/hoist.js';
import type { Kernel } from '../../../codegen/kernel/ir.js';
import { printKernel, printStmts } from '../../../codegen/kernel/print.js';
import { promotePrivate, unrollLoops } from '../../../codegen/kernel/unroll.js';
import { vectorizeLoops } from '../../../codegen/kernel/vectorize.js';
import { countWork } from '../../../codegen/kernel/walk.js';
import {
  add,
  assign,
  barrier,
  compare,
  type Expr,
  f32,
  forLoop,
  global,
  groupId,
  i32,
  ifThen,
  kernel,
  letVar,
  load,
  loopVar,
  mad,
  matmulKernel,
  mul,
  mutable,
  own,
  rem,
  type Stmt,
  store,
  symbolVar,
  variable,
} from './kernels.js';

const [a, b] = [global('a', 'read', 64), global('b', 'read_write', 64)];
const g = groupId(0, 4);
const n = symbolVar('n', 8);
const k = (body: readonly Stmt[], locals: Kernel['locals'] = []): Kernel => kernel('k', { args: [a, b], body, locals, symbols: ['n'] });
const body = (x: Kernel): string => `\n${printStmts(hoist(x).body)}`;
const lines = (...xs: string[]): string => `\n${xs.join('\n')}\n`;
const float = (name: string): ReturnType<typeof variable> => variable(name, 'let', 'f32');

test('the invariant part of an index leaves the inner loop, its constant stays in the address', () => {
  const [i, j] = [loopVar('i', 8), loopVar('j', 8)];
  const at = add(mul(i, i32(8)), j);
  assert.is(
    body(k([forLoop(i, i32(0), i32(8), [forLoop(j, i32(0), i32(7), [store(b, at, load(a, add(at, i32(1))))])])])),
    lines('for i in 0..8 {', '  let at = i * 8', '  for j in 0..7 {', '    let at2 = j + at', '    b[at2] = a[at2 + 1]', '  }', '}'),
  );
});

test('loads of read-only memory leave loops that run for sure, others only with an index in range', () => {
  const i = loopVar('i', 8);
  const sum = (end: Expr, at: Expr): Kernel => k([forLoop(i, i32(0), end, [store(b, i, load(a, at))])]);
  for (const end of [i32(8), n]) assert.is(body(sum(end, g)), lines('let a = a2[group0]', `for i in 0..${end === n ? 'n' : 8} {`, '  b[i] = a', '}'));
  const far = mul(g, i32(50));
  assert.is(body(sum(i32(8), far)), lines('let a = a2[group0 * 50]', 'for i in 0..8 {', '  b[i] = a', '}'));
  assert.is(body(sum(n, far)), lines('let at = group0 * 50', 'for i in 0..n {', '  b[i] = a[at]', '}'));
});

test('loads of written memory stay behind stores and barriers, and are shared between them', () => {
  const [p, q, r] = [float('p'), float('q'), float('r')];
  const text = body(k([letVar(p, load(b, g)), letVar(q, load(b, g)), store(b, g, add(p, q)), letVar(r, load(b, g)), barrier, store(b, g, add(r, p))]));
  assert.is(text.match(/= b\[group0\]/g)!.length, 2);
  assert.ok(text.indexOf('b[group0] =') < text.lastIndexOf('= b[group0]'), text);
  assert.ok(text.lastIndexOf('= b[group0]') < text.indexOf('barrier'), text);
});

test('a let that is used once after a store keeps its place', () => {
  const p = float('p');
  assert.is(
    body(k([letVar(p, load(b, g)), store(b, g, f32(0)), store(b, add(g, i32(1)), p)])),
    lines('let p = b[group0]', 'b[group0] = 0.0', 'b[group0 + 1] = p'),
  );
});

test('accumulators are not named; what one statement uses twice is', () => {
  const [acc, i] = [variable('acc', 'mutable', 'f32'), loopVar('i', 8)];
  const e = unary('exp', load(a, i));
  assert.is(
    body(k([mutable(acc, f32(0)), forLoop(i, i32(0), i32(8), [assign(acc, mad(e, e, acc))]), store(b, g, acc)])),
    lines('var acc: f32 = 0.0', 'for i in 0..8 {', '  let t = exp(a[i])', '  acc = mad(t, t, acc)', '}', 'b[group0] = acc'),
  );
});

test('invariant parts of a while condition move out, the rest stays', () => {
  const c = variable('c', 'mutable', 'f32');
  assert.is(
    body(k([mutable(c, f32(0)), { kind: 'while', cond: compare('lt', c, unary('exp', load(a, g))), body: [assign(c, add(c, f32(1)))] }])),
    lines('var c: f32 = 0.0', 'let t = exp(a[group0])', 'while c < t {', '  c = c + 1.0', '}'),
  );
});

test('values used in both a branch and after it are computed before it', () => {
  const e = unary('exp', load(a, g));
  assert.is(
    body(k([letVar(float('t'), e), ...ifThen(compare('lt', g, i32(2)), [store(b, g, e)]), store(b, add(g, i32(8)), e)])),
    lines('let t = exp(a[group0])', 'if group0 < 2 {', '  b[group0] = t', '}', 'b[group0 + 8] = t'),
  );
});

test('unrolled private arrays become variables, declared where they are first assigned', () => {
  const acc = own('acc', 2);
  const [r, s, i] = [loopVar('r', 2), loopVar('s', 2), loopVar('i', 8)];
  const text = body(
    promotePrivate(
      unrollLoops(
        k(
          [
            forLoop(r, i32(0), i32(2), [store(acc, r, f32(0))], { unroll: true }),
            forLoop(i, i32(0), i32(8), [forLoop(s, i32(0), i32(2), [store(acc, s, add(load(acc, s), load(a, add(mul(i, i32(2)), s))))], { unroll: true })]),
            store(b, g, add(load(acc, i32(0)), load(acc, i32(1)))),
          ],
          [acc],
        ),
      ),
    ),
  );
  assert.is(
    text,
    lines(
      'var acc0: f32 = 0.0',
      'var acc1: f32 = 0.0',
      'for i in 0..8 {',
      '  let at = i * 2',
      '  acc0 = acc0 + a[at]',
      '  acc1 = acc1 + a[at + 1]',
      '}',
      'b[group0] = acc0 + acc1',
    ),
  );
});

test('a loop becomes vectors of four, with a scalar rest and partial sums', () => {
  const [i, acc, j] = [loopVar('i', 8), variable('acc', 'mutable', 'f32'), loopVar('j', 10)];
  const x = k([
    forLoop(i, i32(0), n, [store(b, i, add(load(a, i), load(a, rem(i, i32(4)))))], { parallel: true }),
    mutable(acc, f32(0)),
    forLoop(j, i32(0), i32(8), [assign(acc, add(acc, load(a, j)))]),
    store(b, g, acc),
  ]);
  assert.is(
    `\n${printStmts(vectorizeLoops(x).body)}`,
    lines(
      'for i in 0..n / 4 {',
      '  b[i * 4 : 4] = a[i * 4 : 4] + a[0 : 4]',
      '}',
      'for i2 in n / 4 * 4..n {',
      '  b[i2] = a[i2] + a[i2 % 4]',
      '}',
      'var acc: f32 = 0.0',
      'var acc2: f32x4 = 0.0x4',
      'for j in 0..2 {',
      '  acc2 = acc2 + a[j * 4 : 4]',
      '}',
      'acc = acc + (acc2.x + acc2.z + (acc2.y + acc2.w))',
      'b[group0] = acc',
    ),
  );
});

test('a kernel prints with its arguments, and its work is counted', () => {
  const mm = matmulKernel(32, 16, 48);
  assert.match(
    printKernel(mm),
    /kernel matmul grid \[1, 2, 1\] workgroup \[8, 8, 1\]\n {2}a: read f32\[1536\]\n {2}b: read f32\[768\]\n {2}c: write f32\[512\]\n {2}tile_a: workgroup f32\[256\]/,
  );
  const work = countWork(mm);
  // Each of 64 threads: 3 tiles of 16 steps of 4 multiply-adds; 4 elements of each operand a tile.
  assert.is(work.flops, 3 * 16 * 4 * 2);
  assert.is(work.loads.get(mm.args[0]!), 12);
  assert.is(work.stores.get(mm.args[2]!), 4);
});

test.run();
