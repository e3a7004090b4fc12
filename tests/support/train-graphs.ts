/** Training steps as graphs, as the frontends make them: parameters are parts of one flat state, Adam is elementwise. For tests of passes. */
import { gradients } from '../../ir/autodiff.js';
import { GraphBuilder } from '../../ir/builder.js';
import { symbol } from '../../ir/dim.js';
import type { Graph, Value } from '../../ir/graph.js';
import { sizeOf } from '../../ir/tensor-data.js';
import { conv, nhwc, relu } from './nets.js';
import { random, randomTensor } from './random-graph.js';

/** Collects parameters while `model` runs, then makes the flat state and the step. `model` gives the loss. */
export function trainingStep(name: string, model: (b: GraphBuilder, param: (shape: readonly number[]) => Value) => Value): Graph {
  const shapes: (readonly number[])[] = [];
  const probe = new GraphBuilder(name);
  model(probe, (shape) => {
    shapes.push(shape);
    return probe.input(`p${shapes.length}`, 'float32', shape);
  });
  const total = shapes.reduce((n, s) => n + sizeOf(s), 0);

  const b = new GraphBuilder(name);
  const initial = { ...randomTensor(random(1), 'float32', [total]) };
  const flat = b.stateSlot('params', 'float32', [total], { trainable: true, initial: { ...initial, data: initial.data.map((x) => x * 0.1) } });
  const zeros = { dtype: 'float32', shape: [total], data: new Float32Array(total) } as const;
  const [m, v] = [b.stateSlot('adam/m', 'float32', [total], { initial: zeros }), b.stateSlot('adam/v', 'float32', [total], { initial: zeros })];
  const step = b.stateSlot('step', 'float32', [], { initial: { dtype: 'float32', shape: [], data: Float32Array.of(0) } });
  const params: Value[] = [];
  let offset = 0;
  const loss = model(b, (shape) => {
    const size = sizeOf(shape);
    const p = b.reshape(b.slice(flat, [offset], [offset + size]), shape);
    offset += size;
    params.push(p);
    return p;
  });
  const g = b.concat(
    gradients(b, loss, params).map((x, i) => b.reshape(x, [sizeOf(shapes[i]!)])),
    0,
  );
  b.withOrigin('adam', () => {
    const t = b.add(step, 1);
    const [m2, v2] = [b.add(b.mul(m, 0.9), b.mul(g, 0.1)), b.add(b.mul(v, 0.999), b.mul(b.square(g), 0.001))];
    const rate = b.div(b.mul(b.sqrt(b.sub(1, b.pow(b.scalar(0.999), t))), 1e-3), b.sub(1, b.pow(b.scalar(0.9), t)));
    b.update('params', b.sub(flat, b.div(b.mul(m2, rate), b.add(b.sqrt(v2), 1e-7))));
    b.update('adam/m', m2);
    b.update('adam/v', v2);
    b.update('step', t);
  });
  b.output('loss', loss);
  return b.build();
}

/** Mean crossentropy of logits with int32 labels as one-hot rows. */
function crossentropy(b: GraphBuilder, logits: Value, target: Value): Value {
  const shifted = b.sub(logits, b.reduce('max', logits, [1], true));
  const logSum = b.log(b.sum(b.exp(shifted), [1], true));
  return b.mean(b.neg(b.sum(b.mul(target, b.sub(shifted, logSum)), [1])));
}

/** A residual network with batch norm over channels-last images: `stages` of two convolutions each, stride 2 from the second on. */
export function residualStep(size: number, filters: readonly number[], batch = 32): Graph {
  return trainingStep('resnet', (b, param) => {
    b.declareSymbol('batch', batch);
    const n = symbol('batch');
    const norm = (x: Value): Value => {
      const c = x.shape[3] as number;
      const mean = b.mean(x, [0, 1, 2]);
      const centered = b.sub(x, mean);
      const variance = b.mean(b.square(centered), [0, 1, 2]);
      return b.add(b.mul(centered, b.mul(b.rsqrt(b.add(variance, 1e-3)), param([c]))), param([c]));
    };
    const layer = (x: Value, f: number, k: number, s: number): Value => {
      const h = x.shape[1] as number;
      const pad = Math.max(0, (Math.ceil(h / s) - 1) * s + k - h);
      const sides = [Math.floor(pad / 2), pad - Math.floor(pad / 2)] as const;
      return norm(conv(b, x, param([k, k, x.shape[3] as number, f]), nhwc, { strides: [s, s], padding: [sides, sides] }));
    };
    let x = relu(b, layer(b.input('x', 'float32', [n, size, size, 3]), filters[0]!, 3, 1));
    filters.forEach((f, i) => {
      const s = i > 0 ? 2 : 1;
      const skip = i > 0 ? layer(x, f, 1, s) : x;
      x = relu(b, b.add(layer(relu(b, layer(x, f, 3, s)), f, 3, 1), skip));
    });
    const pooled = b.mean(x, [1, 2]);
    const logits = b.add(b.matmul(pooled, param([filters.at(-1)!, 10])), param([10]));
    return crossentropy(b, logits, b.input('y', 'float32', [n, 10]));
  });
}

/** An LSTM over [batch, steps, features] whose last state is classified. */
export function lstmStep(steps: number, features: number, units: number, batch = 32): Graph {
  return trainingStep('lstm', (b, param) => {
    b.declareSymbol('batch', batch);
    const n = symbol('batch');
    const x = b.transpose(b.input('x', 'float32', [n, steps, features]), [1, 0, 2]);
    const [w, u, bias] = [param([features, 4 * units]), param([units, 4 * units]), param([4 * units])];
    const s = new GraphBuilder('step');
    const [h, c] = [s.input('h', 'float32', [n, units]), s.input('c', 'float32', [n, units])];
    const xt = s.input('x', 'float32', [n, features]);
    const [wi, ui, bi] = [s.input('w', 'float32', [features, 4 * units]), s.input('u', 'float32', [units, 4 * units]), s.input('b', 'float32', [4 * units])];
    const z = s.add(s.add(s.matmul(xt, wi), bi), s.matmul(h, ui));
    const gate = (i: number): Value => s.slice(z, [0, i * units], [n, (i + 1) * units]);
    const next = s.add(s.mul(s.sigmoid(gate(1)), c), s.mul(s.sigmoid(gate(0)), s.tanh(gate(2))));
    const out = s.mul(s.sigmoid(gate(3)), s.tanh(next));
    s.output('h', out);
    s.output('c', next);
    const zero = b.full([n, units], 0);
    const last = b.withOrigin('lstm_1', () =>
      b.emitAll('scan', [zero, zero, x, w, u, bias], { body: s.build(), carries: 2, xs: 1, length: steps, reverse: false }),
    )[0]!;
    const logits = b.add(b.matmul(last, param([units, 10])), param([10]));
    return crossentropy(b, logits, b.input('y', 'float32', [n, 10]));
  });
}
