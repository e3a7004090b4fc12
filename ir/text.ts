/**
 * The text form of graphs. `parse(print(g))` equals `g` but for the identity of values, and `print(parse(t))` equals `t`: tests of passes are text in, text out.
 *
 *     graph "predict"
 *       symbol batch <= 128
 *       %0 = input "x" : float32[batch,4]
 *       %1 = state "dense/kernel" : float32[4,2] trainable
 *       %2 = dot(%0, %1) {batchLeft=[], batchRight=[], contractLeft=[1], contractRight=[0]} : float32[batch,2]  // dense
 *       output "y" = %2
 *
 * One statement a line; a line goes on while a bracket is open. Values are numbered in order. A sub-graph is an attribute in braces. What follows `//` is the node's
 * origin. Constants: text-tensor.ts; the side table follows the graph unless the caller holds it.
 */
import { splitAttrs, splitTop } from './attr-text.js';
import { GraphBuilder } from './builder.js';
import { evalDim, parseDim, type Shape } from './dim.js';
import { didYouMean, ShapeError, TenonError, ValueError } from './errors.js';
import { type Graph, type Node, type StateSlot, type TensorType, typeToString, type Value } from './graph.js';
import type { OpDef } from './op.js';
import type { OpAttrs, OpName } from './op-attrs.js';
import { opDef, ops } from './ops/index.js';
import type { TensorData } from './tensor-data.js';
import { isDType, parseTableLine, parseTensor, tableLine, tensorText } from './text-tensor.js';

export interface PrintOptions {
  /** Types after each node. Default true. */
  readonly types?: boolean;
  /** Big constants are appended here and not written at the end of the text. */
  readonly tensors?: TensorData[];
}

export interface ParseOptions {
  /** The table that `print` filled. */
  readonly tensors?: readonly TensorData[];
}

export function print(graph: Graph, options: PrintOptions = {}): string {
  const table = options.tensors ?? [];
  const lines = graphLines(graph, options.types ?? true, table);
  if (!options.tensors && table.length > 0) lines.push('tensors', ...table.map((t, i) => `  ${tableLine(t, i)}`));
  return `${lines.join('\n')}\n`;
}

/** The attributes of a node as text, without sub-graphs' nodes: `fn=add`. For labels and messages. */
export function attrsToString(node: Node): string {
  return printAttrs(node, { tensor: (t) => tensorText(t, []), graph: (g) => `"${g.name}"` });
}

function printAttrs<K extends OpName>(node: Node & { readonly op: K }, p: Parameters<OpDef<K>['print']>[1]): string {
  return opDef<K>(node.op).print(node.attrs as OpAttrs[K], p);
}

