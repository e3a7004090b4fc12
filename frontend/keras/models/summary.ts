/** `model.summary()` in the look of Keras 3: a table of layers, and the four lines of parameter counts. */

import { sizeOf } from '../../../ir/tensor-data.js';
import { kerasShapeText } from '../backend/trace.js';
import type { Variable } from '../backend/variable.js';
import type { Layer } from '../layers/layer.js';
import type { KerasTensor } from '../layers/node.js';

export interface SummaryOptions {
  /** Width in characters; default: by the contents, at least 64. */
  readonly lineLength?: number;
  /** Takes each line; default console.log. */
  readonly printFn?: (line: string) => void;
}

export interface SummaryRow {
  readonly layer: Layer;
  readonly outputShape: string;
  /** Names of the layers it is connected to; shown for models that are not a plain stack. */
  readonly connectedTo: readonly string[];
}

const counted = (n: number): string => n.toLocaleString('en-US');

/** `1.23 MB` as Keras rounds it: powers of 1024. */
export function memoryText(bytes: number): string {
  if (bytes < 1024) return `${bytes.toFixed(2)} B`;
  const units = ['KB', 'MB', 'GB', 'TB'];
  const power = Math.min(units.length, Math.floor(Math.log2(bytes) / 10));
  return `${(bytes / 1024 ** power).toFixed(2)} ${units[power - 1]}`;
}

const paramsOf = (variables: readonly Variable[]): number => variables.reduce((n, v) => n + sizeOf(v.shape), 0);

/** The rows of a functional model's layers. */
export function functionalRows(
  layers: readonly Layer[],
  nodesOf: (layer: Layer) => readonly { readonly inputs: readonly KerasTensor[]; readonly outputs: readonly KerasTensor[] }[],
): SummaryRow[] {
  return layers.map((layer) => {
    const nodes = nodesOf(layer);
    const shapes = [...new Set(nodes.flatMap((n) => n.outputs.map((o) => kerasShapeText(o.shape))))];
    const connectedTo = nodes.flatMap((n) =>
      n.inputs.map((t) => `${t.history.node.layer.name}[${t.history.node.layer.inboundNodes.indexOf(t.history.node)}][${t.history.index}]`),
    );
    return { layer, outputShape: shapes.length === 1 ? shapes[0]! : shapes.length === 0 ? '?' : `[${shapes.join(', ')}]`, connectedTo };
  });
}

/** Prints the table. */
export function printSummary(
  name: string,
  rows: readonly SummaryRow[],
  weights: { readonly trainable: readonly Variable[]; readonly other: readonly Variable[]; readonly optimizer: number },
  options: SummaryOptions,
): void {
  const print = options.printFn ?? ((line: string) => console.log(line));
  const connected = rows.some(
    (r, i) => r.connectedTo.length > 1 || (i > 1 && r.connectedTo.length === 1 && !r.connectedTo[0]!.startsWith(`${rows[i - 1]!.layer.name}[`)),
  );
  const header = ['Layer (type)', 'Output Shape', 'Param #', ...(connected ? ['Connected to'] : [])];
  const cells = rows.map((r) => [
    `${r.layer.name} (${r.layer.className})`,
    r.outputShape,
    r.layer.built ? counted(r.layer.countParams()) : '0 (unbuilt)',
    ...(connected ? [r.connectedTo.join(', ') || '-'] : []),
  ]);
  const least = connected ? [20, 16, 10, 16] : [31, 24, 15];
  const widths = header.map((h, i) => Math.max(h.length, ...cells.map((c) => c[i]!.length), least[i]! - 2) + 2);
  if (options.lineLength) {
    const free = options.lineLength - widths.reduce((a, w) => a + w, 0) - widths.length - 1;
    if (free > 0) widths[0]! += free;
  }
  const rule = (left: string, middle: string, right: string, line: string) => left + widths.map((w) => line.repeat(w)).join(middle) + right;
  const row = (values: readonly string[], bar: string) =>
    bar + values.map((v, i) => (header[i] === 'Param #' ? ` ${v.padStart(widths[i]! - 2)} ` : ` ${v.padEnd(widths[i]! - 1)}`)).join(bar) + bar;
  print(`Model: "${name}"`);
  print(rule('┏', '┳', '┓', '━'));
  print(row(header, '┃'));
  print(rule('┡', '╇', '┩', '━'));
  cells.forEach((c, i) => {
    print(row(c, '│'));
    print(i === cells.length - 1 ? rule('└', '┴', '┘', '─') : rule('├', '┼', '┤', '─'));
  });
  const [trainable, other] = [paramsOf(weights.trainable), paramsOf(weights.other)];
  const line = (label: string, n: number) => print(` ${label}: ${counted(n)} (${memoryText(4 * n)})`);
  line('Total params', trainable + other + weights.optimizer);
  line('Trainable params', trainable);
  line('Non-trainable params', other);
  if (weights.optimizer > 0) line('Optimizer params', weights.optimizer);
}
