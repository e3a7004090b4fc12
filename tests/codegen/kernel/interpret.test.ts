/** The interpreter computes, and reports what devices leave undefined. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { evaluate, halfBits, halfValue, roundHalf } from '../../../codegen/kernel/evaluate.js';
import { cast, constant, unary } from '../../../codegen/kernel/expr.js';
import { interpret } from '../../../codegen/kernel/interpret.js';
import {
  add,
  assign,
  barrier,
  compare,
  div,
  type Expr,
  f32,
  floats,
  forLoop,
  global,
  groupId,
  i32,
  ifThen,
  ints,
  kernel,
  letVar,
  load,
  localId,
  loopVar,
  mapKernel,
  matmulKernel,
  mul,
  mutable,
  own,
  rem,
  rowReduceKernel,
  run,
  type Stmt,
  shared,
  store,
  sub,
  variable,
} from './kernels.js';

const x = global('x', 'read', 8);
const y = global('y', 'write', 8);
const t = localId(0, 4);
const tile = shared('tile', 4);

/** Errors of a kernel of four threads, in `groups` workgroups. */
function errors(body: readonly Stmt[], groups = 1, args = [x, y]): string[] {
  const k = kernel('k', { args, body, grid: [groups, 1, 1], workgroupSize: [4, 1, 1], locals: [tile, own('mine', 4)] });
  return run(
    k,
    args.map((a) => floats(a.size, (i) => i)),
  ).errors;
}
const one = (list: readonly string[], pattern: RegExp): void => {
  assert.ok(
    list.some((m) => pattern.test(m)),
    `reported: ${list.join('; ')}; expected ${pattern}`,
  );
};
const write = (at: Expr, v: Expr = f32(1)): Stmt => store(y, at, v);

test('clean kernels report nothing and compute', () => {
  const map = run(mapKernel(4, 32), [floats(128, (i) => i - 64), floats(32, () => 0.5), floats(128, () => 9)]);
  assert.equal(map.errors, []);
  assert.is(map.args[2]![0], 0);
  assert.is(map.args[2]![66], Math.fround(Math.tanh(1.5)));
  const [a, b] = [floats(32 * 16, (i) => (i % 5) - 2), floats(16 * 16, (i) => (i % 7) - 3)];
  const mm = run(matmulKernel(32, 16, 16), [a, b, floats(512, () => 0)]);
  assert.equal(mm.errors, []);
  for (const [r, c] of [
    [0, 0],
    [31, 15],
    [17, 3],
  ] as const) {
    let sum = 0;
    for (let k = 0; k < 16; k++) sum += a[r * 16 + k]! * b[k * 16 + c]!;
    assert.is(mm.args[2]![r * 16 + c], sum);
  }
  const rows = run(rowReduceKernel(50, 4), [floats(200, (i) => (i % 50) / 10), floats(4, () => 0)], { batch: 4 });
  assert.equal(rows.errors, []);
  const want = Array.from({ length: 50 }, (_, i) => Math.exp(i / 10 - 4.9)).reduce((p, q) => p + q);
  assert.ok(Math.abs(rows.args[1]![3]! - want) < 1e-4);
});

test('races inside a workgroup', () => {
  one(errors([write(i32(0))]), /race on y\[0\]: thread 1 writes what 0 touched/);
  one(errors([store(tile, t, f32(1)), write(t, load(tile, rem(add(t, i32(1)), i32(4))))]), /race on tile/);
  one(errors([store(tile, t, f32(1)), barrier, letVar(variable('v', 'let', 'f32'), load(tile, i32(0))), store(tile, t, f32(2))]), /race on tile\[0\]/);
  assert.equal(errors([store(tile, t, f32(1)), barrier, write(t, load(tile, rem(add(t, i32(1)), i32(4))))]), []);
});

