/**
 * Loops of ONNX as `scan` and `while`: a bounded number of steps is a scan (steps after the condition failed leave the state as it is, and results are counted); without a bound it is a
 * while, which has no stacked results. A body that needs to know its step is unrolled.
 */

import type { GraphBuilder } from '../../../ir/builder.js';
import { equalShape, isStatic } from '../../../ir/dim.js';
import type { Graph, Value } from '../../../ir/graph.js';
import type { NodeContext } from '../context.js';
import { type Item, isValue, Sequence } from '../registry.js';
import type { GraphProto } from '../schema/types.js';
import type { Scope } from '../scope.js';

/** Steps that are unrolled at most. */
const maxUnrolled = 1024;
/** More steps than this are not stacked in memory: the loop must be a while. */
const maxSteps = 2 ** 24;

const asValues = (c: NodeContext, items: readonly Item[]): Value[] =>
  items.map((x) => (isValue(x) ? x : c.unsupported('a sequence is carried by a loop that is not unrolled')));

interface Body {
  readonly scope: Scope;
  readonly builder: GraphBuilder;
  readonly outputs: Value[];
}

/** Lowers the body into a builder of its own with inputs of the given types; what it captures comes after them. */
function lowerBody(
  c: NodeContext,
  body: GraphProto,
  groups: readonly (readonly { readonly dtype: Value['dtype']; readonly shape: Value['shape'] }[])[],
  wrap: (inputs: Value[][], s: GraphBuilder) => Value[],
): Body {
  const builder = c.b.child(body.name || 'body');
  const scope = c.scope.child(builder);
  const inputs = groups.map((group, g) => group.map((t, i) => builder.input(`in${g}_${i}`, t.dtype, t.shape)));
  const outputs = asValues(c, c.importer.lowerBody(body, scope, wrap(inputs, builder), c.where));
  return { scope, builder, outputs };
}

const finish = (x: Body, outputs: readonly Value[]): Graph => {
  for (const [i, v] of outputs.entries()) x.builder.output(`out${i}`, v);
  return x.builder.build();
};

/** The values outside that the body captured, in the order of its inputs. */
const capturedBy = (x: Body): Value[] => x.scope.captured.map((p) => p.outer);

export interface LoopParts {
  readonly body: GraphProto;
  /** Number of steps; null: no bound is known. */
  readonly trip: number | null;
  /** The condition before the first step; null: true. */
  readonly condition: Value | null;
  readonly initial: readonly Item[];
}

/** The steps one after another, as long as the condition is known. */
function unroll(c: NodeContext, p: LoopParts): Item[] {
  const { b } = c;
  let state = [...p.initial];
  const stacked: Value[][] = [];
  let go = p.condition ? Boolean(Number(c.data(p.condition).data[0])) : true;
  const trip = p.trip ?? maxUnrolled + 1;
  const scans = (p.body.output ?? []).length - 1 - state.length;
  for (let k = 0; k < scans; k++) stacked.push([]);
  for (let i = 0; go && i < trip; i++) {
    if (i >= maxUnrolled) c.unsupported(`a loop whose body needs its step, with more than ${maxUnrolled} steps`);
    const scope = c.scope.child();
    const results = b.withOrigin(`step${i}`, () =>
      c.importer.lowerBody(p.body, scope, [c.constant(c.dtype(7), [], [i]), b.scalar(1, 'bool'), ...state], c.where),
    );
    const [next, ...rest] = results as [Item, ...Item[]];
    state = rest.slice(0, state.length);
    for (const [k, y] of asValues(c, rest.slice(state.length)).entries()) stacked[k]!.push(b.expandDims(y, 0));
    go = Boolean(Number(c.data(asValues(c, [next])[0]!).data[0]));
  }
  return [...state, ...stacked.map((list) => (list.length > 0 ? b.concat(list, 0) : c.unsupported('a loop of no steps with stacked results')))];
}

