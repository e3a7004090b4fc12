/**
 * First part of the scan's gradient: the joint graph of one step. It holds a copy of the body (the primal part) followed by the nodes of its gradient. What
 * depends on the scan's constants alone is computed outside the loop and enters as a parameter, so that its gradient is summed once and goes on outside.
 */
import type { GraphBuilder } from '../builder.js';
import { dependents } from '../cotangents.js';
import { isFloat } from '../dtype.js';
import type { Graph, Node, Value } from '../graph.js';
import { inlineValues, joinOrigin } from '../inline.js';
import type { GradientContext } from '../op.js';

/** A value of the body that every step shares: as the body knows it, as an input of the joint graph, and outside the scan. */
interface Parameter {
  readonly inner: Value;
  readonly outer: Value;
  readonly wanted: boolean;
}

export interface Joint {
  readonly b: GraphBuilder;
  /** Inputs: what the forward step gets, then the cotangents that flow in. */
  readonly carries: readonly Value[];
  readonly xs: readonly Value[];
  readonly parameters: readonly { readonly input: Value; readonly outer: Value }[];
  /** Cotangent of a carry after the step, for the carries in `live`. */
  readonly live: readonly number[];
  readonly dCarries: readonly Value[];
  /** Cotangents of stacked outputs, null where nothing flows. */
  readonly dys: readonly (Value | null)[];
  /** Copies of the body's nodes. */
  readonly primal: ReadonlyMap<Node, Node>;
  /** Contributions to the cotangents of the live carries before the step, of the sequences' slices and of the parameters. */
  readonly toCarries: readonly (readonly Value[])[];
  readonly toXs: readonly (readonly Value[])[];
  readonly toParameters: readonly (readonly Value[])[];
}

export type Dependence = 'nothing' | 'constants' | 'step';

/** The dependence of a node's results. */
export const joinDependence = (all: readonly Dependence[]): Dependence => (all.includes('step') ? 'step' : all.includes('constants') ? 'constants' : 'nothing');

/** What each value of a step's graph depends on, given that of its inputs. Results of nodes that `stays` picks count as the step's own. */
export function dependenceOf(
  nodes: readonly Node[],
  inputs: Iterable<readonly [Value, Dependence]>,
  stays: (n: Node) => boolean = () => false,
): Map<Value, Dependence> {
  const found = new Map<Value, Dependence>(inputs);
  for (const n of nodes) {
    const d = stays(n) ? 'step' : joinDependence(n.inputs.map((v) => found.get(v)!));
    for (const o of n.outputs) found.set(o, d);
  }
  return found;
}

export interface Setup {
  readonly parameters: readonly Parameter[];
  /** Nodes outside the scan that compute parameters from the scan's constants. */
  readonly hoisted: readonly Node[];
  readonly dependence: ReadonlyMap<Value, Dependence>;
  /** Carries that depend on a wanted input. */
  readonly wantedCarries: readonly number[];
}

export function setUp({ b, node, wanted }: GradientContext<'scan'>): Setup {
  const { body, carries, xs } = node.attrs;
  const steps = carries + xs;
  // A broadcast only repeats: outside it would make a small parameter (a bias) and the sum of its cotangents large.
  const dependence = dependenceOf(
    body.nodes,
    body.inputs.map((p, i) => [p.value, i < steps ? 'step' : 'constants']),
    (n) => n.op === 'broadcast',
  );
  const used = [...body.nodes.filter((n) => n.outputs.some((o) => dependence.get(o) === 'step')).flatMap((n) => n.inputs), ...body.outputs.map((o) => o.value)];
  const shared = [...new Set(used)].filter((v) => dependence.get(v) === 'constants');
  const start = b.nodes.length;
  const outer = inlineValues(b, body, node.inputs, shared);
  const hoisted = b.nodes.slice(start);
  const wantedConstants = node.inputs.filter((v, i) => i >= steps && wanted[i] && isFloat(v.dtype));
  const reached = dependents(hoisted, wantedConstants);
  const parameters = shared.map((inner, i): Parameter => ({ inner, outer: outer[i]!, wanted: isFloat(inner.dtype) && reached.has(outer[i]!) }));
  return { parameters, hoisted, dependence, wantedCarries: reachedCarries(body, carries, steps, wanted, parameters) };
}

