/** `tenon inspect model.onnx`: inputs, outputs, ops, opsets, parameters, memory, kernels after fusion, and what is not supported. */
import { compile } from '../../codegen/compile.js';
import { OnnxModel } from '../../frontend/onnx/model.js';
import { readModel } from '../../frontend/onnx/read.js';
import type { GraphProto, ModelProto, TensorProto } from '../../frontend/onnx/schema/types.js';
import { NeedsValue } from '../../frontend/onnx/static.js';
import { isStatic } from '../../ir/dim.js';
import type { DType } from '../../ir/dtype.js';
import { TenonError, UnsupportedError } from '../../ir/errors.js';
import type { Graph } from '../../ir/graph.js';
import { type TensorData, tensorData } from '../../ir/tensor-data.js';
import { bytesText, type CliIo, countText, UsageError } from '../io.js';
import { planReport } from '../report.js';
import { targetInfo, targetName } from '../targets.js';

export interface OnnxInspectFlags {
  readonly target: string;
  /** `name=1,3,224,224` for inputs with open sizes. */
  readonly shape?: readonly string[];
  /** `name=16000`: contents of an input that decides shapes. */
  readonly value?: readonly string[];
  readonly json?: boolean;
}

type Bindings = Readonly<Record<string, { readonly shape: readonly number[]; readonly data?: TensorData }>>;

/** Sizes that open axes but the batch are tried with, one after the other, until the model can be traced. */
const triedSizes = [1, 8, 16, 32, 64, 128, 256, 512, 224, 1024] as const;

/** `name=1,2,3` by name. */
function listed(option: string, given: readonly string[] | undefined, inputs: OnnxModel['inputs']): ReadonlyMap<string, number[]> {
  const found = new Map<string, number[]>();
  for (const text of given ?? []) {
    const at = text.lastIndexOf('=');
    const name = text.slice(0, Math.max(at, 0));
    const numbers = text
      .slice(at + 1)
      .split(',')
      .filter((t) => t.trim() !== '')
      .map(Number);
    if (at < 1 || numbers.some((n) => !Number.isFinite(n))) throw new UsageError(`${option}: expected NAME=1,2,3, got '${text}'`);
    if (!inputs.some((i) => i.name === name))
      throw new UsageError(`${option}: the model has no input '${name}'; it has ${inputs.map((i) => `'${i.name}'`).join(', ') || 'none'}`);
    found.set(name, numbers);
  }
  return found;
}

/** The graph for the sizes that are asked for, or for the first that fit; `why`: what stood against all of them. */
function traced(model: OnnxModel, flags: OnnxInspectFlags, batch: number): { readonly graph: Graph; readonly sizes: Bindings } | { readonly why: string } {
  const shapes = listed('--shape', flags.shape, model.inputs);
  const values = listed('--value', flags.value, model.inputs);
  for (const i of model.inputs) {
    const given = shapes.get(i.name);
    if (
      given &&
      (given.some((n) => !Number.isInteger(n) || n < 0) ||
        (i.shape && (i.shape.length !== given.length || i.shape.some((d, a) => typeof d === 'number' && d !== given[a]))))
    )
      throw new UsageError(`--shape: input '${i.name}' is ${i.dtype}[${i.shape?.map((d) => d ?? '?').join(', ') ?? '...'}], got [${given.join(', ')}]`);
  }
  let why = '';
  // the first reason is that of the smallest sizes; what the user asked for is the same in all
  for (const open of model.inputs.some((i) => !shapes.has(i.name) && (i.shape ?? [null]).some((d) => typeof d !== 'number')) ? triedSizes : [1]) {
    const sizes = Object.fromEntries(
      model.inputs.map((i) => {
        const shape =
          shapes.get(i.name) ?? (i.shape ?? [null]).map((d, axis) => (typeof d === 'number' ? d : axis === 0 || /batch|^n$/i.test(d ?? '') ? batch : open));
        const count = shape.reduce((a, d) => a * d, 1);
        const content = values.get(i.name);
        return [i.name, { shape, ...(content ? { data: contents(i.dtype, shape, count, content) } : {}) }];
      }),
    );
    for (let bound: Bindings = sizes; ; ) {
      try {
        const { graph } = model.trace(bound);
        // windows that are larger than what they slide over leave nothing
        const empty = graph.nodes.find((n) => n.outputs.some((v) => v.shape.some((d) => isStatic(d) && d < 1)));
        if (!empty || open === triedSizes.at(-1)) return { graph, sizes: bound };
        why ||= `${empty.origin || empty.op}: an empty tensor`;
        break;
      } catch (e) {
        if (!(e instanceof TenonError)) throw e;
        why ||= e.message;
        if (!(e instanceof NeedsValue) || e.inputs.every((n) => bound[n]?.data)) break;
        // contents that decide shapes: ones
        const more = e.inputs.filter((n) => !bound[n]?.data).map((n) => [n, bound[n]!.shape] as const);
        const dtype = (n: string): DType => model.inputs.find((i) => i.name === n)!.dtype;
        bound = {
          ...bound,
          ...Object.fromEntries(
            more.map(([n, shape]) => [
              n,
              {
                shape,
                data: contents(
                  dtype(n),
                  shape,
                  shape.reduce((a, d) => a * d, 1),
                  [1],
                ),
              },
            ]),
          ),
        };
      }
    }
  }
  return { why };
}

