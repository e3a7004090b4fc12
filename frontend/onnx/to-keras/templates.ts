/**
 * Activations that exporters write as several ops, such as x · sigmoid(x): each of Keras' activations is traced, and the graph before a value is compared with it. Sums and products match in any order
 * of their terms, and constants up to their rounding.
 */

import { GraphBuilder } from '../../../ir/builder.js';
import { isStatic, type Shape } from '../../../ir/dim.js';
import type { Node, Value } from '../../../ir/graph.js';
import * as activations from '../../keras/activations.js';
import { separateLayout, Trace } from '../../keras/backend/trace.js';
import type { CallGraph } from './graph.js';

const names = 'silu gelu mish hard_silu log_sigmoid tanh_shrink squareplus sparse_plus sparse_sigmoid softplus softsign celu hard_shrink soft_shrink'.split(
  ' ',
);

const close = (a: number, b: number): boolean => Math.abs(a - b) <= 2e-6 * Math.max(Math.abs(a), Math.abs(b));
const text = (attrs: object): string => JSON.stringify(attrs, (_, v: unknown) => (typeof v === 'bigint' ? String(v) : v instanceof Map ? [...v] : v));

interface Template {
  readonly name: string;
  readonly x: Value;
  readonly y: Value;
}

export class Templates {
  private readonly traced = new Map<string, readonly Template[]>();

  constructor(private readonly graph: CallGraph) {}

  /** The activation that a value is, and of what. */
  find(v: Value): { readonly name: string; readonly x: Value } | null {
    if (v.dtype !== 'float32') return null;
    for (const t of this.of(v.shape)) {
      const x = new Match(t, this.graph).run(v);
      if (x && x !== v) return { name: t.name, x };
    }
    return null;
  }

  private of(shape: Shape): readonly Template[] {
    const key = shape.join();
    const old = this.traced.get(key);
    if (old) return old;
    const made = names.map((name): Template => {
      const b = new GraphBuilder(name);
      for (const d of shape) if (!isStatic(d)) for (const [s] of d.terms) b.declareSymbol(s, 4);
      const trace = new Trace(b, { training: false, layout: separateLayout });
      const x = trace.tensor(b.input('x', 'float32', shape));
      return { name, x: x.value, y: activations.get(name).apply(x).value };
    });
    this.traced.set(key, made);
    return made;
  }
}

class Match {
  private x: Value | null = null;
  /** What inputs of opened composites stand for. */
  private readonly aliases = new Map<Value, Value>();
  private steps = 0;

  constructor(
    private readonly template: Template,
    private readonly graph: CallGraph,
  ) {}

  run(v: Value): Value | null {
    return this.same(this.template.y, v) ? this.x : null;
  }

  /** Past composites, whose bodies count. */
  private open(v: Value): Value {
    let at = v;
    for (;;) {
      const alias = this.aliases.get(at);
      const p = at.producer;
      if (alias) at = alias;
      else if (p?.op === 'composite') {
        const { body } = p.attrs;
        body.inputs.forEach((i, k) => {
          this.aliases.set(i.value, p.inputs[k]!);
        });
        at = body.outputs[p.outputs.indexOf(at)]!.value;
      } else return at;
    }
  }
  /** The one number that a value holds. */
  private number(v: Value): number | null {
    const o = this.open(v);
    const p = o.producer;
    if (p?.op === 'broadcast' || p?.op === 'reshape') return this.number(p.inputs[0]!);
    if (p?.op === 'constant') return p.attrs.value.data.length === 1 ? Number(p.attrs.value.data[0]) : null;
    return !p && o !== this.template.x && !this.graph.isDynamic(o) ? this.graph.number(o) : null;
  }
  /** A product as a number and factors, or a sum as a number and terms. */
  private parts(v: Value, of: 'mul' | 'add'): { constant: number; rest: Value[] } {
    const number = this.number(v);
    if (number !== null) return { constant: number, rest: [] };
    const o = this.open(v);
    const p = o.producer;
    const both = (a: Value, b: Value) => {
      const [l, r] = [this.parts(a, of), this.parts(b, of)];
      return { constant: of === 'mul' ? l.constant * r.constant : l.constant + r.constant, rest: [...l.rest, ...r.rest] };
    };
    if (p?.op === 'binary' && p.attrs.fn === of) return both(p.inputs[0]!, p.inputs[1]!);
    if (of === 'mul' && p?.op === 'unary' && p.attrs.fn === 'neg') {
      const inner = this.parts(p.inputs[0]!, of);
      return { ...inner, constant: -inner.constant };
    }
    if (p?.op === 'binary' && p.attrs.fn === (of === 'mul' ? 'div' : 'sub')) {
      const by = this.number(p.inputs[1]!);
      if (by !== null) {
        const inner = this.parts(p.inputs[0]!, of);
        return { ...inner, constant: of === 'mul' ? inner.constant / by : inner.constant - by };
      }
    }
    return { constant: of === 'mul' ? 1 : 0, rest: [o] };
  }

  private same(given: Value, actual: Value): boolean {
    if (++this.steps > 400) return false;
    const [p, a] = [this.open(given), this.open(actual)];
    if (p === this.template.x) {
      if (this.x && this.x !== a) return false;
      this.x = a;
      return this.graph.isDynamic(a);
    }
    const [n, m] = [this.number(p), this.number(a)];
    if (n !== null || m !== null) return n !== null && m !== null && close(n, m);
    for (const of of ['mul', 'add'] as const) {
      const [l, r] = [this.parts(p, of), this.parts(a, of)];
      if (l.rest.length === 1 && l.rest[0] === p) continue;
      return l.rest.length === r.rest.length && l.rest.length <= 4 && close(l.constant, r.constant) && this.anyOrder(l.rest, r.rest);
    }
    const [x, y] = [p.producer, a.producer];
    // log1p where there is no such op
    if (x?.op === 'unary' && x.attrs.fn === 'log1p' && y?.op === 'unary' && y.attrs.fn === 'log') {
      const [l, r] = [this.parts(x.inputs[0]!, 'add'), this.parts(y.inputs[0]!, 'add')];
      return close(l.constant + 1, r.constant) && l.rest.length === r.rest.length && this.anyOrder(l.rest, r.rest);
    }
    if (!x || !y || x.op !== y.op || text(x.attrs) !== text(y.attrs) || x.inputs.length !== y.inputs.length) return false;
    if (commutes(x)) return this.anyOrder(x.inputs, y.inputs);
    return x.inputs.every((i, k) => this.same(i, y.inputs[k]!));
  }
  private anyOrder(given: readonly Value[], actual: readonly Value[]): boolean {
    const [first, ...others] = given;
    if (!first) return true;
    const before = this.x;
    // what has a shape of its own is compared before the argument, which fits everything
    if (others.length > 0 && this.open(first) === this.template.x && !others.every((o) => this.open(o) === this.template.x))
      return this.anyOrder([...others, first], actual);
    return actual.some((a, i) => {
      this.x = before;
      return this.same(first, a) && this.anyOrder(others, [...actual.slice(0, i), ...actual.slice(i + 1)]);
    });
  }
}
const commutes = (n: Node): boolean => n.op === 'binary' && (n.attrs.fn === 'max' || n.attrs.fn === 'min');
