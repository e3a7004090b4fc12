/**
 * Memory layout: every convolution writes channels last and reads kernels as spatial axes, input, output channels (HWIO), which is what the kernels of both targets want: rows of
 * channels are contiguous. Values are dense and row-major in their logical shape, so a layout is a transpose in the graph.
 *
 * Method. A convolution with other dimension numbers gets transposes around it. Then rules push transposes down through ops that treat each axis on its own (elementwise, reduce,
 * windows, pad, slice, concat), where all operands agree or can be turned for nothing (broadcasts, numbers). They meet the next convolution's transpose and cancel: a
 * network written channels first keeps transposes at its borders only. Kernels of frozen state are turned once at load (prepare.ts). Gradients of kernels, whose batch and
 * channels have exchanged roles, already write their channels last and stay.
 */
import type { Graph, NodeOf, Value } from '../ir/graph.js';
import type { ConvDims, OpName } from '../ir/op-attrs.js';
import { mapSubgraphs, type Rebuilder, rebuild } from '../ir/transform.js';
import { splatValue } from './fold-constants.js';
import { inverse, isAxiswise, type Perm, permuted, throughTranspose } from './permute.js';
import { op, type Rule, type RuleContext, RuleSet, rewrite, rule } from './rewrite.js';
import { simplifyRules } from './simplify.js';

const count = (n: number): number[] => Array.from({ length: n }, (_, i) => i);

/** Dimension numbers of channels-last data with HWIO kernels, as transposes from what a convolution has. */
function channelsLast(d: ConvDims): { dims: ConvDims; input: Perm; kernel: Perm; output: Perm } {
  const n = d.input.spatial.length;
  const spatial = count(n);
  const data = { batch: 0, feature: n + 1, spatial: spatial.map((i) => i + 1) };
  return {
    dims: { input: data, kernel: { spatial, input: n, output: n + 1 }, output: data },
    input: [d.input.batch, ...d.input.spatial, d.input.feature],
    kernel: [...d.kernel.spatial, d.kernel.input, d.kernel.output],
    output: inverse([d.output.batch, ...d.output.spatial, d.output.feature]),
  };
}

function turnConv(n: NodeOf<'conv'>, r: Rebuilder): void {
  const { b } = r;
  const to = channelsLast(n.attrs.dims);
  const [x, k] = r.all(n.inputs) as [Value, Value];
  const y = b.emit('conv', [b.transpose(x, to.input), b.transpose(k, to.kernel)], { ...n.attrs, dims: to.dims });
  r.set(n.outputs[0]!, b.transpose(y, to.output));
}

const isTurned = (v: Value): boolean => v.producer?.op === 'transpose';
const permOf = (v: Value): Perm | null => (v.producer?.op === 'transpose' ? v.producer.attrs.perm : null);
/** A transpose of it costs nothing: it moves into the broadcast. */
const turnsFreely = (v: Value): boolean => v.producer?.op === 'broadcast' || v.producer?.op === 'iota' || splatValue(v) !== null;

/** The operands before their common transpose, or null. */
function turnBack(inputs: readonly Value[], b: RuleContext['b']): { perm: Perm; inputs: Value[] } | null {
  const perm = inputs.map(permOf).find((p) => p !== null);
  if (!perm) return null;
  const agree = inputs.every((v) => (isTurned(v) ? permOf(v)!.join() === perm.join() : turnsFreely(v)));
  return agree ? { perm, inputs: inputs.map((v) => (isTurned(v) ? v.producer!.inputs[0]! : b.transpose(v, inverse(perm)))) } : null;
}

const axiswise = ['unary', 'cast', 'slice', 'pad', 'reverse', 'cumulative', 'reduce_window', 'arg_reduce'] as const satisfies readonly OpName[];
const together = ['binary', 'compare', 'select'] as const satisfies readonly OpName[];

/** Push transposes towards the results. */
export const layoutRules: readonly Rule[] = [
  ...axiswise.map((name) =>
    rule(`${name}-of-transpose`, op(name, 'n', op('transpose', 't')), null, ({ t }, { node, b }) => {
      if (!isAxiswise(node)) return null;
      const { attrs, perm } = throughTranspose(node, t.attrs.perm);
      return b.transpose(b.emit(node.op, [t.inputs[0]!], attrs), perm);
    }),
  ),
  ...together.map((name) =>
    rule(`${name}-of-transposes`, op(name, 'n'), null, (_, { node, b }) => {
      const turned = turnBack(node.inputs, b);
      return turned && b.transpose(b.emit(node.op, turned.inputs, node.attrs), turned.perm);
    }),
  ),
  rule('concat-of-transposes', op('concat', 'n'), null, ({ n }, { b }) => {
    const turned = turnBack(n.inputs, b);
    return turned && b.transpose(b.concat(turned.inputs, turned.perm[n.attrs.axis]!), turned.perm);
  }),
  rule('select-and-scatter-of-transposes', op('select_and_scatter', 'n'), null, ({ n }, { b }) => {
    const turned = turnBack(n.inputs, b);
    if (!turned) return null;
    const back = <T>(xs: readonly T[]): T[] => permuted(xs, inverse(turned.perm));
    const y = b.emit('select_and_scatter', turned.inputs, {
      fn: n.attrs.fn,
      window: back(n.attrs.window),
      strides: back(n.attrs.strides),
      padding: back(n.attrs.padding),
    });
    return b.transpose(y, turned.perm);
  }),
];

const rules = new RuleSet([...simplifyRules.rules, ...layoutRules]);

function turn(graph: Graph): Graph {
  const wrong = graph.nodes.some((n) =>
    n.op === 'conv' ? n.attrs.dims.output.feature !== n.outputs[0]!.shape.length - 1 : n.op === 'scan' || n.op === 'while',
  );
  if (!wrong) return graph;
  return rebuild(graph, (n, r) => {
    if (n.op === 'conv' && n.attrs.dims.output.feature !== n.outputs[0]!.shape.length - 1) {
      r.at(n, () => turnConv(n, r));
      return true;
    }
    const attrs = mapSubgraphs(n, turn);
    if (attrs) r.copy(n, attrs);
    return attrs !== null;
  });
}

/** Needs simplified graphs, leaves them `laid-out`. */
export const layout = (graph: Graph): Graph => rewrite(turn(graph), rules);
