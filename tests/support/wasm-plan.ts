/** The linear model of plans.ts for WASM: the same programs, with kernels written in Kernel IR. A group of `predict` does 64 rows or, with threads, one. */
import * as E from '../../codegen/kernel/expr.js';
import * as K from '../../codegen/kernel/ir.js';
import { buildModule } from '../../codegen/wasm/module.js';
import type { CompiledPlan, Plan, PlanStep } from '../../runtime/plan.js';
import { linearPlan } from './plans.js';

const i = E.i32;
const memory = (name: string, access: K.Memory['access'], scalar: E.Scalar = 'f32'): K.Memory => ({
  name,
  space: 'global',
  scalar,
  storage: scalar === 'bool' ? 'bool32' : 'same',
  access,
  size: 1024,
});
const kernel = (name: string, args: K.Memory[], symbols: string[], grid: K.Kernel['grid'], body: K.Stmt[]): K.Kernel => ({
  name,
  notes: [],
  args,
  symbols,
  grid,
  workgroupSize: [1, 1, 1],
  locals: [],
  body,
});

function kernels(rowsPerGroup: number): K.Kernel[] {
  const batch = E.symbolVar('batch', 64);
  const k = E.variable('k', 'loop', 'i32', [0, 3]);
  const j = E.variable('j', 'loop', 'i32', [0, 63]);
  const row = E.variable('row', 'loop', 'i32', [0, 63]);
  const s = E.variable('s', 'mutable', 'f32');
  const group = E.variable('group0', 'group', 'i32', [0, 63]);
  const four = (body: K.Stmt[]): K.Stmt => K.forLoop(k, i(0), i(4), body);
  const f = (name: string, access: K.Memory['access'] = 'read'): K.Memory => memory(name, access);
  const [w, w2, factor, x, y, data, mean] = [f('w'), f('w2', 'write'), f('factor'), f('x'), f('y', 'write'), f('data'), f('mean', 'write')];
  const prepared = f('w2');
  const index = memory('index', 'read', 'i32');
  const first = E.mul(group, i(rowsPerGroup));
  const weights = f('w', 'read_write');
  const average = f('mean');
  const steps = memory('steps', 'read_write', 'i32');
  const even = memory('even', 'write', 'bool');
  const at = E.min(E.max(E.load(index, j), i(0)), E.sub(E.symbolVar('rows', 1000), i(1)));
  return [
    kernel('prepare/scale', [w, w2, factor], [], [1, 1, 1], [K.store(w2, i(0), E.mul(E.load(w, i(0), 4), E.splat(E.load(factor, i(0)), 4)))]),
    kernel(
      'predict/dot',
      [x, prepared, y],
      ['batch'],
      [{ op: 'ceildiv', args: [{ symbol: 'batch' }, rowsPerGroup] }, 1, 1],
      [
        K.forLoop(row, first, E.min(E.add(first, i(rowsPerGroup)), batch), [
          K.mutable(s, E.f32(0)),
          four([K.assign(s, E.mad(E.load(x, E.add(E.mul(row, i(4)), k)), E.load(prepared, k), s))]),
          K.store(y, row, s),
        ]),
      ],
    ),
    kernel(
      'train/mean',
      [data, index, mean],
      ['batch', 'rows'],
      [1, 1, 1],
      [
        four([
          K.mutable(s, E.f32(0)),
          K.forLoop(j, i(0), batch, [K.assign(s, E.add(s, E.load(data, E.add(E.mul(at, i(4)), k))))]),
          K.store(mean, k, E.div(s, E.cast(batch, 'f32'))),
        ]),
      ],
    ),
    kernel(
      'train/update',
      [weights, average],
      ['t'],
      [1, 1, 1],
      [K.store(weights, i(0), E.mad(E.load(average, i(0), 4), E.splat(E.cast(E.add(E.symbolVar('t', 2), i(1)), 'f32'), 4), E.load(weights, i(0), 4)))],
    ),
    kernel('train/count', [steps], [], [1, 1, 1], [K.store(steps, i(0), E.add(E.load(steps, i(0)), i(1)))]),
    kernel(
      'train/even',
      [index, even],
      ['batch'],
      [1, 1, 1],
      [K.forLoop(j, i(0), batch, [K.store(even, j, E.compare('eq', E.binary('and', E.load(index, j), i(1)), i(0)))])],
    ),
  ];
}

/** See linearPlan. `threads`: the module and the dispatches are for several threads. */
export function wasmLinearPlan(changes: Partial<Plan> = {}, threads = false): CompiledPlan {
  const base = linearPlan();
  const built = buildModule(kernels(threads ? 1 : 64), { threads, relaxedSimd: false });
  const forThreads = (s: PlanStep): PlanStep => (s.kind === 'loop' || s.kernel !== 1 ? s : { ...s, groups: [{ symbol: 'batch' }, 1, 1], parallel: true });
  const plan: Plan = {
    ...base.plan,
    target: 'wasm',
    kernels: base.plan.kernels.map((k) => ({ ...k, workgroupSize: [1, 1, 1] })),
    programs: base.plan.programs.map((p) => ({ ...p, steps: threads ? p.steps.map(forThreads) : p.steps })),
    wasm: { threads, relaxedSimd: false, scratchBytes: built.scratchBytes },
    ...changes,
  };
  return { plan, wgsl: [], wasm: built.bytes, blob: base.blob };
}