test('races between workgroups, which no barrier orders, and through arguments that share memory', () => {
  one(errors([write(t)], 2), /race on y\[0\]: group 1 writes what 0 touched/);
  assert.equal(errors([write(add(mul(groupId(0, 2), i32(4)), t))], 2), []);
  const buffer = new ArrayBuffer(32);
  const i = add(mul(groupId(0, 2), i32(4)), t);
  const k = kernel('alias', { args: [x, y], grid: [2, 1, 1], workgroupSize: [4, 1, 1], body: [write(i, load(x, sub(i32(7), i)))] });
  one(interpret(k, [new Float32Array(buffer), new Float32Array(buffer)]).errors, /race on/);
  const inPlace = kernel('in_place', { args: [x, y], grid: [2, 1, 1], workgroupSize: [4, 1, 1], body: [write(i, load(x, i))] });
  assert.equal(interpret(inPlace, [new Float32Array(buffer), new Float32Array(buffer)]).errors, []);
});

test('unwritten memory, bounds, access, division by zero', () => {
  one(errors([write(t, load(tile, t))]), /read of tile\[0\], which nothing wrote, by thread 0 of group 0,0,0/);
  one(errors([write(add(t, i32(6)))]), /store to y\[8\], which has 8 elements, by thread 2/);
  one(errors([write(t, load(x, sub(t, i32(1))))]), /load of x\[-1\]/);
  one(errors([store(x, t, f32(0))]), /declared read-only/);
  one(errors([write(t, load(y, t))]), /declared write-only/);
  one(errors([write(t, cast(div(i32(5), rem(t, i32(4))), 'f32'))]), /integer division by zero/);
});

test('divergent barriers', () => {
  one(errors(ifThen(compare('lt', t, i32(2)), [barrier])), /divergent barrier in group 0,0,0: thread 0 waits, thread 2 has ended/);
  const i = loopVar('i', 4);
  one(errors([forLoop(i, i32(0), t, [barrier])]), /divergent barrier/);
  assert.equal(errors([forLoop(i, i32(0), i32(3), [barrier])]), []);
});

test('variables outside the range that simplification believed, and variables that are not bound', () => {
  const i = loopVar('i', 2);
  one(errors([forLoop(i, i32(0), i32(4), [write(add(t, mul(i, i32(0))), cast(i, 'f32'))])]), /'i_\d+' is 2 in group 0,0,0; its range was said to be \[0, 1\]/);
  const late = variable('late', 'let', 'i32', [0, 1]);
  one(errors([letVar(late, t), write(late)]), /'late_\d+' is 2/);
  assert.equal(errors([letVar(late, t), ...ifThen(compare('lt', t, i32(2)), [write(late)])]), []);
  one(errors([write(t, variable('ghost', 'let', 'f32'))]), /'ghost_\d+' is read before it is bound/);
});

test('endless loops are given up', () => {
  const c = variable('c', 'mutable', 'i32');
  const k = kernel('endless', { args: [], body: [mutable(c, i32(0)), { kind: 'while', cond: compare('ge', c, i32(0)), body: [assign(c, i32(1))] }] });
  assert.match(interpret(k, [], {}, { maxSteps: 1000 }).errors[0]!, /given up after 1000/);
});

test('integers wrap, conversions saturate, halves round to even', () => {
  const big = variable('v', 'mutable', 'i32');
  const k = kernel('wrap', {
    args: [global('z', 'write', 2, 'i32')],
    body: [mutable(big, i32(2147483647)), assign(big, add(big, i32(1))), store(global('z', 'write', 2, 'i32'), i32(0), big)],
  });
  const own2 = { ...k, args: [k.body[2]!.kind === 'store' ? k.body[2]!.memory : k.args[0]!] };
  assert.is(run(own2, [ints(2, () => 0)]).args[0]![0], -2147483648);
  assert.is(evaluate(cast(constant(3e9, 'f32'), 'i32')), 2147483647);
  assert.is(evaluate(cast(constant(NaN, 'f32'), 'i32')), 0);
  assert.is(evaluate(unary('round', constant(2.5, 'f32'))), 2);
  assert.is(roundHalf(2049), 2048);
  assert.is(roundHalf(65520), Infinity);
  for (const h of [0, 1, 1023, 1024, 0x3c00, 0x7bff, 0x8001, 0x7c00, 0xfc00]) assert.is(halfBits(halfValue(h)), h);
});

test.run();
