/**
 * The gradient of a scan is another scan in the opposite direction. It carries the cotangents of the carries, reads the stacked residuals of the forward scan
 * (which is extended in place to stack them), and stacks the per-step factors from which the gradients of shared parameters come as one contraction each
 * after the loop. See scan-joint.ts, scan-residuals.ts and scan-sums.ts for the parts.
 */
import { pullbackOnce, sumAll } from '../cotangents.js';
import { InternalError } from '../errors.js';
import type { Graph, Node, Port, Value } from '../graph.js';
import type { GradientContext } from '../op.js';
import { buildJoint, type Dependence, dependenceOf, type Joint, joinDependence, setUp } from './scan-joint.js';
import { chooseResiduals, isCheap } from './scan-residuals.js';
import { type Later, type StepValues, stackOutside, sumOverSteps } from './scan-sums.js';

export function scanGradient(ctx: GradientContext<'scan'>): (Value | null)[] {
  const { b, node, wanted } = ctx;
  const { carries, xs } = node.attrs;
  const setup = setUp(ctx);
  const joint = buildJoint(ctx, setup);
  const backward = new BackwardScan(ctx, joint);
  const values = backward.stepValues();
  const toXs = joint.toXs.map((list) => (list.length === 0 ? null : stackOutside(values, sumAll(joint.b, list)!)));
  const toParameters = joint.toParameters.map((list) => backward.planSum(values, list));
  const finals = backward.emit();
  const seeds = toParameters.flatMap((sum, i) => (sum ? [{ value: joint.parameters[i]!.outer, cotangent: sum() }] : []));
  const constants = pullbackOnce(
    ctx.pullback,
    b,
    setup.hoisted,
    seeds,
    node.inputs.map((v, i) => (i >= carries + xs && wanted[i] ? v : null)),
  );
  return node.inputs.map((_, i) => {
    if (!wanted[i]) return null;
    if (i < carries) return finals.get(i) ?? null;
    return i < carries + xs ? (toXs[i - carries]?.() ?? null) : constants[i]!;
  });
}

class BackwardScan {
  private readonly dependence: Map<Value, Dependence>;
  private readonly primalValues = new Set<Value>();
  private readonly primalNodes: readonly Node[];
  /** Values that the backward scan stacks, and those that it sums in a carry. */
  private readonly stacks: Value[] = [];
  private readonly accumulators: Value[] = [];
  /** Primal values that are needed as stacks outside. */
  private readonly forwardStacks = new Set<Value>();
  private readonly outerShared = new Map<Value, Value>();
  /** Set by emit. */
  private forwardStacked = new Map<Value, Value>();
  private results: readonly Value[] | null = null;

  constructor(
    private readonly ctx: GradientContext<'scan'>,
    private readonly joint: Joint,
  ) {
    const inputs: [Value, Dependence][] = joint.b.inputs.map((p) => [p.value, 'step']);
    for (const p of joint.parameters) {
      inputs.push([p.input, 'constants']);
      this.outerShared.set(p.input, p.outer);
    }
    this.dependence = dependenceOf(joint.b.nodes, inputs);
    this.primalNodes = [...joint.primal.values()];
    for (const v of joint.carries) this.primalValues.add(v);
    for (const n of this.primalNodes) for (const o of n.outputs) this.primalValues.add(o);
  }

  private dependenceOn(v: Value): Dependence {
    let d = this.dependence.get(v);
    if (d === undefined) {
      d = joinDependence(v.producer!.inputs.map((x) => this.dependenceOn(x)));
      this.dependence.set(v, d);
    }
    return d;
  }

  private isShared(v: Value): boolean {
    return this.dependenceOn(v) !== 'step';
  }

  private shared(v: Value): Value {
    const old = this.outerShared.get(v);
    if (old) return old;
    const p = v.producer!;
    const { b } = this.ctx;
    const outputs = b.withExactOrigin(p.origin, () =>
      b.emitAll(
        p.op,
        p.inputs.map((x) => this.shared(x)),
        p.attrs,
      ),
    );
    p.outputs.forEach((o, i) => this.outerShared.set(o, outputs[i]!));
    return this.outerShared.get(v)!;
  }

  /** The stack of an input of the joint graph that comes from outside: a forward sequence or the cotangent of a stacked output. */
  private outside(v: Value): Value | null {
    const { node, grads } = this.ctx;
    const x = this.joint.xs.indexOf(v);
    if (x >= 0) return node.inputs[node.attrs.carries + x]!;
    const y = this.joint.dys.indexOf(v);
    return y >= 0 ? grads[node.attrs.carries + y]! : null;
  }

