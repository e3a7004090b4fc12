/**
 * Weights of dense layers in the order in which a kernel reads them. One row times a matrix is limited by reading the matrix, and memory gives most to one steady stream; the
 * kernel computes a panel of columns at a time (its sums stay in registers), which in a row-major matrix means short pieces, far apart. With many rows, the kernel would pack panels itself, once
 * for every block of rows, and rows of the matrix that are a power of two apart meet in the same lines of the cache.
 *
 * Method. The right operand W[k, n] of such a dot, where it is fixed between runs, becomes unpack(pack(W)): pack pads the columns to whole panels and orders `[panel][k][column]`, unpack is the
 * inverse. The graph's meaning stays. Packing is done once at load (prepare.ts); the unpacking transpose is an index computation where the dot reads, and turns the reads into the stream.
 * Weights that a loop multiplies few rows with are packed by gates: pack-gates.ts.
 */
import type { GraphBuilder } from '../ir/builder.js';
import { evalDim } from '../ir/dim.js';
import { type Graph, maxBindings, type NodeOf, type Value } from '../ir/graph.js';
import { freeAxes } from '../ir/ops/dot.js';
import { rebuild } from '../ir/transform.js';
import { packGates } from './pack-gates.js';
import { fixedValues } from './prepare.js';

/** Columns of a panel for few rows: four vectors of sums. */
export const panelColumns = 16;
/** The most rows that count as few. */
export const mostPackedRows = 4;
/** Columns of a panel for more rows: those of the register tile. */
const tileColumns = 8;
/** Smaller matrices lie in the first-level cache, larger ones are not worth a second copy of. In elements. */
const [least, most] = [8192, 1 << 24];

/** W as [panel][k][column] and back. */
function packed(b: GraphBuilder, w: Value, contracted: number, panelColumns: number): Value {
  const [k, n] = [w.shape[contracted] as number, w.shape[1 - contracted] as number];
  const panels = Math.ceil(n / panelColumns);
  const rest = panels * panelColumns - n;
  const sides = (x: number): [number, number] => (contracted === 0 ? [0, x] : [x, 0]);
  const whole = rest === 0 ? w : b.pad(w, [0, 0], sides(rest));
  const cut = contracted === 0 ? [k, panels, panelColumns] : [panels, panelColumns, k];
  const perm = contracted === 0 ? [1, 0, 2] : [0, 2, 1];
  const back = b.transpose(b.transpose(b.reshape(whole, cut), perm), perm);
  const flat = b.reshape(back, whole.shape as number[]);
  return rest === 0 ? flat : b.slice(flat, [0, 0], w.shape);
}

/** Comes last: what it makes, simplify would undo. */
export function packWeights(graph: Graph): Graph {
  const bindings = maxBindings(graph);
  const fixed = fixedValues(graph);
  /** Columns of the panels that suit a dot; null where its weights stay as they are. */
  const columnsFor = (n: NodeOf<'dot'>): number | null => {
    const [x, w] = n.inputs as [Value, Value];
    const { batchLeft, batchRight, contractLeft, contractRight } = n.attrs;
    if (!fixed.has(w) || w.dtype !== 'float32' || w.shape.length !== 2 || batchRight.length > 0 || contractRight.length !== 1) return null;
    const rows = freeAxes(x.shape.length, batchLeft, contractLeft).reduce((a, axis) => a * evalDim(x.shape[axis]!, bindings), 1);
    const columns = w.shape[1 - contractRight[0]!] as number;
    const size = columns * (w.shape[contractRight[0]!] as number);
    const width = rows <= mostPackedRows ? panelColumns : tileColumns;
    return columns >= 2 * width && size >= least && size <= most ? width : null;
  };
  return rebuild(graph, (n, r) => {
    if (n.op === 'scan') return packGates(n, r, { fixed, bindings, mostRows: mostPackedRows, least, most });
    const width = n.op === 'dot' ? columnsFor(n) : null;
    if (n.op !== 'dot' || width === null) return false;
    const [x, w] = r.all(n.inputs) as [Value, Value];
    r.set(
      n.outputs[0]!,
      r.at(n, () => r.b.dot(x, packed(r.b, w, n.attrs.contractRight[0]!, width), n.attrs)),
    );
    return true;
  });
}