const indent = (text: string): string => text.replaceAll('\n', '\n  ');
const originText = (origin: string): string => (/["()[\]{}\n\r]|^\s|\s$|^$/.test(origin) ? JSON.stringify(origin) : origin);

function graphLines(graph: Graph, types: boolean, table: TensorData[]): string[] {
  const names = new Map<Value, string>();
  const define = (v: Value): string => {
    const n = `%${names.size}`;
    names.set(v, n);
    return n;
  };
  const use = (v: Value): string => names.get(v) ?? `%undefined${v.id}`;
  const lines = [`graph ${JSON.stringify(graph.name)}`];
  for (const s of graph.symbols) lines.push(`  symbol ${s.name} <= ${s.max}`);
  for (const i of graph.inputs) lines.push(`  ${define(i.value)} = input ${JSON.stringify(i.name)} : ${typeToString(i.value)}${i.resident ? ' resident' : ''}`);
  for (const s of graph.state) lines.push(`  ${define(s.value)} = state ${JSON.stringify(s.name)} : ${typeToString(s.value)}${stateText(s, table)}`);
  const printer = {
    tensor: (t: TensorData) => tensorText(t, table),
    graph: (g: Graph) => `{\n    ${graphLines(g, types, table).map(indent).join('\n    ')}\n  }`,
  };
  for (const n of graph.nodes) {
    const attrs = printAttrs(n, printer);
    const call = `${n.op}(${n.inputs.map(use).join(', ')})${attrs ? ` {${attrs}}` : ''}`;
    const outputs = n.outputs.map(define).join(', ');
    const type = types ? ` : ${n.outputs.map(typeToString).join(', ')}` : '';
    lines.push(`  ${outputs} = ${call}${type}${n.origin ? `  // ${originText(n.origin)}` : ''}`);
  }
  for (const o of graph.outputs) lines.push(`  output ${JSON.stringify(o.name)} = ${use(o.value)}`);
  for (const u of graph.updates) lines.push(`  update ${JSON.stringify(u.slot)} = ${use(u.value)}`);
  return lines;
}

function stateText(s: StateSlot, table: TensorData[]): string {
  const initial = s.initial ? ` initial=${tensorText(s.initial, table)}` : '';
  const views = s.views.length > 0 ? ` views=[${s.views.map((v) => `${JSON.stringify(v.name)}@${v.offset}[${v.shape.join(',')}]`).join(', ')}]` : '';
  return `${s.trainable ? ' trainable' : ''}${initial}${views}`;
}

// ---- parsing

/** A statement: its text, the comment at its end, and its line in the whole text. */
interface Statement {
  readonly text: string;
  readonly comment: string;
  readonly line: number;
}

/** Splits text into statements: at line ends where no bracket is open. Comments inside brackets stay in the text. */
function statements(text: string, firstLine: number): Statement[] {
  const out: Statement[] = [];
  let depth = 0;
  let start = 0;
  let line = firstLine;
  let startLine = firstLine;
  let comment = -1;
  const flush = (end: number): void => {
    const body = text.slice(start, comment >= 0 ? comment : end).trim();
    if (body) out.push({ text: body, comment: comment >= 0 ? text.slice(comment + 2, end).trim() : '', line: startLine });
    start = end + 1;
    startLine = line + 1;
    comment = -1;
  };
  for (let i = 0; i <= text.length; i++) {
    const c = text[i];
    if (c === '"') {
      for (i++; i < text.length && text[i] !== '"'; i++) if (text[i] === '\\') i++;
    } else if (c === '/' && text[i + 1] === '/') {
      const end = text.indexOf('\n', i);
      if (depth === 0) comment = i;
      i = (end < 0 ? text.length : end) - 1;
    } else if (c === '(' || c === '[' || c === '{') depth++;
    else if (c === ')' || c === ']' || c === '}') depth--;
    else if (c === '\n' || c === undefined) {
      if (depth <= 0 || c === undefined) flush(i);
      line++;
    }
  }
  return out;
}

/** Where brackets that open at `at` close. */
function closing(text: string, at: number): number {
  let depth = 0;
  for (let i = at; i < text.length; i++) {
    const c = text[i]!;
    if (c === '"') {
      for (i++; i < text.length && text[i] !== '"'; i++) if (text[i] === '\\') i++;
    } else if (c === '/' && text[i + 1] === '/') {
      const end = text.indexOf('\n', i);
      i = (end < 0 ? text.length : end) - 1;
    } else if (c === '(' || c === '[' || c === '{') depth++;
    else if ((c === ')' || c === ']' || c === '}') && --depth === 0) return i;
  }
  throw new ValueError(`'${text[at]}' is not closed`);
}

function parseType(text: string): TensorType {
  const m = /^(\w+)\[(.*)\]$/.exec(text.trim());
  if (!m || !isDType(m[1]!)) throw new ValueError(`'${text.trim()}' is not a type, such as float32[batch,4]`);
  return { dtype: m[1], shape: splitTop(m[2]!, ',').map(parseDim) };
}

const staticShape = (s: Shape): number[] => s.map((d) => evalDim(d, {}));

/** A graph from its text; errors name the line. */
export function parse(text: string, options: ParseOptions = {}): Graph {
  const at = text.search(/^tensors$/m);
  const rows =
    at < 0
      ? []
      : text
          .slice(at)
          .split('\n')
          .slice(1)
          .filter((l) => l.trim());
  const table = options.tensors ?? rows.map((l) => parseTableLine(l.trim()));
  return parseGraph(statements(at < 0 ? text : text.slice(0, at), 1), table);
}

function parseGraph(lines: readonly Statement[], table: readonly TensorData[]): Graph {
  const head = /^graph (".*")$/.exec(lines[0]?.text ?? '');
  if (!head) throw new ValueError(`line ${lines[0]?.line ?? 1}: expected graph "name"`);
  const p = new GraphParser(new GraphBuilder(unquote(head[1]!)), table);
  for (const s of lines.slice(1)) {
    try {
      p.statement(s);
    } catch (e) {
      if (e instanceof TenonError && !e.message.startsWith('line ')) e.message = `line ${s.line}: ${e.message}`;
      throw e;
    }
  }
  return p.b.build();
}

function unquote(text: string): string {
  try {
    return String(JSON.parse(text));
  } catch {
    throw new ValueError(`${text} is not quoted text`);
  }
}

class GraphParser {
  private readonly values = new Map<string, Value>();

  constructor(
    readonly b: GraphBuilder,
    private readonly table: readonly TensorData[],
  ) {}

  private value(name: string): Value {
    const v = this.values.get(name.trim());
    if (!v) throw new ValueError(`${name.trim()} is not defined here`);
    return v;
  }

  statement(s: Statement): void {
    const symbol = /^symbol (\w+) <= (\d+)$/.exec(s.text);
    if (symbol) {
      this.b.declareSymbol(symbol[1]!, Number(symbol[2]));
      return;
    }
    const port = /^(output|update) ("(?:[^"\\]|\\.)*") = (%\d+)$/.exec(s.text);
    if (port) {
      const [name, value] = [unquote(port[2]!), this.value(port[3]!)];
      if (port[1] === 'output') this.b.output(name, value);
      else this.b.update(name, value);
      return;
    }
    const m = /^(%\d+(?:, %\d+)*) = (\w+) ?/.exec(s.text);
    if (!m) throw new ValueError(`'${s.text.split('\n')[0]}' is not a statement`);
    const names = m[1]!.split(', ');
    const rest = s.text.slice(m[0].length);
    const values = m[2] === 'input' || m[2] === 'state' ? [this.source(m[2], rest)] : this.node(m[2]!, rest, s);
    if (names.length !== values.length) throw new ValueError(`${m[2]} has ${values.length} outputs, ${names.length} names are given`);
    names.forEach((n, i) => {
      if (this.values.has(n)) throw new ValueError(`${n} is defined twice`);
      this.values.set(n, values[i]!);
    });
  }

  /** `"name" : type flags`. */
  private source(kind: 'input' | 'state', text: string): Value {
    const m = /^("(?:[^"\\]|\\.)*") : (\w+\[[^\]]*\])(.*)$/s.exec(text);
    if (!m) throw new ValueError(`expected "name" : type after ${kind}`);
    const name = unquote(m[1]!);
    const type = parseType(m[2]!);
    const flags = splitTop(m[3]!.trim(), ' ');
    const known = kind === 'input' ? ['resident'] : ['trainable', 'initial', 'views'];
    for (const f of flags) if (!known.includes(f.split('=')[0]!)) throw new ValueError(`'${f}' is not one of ${known.join(', ')}`);
    if (kind === 'input') return this.b.input(name, type.dtype, type.shape, { resident: flags.includes('resident') });
    const initial = flags.find((f) => f.startsWith('initial='));
    const views = flags.find((f) => f.startsWith('views='));
    return this.b.stateSlot(name, type.dtype, staticShape(type.shape), {
      trainable: flags.includes('trainable'),
      initial: initial ? parseTensor(initial.slice(8), this.table) : null,
      views: views ? splitTop(views.slice(7, -1), ',').map(parseView) : [],
    });
  }

  /** `(operands) {attributes} : types`. */
  private node(op: string, text: string, s: Statement): readonly Value[] {
    if (!(op in ops)) throw new ValueError(`there is no op '${op}'.${didYouMean(op, Object.keys(ops))}`);
    const end = closing(text, 0);
    const inputs = splitTop(text.slice(1, end), ',').map((n) => this.value(n));
    let rest = text.slice(end + 1).trim();
    let attrs = '';
    if (rest.startsWith('{')) {
      const close = closing(rest, 0);
      attrs = rest.slice(1, close);
      rest = rest.slice(close + 1).trim();
    }
    const origin = s.comment.startsWith('"') ? unquote(s.comment) : s.comment;
    const outputs = this.b.withExactOrigin(origin, () => this.emit(op as OpName, inputs, attrs, s.line));
    if (rest.startsWith(':')) {
      const said = splitTop(rest.slice(1), ',').map((t) => typeToString(parseType(t)));
      const found = outputs.map(typeToString);
      if (said.join() !== found.join()) throw new ShapeError(`${op} gives ${found.join(', ')}, the text says ${said.join(', ')}`);
    } else if (rest) throw new ValueError(`'${rest}' is not understood after the attributes of ${op}`);
    return outputs;
  }

  private emit<K extends OpName>(op: K, inputs: readonly Value[], attrs: string, line: number): readonly Value[] {
    const parser = {
      tensor: (t: string) => parseTensor(t, this.table),
      graph: (t: string) => parseGraph(statements(t.trim().slice(1, -1), line), this.table),
    };
    return this.b.emitAll(op, inputs, opDef(op).parse(splitAttrs(attrs), parser));
  }
}

function parseView(text: string): { name: string; offset: number; shape: number[] } {
  const m = /^("(?:[^"\\]|\\.)*")@(\d+)\[([\d,]*)\]$/.exec(text);
  if (!m) throw new ValueError(`'${text}' is not a view, such as "kernel"@0[3,4]`);
  return { name: unquote(m[1]!), offset: Number(m[2]), shape: m[3] === '' ? [] : m[3]!.split(',').map(Number) };
}
