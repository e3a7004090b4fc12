/**
 * Moves out of a scan what need not be in it, so that a step does only what depends on the step before.
 *
 *     invariant    depends on no step: computed once before the loop
 *     before       depends on slices of the sequences only: computed for all steps at once, and read as a new sequence. So the input projection of an LSTM for all steps
 *                  becomes one dot.
 *     after        no carry needs it: computed for all steps at once from stacked values of the loop. So the gradient of the LSTM's input becomes one dot.
 *     sums         a carry that only adds something up each step: the sum is taken after the loop. A sum of dots is one dot that contracts the step too: the
 *                  gradients of the weights become one dot each.
 *
 * `before` and `after` move only where a contraction, a reduction or a gather moves: elementwise work stays in the loop, where it is fused. Cheap ends (broadcasts,
 * reshapes) stay inside too. Carries, sequences and results that nothing needs disappear; equal operands become one; numbers are made inside the body.
 * Needs simplified graphs. Sums over steps are taken in another order.
 */
import { GraphBuilder } from '../ir/builder.js';
import type { Dim } from '../ir/dim.js';
import type { Graph, Node, NodeOf, Value } from '../ir/graph.js';
import { joinOrigin, liveNodes, mapSubgraphs, type Rebuilder, rebuild, subgraphsOf } from '../ir/transform.js';
import { batchNode, canBatch, dotOverSteps } from './batch-steps.js';
import { splatValue } from './fold-constants.js';

export function hoistScan(graph: Graph): Graph {
  if (!graph.nodes.some((n) => subgraphsOf(n).length > 0)) return graph;
  const used = new Set<Value>([...graph.outputs, ...graph.updates].map((p) => p.value));
  for (const n of graph.nodes) for (const v of n.inputs) used.add(v);
  return rebuild(graph, (node, r) => {
    const attrs = mapSubgraphs(node, hoistScan);
    if (node.op !== 'scan') {
      if (attrs) r.copy(node, attrs);
      return attrs !== null;
    }
    const scan = attrs && 'carries' in attrs && 'length' in attrs ? { ...node, attrs } : node;
    r.setAll(
      node,
      r.at(node, () =>
        new Hoist(
          scan,
          node.outputs.map((o) => used.has(o)),
          r,
        ).run(),
      ),
    );
    return true;
  });
}

/** What a value of the body depends on. */
type Depends = 'nothing' | 'slices' | 'carries';

/** Work worth a kernel of its own. */
const heavy = (n: Node): boolean =>
  ['dot', 'conv', 'reduce', 'arg_reduce', 'gather', 'scatter', 'cumulative', 'reduce_window', 'select_and_scatter', 'random_bits', 'scan', 'while'].includes(
    n.op,
  );
/** Computed from the index where it is read: never worth memory of its own. */
const cheap = (n: Node): boolean => ['constant', 'iota', 'dim_size', 'broadcast', 'reshape'].includes(n.op);

class Hoist {
  private readonly b: GraphBuilder;
  private readonly body: Graph;
  private readonly length: Dim;
  private readonly depends = new Map<Value, Depends>();
  /** Values that can be had for all steps at once before the loop. */
  private readonly early = new Set<Value>();
  /** Values whose computation includes heavy work that depends on the same as they. */
  private readonly hasWork = new Set<Value>();
  /** For body inputs: the value outside; a sequence has the step axis. */
  private readonly outside = new Map<Value, Value>();
  /** Values outside, by body value: invariant ones as they are, others with the step axis. */
  private readonly made = new Map<Value, Value>();
  /** Nodes that a carry of the new loop needs. */
  private core = new Set<Node>();
  /** Body values that the new loop gives as results. */
  private readonly stacked: Value[] = [];
  private readonly users = new Map<Value, number>();
  private readonly lateness = new Map<Value, boolean>();

  constructor(
    private readonly node: NodeOf<'scan'>,
    private readonly used: readonly boolean[],
    r: Rebuilder,
  ) {
    this.b = r.b;
    this.body = node.attrs.body;
    this.length = node.attrs.length;
    const { carries, xs } = node.attrs;
    for (const n of this.body.nodes) for (const v of n.inputs) this.users.set(v, (this.users.get(v) ?? 0) + 1);
    for (const o of this.body.outputs) this.users.set(o.value, (this.users.get(o.value) ?? 0) + 1);
    this.body.inputs.forEach(({ value }, i) => {
      const outer = r.value(node.inputs[i]!);
      const unchanged = i < carries && this.body.outputs[i]!.value === value;
      const sameInAll = i >= carries && i < carries + xs ? this.withoutStep(outer) : null;
      this.depends.set(value, i >= carries + xs || unchanged || sameInAll ? 'nothing' : i < carries ? 'carries' : 'slices');
      this.outside.set(value, sameInAll ?? outer);
    });
  }