/** Carries that depend on something wanted, through any number of steps. */
function reachedCarries(body: Graph, carries: number, steps: number, wanted: readonly boolean[], parameters: readonly Parameter[]): number[] {
  const start = body.inputs.slice(0, steps).map((p, i) => wanted[i]! && isFloat(p.value.dtype));
  for (;;) {
    const sources = [...body.inputs.flatMap((p, i) => (start[i] ? [p.value] : [])), ...parameters.flatMap((p) => (p.wanted ? [p.inner] : []))];
    const reached = dependents(body.nodes, sources);
    const added = body.outputs.slice(0, carries).flatMap((o, i) => (reached.has(o.value) && !start[i] ? [i] : []));
    if (added.length === 0) return Array.from({ length: carries }, (_, i) => i).filter((i) => start[i]);
    for (const i of added) start[i] = true;
  }
}

/** The joint graph. Cotangents are found to flow into more carries by differentiating: repeated until no new one appears. */
export function buildJoint(ctx: GradientContext<'scan'>, setup: Setup): Joint {
  const { carries } = ctx.node.attrs;
  let live = setup.wantedCarries.filter((i) => ctx.grads[i]);
  for (;;) {
    const { joint, flowing } = differentiateStep(ctx, setup, live);
    const more = flowing.filter((i) => !live.includes(i));
    if (more.length === 0) return joint;
    live = [...live, ...more].filter((i) => i < carries).sort((x, y) => x - y);
  }
}

function differentiateStep(
  { b: outer, node, grads, wanted, pullback }: GradientContext<'scan'>,
  setup: Setup,
  live: readonly number[],
): { joint: Joint; flowing: number[] } {
  const { body, carries: n, xs: m } = node.attrs;
  const b = outer.child(`${body.name}_gradient`);
  let names = 0;
  const input = (v: Value): Value => b.input(`v${names++}`, v.dtype, v.shape);
  const values = new Map<Value, Value>();
  const inputs = body.inputs.slice(0, n + m).map((p) => input(p.value));
  inputs.forEach((v, i) => values.set(body.inputs[i]!.value, v));
  const parameters = setup.parameters.map((p) => ({ input: input(p.inner), outer: p.outer }));
  setup.parameters.forEach((p, i) => values.set(p.inner, parameters[i]!.input));
  const primal = new Map<Node, Node>();
  for (const old of body.nodes) {
    if (setup.dependence.get(old.outputs[0]!) === 'constants') continue;
    const made = b.withExactOrigin(joinOrigin(node.origin, old.origin), () =>
      b.emitAll(
        old.op,
        old.inputs.map((v) => values.get(v)!),
        old.attrs,
      ),
    );
    old.outputs.forEach((o, i) => values.set(o, made[i]!));
    primal.set(old, made[0]!.producer!);
  }
  const results = body.outputs.map((o) => values.get(o.value)!);
  const dCarries = live.map((i) => input(results[i]!));
  const dys = results.slice(n).map((y, j) => (grads[n + j] ? input(y) : null));
  const seeds = [
    ...live.map((i, k) => ({ value: results[i]!, cotangent: dCarries[k]! })),
    ...dys.flatMap((d, j) => (d ? [{ value: results[n + j]!, cotangent: d }] : [])),
  ];
  const xsWanted = Array.from({ length: m }, (_, j) => n + j).filter((i) => wanted[i] && isFloat(inputs[i]!.dtype));
  const parametersWanted = setup.parameters.flatMap((p, i) => (p.wanted ? [i] : []));
  const targets = [...setup.wantedCarries.map((i) => inputs[i]!), ...xsWanted.map((i) => inputs[i]!), ...parametersWanted.map((i) => parameters[i]!.input)];
  const found = new Map(pullback(b, [...primal.values()], seeds, targets).map((list, i) => [targets[i]!, list]));
  const to = (v: Value): readonly Value[] => found.get(v) ?? [];
  const joint: Joint = {
    b,
    carries: inputs.slice(0, n),
    xs: inputs.slice(n),
    parameters,
    live,
    dCarries,
    dys,
    primal,
    toCarries: live.map((i) => to(inputs[i]!)),
    toXs: inputs.slice(n).map(to),
    toParameters: parameters.map((p) => to(p.input)),
  };
  return { joint, flowing: setup.wantedCarries.filter((i) => to(inputs[i]!).length > 0) };
}
