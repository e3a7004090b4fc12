/** Runs layers and ops on arrays of the host, outside of any model: the variables have their host values, and keep what a call assigns. */
import { numbersOf } from '../../../ir/dtype.js';
import { ValueError } from '../../../ir/errors.js';
import { Tensor } from '../tensor.js';
import { nextSeed } from '../utils/random.js';
import { within } from './context.js';
import { EagerBuilder } from './eager.js';
import { iterationSlot, type Layout, type Place, SymbolicTensor, seedSlot, Trace } from './trace.js';
import type { Variable } from './variable.js';

/** Every variable in a slot of its own, found again by the slot. */
class HostLayout implements Layout {
  readonly variables = new Map<string, Variable>();
  place(v: Variable): Place {
    const slot = `${v.path}#${v.id}`;
    if (!this.variables.has(slot) && v.home?.newer)
      throw new ValueError(`${v.path}: the model that trained it holds a newer value: await model.getWeights() before this call`);
    this.variables.set(slot, v);
    return { slot, flat: null };
  }
}

let calls = 0;

/** Runs `body` in an eager trace. What it assigns to variables stays. */
export function runEagerly<T>(name: string, training: boolean, body: (t: Trace) => T): T {
  const layout = new HostLayout();
  const b = new EagerBuilder(name, {
    state: (slot, dtype, shape) => {
      if (slot === seedSlot) return { dtype, shape, data: Uint32Array.of(nextSeed()) };
      if (slot === iterationSlot) return { dtype, shape, data: Int32Array.of(calls++) };
      return { dtype, shape, data: layout.variables.get(slot)!.value };
    },
  });
  const trace = new Trace(b, { training, layout });
  const result = within(trace, null, () => body(trace));
  const finish = () => {
    for (const [slot, t] of b.newState()) {
      const v = layout.variables.get(slot)!;
      v.assign(numbersOf(t.data));
      v.home?.push();
    }
  };
  if (result instanceof Promise)
    return result.then((r: unknown) => {
      finish();
      return r;
    }) as T;
  finish();
  return result;
}

/** Symbolic tensors of an eager trace as tensors of the host, in lists and objects too. */
export function concrete(x: unknown): unknown {
  if (x instanceof SymbolicTensor) return x.toTensor();
  if (x instanceof Tensor || typeof x !== 'object' || x === null) return x;
  if (x instanceof Promise) return x.then(concrete);
  if (Array.isArray(x)) return x.map(concrete);
  return Object.fromEntries(Object.entries(x).map(([k, v]) => [k, concrete(v)]));
}
