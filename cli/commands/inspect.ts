/** `tenon inspect`: a model's programs as text: graph, kernels with their schedules, memory, and what a step costs. */
import { compile } from '../../codegen/compile.js';
import { didYouMean } from '../../ir/errors.js';
import { print } from '../../ir/text.js';
import { passNames } from '../../passes/pipeline.js';
import { type CliIo, UsageError } from '../io.js';
import { loadModel, loadPrograms } from '../model.js';
import { planReport, reportText } from '../report.js';
import { listOf, positiveInteger, targetInfo, targetName } from '../targets.js';

export interface InspectFlags {
  readonly program?: string;
  readonly target: string;
  readonly batchSize?: string;
  readonly printIrAfter?: string;
  readonly verify?: boolean;
  readonly json?: boolean;
}

export async function inspectCommand(file: string, flags: InspectFlags, io: CliIo): Promise<void> {
  const target = targetName(flags.target);
  const names = flags.program === undefined ? undefined : listOf(flags.program);
  const batchSize = flags.batchSize === undefined ? undefined : positiveInteger(flags.batchSize, '--batch-size');
  const wanted = flags.printIrAfter;
  if (wanted !== undefined && wanted !== 'all' && !passNames.includes(wanted)) throw new UsageError(`--print-ir-after: unknown pass '${wanted}'; expected all or one of ${passNames.join(', ')}.${didYouMean(wanted, passNames)}`);
  const model = await loadModel(file);
  const programs = await loadPrograms(model, batchSize, names);
  const ir: { program: string; pass: string; graph: string }[] = [];
  const last: Record<string, string> = {};
  const compiled = compile(programs, {
    target: targetInfo(target), name: model.name, verify: flags.verify ?? false,
    onPass: (pass, program, graph) => {
      last[program] = print(graph);
      if (wanted === 'all' || wanted === pass) ir.push({ program, pass, graph: last[program] });
    },
  });
  const report = planReport(compiled);
  if (flags.json) {
    io.out(`${JSON.stringify({ ...report, ir, graphs: last })}\n`);
    return;
  }
  for (const { program, pass, graph } of ir) io.out(`// ${program} after ${pass}\n${graph}\n`);
  // With --print-ir-after the graph is what was asked for; without it, the graph that goes into fusion.
  for (const line of reportText(report, wanted === undefined ? last : {})) io.out(`${line}\n`);
}