  /** A sequence that is the same in every step (a broadcast over the step axis), without that axis. */
  private withoutStep(v: Value): Value | null {
    const n = v.producer;
    if (n?.op !== 'broadcast' || n.attrs.axes.includes(0)) return null;
    return this.b.broadcast(
      n.inputs[0]!,
      n.attrs.shape.slice(1),
      n.attrs.axes.map((a) => a - 1),
    );
  }

  private dependsOn(v: Value): Depends {
    return this.depends.get(v)!;
  }

  /** The values of the scan's results. */
  run(): Value[] {
    this.classify();
    const sums = this.findSums();
    const kept = this.liveCarries(sums);
    this.core = liveNodes(
      this.body.nodes,
      kept.map((i) => this.body.outputs[i]!.value),
    );

    // what the loop must give: first found out, then the loop is built, then the rest follows it
    this.body.outputs.forEach((o, i) => {
      if (!this.used[i]) return;
      if (sums.has(i)) sums.get(i)!.forEach((g) => this.requestSum(g));
      else if (i >= this.node.attrs.carries) this.request(o.value);
    });
    const loop = kept.length > 0 || this.stacked.length > 0 ? this.emitLoop(kept) : [];
    this.stacked.forEach((v, k) => this.made.set(v, loop[kept.length + k]!));
    return this.node.outputs.map((o, i) => {
      // a result that nothing uses: of its type, and dropped with the dead code
      if (!this.used[i]) return this.b.full(o.shape, 0, o.dtype);
      if (i >= this.node.attrs.carries) return this.stack(this.body.outputs[i]!.value);
      if (kept.includes(i)) return loop[kept.indexOf(i)]!;
      const start = this.outside.get(this.body.inputs[i]!.value)!;
      return (sums.get(i) ?? []).reduce((sum, g) => this.b.add(sum, this.sumOverSteps(g)), start);
    });
  }

  private classify(): void {
    for (const n of this.body.nodes) {
      const inputs = n.inputs.map((v) => this.dependsOn(v));
      const d: Depends = inputs.includes('carries') ? 'carries' : inputs.includes('slices') ? 'slices' : 'nothing';
      const early = d === 'slices' && n.inputs.every((v) => this.dependsOn(v) === 'nothing' || this.isEarly(v)) && this.batchable(n);
      const work = heavy(n) || n.inputs.some((v) => this.dependsOn(v) === d && this.hasWork.has(v));
      for (const o of n.outputs) {
        this.depends.set(o, d);
        if (early) this.early.add(o);
        if (work) this.hasWork.add(o);
      }
    }
  }

  private isEarly(v: Value): boolean {
    return v.producer ? this.early.has(v) : this.dependsOn(v) === 'slices';
  }

  private batchable(n: Node): boolean {
    return canBatch(
      n,
      n.inputs.map((v) => this.dependsOn(v) !== 'nothing'),
      this.length,
    );
  }

  // ---- carries

  /** Carries that only add something up, with what they add. */
  private findSums(): Map<number, Value[]> {
    const sums = new Map<number, Value[]>();
    for (let i = 0; i < this.node.attrs.carries; i++) {
      const { value: carry } = this.body.inputs[i]!;
      if (this.dependsOn(carry) !== 'carries' || this.users.get(carry) !== 1) continue;
      const addends = this.addends(this.body.outputs[i]!.value, carry);
      if (addends?.every((g) => this.canSum(g))) sums.set(i, addends);
    }
    return sums;
  }

  /** What `v` adds to `carry`; null where it is not carry + something, or a partial sum is used elsewhere. */
  private addends(v: Value, carry: Value): Value[] | null {
    if (v === carry) return [];
    const n = v.producer;
    if (n?.op !== 'binary' || n.attrs.fn !== 'add' || this.users.get(v) !== 1) return null;
    const [x, y] = n.inputs as [Value, Value];
    const left = this.addends(x, carry);
    if (left) return [...left, y];
    const right = this.addends(y, carry);
    return right && [...right, x];
  }

