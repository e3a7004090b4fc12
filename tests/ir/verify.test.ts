/** verify finds each kind of fault; what a stage forbids is named. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { GraphBuilder } from '../../ir/builder.js';
import type { Graph, Node, Value } from '../../ir/graph.js';
import { parse } from '../../ir/text.js';
import { verify } from '../../ir/verify.js';

function small(): Graph {
  const b = new GraphBuilder('g');
  const x = b.input('x', 'float32', [2, 3]);
  const w = b.stateSlot('w', 'float32', [2, 3]);
  const y = b.withOrigin('layer', () => b.add(x, w));
  b.output('y', b.exp(y));
  b.update('w', y);
  return b.build();
}

test('a sound graph passes at every stage', () => {
  verify(small());
  verify(small(), 'laid-out');
});

test('uses before definitions', () => {
  const g = small();
  assert.throws(() => verify({ ...g, nodes: [...g.nodes].reverse() }), /uses value %2, which is not made before it/);
  assert.throws(() => verify({ ...g, nodes: g.nodes.slice(0, 1) }), /output 'y' is not made in the graph/);
});

test('types are inferred again', () => {
  const g = small();
  const node = g.nodes[0]! as Node;
  const out = { ...node.outputs[0]!, shape: [3, 2] } as Value;
  const forged = { ...node, outputs: [out] } as Node;
  (out as { producer: Node }).producer = forged;
  assert.throws(
    () => verify({ ...g, nodes: [forged], outputs: [], updates: [] }),
    /output 0 of binary %2 \(layer\) is float32\[3,2\], inference gives float32\[2,3\]/,
  );
});

test('ids are unique, producers are right', () => {
  const g = small();
  const twin = { ...g.inputs[0]!.value };
  assert.throws(() => verify({ ...g, inputs: [...g.inputs, { name: 'z', value: twin, resident: false }] }), /id 0 of input 'z' is taken/);
});

test('updates match state', () => {
  const g = small();
  assert.throws(() => verify({ ...g, updates: [{ slot: 'v', value: g.nodes[0]!.outputs[0]! }] }), /update of unknown state 'v'/);
  assert.throws(() => verify({ ...g, updates: [g.updates[0]!, g.updates[0]!] }), /state 'w' is updated twice/);
  const slot = { ...g.state[0]!, value: { ...g.state[0]!.value, id: 99 }, name: 's', views: [{ name: 'v', offset: 4, shape: [3] }] };
  assert.throws(() => verify({ ...g, state: [...g.state, slot] }), /view 'v' is not inside state 's' of 6 elements/);
});

test('symbols are declared', () => {
  const g = parse('graph "g"\n  symbol n <= 3\n  %0 = input "x" : float32[n]\n  output "y" = %0\n');
  assert.throws(() => verify({ ...g, symbols: [] }), /symbol 'n' of input 'x' is not declared/);
  assert.throws(() => verify({ ...g, symbols: [{ name: 'n', max: 0 }] }), /largest value 0/);
});

test('stages forbid what earlier passes remove', () => {
  const g = parse(`graph "g"
  %0 = input "x" : float32[2,3]
  %1 = composite(%0) {name="softmax", attributes={}, body={
    graph "softmax"
      %0 = input "x" : float32[2,3]
      output "y" = %0
  }}
  %2 = transpose(%1) {perm=[1,0]}  // a
  %3 = transpose(%2) {perm=[1,0]}  // b
  output "y" = %3
`);
  verify(g, 'traced');
  assert.throws(() => verify(g, 'decomposed'), /composite %1 is a composite, which no graph holds from stage 'decomposed' on/);
  assert.throws(
    () => verify({ ...g, nodes: g.nodes.slice(1), inputs: [{ name: 'x', value: g.nodes[0]!.outputs[0]!, resident: false }] }, 'simplified'),
    /input 'x' has a producer/,
  );
  const h = parse(
    'graph "g"\n  %0 = input "x" : float32[2,3]\n  %1 = transpose(%0) {perm=[1,0]}\n  %2 = transpose(%1) {perm=[1,0]}  // b\n  output "y" = %2\n',
  );
  verify(h, 'decomposed');
  assert.throws(() => verify(h, 'simplified'), /transpose %2 \(b\) is a transpose of a transpose/);
});

test.run();
