/** A plan written by hand, with WGSL, for tests of the runtime: a linear model with prepared weights, a training program with a data set, a loop, state and a counter. */
import type { CompiledPlan, Plan, PlanArg, PlanDispatch, PlanKernel, PlanStep, SizeExpr } from '../../runtime/plan.js';

const batch: SizeExpr = { symbol: 'batch' };
const figures = { flops: 0, bytesRead: 0, bytesWritten: 0 };

/** A kernel; a binding is written where one of its arguments is. */
const kernel = (name: string, code: number, args: PlanArg[], symbols: string[] = []): PlanKernel => ({
  name,
  args,
  symbols,
  code,
  schedule: 'by hand',
  workgroupSize: [64, 1, 1],
  bindings: Array.from({ length: Math.max(...args.map((a) => a.binding)) + 1 }, (_, i) => ({
    access: args.some((a) => a.binding === i && a.access !== 'read') ? 'read_write' : 'read',
  })),
});
const arg = (name: string, access: PlanArg['access'], binding: number, dtype: PlanArg['dtype'] = 'float32'): PlanArg => ({ name, access, binding, dtype });
const dispatch = (k: number, label: string, groups: SizeExpr, buffers: number[], offsets: number[]): PlanDispatch => ({
  kind: 'dispatch',
  kernel: k,
  label,
  groups: [groups, 1, 1],
  buffers,
  offsets,
  figures,
  parallel: false,
});

/** WGSL with its storage bindings and after them an argument block of `words` words. */
function wgsl(words: number, bindings: readonly [access: 'read' | 'read_write', type: string][], body: string): string {
  const vars = bindings.map(([access, type], i) => `@group(0) @binding(${i}) var<storage, ${access}> b${i}: array<${type}>;`);
  return `${vars.join('\n')}
@group(0) @binding(${bindings.length}) var<uniform> block: array<vec4<u32>, ${Math.ceil(words / 4)}>;
fn word(i: u32) -> u32 { return block[i / 4u][i % 4u]; }
@compute @workgroup_size(64) fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  let i = id.x;
${body}
}
`;
}

/**
 * Programs: `predict`: y[i] = sum_k x[i,k] * w2[k] with w2 = 2 w prepared. `train`: for t = 2, 1, 0: w[k] += (t + 1) * mean over the batch of data[index[i], k]; steps += 1; output
 * `steps` and the mask `even` of the batch's indices (bool).
 */
