/** `tenon compile --bisect`: which pass or rewrite first changes what a program computes. */
import type { TargetInfo } from '../../codegen/target.js';
import type { Graph } from '../../ir/graph.js';
import { bisect, type Departure } from '../../passes/bisect.js';
import { passNames } from '../../passes/pipeline.js';
import type { CliIo } from '../io.js';

export function departureText(program: string, target: string, d: Departure): string {
  const at = d.rewrite
    ? `rewrite '${d.rewrite.rule}' (number ${d.rewrite.before + 1} of pass '${d.pass}') of ${d.rewrite.node}${d.rewrite.origin ? `, from ${d.rewrite.origin}` : ''}`
    : `pass '${d.pass}'`;
  return `${program} for ${target}: ${at} changes ${d.where}: largest difference ${d.difference.toPrecision(3)}`;
}

/** Throws where a program departs; else says that none does. */
export function bisectPrograms(programs: Readonly<Record<string, Graph>>, targets: readonly TargetInfo[], json: boolean, io: CliIo): void {
  const found = Object.entries(programs).flatMap(([program, graph]) =>
    targets.flatMap((t) => {
      const d = bisect(graph, { target: t.kind, training: graph.updates.length > 0 });
      return d ? [{ program, target: t.kind, departure: d }] : [];
    }),
  );
  if (json) io.out(`${JSON.stringify({ programs: Object.keys(programs), targets: targets.map((t) => t.kind), passes: passNames, departures: found })}\n`);
  if (found.length > 0) throw new Error(found.map((f) => departureText(f.program, f.target, f.departure)).join('\n'));
  if (!json) io.out(`${Object.keys(programs).join(', ')}: no pass of ${passNames.join(', ')} changes what is computed\n`);
}
