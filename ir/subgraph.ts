/** Conveniences that build ops with sub-graphs: the body is written as a function of symbolic values. */
import type { AttrValue } from './attr-text.js';
import type { GraphBuilder } from './builder.js';
import type { Dim } from './dim.js';
import type { Graph, TensorType, Value } from './graph.js';

/** A graph with inputs of the given types, named `name0`, `name1`, … by the groups' names, and outputs `out0`, `out1`, … */
export function subgraph(
  b: GraphBuilder,
  name: string,
  groups: Readonly<Record<string, readonly TensorType[]>>,
  build: (sub: GraphBuilder, inputs: Record<string, Value[]>) => readonly Value[],
): Graph {
  const sub = b.child(name);
  const inputs = Object.fromEntries(Object.entries(groups).map(([group, types]) => [group, types.map((t, i) => sub.input(`${group}${i}`, t.dtype, t.shape))]));
  for (const [i, v] of build(sub, inputs).entries()) sub.output(`out${i}`, v);
  return sub.build();
}

export interface ScanOptions {
  readonly name?: string;
  /** Initial carried values. */
  readonly carries: readonly Value[];
  /** Sequences: axis 0 is the step. */
  readonly xs: readonly Value[];
  /** Values that every step sees. */
  readonly constants?: readonly Value[];
  /** Defaults to the length of the first sequence. */
  readonly length?: Dim;
  /** Runs from the last step to the first; outputs stay at their step. */
  readonly reverse?: boolean;
}

/** A scan whose body gives new carries and this step's outputs. Result: final carries, and outputs stacked on axis 0. */
export function scan(
  b: GraphBuilder,
  options: ScanOptions,
  step: (
    sub: GraphBuilder,
    carries: readonly Value[],
    xs: readonly Value[],
    constants: readonly Value[],
  ) => { readonly carries: readonly Value[]; readonly ys: readonly Value[] },
): { carries: Value[]; ys: Value[] } {
  const { carries, xs, constants = [] } = options;
  const body = subgraph(
    b,
    options.name ?? 'step',
    { carry: carries, x: xs.map((x) => ({ dtype: x.dtype, shape: x.shape.slice(1) })), const: constants },
    (sub, v) => {
      const r = step(sub, v.carry!, v.x!, v.const!);
      return [...r.carries, ...r.ys];
    },
  );
  const length = options.length ?? xs[0]?.shape[0] ?? 0;
  const out = b.emitAll('scan', [...carries, ...xs, ...constants], { body, carries: carries.length, xs: xs.length, length, reverse: options.reverse ?? false });
  return { carries: out.slice(0, carries.length), ys: out.slice(carries.length) };
}

/** A composite with the given body; autodiff uses the rule registered for its name (ir/composites.ts), or else differentiates the body. */
export function composite(
  b: GraphBuilder,
  name: string,
  inputs: readonly Value[],
  attributes: Readonly<Record<string, AttrValue>>,
  build: (sub: GraphBuilder, inputs: readonly Value[]) => Value,
): Value {
  const body = subgraph(b, name, { x: inputs }, (sub, v) => [build(sub, v.x!)]);
  return b.emit('composite', inputs, { name, attributes, body });
}