const sameTypes = (a: readonly Value[], b: readonly Value[]): boolean => a.every((v, i) => v.dtype === b[i]!.dtype && equalShape(v.shape, b[i]!.shape));

/** A scan over a known number of steps. Null where the body cannot be one. */
function asScan(c: NodeContext, p: LoopParts, trip: number): Item[] | null {
  const { b } = c;
  const initial = asValues(c, p.initial);
  const n = initial.length;
  const long = c.dtype(7);
  const start = p.condition && c.known(p.condition) ? null : p.condition;
  const x = lowerBody(c, p.body, [[{ dtype: 'bool', shape: [] }, ...initial], [{ dtype: long, shape: [] }]], ([carries, [step]], s) => [
    step!,
    s.scalar(1, 'bool'),
    ...carries!.slice(1),
  ]);
  const [next, ...rest] = x.outputs as [Value, ...Value[]];
  const [state, ys] = [rest.slice(0, n), rest.slice(n)];
  if (!sameTypes(initial, state) || ys.some((y) => !y.shape.every(isStatic))) return null;
  const always = c.importer.tryData(next)?.data[0];
  const s = x.builder;
  const steps = b.iota([trip], 0, long);
  const first = start ? b.reshape(start, []) : b.scalar(1, 'bool');
  if (always && !start) {
    const body = finish(x, [s.inputs[0]!.value, ...state, ...ys]);
    const out = b.emitAll('scan', [first, ...initial, steps, ...capturedBy(x)], { body, carries: n + 1, xs: 1, length: trip, reverse: false });
    return out.slice(1);
  }
  const active = s.inputs[0]!.value;
  const kept = state.map((v, i) => s.select(s.broadcastTo(active, v.shape), v, s.inputs[i + 1]!.value));
  const body = finish(x, [s.and(active, s.reshape(next, [])), ...kept, ...ys, s.cast(active, 'int32')]);
  const out = b.emitAll('scan', [first, ...initial, steps, ...capturedBy(x)], { body, carries: n + 1, xs: 1, length: trip, reverse: false });
  const count = b.sum(out.at(-1)!);
  return [...out.slice(1, n + 1), ...out.slice(n + 1, -1).map((y) => c.padded(y, 0, count))];
}

/** A while: as long as the condition holds and the trip count is not reached. */
function asWhile(c: NodeContext, p: LoopParts, limit: Value | null): Item[] {
  const { b } = c;
  const initial = asValues(c, p.initial);
  const n = initial.length;
  if ((p.body.output ?? []).length - 1 > n) c.unsupported('a loop without a bound on its steps has stacked results');
  const long = c.dtype(7);
  const carries = [b.scalar(0, long), p.condition ? b.reshape(p.condition, []) : b.scalar(1, 'bool'), ...initial];
  const x = lowerBody(c, p.body, [carries], ([list]) => [list![0]!, list![1]!, ...list!.slice(2)]);
  const [next, ...state] = x.outputs as [Value, ...Value[]];
  if (!sameTypes(initial, state)) c.unsupported('the state of a loop changes its shape from step to step');
  const s = x.builder;
  // The limit is one more constant of both graphs.
  const bound = limit ? x.scope.capture(b.cast(b.reshape(limit, []), long)) : null;
  const operands = [...carries, ...capturedBy(x)];
  const body = finish(x, [s.add(s.inputs[0]!.value, 1), s.reshape(next, []), ...state]);
  const test = b.child('condition');
  const inputs = operands.map((v, i) => test.input(`in${i}`, v.dtype, v.shape));
  const boundAt = bound ? x.scope.captured.findIndex((q) => q.inner === bound) : -1;
  let go = inputs[1]!;
  if (bound)
    go = test.and(
      go,
      test.compare(
        'lt',
        inputs[0]!,
        boundAt >= 0
          ? inputs[carries.length + boundAt]!
          : test.constant(bound.producer!.op === 'constant' ? bound.producer!.attrs.value : c.unsupported('the trip count of a loop')),
      ),
    );
  test.output('go', go);
  return b.emitAll('while', operands, { cond: test.build(), body, carries: carries.length }).slice(2);
}

