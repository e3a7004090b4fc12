/**
 * The pattern rewriter. A rule has a name, a pattern with typed captures, a condition and a replacement:
 *
 *     rule('neg-neg', unary('neg', unary('neg', any('x'))), null, ({ x }) => x)
 *
 * Method. One sweep rebuilds the graph through a builder that simplifies as it goes: a node that is about to be added is first looked up among equal nodes (CSE), then folded
 * to a constant if it can be, then matched against the rules of its op. Its inputs are in normal form by then. A replacement builds nodes through the same builder, so what it
 * makes is simplified too, down to a normal form: the call stack is the work list. Sweeps repeat until one changes nothing (conditions on the number of users see the graph
 * before the sweep). Rules that go round show as a deep stack: the error names them; a step limit catches the rest.
 */
import { GraphBuilder } from '../ir/builder.js';
import { InternalError, invariant } from '../ir/errors.js';
import type { Graph, Node, NodeOf, Value } from '../ir/graph.js';
import type { BinaryFunction, OpAttrs, OpName, UnaryFunction } from '../ir/op-attrs.js';
import { mapSubgraphs, Rebuilder } from '../ir/transform.js';
import { nodeKey } from './cse.js';
import { dce } from './dce.js';
import { foldNode, splatValue } from './fold-constants.js';

// ---- patterns

type Found = Record<string, unknown>;

/** What a value must look like. `C` is the record of captures. */
export interface Pattern<C = unknown> {
  /** Key of the rules' index: an op, or op:function. */
  readonly root: string | null;
  readonly match: (v: Value, found: Found) => boolean;
  /** Carries the type of the captures; never set. */
  readonly captures?: C;
}

type CapturesOf<P> = P extends Pattern<infer C> ? C : never;
type All<Ps extends readonly Pattern[]> = Ps extends readonly [infer A, ...infer R extends readonly Pattern[]] ? CapturesOf<A> & All<R> : unknown;

function capture(found: Found, name: string, x: unknown): boolean {
  if (name in found) return found[name] === x;
  found[name] = x;
  return true;
}

/** Any value. A name used twice means the same value. */
export const any = <N extends string>(name: N): Pattern<Record<N, Value>> => ({ root: null, match: (v, found) => capture(found, name, v) });

/** A number, or one broadcast to a shape. */
export const splat = <N extends string>(name: N, is: (x: number) => boolean = () => true): Pattern<Record<N, number>> => ({
  root: null,
  match: (v, found) => {
    const x = splatValue(v);
    return x !== null && is(x) && capture(found, name, x);
  },
});

/** This number, or it broadcast to a shape. */
export const number = (x: number): Pattern => ({ root: null, match: (v) => splatValue(v) === x });

/** The output of a node of one op, whose inputs match (all, if none are given). The node is captured. */
export const op = <K extends OpName, N extends string, P extends readonly Pattern[]>(name: K, as: N, ...inputs: P): Pattern<Record<N, NodeOf<K>> & All<P>> => ({
  root: name,
  match: (v, found) => {
    const n = v.producer;
    return n?.op === name && n.outputs.length === 1 && capture(found, as, n) && inputs.every((p, i) => p.match(n.inputs[i]!, found));
  },
});

export const unary = <P extends Pattern>(fn: UnaryFunction, x: P): Pattern<CapturesOf<P>> => ({
  root: `unary:${fn}`,
  match: (v, found) => v.producer?.op === 'unary' && v.producer.attrs.fn === fn && x.match(v.producer.inputs[0]!, found),
});

const commutative: readonly BinaryFunction[] = ['add', 'mul', 'max', 'min', 'and', 'or', 'xor'];
export const isCommutative = (fn: BinaryFunction): boolean => commutative.includes(fn);

/** A binary op; operands of a commutative one in either order. */
export const binary = <A extends Pattern, B extends Pattern>(fn: BinaryFunction, a: A, b: B): Pattern<CapturesOf<A> & CapturesOf<B>> => ({
  root: `binary:${fn}`,
  match: (v, found) => {
    const n = v.producer;
    if (n?.op !== 'binary' || n.attrs.fn !== fn) return false;
    const [x, y] = n.inputs as [Value, Value];
    const trial = { ...found };
    if (a.match(x, trial) && b.match(y, trial)) return Object.assign(found, trial) === found;
    return isCommutative(fn) && a.match(y, found) && b.match(x, found);
  },
});

// ---- rules

export interface RuleContext {
  readonly b: GraphBuilder;
  /** The node that is replaced. */
  readonly node: Node;
  /** Its output. */
  readonly out: Value;
  /** How many uses the value has (nodes, outputs and updates), as of the last sweep; 1 for values made since. */
  readonly uses: (v: Value) => number;
}

export interface Rule {
  readonly name: string;
  readonly root: string;
  /** The replacement, or null where the rule does not apply. */
  readonly apply: (ctx: RuleContext) => Value | null;
}

/** A rule. `where` null: always. The replacement may be null too: not after all. */
export function rule<C>(
  name: string,
  pattern: Pattern<C>,
  where: ((c: C, ctx: RuleContext) => boolean) | null,
  replace: (c: C, ctx: RuleContext) => Value | null,
): Rule {
  invariant(pattern.root !== null, `the pattern of rule '${name}' starts with no op`);
  return {
    name,
    root: pattern.root,
    apply: (ctx) => {
      const found: Found = {};
      if (!pattern.match(ctx.out, found)) return null;
      const c = found as C;
      return where && !where(c, ctx) ? null : replace(c, ctx);
    },
  };
}

