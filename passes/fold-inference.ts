/**
 * Folds what follows a convolution or dot and is the same in every run into its weights. In inference, batch norm is such a scale and shift for each output channel:
 *
 *     (conv(x, W) + b) * s + t    =    conv(x, W*s) + (b*s + t)
 *
 * Method: one sweep. The result of a convolution or dot whose weights are fixed (state that the graph does not update, constants) is kept as `scale * conv + shift`, both for each
 * channel, as long as its only user is an add, sub, mul, div or neg with something fixed that varies along the channel axis alone. Other users get it built:
 * with the scale in the weights. W*s and b*s+t then depend on state only, and run once at load (prepare.ts). A shift alone stays as it is: it is a bias already.
 */
import type { GraphBuilder } from '../ir/builder.js';
import { equalDim, isStatic } from '../ir/dim.js';
import { isFloat } from '../ir/dtype.js';
import type { Graph, Node, NodeOf, Value } from '../ir/graph.js';
import type { BinaryFunction } from '../ir/op-attrs.js';
import { freeAxes } from '../ir/ops/dot.js';
import { Rebuilder } from '../ir/transform.js';
import { splatValue } from './fold-constants.js';
import { isOne } from './permute.js';
import { fixedValues } from './prepare.js';

type Contraction = NodeOf<'conv'> | NodeOf<'dot'>;

/** A result that is not built yet: scale * contraction + shift. Scale and shift have the shape [channels], or are scalars. */
interface Affine {
  readonly root: Contraction & Node;
  /** Output axis of the channels, and the weights' axis that it comes from. */
  readonly axis: number;
  readonly weightAxis: number;
  readonly scale: Value | null;
  readonly shift: Value | null;
  readonly nodes: readonly Node[];
}

/** Output and weight axis of the channels; null where the second operand is not a plain set of weights. */
function channelAxis(n: Contraction): { axis: number; weightAxis: number } | null {
  const [x, w] = n.inputs as [Value, Value];
  if (n.op === 'conv') return n.attrs.batchGroups === 1 ? { axis: n.attrs.dims.output.feature, weightAxis: n.attrs.dims.kernel.output } : null;
  const free = freeAxes(w.shape.length, n.attrs.batchRight, n.attrs.contractRight);
  if (free.length !== 1) return null;
  const before = n.attrs.batchLeft.length + freeAxes(x.shape.length, n.attrs.batchLeft, n.attrs.contractLeft).length;
  return { axis: before, weightAxis: free[0]! };
}

export function foldInference(graph: Graph): Graph {
  return new Folder(graph).run();
}

class Folder {
  private readonly r: Rebuilder;
  private readonly fixed: ReadonlySet<Value>;
  private readonly uses = new Map<Value, number>();
  private readonly pending = new Map<Value, Affine>();

  constructor(private readonly graph: Graph) {
    this.r = new Rebuilder(graph);
    this.fixed = fixedValues(graph);
    for (const n of graph.nodes) for (const v of n.inputs) this.uses.set(v, (this.uses.get(v) ?? 0) + 1);
    for (const p of [...graph.outputs, ...graph.updates]) this.uses.set(p.value, (this.uses.get(p.value) ?? 0) + 1);
  }

  run(): Graph {
    for (const n of this.graph.nodes) {
      const affine = this.start(n) ?? this.follow(n);
      if (affine) this.pending.set(n.outputs[0]!, affine);
      else {
        for (const v of n.inputs) this.build(v);
        this.r.copy(n);
      }
    }
    for (const p of [...this.graph.outputs, ...this.graph.updates]) this.build(p.value);
    return this.r.finish();
  }

  private start(n: Node): Affine | null {
    if ((n.op !== 'conv' && n.op !== 'dot') || !this.fixed.has(n.inputs[1]!) || this.fixed.has(n.inputs[0]!) || !isFloat(n.outputs[0]!.dtype)) return null;
    const axes = channelAxis(n);
    if (!axes) return null;
    for (const v of n.inputs) this.build(v);
    return { root: n, ...axes, scale: null, shift: null, nodes: [n] };
  }

