/** The passes from a traced graph to one that is ready for fusion, in order. This is the table of contents of the middle of the compiler. */
import type { Graph } from '../ir/graph.js';
import { type Stage, verify } from '../ir/verify.js';
import { decompose } from './decompose.js';
import { foldInference } from './fold-inference.js';
import { hoistScan } from './hoist-scan.js';
import { layout } from './layout.js';
import { liftConstants } from './lift-constants.js';
import { packWeights } from './pack-weights.js';
import { type RewriteOptions, RuleSet, rewrite } from './rewrite.js';
import { convAsDotRules } from './rules/conv-as-dot.js';
import { stridedGradientRules } from './rules/strided-gradient.js';
import { simplify, simplifyRules } from './simplify.js';

export interface PipelineOptions {
  readonly target: 'webgpu' | 'wasm';
  /** The graph updates its parameters: nothing is folded into them. */
  readonly training: boolean;
  /** Verifies the graph after every pass. */
  readonly verify?: boolean;
  /** Limits and reports rewrites, for bisection. */
  readonly rewrite?: RewriteOptions;
  /** Called after each pass. */
  readonly onPass?: (pass: string, graph: Graph) => void;
}

export interface Pass {
  readonly name: string;
  readonly run: (graph: Graph, options: PipelineOptions) => Graph;
  /** What the graph is after it. */
  readonly leaves: Stage;
}

const contractionRules = new RuleSet([...simplifyRules.rules, ...stridedGradientRules, ...convAsDotRules]);

export const passes: readonly Pass[] = [
  // composites opened, branches of `if` side by side
  { name: 'decompose', run: (g) => decompose(g), leaves: 'decomposed' },
  // identities, shape ops, constants, common subexpressions, dead code
  { name: 'simplify', run: (g, o) => simplify(g, o.rewrite), leaves: 'simplified' },
  // what needs no step before leaves the loops
  { name: 'hoist-scan', run: (g, o) => simplify(hoistScan(g), o.rewrite), leaves: 'simplified' },
  // batch norm into the weights before it
  { name: 'fold-inference', run: (g, o) => (o.training ? g : simplify(foldInference(g), o.rewrite)), leaves: 'simplified' },
  // channels last
  { name: 'layout', run: (g) => layout(g), leaves: 'laid-out' },
  // convolutions with holes without the holes, 1x1 convolutions as dots
  { name: 'contractions', run: (g, o) => rewrite(g, contractionRules, o.rewrite), leaves: 'laid-out' },
  // tensor constants inside loops become operands of the loops
  { name: 'lift-constants', run: (g) => liftConstants(g), leaves: 'laid-out' },
  // weights in the order of reading, where rows are few; packing and unpacking stand beside each other, so the graph is not simplified any more
  { name: 'pack-weights', run: (g, o) => (o.target === 'wasm' ? packWeights(g) : g), leaves: 'decomposed' },
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
