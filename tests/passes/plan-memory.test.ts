/** No two live ranges meet (lifetimes are computed here anew), in place and views are honoured, peaks of known nets, distance from the lower bound. */
import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { type MemoryItem, type MemoryPlan, type MemoryTensor, planMemory } from '../../passes/plan-memory.js';
import { random } from '../support/random-graph.js';

/** Checks a plan from first principles: simulates the items and asks, for each, which bytes hold something that is still needed. */
function check(items: readonly MemoryItem[], tensors: readonly MemoryTensor[], plan: MemoryPlan): void {
  const byId = new Map(tensors.map((t) => [t.id, t]));
  const rootOf = (id: number): number => {
    const { alias } = byId.get(id)!;
    return alias ? rootOf(alias.of) : id;
  };
  const first = new Map<number, number>();
  const last = new Map<number, number>();
  items.forEach((item, i) => {
    for (const t of [...item.reads, ...item.writes]) {
      const r = rootOf(t);
      if (!first.has(r)) first.set(r, i);
      last.set(r, i);
    }
  });
  for (const t of tensors) {
    if (!t.pinned) continue;
    first.set(rootOf(t.id), 0);
    last.set(rootOf(t.id), items.length - 1);
  }
  for (let i = 0; i < items.length; i++) {
    const alive = [...first.keys()].filter((r) => first.get(r)! <= i && last.get(r)! >= i);
    for (const a of alive) {
      for (const b of alive) {
        if (a >= b) continue;
        const [p, q] = [plan.offsets.get(a)!, plan.offsets.get(b)!];
        const disjoint = p + byId.get(a)!.bytes <= q || q + byId.get(b)!.bytes <= p;
        const shared =
          p === q &&
          (items[i]!.inPlace ?? []).some(([o, x]) => (rootOf(o) === a && rootOf(x) === b) || (rootOf(o) === b && rootOf(x) === a)) &&
          [a, b].some((r) => last.get(r) === i) &&
          [a, b].some((r) => first.get(r) === i);
        assert.ok(disjoint || shared, `tensors ${a} at ${p} and ${b} at ${q} meet at item ${i}`);
      }
    }
  }
  for (const t of tensors) {
    const at = plan.offsets.get(t.id);
    if (at === undefined) continue;
    assert.ok(at + t.bytes <= plan.arenaBytes, `tensor ${t.id} ends outside the arena`);
    if (t.alias) assert.is(at, plan.offsets.get(t.alias.of)! + t.alias.offset);
  }
  assert.ok(plan.lowerBound <= plan.arenaBytes && plan.arenaBytes <= plan.sumBytes, `${plan.lowerBound} <= ${plan.arenaBytes} <= ${plan.sumBytes}`);
}

/** A chain: item i reads tensor i-1 and writes tensor i. */
const chain = (n: number, inPlace = false): MemoryItem[] =>
  Array.from({ length: n }, (_, i) => ({ reads: i > 0 ? [i - 1] : [], writes: [i], inPlace: inPlace && i > 0 ? [[i, i - 1]] : [] }));
const equal = (n: number, bytes: number): MemoryTensor[] => Array.from({ length: n }, (_, id) => ({ id, bytes }));

test('a chain needs two buffers, in place one', () => {
  const plan = planMemory(chain(6), equal(6, 1000));
  check(chain(6), equal(6, 1000), plan);
  assert.is(plan.arenaBytes, 2048);
  assert.is(plan.sumBytes, 6 * 1024);
  const one = planMemory(chain(6, true), equal(6, 1000));
  check(chain(6, true), equal(6, 1000), one);
  assert.is(one.arenaBytes, 1024);
  assert.is(one.lowerBound, 1024);
});

test('alignment is an option', () => {
  const plan = planMemory(chain(3), equal(3, 100), { alignment: 4 });
  assert.is(plan.arenaBytes, 200);
  for (const o of planMemory(chain(3), equal(3, 100)).offsets.values()) assert.is(o % 256, 0);
});

test('a residual keeps its input alive', () => {
  const items: MemoryItem[] = [
    { reads: [], writes: [0] },
    { reads: [0], writes: [1] },
    { reads: [1], writes: [2] },
    { reads: [2, 0], writes: [3], inPlace: [[3, 2]] },
  ];
  const plan = planMemory(items, equal(4, 256));
  check(items, equal(4, 256), plan);
  assert.is(plan.arenaBytes, 3 * 256);
  assert.is(plan.offsets.get(3), plan.offsets.get(2));
});

test('views lie in their root, and keep it alive', () => {
  const items: MemoryItem[] = [
    { reads: [], writes: [1] },
    { reads: [], writes: [2] },
    { reads: [], writes: [4] },
    { reads: [3, 4], writes: [5] },
  ];
  const tensors: MemoryTensor[] = [
    { id: 0, bytes: 512 },
    { id: 1, bytes: 256, alias: { of: 0, offset: 0 } },
    { id: 2, bytes: 256, alias: { of: 0, offset: 256 } },
    { id: 3, bytes: 256, alias: { of: 2, offset: 0 } },
    { id: 4, bytes: 256 },
    { id: 5, bytes: 256 },
  ];
  const plan = planMemory(items, tensors);
  check(items, tensors, plan);
  assert.is(plan.arenaBytes, 1024);
  assert.is(plan.offsets.get(3), plan.offsets.get(0)! + 256);
});

