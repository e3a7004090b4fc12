/**
 * Gradient rules of composites, by name: closed forms that are more stable or cheaper than differentiating the body. A composite without a rule is
 * differentiated through its body. The composites themselves are built in ir/math.ts and by frontends.
 */
import type { GraphBuilder } from './builder.js';
import { ValueError } from './errors.js';
import type { Value } from './graph.js';
import type { GradientContext } from './op.js';

export type CompositeGradient = (ctx: GradientContext<'composite'>) => readonly (Value | null)[];

/** The attribute `axis` of a composite over one axis (non-negative). */
function axisOf({ node }: GradientContext<'composite'>): number {
  const { axis } = node.attrs.attributes;
  if (typeof axis !== 'number' || axis < 0)
    throw new ValueError(`composite ${node.attrs.name}: its gradient wants the attribute 'axis', a non-negative number; found ${axis}`);
  return axis;
}

/** Softmax in primitives: the same nodes as in the bodies of ir/math.ts, so that common subexpressions meet. */
export function softmaxParts(b: GraphBuilder, x: Value, axis: number): { shifted: Value; exponentials: Value; total: Value } {
  const shifted = b.sub(x, b.reduce('max', x, [axis], true));
  const exponentials = b.exp(shifted);
  return { shifted, exponentials, total: b.sum(exponentials, [axis], true) };
}

const keepAxis = (b: GraphBuilder, v: Value, axis: number): Value => b.expandDims(v, axis);

function softmaxOf(b: GraphBuilder, x: Value, axis: number): Value {
  const { exponentials, total } = softmaxParts(b, x, axis);
  return b.div(exponentials, total);
}

function logSoftmaxOf(b: GraphBuilder, x: Value, axis: number): Value {
  const { shifted, total } = softmaxParts(b, x, axis);
  return b.sub(shifted, b.log(total));
}

export const compositeGradients: Record<string, CompositeGradient> = {
  softmax: (ctx) => {
    const { b, node, grads } = ctx;
    const [y, g, axis] = [node.outputs[0]!, grads[0]!, axisOf(ctx)];
    return [b.mul(y, b.sub(g, b.sum(b.mul(g, y), [axis], true)))];
  },
  log_softmax: (ctx) => {
    const { b, node, grads } = ctx;
    const [y, g, axis] = [node.outputs[0]!, grads[0]!, axisOf(ctx)];
    return [b.sub(g, b.mul(b.exp(y), b.sum(g, [axis], true)))];
  },
  logsumexp: (ctx) => {
    const { b, node, grads } = ctx;
    const axis = axisOf(ctx);
    return [b.mul(keepAxis(b, grads[0]!, axis), softmaxOf(b, node.inputs[0]!, axis))];
  },
  /** Inputs: logits, labels (probabilities along the axis). */
  softmax_cross_entropy: (ctx) => {
    const { b, node, grads, wanted } = ctx;
    const [logits, labels] = node.inputs as [Value, Value];
    const axis = axisOf(ctx);
    const g = keepAxis(b, grads[0]!, axis);
    return [wanted[0] ? b.mul(g, b.sub(softmaxOf(b, logits, axis), labels)) : null, wanted[1] ? b.neg(b.mul(g, logSoftmaxOf(b, logits, axis))) : null];
  },
  /** Inputs: logits, int32 classes. */
  sparse_softmax_cross_entropy: (ctx) => {
    const { b, node, grads } = ctx;
    const [logits, classes] = node.inputs as [Value, Value];
    const axis = axisOf(ctx);
    const hit = b.compare('eq', b.iota(logits.shape, axis), keepAxis(b, classes, axis));
    const p = softmaxOf(b, logits, axis);
    return [b.mul(keepAxis(b, grads[0]!, axis), b.select(hit, b.sub(p, 1), p)), null];
  },
  /** Inputs: logits, labels. */
  sigmoid_cross_entropy: ({ b, node, grads, wanted }) => {
    const [logits, labels] = node.inputs as [Value, Value];
    const g = grads[0]!;
    return [wanted[0] ? b.mul(g, b.sub(b.sigmoid(logits), labels)) : null, wanted[1] ? b.neg(b.mul(g, logits)) : null];
  },
  relu6: ({ b, node, grads }) => {
    const y = node.outputs[0]!;
    return [b.select(b.and(b.compare('gt', y, 0), b.compare('lt', y, 6)), grads[0]!, 0)];
  },
  stop_gradient: ({ node }) => node.inputs.map(() => null),
};