function contents(dtype: DType, shape: readonly number[], count: number, given: readonly number[]): TensorData {
  if (given.length !== 1 && given.length !== count) throw new UsageError(`--value: ${given.length} numbers for a tensor of shape [${shape.join(', ')}]`);
  return tensorData(
    dtype,
    shape,
    Array.from({ length: count }, (_, i) => given[given.length === 1 ? 0 : i]!),
  );
}

/** How often each op occurs, bodies of If, Loop, Scan and functions included. */
function opsOf(model: ModelProto): Record<string, number> {
  const counts = new Map<string, number>();
  const visit = (nodes: NonNullable<ModelProto['graph']>['node']): void => {
    for (const n of nodes ?? []) {
      const name = n.domain && n.domain !== 'ai.onnx' ? `${n.domain}.${n.op_type}` : String(n.op_type);
      counts.set(name, (counts.get(name) ?? 0) + 1);
      for (const a of n.attribute ?? []) for (const g of [...(a.g ? [a.g] : []), ...(a.graphs ?? [])]) visit(g.node);
    }
  };
  visit(model.graph?.node);
  for (const f of model.functions ?? []) visit(f.node);
  return Object.fromEntries([...counts].sort(([a], [b]) => (a < b ? -1 : 1)));
}

/** The initializers and the tensors of Constant nodes, those of bodies included. */
function tensorsOf(model: ModelProto): TensorProto[] {
  const found: TensorProto[] = [];
  const visit = (g: GraphProto | null | undefined): void => {
    found.push(...(g?.initializer ?? []));
    for (const n of g?.node ?? [])
      for (const a of n.attribute ?? []) {
        if (a.t && n.op_type === 'Constant') found.push(a.t);
        for (const inner of [...(a.g ? [a.g] : []), ...(a.graphs ?? [])]) visit(inner);
      }
  };
  visit(model.graph);
  for (const f of model.functions ?? []) visit({ node: f.node });
  return found;
}

