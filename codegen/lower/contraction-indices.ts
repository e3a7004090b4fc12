/** How the operands of a dot or convolution are indexed. */
import type { Dim } from '../../ir/dim.js';
import { InternalError } from '../../ir/errors.js';
import type { Node } from '../../ir/graph.js';
import { add, and, div, type Expr, i32, mul, sub, truth } from '../kernel/expr.js';
import { guarded } from './element-windows.js';

/** How a contraction's operands are indexed from its output index and the contracted index. */
export interface ContractionIndices {
  /** Sizes of the contracted axes, in loop order. */
  readonly reduce: readonly Dim[];
  readonly at: (output: readonly Expr[], k: readonly Expr[]) => { left: Expr[]; right: Expr[]; inside: Expr };
}

export function contractionIndices(n: Node, em: { dim: (d: Dim) => Expr }): ContractionIndices {
  if (n.op === 'dot') {
    const { batchLeft, batchRight, contractLeft, contractRight } = n.attrs;
    const [l, r] = [n.inputs[0]!.shape, n.inputs[1]!.shape];
    const freeLeft = l.map((_, i) => i).filter((i) => !batchLeft.includes(i) && !contractLeft.includes(i));
    const freeRight = r.map((_, i) => i).filter((i) => !batchRight.includes(i) && !contractRight.includes(i));
    return {
      reduce: contractLeft.map((a) => l[a]!),
      at: (o, k) => {
        const left = new Array<Expr>(l.length);
        const right = new Array<Expr>(r.length);
        batchLeft.forEach((a, i) => {
          left[a] = o[i]!;
        });
        batchRight.forEach((a, i) => {
          right[a] = o[i]!;
        });
        freeLeft.forEach((a, i) => {
          left[a] = o[batchLeft.length + i]!;
        });
        freeRight.forEach((a, i) => {
          right[a] = o[batchLeft.length + freeLeft.length + i]!;
        });
        contractLeft.forEach((a, i) => {
          left[a] = k[i]!;
        });
        contractRight.forEach((a, i) => {
          right[a] = k[i]!;
        });
        return { left, right, inside: truth(true) };
      },
    };
  }
  if (n.op !== 'conv') throw new InternalError(`${n.op} is no contraction`);
  const { strides, padding, inputDilation, kernelDilation, groups, batchGroups, dims } = n.attrs;
  const [x, w] = [n.inputs[0]!, n.inputs[1]!];
  const perGroup = w.shape[dims.kernel.input]!;
  const outFeatures = w.shape[dims.kernel.output] as number;
  const outBatch = n.outputs[0]!.shape[dims.output.batch]!;
  return {
    reduce: [...dims.kernel.spatial.map((a) => w.shape[a]!), perGroup],
    at: (o, k) => {
      const left = new Array<Expr>(x.shape.length);
      const right = new Array<Expr>(w.shape.length);
      const feature = o[dims.output.feature]!;
      const channel = k.at(-1)!;
      let inside: Expr = truth(true);
      dims.input.spatial.forEach((a, i) => {
        const position = sub(add(mul(o[dims.output.spatial[i]!]!, i32(strides[i]!)), mul(k[i]!, i32(kernelDilation[i]!))), i32(padding[i]![0]));
        const r = guarded(em, position, x.shape[a]!, inputDilation[i]!);
        inside = and(inside, r.inside);
        left[a] = r.index;
        right[dims.kernel.spatial[i]!] = k[i]!;
      });
      left[dims.input.feature] = groups === 1 ? channel : add(mul(div(feature, i32(outFeatures / groups)), em.dim(perGroup)), channel);
      // batch groups: output feature g*F/G + f reads batch rows g*N + n
      left[dims.input.batch] =
        batchGroups === 1 ? o[dims.output.batch]! : add(mul(div(feature, i32(outFeatures / batchGroups)), em.dim(outBatch)), o[dims.output.batch]!);
      right[dims.kernel.input] = channel;
      right[dims.kernel.output] = feature;
      return { left, right, inside };
    },
  };
}
