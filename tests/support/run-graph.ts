/** Compiles a graph for a device, runs it once and gives outputs and updated state, beside the reference evaluation. */
import { compile } from '../../codegen/compile.js';
import { type TargetInfo, wasmTarget, webgpuTarget } from '../../codegen/target.js';
import { hostArray } from '../../ir/dtype.js';
import { evaluate, toFloat64 } from '../../ir/evaluate.js';
import type { Graph } from '../../ir/graph.js';
import type { TensorData } from '../../ir/tensor-data.js';
import type { Device, HostArray } from '../../runtime/device.js';

export type Arrays = Record<string, TensorData>;

export const targetFor = (device: Device, threads = 1): TargetInfo => (device.info.kind === 'wasm' ? wasmTarget(threads, false) : webgpuTarget);

export async function runOnDevice(
  graph: Graph,
  args: { inputs?: Arrays; state?: Arrays; bindings?: Record<string, number> },
  device: Device,
  target = targetFor(device),
  schedules?: Readonly<Record<string, string>>,
): Promise<{ outputs: Arrays; updates: Arrays }> {
  const compiled = compile({ main: graph }, { target, verify: true, schedules, onWarning: () => undefined });
  const session = device.createSession();
  try {
    const plan = await session.load(compiled);
    for (const s of graph.state) {
      const t = args.state?.[s.name];
      if (t) session.writeState(s.name, hostArray(t.dtype, t.data) as HostArray);
    }
    const inputs: Record<string, HostArray> = {};
    for (const i of graph.inputs) inputs[i.name] = hostArray(i.value.dtype, args.inputs![i.name]!.data) as HostArray;
    plan.run('main', { inputs, symbols: args.bindings });
    const outputs: Arrays = {};
    for (const o of graph.outputs) {
      const r = await plan.read('main', o.name);
      outputs[o.name] = { dtype: o.value.dtype, shape: r.shape, data: r.data };
    }
    const updates: Arrays = {};
    for (const u of graph.updates) {
      const slot = graph.state.find((s) => s.name === u.slot)!;
      updates[u.slot] = { dtype: slot.value.dtype, shape: slot.value.shape as number[], data: await session.readState(u.slot) };
    }
    return { outputs, updates };
  } finally {
    session.dispose();
  }
}

export function runReference(graph: Graph, args: { inputs?: Arrays; state?: Arrays; bindings?: Record<string, number> }): { outputs: Arrays; updates: Arrays } {
  const wide = (a: Arrays = {}): Arrays => Object.fromEntries(Object.entries(a).map(([k, t]) => [k, toFloat64(t)]));
  return evaluate(graph, { inputs: wide(args.inputs), state: wide(args.state), bindings: args.bindings ?? {} });
}

/** Largest |a-b| / (atol + rtol |b|); 0 when equal, also for NaN and infinities at the same place. */
export function deviation(actual: TensorData, expected: TensorData, rtol = 1e-5, atol = 1e-6): number {
  if (actual.data.length !== expected.data.length) return Number.POSITIVE_INFINITY;
  let worst = 0;
  for (let i = 0; i < actual.data.length; i++) {
    const [a, b] = [Number(actual.data[i]), Number(expected.data[i])];
    if (Object.is(a, b) || a === b || (Number.isNaN(a) && Number.isNaN(b))) continue;
    const d = Math.abs(a - b) / (atol + rtol * Math.abs(b));
    worst = Math.max(worst, Number.isNaN(d) ? Number.POSITIVE_INFINITY : d);
  }
  return worst;
}