  private canSum(g: Value): boolean {
    const n = g.producer;
    if (!n || this.dependsOn(g) === 'nothing') return false;
    switch (n.op) {
      case 'dot':
        return n.inputs.every((v) => this.dependsOn(v) !== 'nothing') || n.inputs.some((v) => this.dependsOn(v) !== 'nothing' && this.canSum(v));
      case 'reduce':
        return n.attrs.fn === 'sum';
      case 'reshape':
      case 'transpose':
      case 'slice':
        return this.canSum(n.inputs[0]!);
      case 'unary':
        return n.attrs.fn === 'neg' && this.canSum(n.inputs[0]!);
      case 'binary':
        return (n.attrs.fn === 'add' || n.attrs.fn === 'sub') && n.inputs.every((v) => this.canSum(v));
      default:
        return false;
    }
  }

  /** Carries that the loop keeps: used outside or by another kept carry or result, and neither sums nor unchanged. */
  private liveCarries(sums: ReadonlyMap<number, readonly Value[]>): number[] {
    const { carries } = this.node.attrs;
    const real = (i: number): boolean => !sums.has(i) && this.dependsOn(this.body.inputs[i]!.value) === 'carries';
    const live = new Set<number>();
    const wanted: Value[] = [];
    this.body.outputs.forEach((o, i) => {
      if (!this.used[i]) return;
      if (i < carries && real(i)) live.add(i);
      wanted.push(o.value);
    });
    for (;;) {
      const before = live.size;
      const values = [...wanted, ...[...live].map((i) => this.body.outputs[i]!.value)];
      const reached = new Set(values);
      for (const n of liveNodes(this.body.nodes, values)) for (const v of n.inputs) reached.add(v);
      for (let i = 0; i < carries; i++) if (real(i) && reached.has(this.body.inputs[i]!.value)) live.add(i);
      if (live.size === before) return [...live].sort((p, q) => p - q);
    }
  }

  // ---- values for all steps

  /** Whether `v` is computed after the loop from stacked values. */
  private late(v: Value): boolean {
    const known = this.lateness.get(v);
    if (known !== undefined) return known;
    const n = v.producer;
    const is =
      n !== null &&
      this.dependsOn(v) !== 'nothing' &&
      !this.isEarly(v) &&
      !this.core.has(n) &&
      this.batchable(n) &&
      (heavy(n) || n.inputs.some((x) => this.late(x)));
    this.lateness.set(v, is);
    return is;
  }

  /** Finds out which values the loop must give so that `v` can be had for all steps. */
  private request(v: Value): void {
    const n = v.producer;
    if (this.dependsOn(v) === 'nothing' || this.isEarly(v)) return;
    if (this.late(v)) for (const x of n!.inputs) this.request(x);
    else if (!this.stacked.includes(v)) this.stacked.push(v);
  }

  private requestSum(g: Value): void {
    const n = g.producer!;
    if (n.op === 'dot') {
      const single = n.inputs.some((v) => this.dependsOn(v) === 'nothing');
      for (const v of n.inputs) if (this.dependsOn(v) !== 'nothing') single ? this.requestSum(v) : this.request(v);
    } else if (n.op === 'reduce') this.request(n.inputs[0]!);
    else for (const v of n.inputs) this.requestSum(v);
  }

  /** The sum of `g` over all steps. */
  private sumOverSteps(g: Value): Value {
    const n = g.producer!;
    const { b } = this;
    return this.at(n, () => {
      if (n.op === 'dot') {
        const [x, y] = n.inputs as [Value, Value];
        if (this.dependsOn(x) === 'nothing') return b.dot(this.invariant(x), this.sumOverSteps(y), n.attrs);
        if (this.dependsOn(y) === 'nothing') return b.dot(this.sumOverSteps(x), this.invariant(y), n.attrs);
        return dotOverSteps(b, n, this.stack(x), this.stack(y));
      }
      if (n.op === 'reduce') return b.reduce('sum', this.stack(n.inputs[0]!), [0, ...n.attrs.axes.map((a) => a + 1)]);
      return b.emit(
        n.op,
        n.inputs.map((v) => this.sumOverSteps(v)),
        n.attrs,
      );
    });
  }

  private at<T>(n: Node, body: () => T): T {
    return this.b.withExactOrigin(joinOrigin(this.node.origin, n.origin), body);
  }

  /** An invariant value, computed outside. */
  private invariant(v: Value): Value {
    const known = this.made.get(v) ?? this.outside.get(v);
    if (known) return known;
    const n = v.producer!;
    const outputs = this.at(n, () =>
      this.b.emitAll(
        n.op,
        n.inputs.map((x) => this.invariant(x)),
        n.attrs,
      ),
    );
    n.outputs.forEach((o, i) => this.made.set(o, outputs[i]!));
    return this.made.get(v)!;
  }

