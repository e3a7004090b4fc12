/** Orders are valid, and have a low peak where there is a choice. */
import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { type OrderItem, orderItems, peakOf } from '../../passes/order.js';
import { random } from '../support/random-graph.js';

function checkOrder(items: readonly OrderItem[], order: readonly number[]): void {
  assert.is(new Set(order).size, items.length);
  const at = new Map(order.map((i, k) => [i, k]));
  items.forEach((item, i) => {
    for (const t of item.reads)
      items.forEach((w, j) => j < i && w.writes.includes(t) && assert.ok(at.get(j)! < at.get(i)!, `item ${i} before its operand's writer ${j}`));
    for (const j of item.after ?? []) assert.ok(at.get(j)! < at.get(i)!);
  });
}

test('two branches: one is reduced before the other starts', () => {
  // a and b are large, each is reduced to little; breadth first keeps both alive
  const items: OrderItem[] = [
    { reads: [], writes: [0] },
    { reads: [], writes: [1] },
    { reads: [0], writes: [2] },
    { reads: [1], writes: [3] },
    { reads: [2, 3], writes: [4] },
  ];
  const bytes = (t: number) => (t < 2 ? 1000 : 10);
  assert.is(peakOf(items, [0, 1, 2, 3, 4], bytes), 2010);
  const { order, peak } = orderItems(items, bytes);
  checkOrder(items, order);
  assert.is(peak, 1020);
});

test('the given order stays where nothing is better', () => {
  const items: OrderItem[] = [
    { reads: [], writes: [0] },
    { reads: [0], writes: [1] },
    { reads: [1], writes: [2] },
  ];
  assert.equal(orderItems(items, () => 1).order, [0, 1, 2]);
});

test('an update in place comes after the readers of the old value', () => {
  const items: OrderItem[] = [
    { reads: [], writes: [0] },
    { reads: [0], writes: [1] },
    { reads: [], writes: [2], after: [1] },
    { reads: [2], writes: [3] },
  ];
  const { order } = orderItems(items, (t) => (t === 2 ? 1 : 1000));
  checkOrder(items, order);
});

test('the larger need goes first', () => {
  // a deep branch that needs much while it runs and leaves little, and a value that is held meanwhile
  const items: OrderItem[] = [
    { reads: [], writes: [0] },
    { reads: [], writes: [1] },
    { reads: [1], writes: [2] },
    { reads: [0, 2], writes: [3] },
  ];
  const bytes = (t: number) => [500, 1000, 10, 1][t]!;
  assert.is(orderItems(items, bytes).peak, 1010);
});

test('kept tensors count to the end', () => {
  const items: OrderItem[] = [
    { reads: [], writes: [0] },
    { reads: [], writes: [1] },
  ];
  assert.is(
    orderItems(
      items,
      () => 7,
      (t) => t === 0,
    ).peak,
    14,
  );
  assert.is(orderItems(items, () => 7).peak, 7);
});

test('property: orders are valid and no worse than the given one', () => {
  fc.assert(
    fc.property(fc.integer(), (seed) => {
      const r = random(seed);
      const n = 1 + Math.floor(r() * 25);
      const items: OrderItem[] = Array.from({ length: n }, (_, i) => ({
        reads: Array.from({ length: i }, (_x, j) => j).filter(() => r() < 0.2),
        writes: [i],
        after: i > 2 && r() < 0.2 ? [Math.floor(r() * i)] : [],
      }));
      const sizes = items.map(() => Math.floor(r() * 100));
      const bytes = (t: number) => sizes[t]!;
      const { order, peak } = orderItems(items, bytes);
      checkOrder(items, order);
      assert.is(peak, peakOf(items, order, bytes));
      assert.ok(
        peak <=
          peakOf(
            items,
            items.map((_, i) => i),
            bytes,
          ),
      );
    }),
    { numRuns: 200, seed: 3 },
  );
});

test.run();