test('pinned tensors share with nobody', () => {
  const items = chain(5);
  const tensors = equal(5, 256).map((t) => (t.id === 0 ? { ...t, pinned: true } : t));
  const plan = planMemory(items, tensors);
  check(items, tensors, plan);
  assert.is(plan.arenaBytes, 3 * 256);
});

test('wrong input is named', () => {
  assert.throws(() => planMemory([{ reads: [7], writes: [] }], []), /tensor 7 is not declared/);
  assert.throws(
    () =>
      planMemory(
        [],
        [
          { id: 0, bytes: 4 },
          { id: 1, bytes: 8, alias: { of: 0, offset: 0 } },
        ],
      ),
    /view 1 \(8 bytes at 0\) is not inside tensor 0 of 4 bytes/,
  );
});

/** Forward and backward of a residual net: every activation is read again on the way back. */
function training(blocks: number, seed: number): { items: MemoryItem[]; tensors: MemoryTensor[] } {
  const r = random(seed);
  const items: MemoryItem[] = [];
  const tensors: MemoryTensor[] = [];
  const make = (bytes: number): number => tensors.push({ id: tensors.length, bytes }) - 1;
  let x = make(100000);
  items.push({ reads: [], writes: [x] });
  const saved: { x: number; a: number; b: number; bytes: number }[] = [];
  for (let i = 0; i < blocks; i++) {
    const bytes = Math.ceil((100000 / (1 + Math.floor((4 * i) / blocks))) * (1 + r() * 0.3));
    const [a, b, y] = [make(bytes), make(bytes), make(bytes)];
    items.push({ reads: [x], writes: [a] }, { reads: [a], writes: [b] }, { reads: [b, x], writes: [y] });
    saved.push({ x, a, b, bytes });
    x = y;
  }
  let g = make(tensors[x]!.bytes);
  items.push({ reads: [x], writes: [g] });
  for (const s of saved.reverse()) {
    const [gb, ga, gx, w] = [make(s.bytes), make(s.bytes), make(tensors[s.x]!.bytes), make(3000 + Math.floor(r() * 60000))];
    items.push(
      { reads: [g, s.b], writes: [gb], inPlace: [[gb, s.b]] },
      { reads: [gb, s.a], writes: [ga, w], inPlace: [[ga, gb]] },
      { reads: [ga, g, s.x], writes: [gx] },
    );
    g = gx;
  }
  return { items, tensors };
}

test('training nets stay within 1.15 of the lower bound', () => {
  for (const [blocks, seed] of [
    [4, 1],
    [16, 2],
    [16, 3],
    [54, 4],
  ] as const) {
    const { items, tensors } = training(blocks, seed);
    const plan = planMemory(items, tensors);
    check(items, tensors, plan);
    assert.ok(
      plan.arenaBytes <= 1.15 * plan.lowerBound,
      `${blocks} blocks: arena ${plan.arenaBytes}, lower bound ${plan.lowerBound}, ratio ${plan.arenaBytes / plan.lowerBound}`,
    );
  }
});

test('property: no two live ranges meet', () => {
  fc.assert(
    fc.property(fc.integer(), (seed) => {
      const r = random(seed);
      const n = 2 + Math.floor(r() * 20);
      const tensors: MemoryTensor[] = [];
      const items: MemoryItem[] = [];
      for (let i = 0; i < n; i++) {
        const earlier = tensors.map((t) => t.id);
        const reads = earlier.filter(() => r() < 0.25).slice(-4);
        const writes: number[] = [];
        for (let k = 0; k < 1 + Math.floor(r() * 2); k++)
          writes.push(tensors.push({ id: tensors.length, bytes: 1 + Math.floor(r() * 2000), pinned: r() < 0.05 }) - 1);
        if (r() < 0.3) {
          const of = tensors[writes[0]!]!;
          const bytes = 1 + Math.floor(r() * (of.bytes - 1));
          tensors.push({ id: tensors.length, bytes, alias: { of: of.id, offset: Math.floor(r() * (of.bytes - bytes + 1)) } });
        }
        items.push({ reads, writes, inPlace: reads.filter(() => r() < 0.5).map((x) => [writes[0]!, x] as const) });
      }
      check(items, tensors, planMemory(items, tensors, { alignment: r() < 0.5 ? 4 : 256 }));
    }),
    { numRuns: 300, seed: 7 },
  );
});

test('a thousand tensors are placed in little time', () => {
  const { items, tensors } = training(150, 9);
  const start = performance.now();
  planMemory(items, tensors);
  const ms = performance.now() - start;
  assert.ok(tensors.length > 1000 && ms < 3000, `${tensors.length} tensors took ${ms} ms`);
});

test.run();
