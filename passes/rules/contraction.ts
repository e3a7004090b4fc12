/** Rules for dot, conv and windows: transposes and padding become dimension numbers and padding attributes, which cost nothing. */
import type { NodeOf, Value } from '../../ir/graph.js';
import type { ConvDims, OpAttrs, Pair } from '../../ir/op-attrs.js';
import { freeAxes } from '../../ir/ops/dot.js';
import { inverse, type Perm } from '../permute.js';
import { any, op, type Rule, type RuleContext, rule } from '../rewrite.js';

/** Axes of transpose(x, perm) as axes of x, or null where the free axes would come out in another order. */
function absorbed(rank: number, perm: Perm, batch: readonly number[], contract: readonly number[]): { batch: number[]; contract: number[] } | null {
  const free = freeAxes(rank, batch, contract).map((a) => perm[a]!);
  if (free.some((a, i) => i > 0 && free[i - 1]! > a)) return null;
  return { batch: batch.map((a) => perm[a]!), contract: contract.map((a) => perm[a]!) };
}

function dotOfTranspose(n: NodeOf<'dot'>, side: 'left' | 'right', t: NodeOf<'transpose'>, { b }: RuleContext): Value | null {
  const a = n.attrs;
  const rank = t.attrs.perm.length;
  const x = t.inputs[0]!;
  if (side === 'left') {
    const to = absorbed(rank, t.attrs.perm, a.batchLeft, a.contractLeft);
    return to && b.dot(x, n.inputs[1]!, { ...a, batchLeft: to.batch, contractLeft: to.contract });
  }
  const to = absorbed(rank, t.attrs.perm, a.batchRight, a.contractRight);
  return to && b.dot(n.inputs[0]!, x, { ...a, batchRight: to.batch, contractRight: to.contract });
}

/** transpose(dot(x, y)) that exchanges the free axes of the operands is dot(y, x). */
function transposeOfDot(n: NodeOf<'transpose'>, d: NodeOf<'dot'>, { b }: RuleContext): Value | null {
  const [x, y] = d.inputs as [Value, Value];
  const a = d.attrs;
  const batch = a.batchLeft.length;
  const left = freeAxes(x.shape.length, a.batchLeft, a.contractLeft).length;
  const right = freeAxes(y.shape.length, a.batchRight, a.contractRight).length;
  if (left === 0 || right === 0) return null;
  const swap = [
    ...Array.from({ length: batch }, (_, i) => i),
    ...Array.from({ length: right }, (_, i) => batch + left + i),
    ...Array.from({ length: left }, (_, i) => batch + i),
  ];
  if (!swap.every((p, i) => n.attrs.perm[i] === p)) return null;
  return b.dot(y, x, { batchLeft: a.batchRight, batchRight: a.batchLeft, contractLeft: a.contractRight, contractRight: a.contractLeft });
}

type DataDims = ConvDims['input'];
const moveData = (d: DataDims, to: Perm): DataDims => ({ batch: to[d.batch]!, feature: to[d.feature]!, spatial: d.spatial.map((a) => to[a]!) });
/** Reads of whole rows of channels (or of examples, in gradients of kernels) stay contiguous. */
const contiguous = (d: DataDims): boolean => Math.max(d.batch, d.feature) === d.spatial.length + 1;

function convOfTranspose(n: NodeOf<'conv'>, t: NodeOf<'transpose'>, { b }: RuleContext): Value | null {
  const input = moveData(n.attrs.dims.input, t.attrs.perm);
  if (!contiguous(input)) return null;
  return b.emit('conv', [t.inputs[0]!, n.inputs[1]!], { ...n.attrs, dims: { ...n.attrs.dims, input } });
}

function convOfKernelTranspose(n: NodeOf<'conv'>, t: NodeOf<'transpose'>, { b }: RuleContext): Value | null {
  const k = n.attrs.dims.kernel;
  const p = t.attrs.perm;
  const kernel = { input: p[k.input]!, output: p[k.output]!, spatial: k.spatial.map((a) => p[a]!) };
  if (Math.max(kernel.input, kernel.output) !== p.length - 1) return null;
  return b.emit('conv', [n.inputs[0]!, t.inputs[0]!], { ...n.attrs, dims: { ...n.attrs.dims, kernel } });
}

