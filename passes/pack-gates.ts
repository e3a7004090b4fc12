/**
 * Weights of recurrent products in the order in which a step reads them. One row times a matrix, step after step, is limited by reading the matrix from the second-level cache, and what follows the
 * product takes its columns by gates: the element u of each of G parts. So a panel holds a few units with all their gates: its sums stay in registers, and the matrix is one stream.
 *
 * Method. A fixed operand W[k, G * units] of a scan, which its body multiplies few rows with, is packed outside as `[panel][k][gate][unit]` (units padded to whole panels; prepare.ts does it at load).
 * The body gets the packed array, and its dot the inverse of the packing, which is index arithmetic. How many gates there are is read off the body: the dot's columns are cut in G equal parts.
 */
import { GraphBuilder } from '../ir/builder.js';
import { evalDim } from '../ir/dim.js';
import type { Graph, Node, NodeOf, Value } from '../ir/graph.js';
import { freeAxes } from '../ir/ops/dot.js';
import type { Rebuilder } from '../ir/transform.js';
import { isElementwise } from './regions.js';

/** Vectors of sums that a panel has at most: those that the registers hold. */
const sums = 8;

/** Units of a panel, a multiple of four. */
export const panelUnits = (gates: number): number => 4 * Math.max(1, Math.floor(sums / gates));

interface Packing {
  readonly gates: number;
  /** Axis of the weights that the product sums over. */
  readonly contracted: number;
}

const sizesOf = (w: Value, p: Packing): { k: number; units: number; panels: number; each: number } => {
  const units = (w.shape[1 - p.contracted] as number) / p.gates;
  const each = panelUnits(p.gates);
  return { k: w.shape[p.contracted] as number, units, panels: Math.ceil(units / each), each };
};

function pack(b: GraphBuilder, w: Value, p: Packing): Value {
  const { k, units, panels, each } = sizesOf(w, p);
  const rest = panels * each - units;
  const [cut, padded, split, perm] =
    p.contracted === 0
      ? [
          [k, p.gates, units],
          [0, 0, rest],
          [k, p.gates, panels, each],
          [2, 0, 1, 3],
        ]
      : [
          [p.gates, units, k],
          [0, rest, 0],
          [p.gates, panels, each, k],
          [1, 3, 0, 2],
        ];
  const byGate = b.reshape(w, cut);
  return b.transpose(b.reshape(rest === 0 ? byGate : b.pad(byGate, [0, 0, 0], padded), split), perm);
}

/** The weights as they were, from the packed ones. */
function unpack(b: GraphBuilder, packed: Value, w: Value, p: Packing): Value {
  const { k, units, panels, each } = sizesOf(w, p);
  const back = b.transpose(packed, p.contracted === 0 ? [1, 2, 0, 3] : [2, 0, 3, 1]);
  const flat = b.reshape(back, p.contracted === 0 ? [k, p.gates, panels * each] : [p.gates, panels * each, k]);
  return b.reshape(b.slice(flat, [0, 0, 0], p.contracted === 0 ? [k, p.gates, units] : [p.gates, units, k]), w.shape as number[]);
}

/** In how many equal parts the rest of the body cuts the columns of a product: 1 where it does something else with some of them. */
function gatesOf(product: Value, users: ReadonlyMap<Value, readonly Node[]>): number {
  const columns = product.shape.at(-1) as number;
  const last = product.shape.length - 1;
  const seen = new Set<Value>();
  const widths = new Set<number>();
  const visit = (v: Value): void => {
    if (seen.has(v)) return;
    seen.add(v);
    for (const n of users.get(v) ?? []) {
      const out = n.outputs[0]!;
      if (n.op === 'slice' && n.attrs.stride[last] === 1 && typeof out.shape[last] === 'number') {
        const width = out.shape[last];
        widths.add((n.attrs.start[last] as number) % width === 0 ? width : columns);
      } else if (isElementwise(n)) visit(out);
      else widths.add(columns);
    }
  };
  visit(product);
  const [width = columns] = widths;
  return widths.size === 1 && columns % width === 0 ? columns / width : 1;
}

/** Sets the outputs of a scan with packed operands. False where none is worth packing. `fixed`: the same in every run; `mostRows`: the most rows of a product, `least` and `most`: elements of weights. */
export function packGates(
  n: NodeOf<'scan'>,
  r: Rebuilder,
  o: {
    readonly fixed: ReadonlySet<Value>;
    readonly bindings: Readonly<Record<string, number>>;
    readonly mostRows: number;
    readonly least: number;
    readonly most: number;
  },
): boolean {
  const { body, carries, xs } = n.attrs;
  const users = new Map<Value, Node[]>();
  for (const node of body.nodes) for (const v of new Set(node.inputs)) users.set(v, [...(users.get(v) ?? []), node]);
  const packingOf = (w: Value, inside: Value): Packing | null => {
    if (!o.fixed.has(w) || w.dtype !== 'float32' || w.shape.length !== 2) return null;
    const [node, ...others] = users.get(inside) ?? [];
    if (node?.op !== 'dot' || others.length > 0 || node.inputs[0] === inside) return null;
    const { batchLeft, batchRight, contractLeft, contractRight } = node.attrs;
    if (batchRight.length > 0 || contractRight.length !== 1) return null;
    const x = node.inputs[0]!;
    const rows = freeAxes(x.shape.length, batchLeft, contractLeft).reduce((a, axis) => a * evalDim(x.shape[axis]!, o.bindings), 1);
    const size = (w.shape[0] as number) * (w.shape[1] as number);
    if (rows > o.mostRows || size < o.least || size > o.most) return null;
    const packing = { gates: gatesOf(node.outputs[0]!, users), contracted: contractRight[0]! };
    const { units, each } = sizesOf(w, packing);
    return units >= 2 * each ? packing : null;
  };
  const packings = body.inputs.map((p, i) => (i < carries + xs ? null : packingOf(n.inputs[i]!, p.value)));
  if (packings.every((p) => p === null)) return false;
  r.setAll(
    n,
    r.at(n, () => {
      const operands = n.inputs.map((v, i) => (packings[i] ? pack(r.b, r.value(v), packings[i]) : r.value(v)));
      return r.b.emitAll('scan', operands, { ...n.attrs, body: withPacked(body, operands, packings) });
    }),
  );
  return true;
}

/** The body with packed operands, which it unpacks. */
function withPacked(body: Graph, operands: readonly Value[], packings: readonly (Packing | null)[]): Graph {
  const b = new GraphBuilder(body.name);
  for (const s of body.symbols) b.declareSymbol(s.name, s.max);
  const map = new Map<Value, Value>();
  const inputs = body.inputs.map((p, i) => b.input(p.name, p.value.dtype, packings[i] ? operands[i]!.shape : p.value.shape));
  body.inputs.forEach((p, i) => {
    const packing = packings[i];
    map.set(p.value, packing ? unpack(b, inputs[i]!, p.value, packing) : inputs[i]!);
  });
  for (const n of body.nodes) {
    const outputs = b.withExactOrigin(n.origin, () =>
      b.emitAll(
        n.op,
        n.inputs.map((v) => map.get(v)!),
        n.attrs,
      ),
    );
    n.outputs.forEach((v, i) => map.set(v, outputs[i]!));
  }
  for (const p of body.outputs) b.output(p.name, map.get(p.value)!);
  return b.build();
}
