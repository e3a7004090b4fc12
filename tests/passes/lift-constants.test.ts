/** Tensor constants inside loops become operands of the loops; numbers stay; the meaning stays. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { GraphBuilder } from '../../ir/builder.js';
import type { Graph } from '../../ir/graph.js';
import { tensorData } from '../../ir/tensor-data.js';
import { subgraphsOf } from '../../ir/transform.js';
import { verify } from '../../ir/verify.js';
import { liftConstants } from '../../passes/lift-constants.js';
import { compareGraphs, randomArguments } from '../support/random-graph.js';

const table = tensorData('float32', [3], [1, -2, 0.5]);

/** A while whose condition and body hold the table, the body in a scan and beside it. */
function loops(): Graph {
  const b = new GraphBuilder('g');
  const x = b.input('x', 'float32', [3]);
  const types = [
    { name: 'constant0', dtype: 'float32', shape: [3] },
    { name: 'n', dtype: 'int32', shape: [] },
  ] as const;
  const part = (name: string) => {
    const g = b.child(name);
    return { g, v: types.map((t) => g.input(t.name, t.dtype, t.shape)) };
  };
  const cond = part('cond');
  cond.g.output(
    'go',
    cond.g.binary('and', cond.g.compare('lt', cond.v[1]!, 3), cond.g.compare('lt', cond.g.sum(cond.g.mul(cond.v[0]!, cond.g.constant(table))), 50)),
  );
  const body = part('body');
  const step = body.g.child('step');
  const h = step.input('h', 'float32', [3]);
  step.output('next', step.add(step.mul(h, step.constant(table)), 1));
  const [last] = body.g.emitAll('scan', [body.v[0]!], { body: step.build(), carries: 1, xs: 0, length: 2, reverse: false });
  body.g.output('x', body.g.add(last!, body.g.constant(table)));
  body.g.output('n', body.g.add(body.v[1]!, 1));
  const outs = b.emitAll('while', [x, b.scalar(0, 'int32')], { cond: cond.g.build(), body: body.g.build(), carries: 2 });
  b.output('y', outs[0]!);
  return b.build();
}

const tables = (g: Graph): number =>
  g.nodes.reduce((n, x) => n + (x.op === 'constant' && x.attrs.value.data.length > 1 ? 1 : 0) + subgraphsOf(x).reduce((m, s) => m + tables(s), 0), 0);

test('the table is an operand of both loops, under a name that is free', () => {
  const g = loops();
  const h = liftConstants(g);
  verify(h, 'decomposed');
  assert.is(tables(g), 3);
  assert.is(tables(h), 1);
  const node = h.nodes.find((n) => n.op === 'while')!;
  assert.is(node.inputs.at(-1)!.producer?.op, 'constant');
  for (const s of subgraphsOf(node))
    assert.equal(
      s.inputs.map((i) => i.name),
      ['constant0', 'n', 'constant0_'],
    );
  assert.is(compareGraphs(g, h, randomArguments(g, 1), 1e-12), null);
});

test('a graph without loops, and loops without tables, stay as they are', () => {
  const b = new GraphBuilder('g');
  b.output('y', b.mul(b.input('x', 'float32', [3]), b.constant(table)));
  const g = b.build();
  assert.is(liftConstants(g), g);
});

test.run();
