/** The passes from a traced graph to one that is ready for fusion, in order. This is the table of contents of the middle of the compiler. */
import type { Graph } from '../ir/graph.js';
import { type Stage, verify } from '../ir/verify.js';
import { decompose } from './decompose.js';
import { simplify } from './simplify.js';

export interface PipelineOptions {
  readonly target: 'webgpu' | 'wasm';
  /** The graph updates its parameters: nothing is folded into them. */
  readonly training: boolean;
  /** Verifies the graph after every pass. */
  readonly verify?: boolean;
  /** Called after each pass. */
  readonly onPass?: (pass: string, graph: Graph) => void;
}

export interface Pass {
  readonly name: string;
  readonly run: (graph: Graph, options: PipelineOptions) => Graph;
  /** What the graph is after it. */
  readonly leaves: Stage;
}

export const passes: readonly Pass[] = [
  { name: 'decompose', run: (g) => decompose(g), leaves: 'decomposed' },
  { name: 'simplify', run: (g) => simplify(g), leaves: 'simplified' },
];

export const passNames: readonly string[] = passes.map((p) => p.name);

export function runPasses(graph: Graph, options: PipelineOptions): Graph {
  let g = graph;
  if (options.verify) verify(g, 'traced');
  for (const p of passes) {
    g = p.run(g, options);
    if (options.verify) verify(g, p.leaves);
    options.onPass?.(p.name, g);
  }
  return g;
}