function transposeOfConv(n: NodeOf<'transpose'>, c: NodeOf<'conv'>, { b }: RuleContext): Value | null {
  const output = moveData(c.attrs.dims.output, inverse(n.attrs.perm));
  if (output.feature !== n.attrs.perm.length - 1) return null;
  return b.emit('conv', c.inputs, { ...c.attrs, dims: { ...c.attrs.dims, output } });
}

/** Zeros around (or between) the spatial axes become the convolution's own padding (or dilation). */
function convOfPad(n: NodeOf<'conv'>, p: NodeOf<'pad'>, { b }: RuleContext): Value | null {
  const { batch, feature, spatial } = n.attrs.dims.input;
  const { low, high, interior, value } = p.attrs;
  if (value !== 0 || [batch, feature].some((a) => low[a] !== 0 || high[a] !== 0 || interior[a] !== 0)) return null;
  const padding: Pair[] = [];
  const inputDilation: number[] = [];
  for (const [i, a] of spatial.entries()) {
    const dilation = n.attrs.inputDilation[i]!;
    if (dilation > 1 && interior[a]! > 0) return null;
    const [lo, hi] = n.attrs.padding[i]!;
    padding.push([lo + low[a]! * dilation, hi + high[a]! * dilation]);
    inputDilation.push(dilation * (interior[a]! + 1));
  }
  return b.emit('conv', [p.inputs[0]!, n.inputs[1]!], { ...n.attrs, padding, inputDilation });
}

const identities: Record<OpAttrs['reduce_window']['fn'], number> = { sum: 0, prod: 1, max: -Infinity, min: Infinity };

export const contractionRules: readonly Rule[] = [
  rule('dot-of-left-transpose', op('dot', 'n', op('transpose', 't'), any('y')), null, ({ n, t }, ctx) => dotOfTranspose(n, 'left', t, ctx)),
  rule('dot-of-right-transpose', op('dot', 'n', any('x'), op('transpose', 't')), null, ({ n, t }, ctx) => dotOfTranspose(n, 'right', t, ctx)),
  rule(
    'transpose-of-dot',
    op('transpose', 'n', op('dot', 'd')),
    (_, { node, uses }) => uses(node.inputs[0]!) === 1,
    ({ n, d }, ctx) => transposeOfDot(n, d, ctx),
  ),
  rule('conv-of-transpose', op('conv', 'n', op('transpose', 't'), any('k')), null, ({ n, t }, ctx) => convOfTranspose(n, t, ctx)),
  rule('conv-of-kernel-transpose', op('conv', 'n', any('x'), op('transpose', 't')), null, ({ n, t }, ctx) => convOfKernelTranspose(n, t, ctx)),
  rule(
    'transpose-of-conv',
    op('transpose', 'n', op('conv', 'c')),
    (_, { node, uses }) => uses(node.inputs[0]!) === 1,
    ({ n, c }, ctx) => transposeOfConv(n, c, ctx),
  ),
  rule('conv-of-pad', op('conv', 'n', op('pad', 'p'), any('k')), null, ({ n, p }, ctx) => convOfPad(n, p, ctx)),
  rule(
    'window-of-pad',
    op('reduce_window', 'n', op('pad', 'p', any('x'))),
    ({ n, p }) => p.attrs.value === identities[n.attrs.fn] && p.attrs.interior.every((i) => i === 0) && n.attrs.baseDilation.every((d) => d === 1),
    ({ n, p, x }, { b }) =>
      b.emit('reduce_window', [x], { ...n.attrs, padding: n.attrs.padding.map(([lo, hi], i): Pair => [lo + p.attrs.low[i]!, hi + p.attrs.high[i]!]) }),
  ),
];
