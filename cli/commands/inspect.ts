/** `tenon inspect`: a model's programs as text: graph, regions, kernels with their schedules, memory, and what a step costs. */
import { compile } from '../../codegen/compile.js';
import { didYouMean } from '../../ir/errors.js';
import { print } from '../../ir/text.js';
import { passNames } from '../../passes/pipeline.js';
import { type CliIo, UsageError } from '../io.js';
import { loadModel, loadPrograms } from '../model.js';
import { planReport, type RegionReport, regionReport, reportText } from '../report.js';
import { listOf, positiveInteger, targetInfo, targetName } from '../targets.js';
import { inspectOnnx } from './inspect-onnx.js';

export interface InspectFlags {
  readonly program?: string;
  readonly target: string;
  readonly batchSize?: string;
  readonly shape?: readonly string[];
  readonly value?: readonly string[];
  readonly printIrAfter?: string;
  readonly verify?: boolean;
  readonly json?: boolean;
}

export async function inspectCommand(file: string, flags: InspectFlags, io: CliIo): Promise<void> {
  const target = targetName(flags.target);
  const names = flags.program === undefined ? undefined : listOf(flags.program);
  const batchSize = flags.batchSize === undefined ? undefined : positiveInteger(flags.batchSize, '--batch-size');
  if (file.toLowerCase().endsWith('.onnx')) {
    await inspectOnnx(file, flags, batchSize ?? 1, io);
    return;
  }
  for (const option of ['shape', 'value'] as const) if (flags[option]) throw new UsageError(`--${option}: ${file} is not an .onnx file`);
  const wanted = flags.printIrAfter;
  if (wanted !== undefined && wanted !== 'all' && !passNames.includes(wanted))
    throw new UsageError(`--print-ir-after: unknown pass '${wanted}'; expected all or one of ${passNames.join(', ')}.${didYouMean(wanted, passNames)}`);
  const model = await loadModel(file);
  const programs = await loadPrograms(model, batchSize, names);
  const ir: { program: string; pass: string; graph: string }[] = [];
  const last: Record<string, string> = {};
  const regions: Record<string, RegionReport[]> = {};
  const compiled = compile(programs, {
    target: targetInfo(target),
    name: model.name,
    verify: flags.verify ?? false,
    onPass: (pass, program, graph) => {
      // Contents of big constants are left out of the overview; after a named pass the text is complete, so that it can be parsed.
      last[program] = print(graph, { tensors: [] });
      if (wanted === 'all' || wanted === pass) ir.push({ program, pass, graph: print(graph) });
    },
    onRegions: (program, fused) => {
      regions[program] = fused.regions.map(regionReport);
    },
  });
  const report = planReport(compiled);
  if (flags.json) {
    io.out(`${JSON.stringify({ ...report, ir, graphs: last, regions })}\n`);
    return;
  }
  for (const { program, pass, graph } of ir) io.out(`// ${program} after ${pass}\n${graph}\n`);
  // With --print-ir-after the graph is what was asked for; without it, the graph that goes into fusion.
  for (const line of reportText(report, wanted === undefined ? last : {}, regions)) io.out(`${line}\n`);
}
