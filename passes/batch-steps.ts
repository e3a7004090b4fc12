/** One node of a scan's body for all steps at once: the same op with a leading step axis. What hoist-scan.ts moves out of loops, it moves by these rules. */
import type { GraphBuilder } from '../ir/builder.js';
import { type Dim, isStatic, mulDim, type Shape } from '../ir/dim.js';
import { InternalError } from '../ir/errors.js';
import type { Node, NodeOf, Value } from '../ir/graph.js';
import { freeAxes } from '../ir/ops/dot.js';

/** An operand for all steps: with a leading step axis, or the same in each step. */
export interface Stacked {
  readonly value: Value;
  readonly perStep: boolean;
}

const count = (n: number): number[] => Array.from({ length: n }, (_, i) => i);
const up = (axes: readonly number[]): number[] => axes.map((a) => a + 1);

/** Whether batchNode can do the node. `perStep[i]`: input i differs from step to step; at least one does. */
export function canBatch(n: Node, perStep: readonly boolean[], length: Dim): boolean {
  switch (n.op) {
    case 'unary':
    case 'binary':
    case 'compare':
    case 'select':
    case 'cast':
    case 'bitcast':
    case 'broadcast':
    case 'reshape':
    case 'transpose':
    case 'slice':
    case 'pad':
    case 'reverse':
    case 'concat':
    case 'reduce':
    case 'arg_reduce':
    case 'cumulative':
    case 'reduce_window':
    case 'dot':
      return true;
    case 'gather':
      return !(perStep[0] && perStep[1]);
    case 'conv': {
      const { dims, batchGroups } = n.attrs;
      const affine = isStatic(length) || isStatic(n.inputs[0]!.shape[0]!);
      return !perStep[1] && batchGroups === 1 && dims.input.batch === 0 && dims.output.batch === 0 && affine;
    }
    default:
      return false;
  }
}

/** Moves an axis to the front. */
const toFront = (b: GraphBuilder, x: Value, axis: number): Value => b.transpose(x, [axis, ...count(x.shape.length).filter((a) => a !== axis)]);

/** The node's result for all steps, with a leading step axis. Needs canBatch. */
export function batchNode(b: GraphBuilder, n: Node, inputs: readonly Stacked[], length: Dim): Value {
  const [first] = inputs;
  const x = first!.value;
  const stackedShape = (s: Shape): Shape => [length, ...s];
  const spread = (s: Stacked): Value => (s.perStep ? s.value : b.broadcast(s.value, stackedShape(s.value.shape), up(count(s.value.shape.length))));
  switch (n.op) {
    case 'unary':
    case 'binary':
    case 'compare':
    case 'select':
    case 'cast':
    case 'bitcast':
      return b.emit(n.op, inputs.map(spread), n.attrs);
    case 'broadcast':
      return b.broadcast(x, stackedShape(n.attrs.shape), [0, ...up(n.attrs.axes)]);
    case 'reshape':
      return b.reshape(x, stackedShape(n.attrs.shape));
    case 'transpose':
      return b.transpose(x, [0, ...up(n.attrs.perm)]);
    case 'slice':
      return b.slice(x, [0, ...n.attrs.start], [length, ...n.attrs.limit], [1, ...n.attrs.stride]);
    case 'pad':
      return b.pad(x, [0, ...n.attrs.low], [0, ...n.attrs.high], n.attrs.value, [0, ...n.attrs.interior]);
    case 'reverse':
      return b.reverse(x, up(n.attrs.axes));
    case 'concat':
      return b.concat(inputs.map(spread), n.attrs.axis + 1);
    case 'reduce':
      return b.reduce(n.attrs.fn, x, up(n.attrs.axes));
    case 'arg_reduce':
    case 'cumulative':
      return b.emit(n.op, [x], { ...n.attrs, axis: n.attrs.axis + 1 });
    case 'reduce_window':
      return b.emit('reduce_window', [x], {
        fn: n.attrs.fn,
        window: [1, ...n.attrs.window],
        strides: [1, ...n.attrs.strides],
        padding: [[0, 0], ...n.attrs.padding],
        baseDilation: [1, ...n.attrs.baseDilation],
        windowDilation: [1, ...n.attrs.windowDilation],
      });
    case 'gather':
      if (inputs[1]!.perStep) {
        const y = b.gather(x, inputs[1]!.value, n.attrs.axis);
        return toFront(b, y, n.attrs.axis);
      }
      return b.gather(x, inputs[1]!.value, n.attrs.axis + 1);
    case 'dot':
      return batchDot(b, n, inputs[0]!, inputs[1]!);
    case 'conv': {
      const shape = n.outputs[0]!.shape;
      const merged = b.reshape(x, [mulDim(length, x.shape[1]!), ...x.shape.slice(2)]);
      return b.reshape(b.emit('conv', [merged, inputs[1]!.value], n.attrs), stackedShape(shape));
    }
    default:
      throw new InternalError(`no rule for ${n.op} over all steps`);
  }
}

function batchDot(b: GraphBuilder, n: NodeOf<'dot'>, left: Stacked, right: Stacked): Value {
  const a = n.attrs;
  const shift = (s: Stacked, axes: readonly number[]): number[] => (s.perStep ? up(axes) : [...axes]);
  const attrs = {
    batchLeft: shift(left, a.batchLeft),
    batchRight: shift(right, a.batchRight),
    contractLeft: shift(left, a.contractLeft),
    contractRight: shift(right, a.contractRight),
  };
  if (left.perStep && right.perStep)
    return b.dot(left.value, right.value, { ...attrs, batchLeft: [0, ...attrs.batchLeft], batchRight: [0, ...attrs.batchRight] });
  const y = b.dot(left.value, right.value, attrs);
  const before = a.batchLeft.length + (left.perStep ? 0 : freeAxes(left.value.shape.length, attrs.batchLeft, attrs.contractLeft).length);
  return toFront(b, y, before);
}

/** The sum over all steps of a dot whose operands both differ from step to step: the step is one more contracted axis. */
export function dotOverSteps(b: GraphBuilder, n: NodeOf<'dot'>, left: Value, right: Value): Value {
  const a = n.attrs;
  return b.dot(left, right, {
    batchLeft: up(a.batchLeft),
    batchRight: up(a.batchRight),
    contractLeft: [0, ...up(a.contractLeft)],
    contractRight: [0, ...up(a.contractRight)],
  });
}
