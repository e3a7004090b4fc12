/** Decisions and repetitions on values, of `keras.ops`: their functions are traced once each into sub-graphs. */

import { gradients as irGradients } from '../../../ir/autodiff.js';
import type { Dim } from '../../../ir/dim.js';
import { ShapeError, ValueError } from '../../../ir/errors.js';
import type { Graph, Value } from '../../../ir/graph.js';
import { within } from '../backend/context.js';
import * as base from '../backend/ops.js';
import { scan as baseScan } from '../backend/scan.js';
import { SubTrace } from '../backend/sub-trace.js';
import { listOf, SymbolicTensor, type Tensors, type Trace } from '../backend/trace.js';
import { Variable } from '../backend/variable.js';
import { Tensor } from '../tensor.js';
import { describe } from '../utils/options.js';
import { type Result, type Results, run, type S, type TensorLike } from './lift.js';

type Body = (xs: readonly S[], sub: Trace) => Tensors;

/** The graphs of functions: each takes `inputs` first, then all that any of them uses from outside, in one order. */
function subGraphs(t: Trace, inputs: readonly S[], bodies: readonly (readonly [name: string, body: Body])[]): { graphs: Graph[]; captured: Value[] } {
  const subs = bodies.map(([name, body]) => {
    const sub = new SubTrace(t, name);
    const xs = inputs.map((x, i) => sub.tensor(sub.b.input(`x${i}`, x.dtype, x.shape)));
    listOf(within(sub, null, () => checkedTensors(name, sub, body(xs, sub)))).forEach((o, i) => {
      sub.b.output(`y${i}`, o.value);
    });
    return sub;
  });
  const captured = [...new Set(subs.flatMap((s) => [...s.captured.keys()]))];
  const graphs = subs.map((sub) => {
    const own = sub.b.inputs.slice(0, inputs.length);
    const given = captured.map((v) => sub.capture(t.tensor(v)).value);
    const graph = sub.b.build();
    return { ...graph, inputs: [...own, ...given.map((v) => graph.inputs.find((p) => p.value === v)!)] };
  });
  return { graphs, captured };
}

function checkedTensors(name: string, t: Trace, given: unknown): Tensors {
  const one = (x: unknown): S => {
    if (x instanceof SymbolicTensor) return t.capture(x);
    if (x instanceof Variable) return t.read(x);
    if (x instanceof Tensor) return t.constant(x);
    if (typeof x === 'number') return t.tensor(t.b.scalar(x));
    if (typeof x === 'boolean') return t.tensor(t.b.scalar(Number(x), 'bool'));
    throw new ValueError(`ops: the function of ${name} must give tensors, it gave ${describe(x)}`);
  };
  return Array.isArray(given) ? given.map(one) : one(given);
}

type Given = Tensors | Tensor | readonly Tensor[] | number | boolean;

/** trueFn() where the scalar is true, else falseFn(). Both give tensors of the same shapes; both are computed on devices, and one result is taken. */
export const cond = <P extends TensorLike, R extends Given>(
  pred: P,
  trueFn: () => R,
  falseFn: () => R,
): R extends readonly unknown[] ? Results<P> : Result<P> =>
  run('cond', [pred], ([p], t) => {
    if (p!.rank !== 0)
      throw new ShapeError(`ops.cond: the condition must be a scalar, got shape [${p!.shape.map(String).join(', ')}]; use ops.where element by element`);
    const condition = base.cast(p!, 'bool');
    let several = false;
    const note = (r: R): Tensors => {
      several = Array.isArray(r);
      return r as Tensors;
    };
    const { graphs, captured } = subGraphs(
      t,
      [],
      [
        ['then', () => note(trueFn())],
        ['else', () => note(falseFn())],
      ],
    );
    const out = t.b.emitAll('if', [condition.value, ...captured], { then: graphs[0]!, else: graphs[1]! }).map((v) => t.tensor(v));
    return several ? out : out[0]!;
  }) as R extends readonly unknown[] ? Results<P> : Result<P>;

/** One of several functions by an int32 scalar, which is brought into range. */
export const switchCase = <P extends TensorLike>(index: P, branches: readonly (() => SymbolicTensor)[]): Result<P> =>
  run('switchCase', [index], ([i]) => {
    const choose = (at: number): SymbolicTensor =>
      at === branches.length - 1 ? branches[at]!() : (cond(base.lessEqual(i!, at), branches[at]!, () => choose(at + 1)) as SymbolicTensor);
    return choose(0);
  }) as Result<P>;

export interface WhileOptions {
  /** The loop ends after so many rounds at the latest. */
  readonly maximumIterations?: number;
}