export function linearPlan(changes: Partial<Plan> = {}): CompiledPlan {
  const max = 64;
  const buffers: Plan['buffers'] = [
    { name: 'params', kind: 'state', bytes: 32 },
    { name: 'arena', kind: 'arena', bytes: 512 },
    { name: 'prepared', kind: 'prepared', bytes: 16 },
    { name: 'constants', kind: 'constant', bytes: 16, blobOffset: 16 },
    { name: 'data', kind: 'input', bytes: 0 },
    { name: 'io', kind: 'io', bytes: 256 * 8 },
  ];
  const kernels = [
    kernel('prepare/scale', 0, [arg('w', 'read', 0), arg('w2', 'write', 1), arg('factor', 'read', 2)]),
    kernel('predict/dot', 1, [arg('x', 'read', 0), arg('w2', 'read', 1), arg('y', 'write', 2)], ['batch']),
    kernel('train/mean', 2, [arg('data', 'read', 0), arg('index', 'read', 1, 'int32'), arg('mean', 'write', 2)], ['batch', 'rows']),
    kernel('train/update', 3, [arg('w', 'read_write', 0), arg('mean', 'read', 1)], ['t']),
    kernel('train/count', 4, [arg('steps', 'read_write', 0, 'int32')]),
    kernel('train/even', 5, [arg('index', 'read', 0, 'int32'), arg('even', 'write', 0, 'bool')], ['batch']),
  ];
  const sources = [
    wgsl(
      3,
      [
        ['read', 'f32'],
        ['read_write', 'f32'],
        ['read', 'f32'],
      ],
      '  if (i < 4u) { b1[word(1u) + i] = b0[word(0u) + i] * b2[word(2u)]; }',
    ),
    wgsl(
      4,
      [
        ['read', 'f32'],
        ['read', 'f32'],
        ['read_write', 'f32'],
      ],
      `  if (i < word(3u)) {
    var s = 0.0;
    for (var k = 0u; k < 4u; k++) { s += b0[word(0u) + i * 4u + k] * b1[word(1u) + k]; }
    b2[word(2u) + i] = s;
  }`,
    ),
    wgsl(
      5,
      [
        ['read', 'f32'],
        ['read', 'i32'],
        ['read_write', 'f32'],
      ],
      `  if (i < 4u) {
    var s = 0.0;
    for (var j = 0u; j < word(3u); j++) { s += b0[word(0u) + u32(clamp(b1[word(1u) + j], 0, i32(word(4u)) - 1)) * 4u + i]; }
    b2[word(2u) + i] = s / f32(word(3u));
  }`,
    ),
    wgsl(
      3,
      [
        ['read_write', 'f32'],
        ['read', 'f32'],
      ],
      '  if (i < 4u) { b0[word(0u) + i] += f32(word(2u) + 1u) * b1[word(1u) + i]; }',
    ),
    wgsl(1, [['read_write', 'i32']], '  if (i == 0u) { b0[word(0u)] += 1; }'),
    wgsl(3, [['read_write', 'u32']], '  if (i < word(2u)) { b0[word(1u) + i] = 1u - (b0[word(0u) + i] & 1u); }'),
  ];
  const loop: PlanStep = { kind: 'loop', symbol: 't', count: 3, reverse: true, body: [dispatch(3, 'update', 1, [0, 1], [0, 256])] };
  const plan: Plan = {
    format: 'tenon-plan',
    version: 2,
    schedules: {},
    name: 'linear',
    target: 'webgpu',
    symbols: [
      { name: 'batch', max },
      { name: 'rows', max: 1000 },
    ],
    buffers,
    kernels,
    state: [
      {
        name: 'weights',
        dtype: 'float32',
        shape: [4],
        buffer: 0,
        offset: 0,
        trainable: true,
        views: [
          { name: 'dense/kernel', offset: 0, shape: [3, 1] },
          { name: 'dense/bias', offset: 3, shape: [1] },
        ],
        initial: 0,
      },
      { name: 'steps', dtype: 'int32', shape: [], buffer: 0, offset: 16, trainable: false, views: [], initial: null },
    ],
    programs: [
      {
        name: 'predict',
        inputs: [{ name: 'x', dtype: 'float32', shape: [batch, 4], buffer: 5, offset: 0, resident: false }],
        outputs: [{ name: 'y', dtype: 'float32', shape: [batch], buffer: 1, offset: 0 }],
        prepare: [dispatch(0, 'prepare', 1, [0, 2, 3], [0, 0, 0])],
        steps: [dispatch(1, 'predict', { op: 'ceildiv', args: [batch, 64] }, [5, 2, 1], [0, 0, 0])],
      },
      {
        name: 'train',
        inputs: [
          { name: 'data', dtype: 'float32', shape: [{ symbol: 'rows' }, 4], buffer: 4, offset: 0, resident: true },
          { name: 'index', dtype: 'int32', shape: [batch], buffer: 5, offset: 1024, resident: false },
        ],
        outputs: [
          { name: 'steps', dtype: 'int32', shape: [], buffer: 0, offset: 16 },
          { name: 'even', dtype: 'bool', shape: [batch], buffer: 5, offset: 1280 },
        ],
        prepare: [],
        steps: [dispatch(2, 'mean', 1, [4, 5, 1], [0, 1024, 256]), loop, dispatch(4, 'count', 1, [0], [16]), dispatch(5, 'even', 1, [5], [1024, 1280])],
      },
    ],
    memory: { predict: { arena: 256, sum: 256, lowerBound: 256 }, train: { arena: 16, sum: 16, lowerBound: 16 } },
    requiredLimits: {},
    ...changes,
  };
  const blob = new Uint8Array(new Float32Array([1, 2, 3, 4, 2, 0, 0, 0]).buffer);
  return { plan, wgsl: sources, wasm: null, blob };
}