  stepValues(): StepValues {
    return {
      b: this.ctx.b,
      length: this.ctx.node.attrs.length,
      isShared: (v) => this.isShared(v),
      shared: (v) => this.shared(v),
      stacked: (v) => this.stacked(v),
      isOutside: (v) => this.outside(v) !== null,
    };
  }

  private stacked(v: Value): Later {
    const given = this.outside(v);
    if (given) return () => given;
    if (this.isShared(v))
      return () =>
        this.ctx.b.broadcast(
          this.shared(v),
          [this.ctx.node.attrs.length, ...v.shape],
          v.shape.map((_, i) => i + 1),
        );
    if (this.primalValues.has(v)) {
      this.forwardStacks.add(v);
      return () => this.forwardStacked.get(v)!;
    }
    if (!this.stacks.includes(v)) this.stacks.push(v);
    return () => this.result(this.joint.live.length + this.accumulators.length + this.stacks.indexOf(v));
  }

  private result(i: number): Value {
    const v = this.results?.[i];
    if (!v) throw new InternalError('a result of a backward scan is asked for before the scan is made');
    return v;
  }

  /** The sum over steps of all contributions to a parameter: outside where they are linear, in a carry where not. */
  planSum(values: StepValues, contributions: readonly Value[]): Later | null {
    const { b } = this.ctx;
    const outside: Later[] = [];
    const inside: Value[] = [];
    for (const c of contributions) {
      const later = sumOverSteps(values, c);
      if (later) outside.push(later);
      else inside.push(c);
    }
    const rest = sumAll(this.joint.b, inside);
    if (rest) {
      const at = this.accumulators.push(rest) - 1;
      outside.push(() => this.result(this.joint.live.length + at));
    }
    return outside.length === 0
      ? null
      : () =>
          sumAll(
            b,
            outside.map((f) => f()),
          )!;
  }

  /** Makes the backward scan; gives the cotangents of the initial carries. */
  emit(): Map<number, Value> {
    const { joint } = this;
    const newCarries = joint.toCarries.map((list) => sumAll(joint.b, list));
    const wanted = [...newCarries.filter((v) => v !== null), ...this.accumulators, ...this.stacks];
    const residuals = this.residuals(wanted);
    this.forwardStacked = this.extendForward([...new Set([...residuals, ...this.forwardStacks])]);
    if (joint.live.length + wanted.length > 0) this.results = this.emitScan(newCarries, wanted, residuals);
    return new Map(joint.live.map((i, k) => [i, this.result(k)]));
  }

  /** The nodes that compute `wanted`, and where they start: inputs, what depends on the constants alone (but for broadcasts), and where `stop` says so. */
  private reach(wanted: readonly Value[], stop: (v: Value) => boolean): { nodes: Set<Node>; starts: Set<Value> } {
    const nodes = new Set<Node>();
    const starts = new Set<Value>();
    const visit = (v: Value): void => {
      const p = v.producer;
      if (p === null || stop(v) || (this.dependenceOn(v) === 'constants' && p.op !== 'broadcast')) {
        starts.add(v);
        return;
      }
      if (nodes.has(p)) return;
      nodes.add(p);
      p.inputs.forEach(visit);
    };
    wanted.forEach(visit);
    return { nodes, starts };
  }

  private residuals(wanted: readonly Value[]): Set<Value> {
    const isPrimal = (v: Value): boolean => this.primalValues.has(v) && !this.isShared(v);
    const { starts } = this.reach(wanted, isPrimal);
    const { node } = this.ctx;
    const free = new Set(this.forwardStacks);
    for (const [old, now] of this.joint.primal) {
      for (const [i, o] of old.outputs.entries()) if (node.attrs.body.outputs.slice(node.attrs.carries).some((p) => p.value === o)) free.add(now.outputs[i]!);
    }
    return chooseResiduals({
      read: new Set([...starts].filter(isPrimal)),
      isGiven: (v) => this.isShared(v) || this.joint.xs.includes(v),
      free,
      nodes: this.primalNodes,
      isCheap: (n) => isCheap(this.ctx.kindOf(n)),
    });
  }

  /** Lets the forward scan stack these values of its step. */
  private extendForward(wanted: readonly Value[]): Map<Value, Value> {
    const { b, node } = this.ctx;
    const { body, values } = this.forwardBody();
    const outputs: Port[] = [...body.outputs];
    const first = node.attrs.carries;
    const places = wanted.map((v) => {
      const value = values.get(v)!;
      const old = outputs.findIndex((o, i) => i >= first && o.value === value);
      return old >= 0 ? old : outputs.push({ name: `saved${outputs.length}`, value }) - 1;
    });
    if (outputs.length > body.outputs.length) b.extendScan(node, { ...body, outputs });
    return new Map(wanted.map((v, i) => [v, node.outputs[places[i]!]!]));
  }

