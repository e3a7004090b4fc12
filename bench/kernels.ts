/**
 * Single kernels beside the machine's limits: a 512 x 512 x 512 product and a 3 x 3 convolution against the multiply-add peak, a dense layer on one sample against the
 * bandwidth that its weights are read with. Each is a graph of one op, compiled and run as a model would be.
 */
import { compile } from '../codegen/compile.js';
import { wasmTarget } from '../codegen/target.js';
import { GraphBuilder } from '../ir/builder.js';
import type { Graph, Value } from '../ir/graph.js';
import { openWasmDevice } from '../runtime/wasm/device.js';
import { limits } from './limits.js';
import { elements, uniform } from './workloads.js';

interface KernelCase {
  readonly name: string;
  readonly graph: Graph;
  readonly flops: number;
  /** Bytes of weights; set where reading them is the limit. */
  readonly bytes?: number;
}

/** The left operand is a resident input (it changes from run to run, so nothing is computed ahead), the right one a weight; the result stays on the device. No upload is timed. */
function graphOf(name: string, left: readonly number[], right: readonly number[], result: (b: GraphBuilder, x: Value, w: Value) => Value): Graph {
  const b = new GraphBuilder(name);
  const y = b.withOrigin(name, () => result(b, b.input('x', 'float32', left, { resident: true }), b.stateSlot('w', 'float32', right, { trainable: true })));
  b.stateSlot('y', 'float32', y.shape as number[]);
  b.update('y', y);
  return b.build();
}

const square = (n: number): KernelCase => ({
  name: `matmul ${n}x${n}x${n}`,
  graph: graphOf('matmul', [n, n], [n, n], (b, x, w) => b.matmul(x, w)),
  flops: 2 * n ** 3,
});

const dense = (k: number, n: number): KernelCase => ({
  name: `dense ${k} to ${n}, one sample`,
  graph: graphOf('dense', [1, k], [k, n], (b, x, w) => b.matmul(x, w)),
  flops: 2 * k * n,
  bytes: 4 * k * n,
});

function convolution(batch: number, size: number, channels: number, filters: number): KernelCase {
  const out = size;
  const dims = {
    input: { batch: 0, feature: 3, spatial: [1, 2] },
    kernel: { input: 2, output: 3, spatial: [0, 1] },
    output: { batch: 0, feature: 3, spatial: [1, 2] },
  };
  return {
    name: `conv 3x3, ${batch} x ${size}x${size}, ${channels} to ${filters}`,
    graph: graphOf('conv', [batch, size, size, channels], [3, 3, channels, filters], (b, x, w) =>
      b.emit('conv', [x, w], {
        strides: [1, 1],
        padding: [
          [1, 1],
          [1, 1],
        ],
        inputDilation: [1, 1],
        kernelDilation: [1, 1],
        groups: 1,
        batchGroups: 1,
        dims,
      }),
    ),
    flops: 2 * batch * out * out * 9 * channels * filters,
  };
}

export interface KernelResult {
  readonly name: string;
  readonly threads: number;
  readonly relaxed: boolean;
  readonly milliseconds: number;
  /** GFLOP/s, or GB/s where reading is the limit. */
  readonly rate: number;
  readonly unit: 'GFLOP/s' | 'GB/s';
  readonly limit: number;
}

async function measure(c: KernelCase, threads: number, relaxed: boolean): Promise<number> {
  const device = await openWasmDevice({ threads, relaxedSimd: relaxed ? 'auto' : 'off' });
  const session = device.createSession();
  const plan = await session.load(compile({ main: c.graph }, { target: wasmTarget(threads, relaxed) }));
  const left = c.graph.inputs[0]!.value.shape as number[];
  const right = c.graph.state.find((s) => s.name === 'w')!.value.shape as number[];
  const x = session.upload('float32', left, uniform(elements(left), 1));
  session.writeState('w', uniform(elements(right), 2));
  // Several runs in one call: the call itself is not what is measured. Warm-up lets the engine optimize.
  const repeat = Math.max(1, Math.ceil(2e8 / c.flops));
  let best = Number.POSITIVE_INFINITY;
  for (let i = 0; i < 15; i++) {
    const t = performance.now();
    plan.run('main', { repeat, resident: { x } });
    await session.finish();
    best = Math.min(best, (performance.now() - t) / repeat);
  }
  session.dispose();
  device.dispose();
  return best;
}

/** All cases on one and two threads, with relaxed SIMD as well where the engine has it. */
export async function kernels(): Promise<KernelResult[]> {
  const limit = await limits();
  const out: KernelResult[] = [];
  for (const relaxed of limit.relaxed ? [false, true] : [false]) {
    const peak = relaxed ? limit.relaxed! : limit.plain;
    for (const threads of [1, 2]) {
      for (const c of [square(512), convolution(8, 28, 64, 64), dense(784, 512), dense(512, 512)]) {
        const ms = await measure(c, threads, relaxed);
        const rate = (c.bytes ?? c.flops) / ms / 1e6;
        out.push({
          name: c.name,
          threads,
          relaxed,
          milliseconds: ms,
          rate,
          unit: c.bytes ? 'GB/s' : 'GFLOP/s',
          limit: c.bytes ? limit.cached[threads - 1]! : peak[threads - 1]!,
        });
      }
    }
  }
  return out;
}

export const kernelTable = (results: readonly KernelResult[]): string =>
  [
    '| kernel | threads | SIMD | ms | rate | limit | of the limit |',
    '| --- | ---: | --- | ---: | ---: | ---: | ---: |',
    ...results.map(
      (r) =>
        `| ${r.name} | ${r.threads} | ${r.relaxed ? 'relaxed' : 'plain'} | ${r.milliseconds.toPrecision(3)} | ${r.rate.toFixed(1)} ${r.unit} | ${r.limit.toFixed(1)} | ${Math.round((100 * r.rate) / r.limit)} % |`,
    ),
  ].join('\n');
