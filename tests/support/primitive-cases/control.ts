/** Ops with sub-graphs: scan, if, while, composites. */
import { GraphBuilder } from '../../../ir/builder.js';
import type { Value } from '../../../ir/graph.js';
import { batchMax, dimsOf, input, ordinary, type PrimitiveCase } from './case.js';

export function control(): PrimitiveCase[] {
  const scan = (reverse: boolean): PrimitiveCase => ({
    op: 'scan',
    name: `scan${reverse ? ' reversed' : ''}`,
    inputs: [input('float32', [-1, 6]), input('float32', [4, -1, 6], ordinary('float32', 2)), input('float32', [6, 6], ordinary('float32', 3))],
    rtol: 1e-5,
    atol: 1e-5,
    build: (b, operands) => {
      const s = new GraphBuilder('step');
      s.declareSymbol('batch', batchMax);
      const [h, x, w] = [s.input('h', 'float32', dimsOf([-1, 6])), s.input('x', 'float32', dimsOf([-1, 6])), s.input('w', 'float32', [6, 6])];
      const next = s.tanh(s.add(s.matmul(h, w), x));
      s.output('h', next);
      s.output('y', s.mul(next, 2));
      return b.emitAll('scan', operands, { body: s.build(), carries: 1, xs: 1, length: 4, reverse });
    },
  });
  const branch = (f: (b: GraphBuilder, x: Value) => Value) => {
    const b = new GraphBuilder('branch');
    b.output('y', f(b, b.input('x', 'float32', [7])));
    return b.build();
  };
  const choose = (taken: number): PrimitiveCase => ({
    op: 'if',
    name: `if ${taken === 1}`,
    inputs: [input('bool', [], () => taken), input('float32', [7])],
    rtol: 1e-5,
    atol: 1e-6,
    build: (b, operands) => b.emitAll('if', operands, { then: branch((s, x) => s.exp(x)), else: branch((s, x) => s.neg(x)) }),
  });
  const composite: PrimitiveCase = {
    op: 'composite',
    name: 'composite',
    inputs: [input('float32', [7])],
    rtol: 1e-5,
    atol: 1e-6,
    build: (b, [x]) => b.emitAll('composite', [x!], { name: 'twice', attributes: { times: 2 }, body: branch((s, v) => s.add(v, v)) }),
  };
  /** Doubles until the sum is large: as many steps as the data ask for. */
  const loop = (limit: number, start: number): PrimitiveCase => ({
    op: 'while',
    name: `while up to ${limit} from ${start}`,
    inputs: [input('float32', [7], (i) => start * (i + 1)), input('int32', [], () => 0), input('float32', [], () => limit)],
    rtol: 1e-5,
    atol: 1e-6,
    build: (b, operands) => {
      const [c, s] = [new GraphBuilder('cond'), new GraphBuilder('body')];
      for (const [g, isBody] of [
        [c, false],
        [s, true],
      ] as const) {
        const [x, n, most] = [g.input('x', 'float32', [7]), g.input('n', 'int32', []), g.input('most', 'float32', [])];
        if (isBody) {
          g.output('x', g.mul(x, 1.5));
          g.output('n', g.add(n, 1));
        } else g.output('go', g.compare('lt', g.sum(x), most));
      }
      return b.emitAll('while', operands, { cond: c.build(), body: s.build(), carries: 2 });
    },
  });
  return [scan(false), scan(true), choose(1), choose(0), composite, loop(1000, 0.5), loop(1, 5)];
}