export function loop(c: NodeContext, body: GraphProto): Item[] {
  const limit = c.opt(0);
  const condition = c.opt(1);
  const initial = c.inputs.slice(2).map((_, i) => c.item(i + 2));
  const known = limit ? c.known(limit) : null;
  const stacks = (body.output ?? []).length - 1 > initial.length;
  // Stacked results need the number of steps: its contents are asked for.
  const trip = known ? Number(known.data[0]) : limit && stacks ? c.number(limit) : null;
  const parts: LoopParts = { body, trip, condition, initial };
  const start = condition ? c.known(condition) : null;
  if (trip !== null && trip <= 0) return noSteps(c, parts);
  if (start && !Number(start.data[0])) return noSteps(c, parts);
  if (initial.some((x) => x instanceof Sequence)) return unroll(c, parts);
  if (trip !== null && trip <= maxSteps) {
    const scanned = c.importer.attempt(() => asScan(c, parts, trip));
    return scanned ?? unroll(c, parts);
  }
  if (!stacks) {
    const whiled = c.importer.attempt(() => asWhile(c, parts, limit));
    if (whiled) return whiled;
  }
  return unroll(c, parts);
}

/** The state as it was, and stacked results of length 0. */
function noSteps(c: NodeContext, p: LoopParts): Item[] {
  const { b } = c;
  const scans = (p.body.output ?? []).slice(1 + p.initial.length);
  if (scans.length === 0) return [...p.initial];
  const initial = asValues(c, p.initial);
  const x = lowerBody(c, p.body, [initial, [{ dtype: c.dtype(7), shape: [] }]], ([carries, [step]], s) => [step!, s.scalar(1, 'bool'), ...carries!]);
  return [...initial, ...x.outputs.slice(1 + initial.length).map((y) => b.full([0, ...y.shape], 0, y.dtype))];
}

export interface ScanAttributes {
  readonly body: GraphProto;
  readonly num_scan_inputs: number;
  readonly scan_input_axes: readonly number[] | null;
  readonly scan_input_directions: readonly number[] | null;
  readonly scan_output_axes: readonly number[] | null;
  readonly scan_output_directions: readonly number[] | null;
}

/** One scan of ONNX (without the batch of opset 8). */
export function scanOnce(c: NodeContext, a: ScanAttributes, inputs: readonly Value[]): Value[] {
  const { b } = c;
  const n = inputs.length - a.num_scan_inputs;
  const initial = inputs.slice(0, n);
  const toFront = (v: Value, axis: number): Value => b.transpose(v, [axis, ...v.shape.map((_, i) => i).filter((i) => i !== axis)]);
  const xs = inputs.slice(n).map((v, i) => {
    const front = toFront(v, c.axis(a.scan_input_axes?.[i] ?? 0, v.shape.length));
    return a.scan_input_directions?.[i] ? b.reverse(front, [0]) : front;
  });
  const x = lowerBody(c, a.body, [initial, xs.map((v) => ({ dtype: v.dtype, shape: v.shape.slice(1) }))], ([carries, slices]) => [...carries!, ...slices!]);
  const length = xs[0]?.shape[0] ?? 0;
  const out = b.emitAll('scan', [...initial, ...xs, ...capturedBy(x)], { body: finish(x, x.outputs), carries: n, xs: xs.length, length, reverse: false });
  return out.map((v, i) => {
    if (i < n) return v;
    const turned = a.scan_output_directions?.[i - n] ? b.reverse(v, [0]) : v;
    const axis = c.axis(a.scan_output_axes?.[i - n] ?? 0, v.shape.length);
    const rest = v.shape.map((_, k) => k).slice(1);
    return b.transpose(turned, [...rest.slice(0, axis), 0, ...rest.slice(axis)]);
  });
}
