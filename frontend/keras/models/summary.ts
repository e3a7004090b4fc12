/** `model.summary()` in the look of Keras 3: a table of layers, and the four lines of parameter counts. */

import { ValueError } from '../../../ir/errors.js';
import { sizeOf } from '../../../ir/tensor-data.js';
import { kerasShapeText } from '../backend/trace.js';
import type { Variable } from '../backend/variable.js';
import type { Layer } from '../layers/layer.js';
import type { KerasTensor, LayerNode } from '../layers/node.js';

export interface SummaryOptions {
  /** Width in characters; default: that of the terminal less 4, at most 88, or 108 with connections. */
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

/** The rows of a functional model's layers. As in Keras, a layer that is called several times shows the shape of its last output. */
export function functionalRows(
  layers: readonly Layer[],
  nodesOf: (layer: Layer) => readonly { readonly inputs: readonly KerasTensor[]; readonly outputs: readonly KerasTensor[] }[],
  nodeIndex: (node: LayerNode) => number,
): SummaryRow[] {
  return layers.map((layer) => {
    const nodes = nodesOf(layer);
    const shapes = nodes.at(-1)?.outputs.map((o) => kerasShapeText(o.shape)) ?? [];
    const connectedTo = nodes.flatMap((n) => n.inputs.map(({ history: h }) => `${h.node.layer.name}[${nodeIndex(h.node)}][${h.index}]`));
    return { layer, outputShape: shapes.length === 1 ? shapes[0]! : shapes.length === 0 ? '?' : `[${shapes.join(', ')}]`, connectedTo };
  });
}

/** Whether the layers are a plain stack: each connected to one, no two to the same. */
function isStack(rows: readonly SummaryRow[]): boolean {
  const sources = rows.flatMap((r) => r.connectedTo.map((c) => c.slice(0, c.lastIndexOf('['))));
  if (sources.length === 0) return true;
  return rows.every((r) => r.connectedTo.length < 2) && new Set(sources).size === sources.length && sources.length === rows.length - 1;
}

/** Widths of the cells, their padding included, as the table of Keras' printer ends up with: columns at `positions` of the line, then as much off each as the borders need. */
function cellWidths(positions: readonly number[], lineLength: number): number[] {
  let at = 0;
  const wanted = positions.map((p) => {
    const width = Math.floor(p * lineLength) - at;
    if (width < 4) throw new ValueError(`summary: ${lineLength} characters are too few for the table`);
    at += width;
    return width + 2;
  });
  let excess = wanted.reduce((a, w) => a + w, 0) + wanted.length + 1 - lineLength;
  return wanted.map((w, i) => {
    const share = roundHalfEven(excess / (wanted.length - i));
    excess -= share;
    return w - share;
  });
}

const roundHalfEven = (x: number): number => (x % 1 === 0.5 ? 2 * Math.round(x / 2) : Math.round(x));

/** Lines of a cell: broken at spaces, a word that is too long cut. */
function wrapped(text: string, width: number): string[] {
  const lines: string[] = [];
  for (const word of text.split(' ')) {
    const last = lines.at(-1);
    if (last !== undefined && last.length + 1 + word.length <= width) lines[lines.length - 1] = `${last} ${word}`;
    else lines.push(word);
  }
  return lines.map((l) => (l.length > width ? `${l.slice(0, width - 1)}…` : l));
}

/** Columns of the terminal; 80 where there is none. */
function terminalColumns(): number {
  const { process: p } = globalThis as { readonly process?: { readonly stdout?: { readonly columns?: number } } };
  return p?.stdout?.columns ?? 80;
}

/** Prints the table. */
export function printSummary(
  name: string,
  rows: readonly SummaryRow[],
  weights: { readonly trainable: readonly Variable[]; readonly other: readonly Variable[]; readonly optimizer: number },
  options: SummaryOptions,
): void {
  const print = options.printFn ?? ((line: string) => console.log(line));
  const stack = isStack(rows);
  const header = ['Layer (type)', 'Output Shape', 'Param #', ...(stack ? [] : ['Connected to'])];
  const cells = rows.map((r) => [
    `${r.layer.name} (${r.layer.className})`,
    r.outputShape,
    r.layer.built ? counted(r.layer.countParams()) : '0 (unbuilt)',
    ...(stack ? [] : [r.connectedTo.join(', ') || '-']),
  ]);
  const lineLength = options.lineLength ?? Math.min(stack ? 88 : 108, terminalColumns() - 4);
  const widths = cellWidths(stack ? [0.45, 0.8, 1] : [0.3, 0.56, 0.74, 1], lineLength);
  const rule = (left: string, middle: string, right: string, line: string) => left + widths.map((w) => line.repeat(w)).join(middle) + right;
  const cell = (text: string, i: number) => {
    const inside = widths[i]! - 2;
    return ` ${header[i] === 'Param #' ? text.padStart(inside) : text.padEnd(inside)} `;
  };
  const row = (values: readonly string[], bar: string) => {
    const lines = values.map((v, i) => wrapped(v, widths[i]! - 2));
    for (let l = 0; l < Math.max(...lines.map((x) => x.length)); l++) print(bar + lines.map((x, i) => cell(x[l] ?? '', i)).join(bar) + bar);
  };
  print(`Model: "${name}"`);
  print(rule('┏', '┳', '┓', '━'));
  row(header, '┃');
  print(rule('┡', '╇', '┩', '━'));
  cells.forEach((c, i) => {
    row(c, '│');
    print(i === cells.length - 1 ? rule('└', '┴', '┘', '─') : rule('├', '┼', '┤', '─'));
  });
  const [trainable, other] = [paramsOf(weights.trainable), paramsOf(weights.other)];
  const line = (label: string, n: number, extra = 0) => print(` ${label}: ${counted(n)} (${memoryText(4 * n + extra)})`);
  // the optimizer's step counter has 8 bytes in Keras
  const counter = weights.optimizer > 0 ? 4 : 0;
  line('Total params', trainable + other + weights.optimizer, counter);
  line('Trainable params', trainable);
  line('Non-trainable params', other);
  if (weights.optimizer > 0) line('Optimizer params', weights.optimizer, counter);
}