  /** The value for all steps, with a leading step axis. */
  private stack(v: Value): Value {
    if (this.dependsOn(v) === 'nothing') {
      const x = this.invariant(v);
      return this.b.broadcast(
        x,
        [this.length, ...x.shape],
        x.shape.map((_, i) => i + 1),
      );
    }
    const known = this.made.get(v) ?? this.outside.get(v);
    if (known) return known;
    const n = v.producer!;
    const inputs = n.inputs.map((x) =>
      this.dependsOn(x) === 'nothing' ? { value: this.invariant(x), perStep: false } : { value: this.stack(x), perStep: true },
    );
    const y = this.at(n, () => batchNode(this.b, n, inputs, this.length));
    this.made.set(v, y);
    return y;
  }

  // ---- the loop that is left

  private emitLoop(kept: readonly number[]): readonly Value[] {
    const wanted = [...kept.map((i) => this.body.outputs[i]!.value), ...this.stacked];
    const fromOutside = new Set<Value>();
    const inside: Node[] = [];
    const seen = new Set<Value>();
    const visit = (v: Value): void => {
      if (seen.has(v)) return;
      seen.add(v);
      const n = v.producer;
      if (!n) return;
      const invariant = this.dependsOn(v) === 'nothing' && !cheap(n);
      const before = this.isEarly(v) && this.hasWork.has(v) && !cheap(n);
      if (invariant || before) fromOutside.add(v);
      else for (const x of n.inputs) visit(x);
    };
    wanted.forEach(visit);
    for (const n of this.body.nodes) if (n.outputs.some((o) => seen.has(o) && !fromOutside.has(o))) inside.push(n);

    const body = new GraphBuilder(this.body.name);
    for (const s of this.body.symbols) body.declareSymbol(s.name, s.max);
    const map = new Map<Value, Value>();
    const carries = kept.map((i) => {
      const { name, value } = this.body.inputs[i]!;
      map.set(value, body.input(name, value.dtype, value.shape));
      return this.outside.get(value)!;
    });
    const names = new Set(kept.map((i) => this.body.inputs[i]!.name));
    const fresh = (base: string): string => {
      let name = base;
      for (let i = 1; names.has(name); i++) name = `${base}_${i}`;
      names.add(name);
      return name;
    };
    const operands = [...this.body.inputs.map((p) => [p.name, p.value] as const), ...[...fromOutside].map((v) => ['hoisted', v] as const)].filter(
      ([, v]) => seen.has(v) && !map.has(v),
    );
    const add = (list: readonly (readonly [string, Value])[], outer: (v: Value) => Value): Value[] => {
      const given = new Map<Value, Value>();
      for (const [name, v] of list) {
        const from = outer(v);
        const number = this.dependsOn(v) === 'nothing' ? splatValue(from) : null;
        if (number !== null) {
          map.set(v, body.full(v.shape, number, v.dtype));
          continue;
        }
        if (!given.has(from)) given.set(from, body.input(fresh(name), v.dtype, v.shape));
        map.set(v, given.get(from)!);
      }
      return [...given.keys()];
    };
    const xs = add(
      operands.filter(([, v]) => this.dependsOn(v) === 'slices'),
      (v) => this.stack(v),
    );
    const constants = add(
      operands.filter(([, v]) => this.dependsOn(v) === 'nothing'),
      (v) => this.invariant(v),
    );
    for (const n of inside) {
      const outputs = body.withExactOrigin(n.origin, () =>
        body.emitAll(
          n.op,
          n.inputs.map((v) => map.get(v)!),
          n.attrs,
        ),
      );
      n.outputs.forEach((o, i) => map.set(o, outputs[i]!));
    }
    kept.forEach((i) => body.output(this.body.outputs[i]!.name, map.get(this.body.outputs[i]!.value)!));
    const outputNames = new Set(kept.map((i) => this.body.outputs[i]!.name));
    this.stacked.forEach((v, k) => {
      let name = this.body.outputs.find((o) => o.value === v && !outputNames.has(o.name))?.name ?? `y${k}`;
      while (outputNames.has(name)) name += '_';
      outputNames.add(name);
      body.output(name, map.get(v)!);
    });
    return this.b.emitAll('scan', [...carries, ...xs, ...constants], {
      body: body.build(),
      carries: kept.length,
      xs: xs.length,
      length: this.length,
      reverse: this.node.attrs.reverse,
    });
  }
}
