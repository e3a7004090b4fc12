/**
 * Where a model's variables lie on the device: all trainable weights in the flat slot `params`, in which weights whose size is a multiple of 4 come first so that each stays aligned for
 * 128-bit loads; everything else in slots of its own.
 */
import type { Layout, Place } from '../backend/trace.js';
import type { Variable } from '../backend/variable.js';
import type { FlatParameters } from '../optimizers/optimizer.js';
import { uniqueNames } from '../utils/naming.js';

export const parametersSlot = 'params';

export class ModelLayout implements Layout {
  readonly flat: FlatParameters;
  private readonly places = new Map<Variable, Place>();
  /** Of variables that the model did not know of. */
  private readonly further = new Map<Variable, Place>();
  private readonly used = new Set<string>([parametersSlot]);

  constructor(trainable: readonly Variable[], others: readonly Variable[]) {
    const ordered = [...trainable.filter((v) => v.size % 4 === 0), ...trainable.filter((v) => v.size % 4 !== 0)];
    let size = 0;
    const parts = ordered.map((variable) => {
      const offset = size;
      size += variable.size;
      return { variable, offset };
    });
    const names = uniqueNames(parts.map((p) => p.variable.path));
    const views = parts.map(({ variable, offset }, i) => ({ name: names[i]!, offset, shape: variable.shape }));
    this.flat = { slot: parametersSlot, size, parts, views };
    for (const { variable, offset } of parts) this.places.set(variable, { slot: parametersSlot, flat: { offset, size, views } });
    for (const v of others) this.places.set(v, { slot: this.newSlot(v.path), flat: null });
  }

  /** Variables that the model did not know of (metrics) lie in slots named by their paths, numbered where two have one path. */
  place(v: Variable): Place {
    const known = this.places.get(v) ?? this.further.get(v);
    if (known) return known;
    const place = { slot: this.newSlot(v.path), flat: null };
    this.further.set(v, place);
    return place;
  }

  private newSlot(path: string): string {
    let slot = path;
    for (let n = 1; this.used.has(slot); n++) slot = `${path}_${n}`;
    this.used.add(slot);
    return slot;
  }

  /** Host values of all flat weights, or of those given, in their order there. */
  gather(part: readonly Variable[] | null = null): Float32Array {
    const wanted = part ? this.flat.parts.filter((p) => part.includes(p.variable)) : this.flat.parts;
    const out = new Float32Array(wanted.reduce((n, p) => n + p.variable.size, 0));
    let at = 0;
    for (const { variable } of wanted) {
      out.set(variable.value, at);
      at += variable.size;
    }
    return out;
  }

  /** Variables with slots of their own. */
  get separate(): readonly Variable[] {
    return [...this.places].filter(([, p]) => p.flat === null).map(([v]) => v);
  }
}
