/** The driver from graphs to a plan: runs the passes, lowers regions to kernels, plans memory, emits code. */
import { InternalError } from '../ir/errors.js';
import type { Graph } from '../ir/graph.js';
import type { CompiledPlan } from '../runtime/plan.js';
import type { TargetInfo } from './target.js';

export interface CompileOptions {
  readonly target: TargetInfo;
  readonly name?: string;
  /** Called with the printed graph after each named pass. */
  readonly onPass?: (pass: string, program: string, graph: Graph) => void;
  /** Verifies the graph after every pass. */
  readonly verify?: boolean;
}

/** Compiles the programs of one model (they share state by slot name) to one plan. */
export function compile(programs: Readonly<Record<string, Graph>>, options: CompileOptions): CompiledPlan {
  throw new InternalError(`compile ${Object.keys(programs).join()} for ${options.target.kind}`);
}