export interface RewriteOptions {
  /** Stop after this many rule applications (for bisection). */
  readonly limit?: number;
  /** Called for each application. */
  readonly onRewrite?: (rule: string, node: Node) => void;
}

/** Rules, indexed by what they start with. */
export class RuleSet {
  private readonly index = new Map<string, Rule[]>();
  /** Graphs known to be in normal form. */
  readonly done = new WeakSet<Graph>();

  constructor(readonly rules: readonly Rule[]) {
    for (const r of rules) {
      const list = this.index.get(r.root);
      if (list) list.push(r);
      else this.index.set(r.root, [r]);
    }
  }

  for(node: Node): readonly Rule[] {
    const general = this.index.get(node.op) ?? [];
    if (node.op !== 'unary' && node.op !== 'binary' && node.op !== 'compare') return general;
    const special = this.index.get(`${node.op}:${node.attrs.fn}`);
    return special ? (general.length > 0 ? [...special, ...general] : special) : general;
  }
}

const deepest = 120;
const mostSweeps = 30;

/** How often each rule was applied, and whether anything changed. */
class Tally {
  applied = 0;
  changes = 0;
  readonly names: string[] = [];
  constructor(readonly options: RewriteOptions) {}
  get spent(): boolean {
    return this.applied >= (this.options.limit ?? Infinity);
  }
}

class RewritingBuilder extends GraphBuilder {
  private readonly seen = new Map<string, readonly Value[]>();
  private readonly uses = new Map<Value, number>();
  private readonly stack: string[] = [];

  constructor(
    name: string,
    private readonly rules: RuleSet,
    private readonly tally: Tally,
  ) {
    super(name);
  }

  addUses(v: Value, n: number): void {
    this.uses.set(v, (this.uses.get(v) ?? 0) + n);
  }

  override emitAll<K extends OpName>(opName: K, inputs: readonly Value[], attrs: OpAttrs[K]): readonly Value[] {
    const key = nodeKey(opName, inputs, attrs);
    const known = this.seen.get(key);
    if (known) return known;
    const outputs = super.emitAll(opName, inputs, attrs);
    const node = this.nodes.pop()!;
    const simpler = outputs.length === 1 ? this.simplify(node, outputs[0]!) : null;
    if (!simpler) this.nodes.push(node);
    const result = simpler ? [simpler] : outputs;
    this.seen.set(key, result);
    return result;
  }

  private simplify(node: Node, out: Value): Value | null {
    const folded = foldNode(this, node);
    if (folded) {
      this.tally.changes++;
      return folded;
    }
    for (const r of this.rules.for(node)) {
      if (this.tally.spent) return null;
      this.stack.push(r.name);
      if (this.stack.length > deepest) throw new InternalError(`rewrite rules go round: ${[...new Set(this.stack.slice(-20))].join(' -> ')}`);
      const to = r.apply({ b: this, node, out, uses: (v) => this.uses.get(v) ?? 1 });
      this.stack.pop();
      if (!to) continue;
      if (to.dtype !== out.dtype || String(to.shape) !== String(out.shape))
        throw new InternalError(`rule '${r.name}' turns ${out.dtype}[${out.shape}] into ${to.dtype}[${to.shape}] (${node.origin})`);
      this.tally.applied++;
      this.tally.changes++;
      this.tally.names.push(r.name);
      this.tally.options.onRewrite?.(r.name, node);
      return to;
    }
    return null;
  }
}

function sweep(graph: Graph, rules: RuleSet, tally: Tally): Graph {
  const b = new RewritingBuilder(graph.name, rules, tally);
  const r = new Rebuilder(graph, b);
  const counts = new Map<Value, number>();
  const count = (v: Value): void => void counts.set(v, (counts.get(v) ?? 0) + 1);
  for (const n of graph.nodes) n.inputs.forEach(count);
  for (const p of [...graph.outputs, ...graph.updates]) count(p.value);
  for (const p of [...graph.inputs, ...graph.state]) b.addUses(r.value(p.value), counts.get(p.value) ?? 0);
  for (const node of graph.nodes) {
    const attrs = mapSubgraphs(node, (g) => rewriteWith(g, rules, tally));
    if (attrs) tally.changes++;
    r.copy(node, attrs ?? node.attrs);
    for (const o of node.outputs) b.addUses(r.value(o), counts.get(o) ?? 0);
  }
  return r.finish();
}

function rewriteWith(graph: Graph, rules: RuleSet, tally: Tally): Graph {
  if (rules.done.has(graph)) return graph;
  let g = dce(graph);
  for (let i = 0; ; i++) {
    if (i > mostSweeps)
      throw new InternalError(`rewriting '${graph.name}' does not end; the last rules were ${[...new Set(tally.names.slice(-40))].join(', ')}`);
    const before = tally.changes;
    const next = sweep(g, rules, tally);
    if (tally.changes === before && next.nodes.length === g.nodes.length) break;
    g = next;
    if (tally.spent) break;
  }
  if (!tally.spent) rules.done.add(g);
  return g;
}

/** Applies rules, constant folding, common subexpressions and dead code to a fixed point, in sub-graphs too. Gives the graph itself where nothing changed. */
export function rewrite(graph: Graph, rules: RuleSet, options: RewriteOptions = {}): Graph {
  return rewriteWith(graph, rules, new Tally(options));
}
