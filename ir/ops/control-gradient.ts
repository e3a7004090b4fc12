/** Gradients of if and of composites. The scan's is in scan-gradient.ts. */
import type { GraphBuilder } from '../builder.js';
import { compositeGradients } from '../composites.js';
import { type Pullback, pullbackOnce, type Seed } from '../cotangents.js';
import type { Graph, Value } from '../graph.js';
import { inlineGraph } from '../inline.js';
import type { GradientContext } from '../op.js';

type Flow = (Value | null)[];

/** Inlines `graph` and differentiates it: gradients of `inputs` (null where not wanted or nothing flows). */
function throughBody(
  pullback: Pullback,
  b: GraphBuilder,
  graph: Graph,
  inputs: readonly Value[],
  grads: readonly (Value | null)[],
  wanted: readonly boolean[],
): Flow {
  const start = b.nodes.length;
  const outputs = inlineGraph(b, graph, inputs);
  const seeds = outputs.flatMap((value, i): Seed[] => (grads[i] ? [{ value, cotangent: grads[i] }] : []));
  return pullbackOnce(
    pullback,
    b,
    b.nodes.slice(start),
    seeds,
    inputs.map((v, i) => (wanted[i] ? v : null)),
  );
}

export function compositeGradient(ctx: GradientContext<'composite'>): readonly (Value | null)[] {
  const { b, node, grads, wanted } = ctx;
  const rule = compositeGradients[node.attrs.name];
  return rule ? rule(ctx) : throughBody(ctx.pullback, b, node.attrs.body, node.inputs, grads, wanted);
}

/** Another if: each branch runs its forward branch again and differentiates it. */
export function ifGradient({ b, node, grads, wanted, pullback }: GradientContext<'if'>): Flow {
  const operands = node.inputs.slice(1);
  const needed = wanted.slice(1);
  const flowing = grads.flatMap((g, i) => (g ? [{ g, i }] : []));
  const branch = (forward: Graph): Graph => {
    const sub = b.child(`${forward.name}_gradient`);
    const inputs = operands.map((v, i) => sub.input(`x${i}`, v.dtype, v.shape));
    const cotangents = grads.map((g, i) => (g ? sub.input(`g${i}`, g.dtype, g.shape) : null));
    const flows = throughBody(pullback, sub, forward, inputs, cotangents, needed);
    for (const [i, flow] of flows.entries()) if (needed[i]) sub.output(`d${i}`, flow ?? sub.full(inputs[i]!.shape, 0, inputs[i]!.dtype));
    return sub.build();
  };
  const results = b.emitAll('if', [node.inputs[0]!, ...operands, ...flowing.map((f) => f.g)], { then: branch(node.attrs.then), else: branch(node.attrs.else) });
  let next = 0;
  return [null, ...needed.map((n) => (n ? results[next++]! : null))];
}