  /** The forward body and its values for those of the joint graph. It is rebuilt where a scan inside it has been extended by its own gradient. */
  private forwardBody(): { body: Graph; values: Map<Value, Value> } {
    const { b, node } = this.ctx;
    const { body, carries } = node.attrs;
    const values = new Map<Value, Value>(this.joint.carries.map((v, i) => [v, body.inputs[i]!.value]));
    const extended = [...this.joint.primal].some(([old, now]) => now.outputs.length > old.outputs.length);
    if (!extended) {
      for (const [old, now] of this.joint.primal) old.outputs.forEach((o, i) => values.set(now.outputs[i]!, o));
      return { body, values };
    }
    const sub = b.child(body.name);
    const renewed = new Map<Value, Value>(body.inputs.map((p) => [p.value, sub.input(p.name, p.value.dtype, p.value.shape)]));
    this.joint.carries.forEach((v, i) => values.set(v, renewed.get(body.inputs[i]!.value)!));
    for (const old of body.nodes) {
      const now = this.joint.primal.get(old) ?? old;
      const made = sub.withExactOrigin(old.origin, () =>
        sub.emitAll(
          now.op,
          old.inputs.map((v) => renewed.get(v)!),
          now.attrs,
        ),
      );
      old.outputs.forEach((o, i) => renewed.set(o, made[i]!));
      if (now !== old) now.outputs.forEach((o, i) => values.set(o, made[i]!));
    }
    for (const [i, o] of body.outputs.entries()) sub.output(o.name || `out${i - carries}`, renewed.get(o.value)!);
    return { body: sub.build(), values };
  }

  private emitScan(newCarries: readonly (Value | null)[], wanted: readonly Value[], residuals: ReadonlySet<Value>): readonly Value[] {
    const { b, node, grads } = this.ctx;
    const { joint } = this;
    const { nodes, starts } = this.reach(wanted, (v) => residuals.has(v));
    const isSharedStart = (v: Value): boolean => this.isShared(v);
    const sequences = [...starts].filter((v) => !isSharedStart(v) && !joint.dCarries.includes(v));
    const constants = [...starts].filter(isSharedStart);
    const sub = b.child(`${node.attrs.body.name}_gradient`);
    const map = new Map<Value, Value>();
    for (const [k, v] of joint.dCarries.entries()) map.set(v, sub.input(`d${k}`, v.dtype, v.shape));
    const sums = this.accumulators.map((v, i) => sub.input(`sum${i}`, v.dtype, v.shape));
    for (const [i, v] of sequences.entries()) map.set(v, sub.input(`x${i}`, v.dtype, v.shape));
    for (const [i, v] of constants.entries()) map.set(v, sub.input(`const${i}`, v.dtype, v.shape));
    for (const n of joint.b.nodes) {
      if (!nodes.has(n)) continue;
      const made = sub.withExactOrigin(n.origin, () =>
        sub.emitAll(
          n.op,
          n.inputs.map((v) => map.get(v)!),
          n.attrs,
        ),
      );
      n.outputs.forEach((o, i) => map.set(o, map.get(o) ?? made[i]!));
    }
    for (const [k, v] of newCarries.entries()) sub.output(`d${k}`, v ? map.get(v)! : sub.full(joint.dCarries[k]!.shape, 0, joint.dCarries[k]!.dtype));
    for (const [i, v] of this.accumulators.entries()) sub.output(`sum${i}`, sub.add(sums[i]!, map.get(v)!));
    for (const [i, v] of this.stacks.entries()) sub.output(`y${i}`, map.get(v)!);
    const zeros = (v: Value): Value => b.full(v.shape, 0, v.dtype);
    const inputs = [
      ...joint.live.map((i) => grads[i] ?? zeros(node.inputs[i]!)),
      ...this.accumulators.map(zeros),
      ...sequences.map((v) => this.outside(v) ?? this.forwardStacked.get(v)!),
      ...constants.map((v) => this.shared(v)),
    ];
    const { length, reverse } = node.attrs;
    return b.emitAll('scan', inputs, {
      body: sub.build(),
      carries: joint.live.length + this.accumulators.length,
      xs: sequences.length,
      length,
      reverse: !reverse,
    });
  }
}
