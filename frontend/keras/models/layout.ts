/**
 * Where a model's variables lie on the device: all trainable weights in the flat slot `params`, in which weights whose size is a multiple of 4 come first so that each stays aligned for
 * 128-bit loads; everything else in slots of its own.
 */
import type { Layout, Place } from '../backend/trace.js';
import type { Variable } from '../backend/variable.js';
import type { FlatParameters } from '../optimizers/optimizer.js';

export const parametersSlot = 'params';

export class ModelLayout implements Layout {
  readonly flat: FlatParameters;
  private readonly places = new Map<Variable, Place>();

  constructor(trainable: readonly Variable[], others: readonly Variable[]) {
    const ordered = [...trainable.filter((v) => v.size % 4 === 0), ...trainable.filter((v) => v.size % 4 !== 0)];
    let size = 0;
    const parts = ordered.map((variable) => {
      const offset = size;
      size += variable.size;
      return { variable, offset };
    });
    const views = parts.map(({ variable, offset }) => ({ name: variable.path, offset, shape: variable.shape }));
    this.flat = { slot: parametersSlot, size, parts, views };
    for (const { variable, offset } of parts) this.places.set(variable, { slot: parametersSlot, flat: { offset, size, views } });
    const used = new Set<string>([parametersSlot]);
    for (const v of others) {
      let slot = v.path;
      for (let n = 1; used.has(slot); n++) slot = `${v.path}_${n}`;
      used.add(slot);
      this.places.set(v, { slot, flat: null });
    }
  }

  /** Variables that the model did not know of (metrics) lie in slots named by their paths. */
  place(v: Variable): Place {
    return this.places.get(v) ?? { slot: v.path, flat: null };
  }

  /** Host values of all flat weights. */
  gather(): Float32Array {
    const out = new Float32Array(this.flat.size);
    for (const { variable, offset } of this.flat.parts) out.set(variable.value, offset);
    return out;
  }

  /** Variables with slots of their own. */
  get separate(): readonly Variable[] {
    return [...this.places].filter(([, p]) => p.flat === null).map(([v]) => v);
  }
}