/** Repeats `body` while `condition` is true. Shapes and dtypes of the loop's variables stay. No gradient flows through it: use scan where one is wanted. */
export const whileLoop = <L extends readonly TensorLike[]>(
  condition: (...vars: SymbolicTensor[]) => SymbolicTensor,
  body: (...vars: SymbolicTensor[]) => readonly (SymbolicTensor | number)[] | SymbolicTensor,
  loopVars: L,
  options: WhileOptions = {},
): Results<L[number]> =>
  run('whileLoop', loopVars, (xs, t) => {
    const limit = options.maximumIterations;
    const all = limit === undefined ? xs : [...xs, t.tensor(t.b.scalar(0, 'int32'))];
    const own = (vs: readonly S[]) => vs.slice(0, xs.length);
    const { graphs, captured } = subGraphs(t, all, [
      [
        'condition',
        (vs, sub) => {
          const c = base.cast(checkedTensors('condition', sub, condition(...own(vs))) as S, 'bool');
          return limit === undefined ? c : base.logicalAnd(c, base.less(vs.at(-1)!, limit));
        },
      ],
      [
        'body',
        (vs, sub) => {
          const given = checkedTensors('body', sub, body(...own(vs)));
          const next = listOf(given);
          if (next.length !== xs.length) throw new ValueError(`ops.whileLoop: the body gave ${next.length} tensors for ${xs.length} variables`);
          return limit === undefined ? next : [...next, base.add(vs.at(-1)!, 1)];
        },
      ],
    ]);
    const out = t.b.emitAll('while', [...all.map((x) => x.value), ...captured], { cond: graphs[0]!, body: graphs[1]!, carries: all.length });
    return out.slice(0, xs.length).map((v) => t.tensor(v));
  }) as Results<L[number]>;

export interface ScanResults<X> {
  /** The carry after the last step. */
  readonly carry: Result<X>;
  /** What each step gave, along the first axis. */
  readonly ys: Result<X>;
}

/** Runs `f(carry, x)` for each x along the first axis of `xs`; it gives [new carry, y]. Gradients flow. */
export const scan = <C extends TensorLike, X extends TensorLike>(
  f: (carry: SymbolicTensor, x: SymbolicTensor) => readonly [SymbolicTensor, SymbolicTensor],
  init: C,
  xs: X,
  options: { readonly reverse?: boolean } = {},
): ScanResults<C | X> => {
  const [carry, ys] = run('scan', [init, xs], ([c, s], t) => {
    const r = baseScan(t, {
      name: 'scan',
      carries: [c!],
      xs: [s!],
      constants: [],
      length: s!.shape[0] as Dim,
      reverse: options.reverse ?? false,
      step: ([carried], [x]) => {
        const [next, y] = f(carried!, x!);
        return { carries: [next], ys: [y] };
      },
    });
    return [...r.carries, ...r.ys];
  }) as Results<C | X>;
  return { carry: carry!, ys: ys! };
};

/** `f(x)` for each x along the first axis, joined along it. */
export const map = <X extends TensorLike>(f: (x: SymbolicTensor) => SymbolicTensor, xs: X): Result<X> =>
  run('map', [xs], ([s], t) => {
    const r = baseScan(t, {
      name: 'map',
      carries: [],
      xs: [s!],
      constants: [],
      length: s!.shape[0] as Dim,
      reverse: false,
      step: (_, [x]) => ({ carries: [], ys: [f(x!)] }),
    });
    return r.ys[0]!;
  }) as Result<X>;
/** The same as `map`: one element after the other. */
export const vectorizedMap = map;

/** `body(i, value)` for i from lower to upper - 1, which are numbers. Gradients flow. */
export const foriLoop = <X extends TensorLike>(
  lower: number,
  upper: number,
  body: (i: SymbolicTensor, value: SymbolicTensor) => SymbolicTensor,
  init: X,
): Result<X> =>
  run('foriLoop', [init], ([c], t) => {
    const n = Math.max(0, upper - lower);
    if (n === 0) return c!;
    const steps = t.tensor(t.b.add(t.b.iota([n], 0), lower));
    return baseScan(t, {
      name: 'fori',
      carries: [c!],
      xs: [steps],
      constants: [],
      length: n,
      reverse: false,
      step: ([v], [i]) => ({ carries: [body(i!, v!)], ys: [] }),
    }).carries[0]!;
  }) as Result<X>;

/** Gradients of a scalar with respect to tensors or variables, in a call. Zeros where there is no influence. */
export function gradients(loss: SymbolicTensor, wrt: readonly (SymbolicTensor | Variable)[]): SymbolicTensor[] {
  const t = loss.trace;
  const values = wrt.map((w) => (w instanceof Variable ? (t.firstRead(w) ?? t.read(w).value) : t.capture(w).value));
  return irGradients(t.b, loss.value, values).map((g) => t.tensor(g));
}