export async function inspectOnnx(file: string, flags: OnnxInspectFlags, batch: number, io: CliIo): Promise<void> {
  const target = targetName(flags.target);
  const proto = await readModel(file);
  const tensors = tensorsOf(proto);
  const parameters = tensors.reduce((n, t) => n + (t.dims ?? []).reduce<number>((a, d) => a * Number(d), 1), 0);
  const bytes = tensors.reduce((n, t) => n + (t.raw_data?.byteLength ?? 4 * (t.float_data?.length ?? 0)), 0);
  const overview = { file, parameters, parameterBytes: bytes, ops: opsOf(proto) };
  let model: OnnxModel;
  try {
    model = await OnnxModel.create(proto, { device: 'reference' });
  } catch (e) {
    if (!(e instanceof UnsupportedError)) throw e;
    const unsupported = e.message
      .split('\n')
      .slice(1)
      .map((l) => l.trim());
    if (flags.json) io.out(`${JSON.stringify({ ...overview, unsupported: unsupported.length > 0 ? unsupported : [e.message] })}\n`);
    else io.out(`${[...header(overview), `not supported: ${e.message}`].join('\n')}\n`);
    return;
  }
  const found = traced(model, flags, batch);
  const compiled = 'graph' in found ? compiledReport(found.graph, target) : null;
  const report = compiled && 'report' in compiled ? compiled.report : null;
  const why = 'why' in found ? found.why : compiled && 'why' in compiled ? compiled.why : null;
  const program = report?.programs[0];
  const result = {
    ...overview,
    ...model.info,
    modelVersion: String(model.info.modelVersion),
    inputs: model.inputs,
    outputs: model.outputs,
    unsupported: [] as string[],
    target,
    /** Sizes of the inputs that the figures are for. */
    sizes: 'sizes' in found ? Object.fromEntries(Object.entries(found.sizes).map(([n, s]) => [n, s.shape])) : null,
    notCompiled: why,
    kernels: program?.dispatches ?? null,
    arenaBytes: program?.arena ?? null,
    flops: program?.flops ?? null,
    steps: program?.steps.map((s) => ({ label: s.label, schedule: s.schedule })) ?? [],
  };
  if (flags.json) {
    io.out(`${JSON.stringify(result)}\n`);
    return;
  }
  const port = (p: (typeof model.inputs)[number]): string => `  ${p.name}: ${p.dtype}[${p.shape?.map((d) => d ?? '?').join(', ') ?? '...'}]`;
  const lines = [
    ...header(overview),
    `IR version ${result.irVersion}, ${Object.entries(result.opsets)
      .map(([d, v]) => `opset ${v}${d === '' ? '' : ` of ${d}`}`)
      .join(', ')}${result.producer ? `, written by ${result.producer}` : ''}`,
    'inputs',
    ...result.inputs.map(port),
    'outputs',
    ...result.outputs.map(port),
    ...(program
      ? [
          `for ${Object.entries(result.sizes ?? {})
            .map(([n, shape]) => `${n}[${shape.join(', ')}]`)
            .join(', ')}`,
          `on ${result.target}: ${program.dispatches} kernels, ${bytesText(program.arena)} of memory beside the weights, ${countText(program.flops)} operations`,
          ...result.steps.map((s) => `  ${s.label}  ${s.schedule}`),
        ]
      : [`not compiled; give the sizes of the inputs with --shape NAME=1,2,3, and contents that decide shapes with --value NAME=1: ${why ?? ''}`]),
  ];
  io.out(`${lines.join('\n')}\n`);
}

function compiledReport(graph: Graph, target: ReturnType<typeof targetName>): { readonly report: ReturnType<typeof planReport> } | { readonly why: string } {
  try {
    return { report: planReport(compile({ run: graph }, { target: targetInfo(target), name: graph.name })) };
  } catch (e) {
    // what a target lacks is a finding, too
    if (e instanceof UnsupportedError) return { why: e.message };
    throw e;
  }
}

function header(o: {
  readonly file: string;
  readonly parameters: number;
  readonly parameterBytes: number;
  readonly ops: Readonly<Record<string, number>>;
}): string[] {
  const ops = Object.entries(o.ops);
  return [
    `${o.file}: ${countText(o.parameters)} parameters in ${bytesText(o.parameterBytes)}, ${ops.reduce((n, [, c]) => n + c, 0)} nodes`,
    `ops: ${ops.map(([name, n]) => (n === 1 ? name : `${name} ×${n}`)).join(', ')}`,
  ];
}