  /** The node as one more step of a result that is not built yet. */
  private follow(n: Node): Affine | null {
    const { b } = this.r;
    if (n.op === 'unary' && n.attrs.fn === 'neg') {
      const x = this.only(n.inputs[0]!);
      return (
        x &&
        this.r.at(n, () => ({
          ...x,
          scale: x.scale ? b.neg(x.scale) : b.scalar(-1, n.outputs[0]!.dtype),
          shift: x.shift && b.neg(x.shift),
          nodes: [...x.nodes, n],
        }))
      );
    }
    if (n.op !== 'binary') return null;
    for (const side of [0, 1]) {
      const x = this.only(n.inputs[side]!);
      const c = x && this.alongChannels(n.inputs[1 - side]!, x.axis);
      const next = c && this.r.at(n, () => step(b, x, n.attrs.fn, c, side === 1));
      if (next) return { ...next, nodes: [...x.nodes, n] };
    }
    return null;
  }

  private only(v: Value): Affine | null {
    const x = this.pending.get(v);
    return x && this.uses.get(v) === 1 ? x : null;
  }

  /** A fixed value that varies along one axis only, as a vector of that axis or a scalar. */
  private alongChannels(v: Value, axis: number): Value | null {
    const { b } = this.r;
    const number = splatValue(v);
    if (number !== null) return b.scalar(number, v.dtype);
    const n = v.producer;
    if (n?.op !== 'broadcast' || !this.fixed.has(n.inputs[0]!)) return null;
    const x = n.inputs[0]!;
    const channels = n.attrs.shape[axis]!;
    const along = n.attrs.axes.indexOf(axis);
    if (!x.shape.every((d, i) => isOne(d) || (i === along && equalDim(d, channels) && isStatic(d)))) return null;
    return this.r.at(n, () => b.reshape(this.r.value(x), along >= 0 && !isOne(x.shape[along]!) ? [channels] : []));
  }

  /** Builds a result that was put off. */
  private build(v: Value): void {
    const x = this.pending.get(v);
    if (!x) return;
    this.pending.delete(v);
    const { b } = this.r;
    // a shift, or one number for all channels, costs nothing where the result is written: no second copy of the weights for that
    if (!x.scale || x.scale.shape.length === 0) {
      for (const n of x.nodes) {
        this.pending.delete(n.outputs[0]!);
        this.r.copy(n);
      }
      return;
    }
    const [input, weights] = this.r.all(x.root.inputs) as [Value, Value];
    const spread = (u: Value, like: Value, axis: number): Value => b.broadcast(u, like.shape, u.shape.length === 0 ? [] : [axis]);
    const scaled = this.r.at(x.root, () => b.mul(weights, spread(x.scale!, weights, x.weightAxis)));
    const y = this.r.at(x.root, () => b.emit(x.root.op, [input, scaled], x.root.attrs));
    this.r.set(v, x.shift ? this.r.at(x.nodes.at(-1)!, () => b.add(y, spread(x.shift!, y, x.axis))) : y);
  }
}

/** `fn` of the result and a channel vector; `swapped`: the vector is the left operand. Null where the result is not affine. */
function step(b: GraphBuilder, x: Affine, fn: BinaryFunction, c: Value, swapped: boolean): Affine | null {
  const scaleBy = (f: (v: Value) => Value): Affine => ({ ...x, scale: f(x.scale ?? b.scalar(1, c.dtype)), shift: x.shift && f(x.shift) });
  switch (fn) {
    case 'add':
      return { ...x, shift: x.shift ? b.add(x.shift, c) : c };
    case 'sub': {
      if (!swapped) return { ...x, shift: x.shift ? b.sub(x.shift, c) : b.neg(c) };
      const minus = scaleBy((v) => b.neg(v));
      return { ...minus, shift: minus.shift ? b.add(c, minus.shift) : c };
    }
    case 'mul':
      return scaleBy((v) => b.mul(v, c));
    case 'div':
      return swapped ? null : scaleBy((v) => b.div(v, c));
    default:
      return null;
  }
}
