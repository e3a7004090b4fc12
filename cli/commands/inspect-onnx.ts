/** `tenon inspect model.onnx`: inputs, outputs, ops, opsets, parameters, memory, kernels after fusion, and what is not supported. */
import { compile } from '../../codegen/compile.js';
import { OnnxModel } from '../../frontend/onnx/model.js';
import { readModel } from '../../frontend/onnx/read.js';
import type { ModelProto } from '../../frontend/onnx/schema/types.js';
import { UnsupportedError } from '../../ir/errors.js';
import { bytesText, type CliIo, countText } from '../io.js';
import { planReport } from '../report.js';
import { targetInfo, targetName } from '../targets.js';

export interface OnnxInspectFlags {
  readonly target: string;
  readonly batchSize?: string;
  readonly json?: boolean;
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

export async function inspectOnnx(file: string, flags: OnnxInspectFlags, batch: number, io: CliIo): Promise<void> {
  const target = targetName(flags.target);
  const proto = await readModel(file);
  const parameters = (proto.graph?.initializer ?? []).reduce((n, t) => n + (t.dims ?? []).reduce<number>((a, d) => a * Number(d), 1), 0);
  const bytes = (proto.graph?.initializer ?? []).reduce((n, t) => n + (t.raw_data?.byteLength ?? 0), 0);
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
  const sized = Object.fromEntries(model.inputs.map((i) => [i.name, { shape: (i.shape ?? []).map((d) => (typeof d === 'number' ? d : batch)) }]));
  const { graph } = model.trace(sized);
  const report = planReport(compile({ run: graph }, { target: targetInfo(target), name: graph.name }));
  const [program] = report.programs;
  const result = {
    ...overview,
    ...model.info,
    modelVersion: String(model.info.modelVersion),
    inputs: model.inputs,
    outputs: model.outputs,
    unsupported: [] as string[],
    target: report.target,
    kernels: program!.dispatches,
    arenaBytes: program!.arena,
    flops: program!.flops,
    steps: program!.steps.map((s) => ({ label: s.label, schedule: s.schedule })),
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
    `on ${result.target}: ${result.kernels} kernels, ${bytesText(result.arenaBytes)} of memory beside the weights, ${countText(result.flops)} operations`,
    ...result.steps.map((s) => `  ${s.label}  ${s.schedule}`),
  ];
  io.out(`${lines.join('\n')}\n`);
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
