/** Choices, loops over steps and gradients of `tf.keras.backend`. */
import { ValueError } from '../../../../ir/errors.js';
import * as ops from '../../ops/index.js';
import { type Result, type Results, run, type TensorLike } from '../../ops/lift.js';
import * as base from '../ops.js';
import { scan as baseScan } from '../scan.js';
import { SymbolicTensor } from '../trace.js';

/** thenExpression where the scalar is true, else elseExpression; each a tensor or a function that gives one. */
const switchOf = <C extends TensorLike>(
  condition: C,
  thenExpression: SymbolicTensor | (() => SymbolicTensor),
  elseExpression: SymbolicTensor | (() => SymbolicTensor),
): Result<C> => ops.cond(condition, asFunction(thenExpression), asFunction(elseExpression)) as Result<C>;

export { switchOf as switch };

const asFunction = <T>(x: T | (() => T)): (() => T) => (typeof x === 'function' && !(x instanceof SymbolicTensor) ? (x as () => T) : () => x as T);
/** x while training, alt otherwise; `training` is the argument of the call. */
export const inTrainPhase = <T>(x: T | (() => T), alt: T | (() => T), training: boolean | null = false): T => asFunction(training ? x : alt)();
export const inTestPhase = <T>(x: T | (() => T), alt: T | (() => T), training: boolean | null = false): T => inTrainPhase(alt, x, training);

/** `f(x)` for each x along the first axis, joined along it. */
export const mapFn = ops.map;
export const map = ops.map;

type Step = (accumulated: SymbolicTensor, x: SymbolicTensor) => SymbolicTensor;
const fold =
  (name: 'foldl' | 'foldr') =>
  <X extends TensorLike>(fn: Step, elems: X, initializer: TensorLike | null = null): Result<X> =>
    run(name, initializer === null ? [elems] : [elems, initializer], ([x, first], t) => {
      const reverse = name === 'foldr';
      const n = x!.shape[0]!;
      if (!first && typeof n !== 'number') throw new ValueError(`backend.${name}: without 'initializer' the number of elements must be known`);
      // without a start the first element is it
      const end = reverse ? (n as number) - 1 : 0;
      const start = first ?? base.squeeze(base.sliceAxis(x!, 0, end, end + 1), 0);
      const rest = first ? x! : reverse ? base.sliceAxis(x!, 0, 0, end) : base.sliceAxis(x!, 0, 1, n);
      if (rest.shape[0] === 0) return start;
      return baseScan(t, {
        name,
        carries: [start],
        xs: [rest],
        constants: [],
        length: rest.shape[0]!,
        reverse,
        step: ([a], [e]) => ({ carries: [fn(a!, e!)], ys: [] }),
      }).carries[0]!;
    }) as Result<X>;
/** `fn(… fn(fn(initializer, x0), x1) …)` along the first axis; without an initializer x0 is the start. Gradients flow. */
export const foldl = fold('foldl');
/** The same from the last element to the first. */
export const foldr = fold('foldr');

export interface RnnOptions {
  readonly goBackwards?: boolean;
  /** (samples, time): false steps keep states and output. */
  readonly mask?: SymbolicTensor | null;
  /** Given to each step behind the states. */
  readonly constants?: readonly SymbolicTensor[];
  /** Outputs of false steps are zeros, not those of the step before. */
  readonly zeroOutputForMask?: boolean;
  /** Inputs and outputs have time before the samples. */
  readonly timeMajor?: boolean;
}
/** Steps through axis 1 of `inputs`: `step(x, states)` gives [output, new states]. */
export const rnn = <X extends TensorLike>(
  step: (x: SymbolicTensor, states: readonly SymbolicTensor[]) => readonly [SymbolicTensor, readonly SymbolicTensor[]],
  inputs: X,
  initialStates: readonly TensorLike[],
  options: RnnOptions = {},
): { readonly lastOutput: Result<X>; readonly outputs: Result<X>; readonly states: Results<X> } => {
  const found = run('rnn', [inputs, ...initialStates, ...(options.mask ? [options.mask] : [])], (xs, t) => {
    const [x, ...rest] = xs as [SymbolicTensor, ...SymbolicTensor[]];
    const states = rest.slice(0, initialStates.length);
    const swapped = (v: SymbolicTensor) => base.transpose(v, [1, 0, ...v.shape.slice(2).map((_, i) => i + 2)]);
    const timeFirst = (v: SymbolicTensor) => (options.timeMajor ? v : swapped(v));
    const mask = options.mask ? timeFirst(base.cast(rest.at(-1)!, 'bool')) : null;
    const steps = [timeFirst(x), ...(mask ? [mask] : [])].map((v) => (options.goBackwards ? base.reverse(v, [0]) : v));
    const constants = options.constants ?? [];
    const next = (now: SymbolicTensor, carried: readonly SymbolicTensor[]) => step(now, [...carried, ...constants]);
    // the output before the first step is zeros of the output's shape, which a first step tells
    const [first] = next(base.squeeze(base.sliceAxis(steps[0]!, 0, 0, 1), 0), states);
    const r = baseScan(t, {
      name: 'rnn',
      carries: [base.zeros(first, first.shape, first.dtype), ...states],
      xs: steps,
      constants: [],
      length: steps[0]!.shape[0]!,
      reverse: false,
      step: ([last, ...carried], [now, keep]) => {
        const [y, states] = next(now!, carried);
        if (!keep) return { carries: [y, ...states], ys: [y] };
        const choose = (a: SymbolicTensor, b: SymbolicTensor) => {
          const wide = base.reshape(keep, [keep.shape[0]!, ...a.shape.slice(1).map(() => 1)]);
          return base.where(base.broadcastTo(wide, a.shape), a, b);
        };
        const out = choose(y, options.zeroOutputForMask ? base.zeros(y, y.shape, y.dtype) : last!);
        return { carries: [out, ...states.map((n, i) => choose(n, carried[i]!))], ys: [out] };
      },
    });
    return [r.carries[0]!, timeFirst(r.ys[0]!), ...r.carries.slice(1)];
  }) as Results<X>;
  return { lastOutput: found[0]!, outputs: found[1]!, states: found.slice(2) };
};
