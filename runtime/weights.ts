/**
 * Weights by name: a plan keeps state in flat slots whose views name the parts (one layer's kernel); files and people know the parts. A part is called by its view's name, by its slot's name where
 * the slot has no views, and by `slot/view` where an earlier part already has the view's name (optimizer slots repeat the names of the weights they belong to).
 */
import type { HostArray, Session } from './device.js';
import { ModelFormatError } from './errors.js';
import type { PlanState } from './plan.js';
import { elementsOf } from './program.js';
import { type NamedTensor, readSafetensors, tensorAs } from './safetensors.js';

/** A named part of a plan's state. */
export interface StatePart {
  readonly name: string;
  readonly slot: PlanState;
  /** In elements of the slot. */
  readonly offset: number;
  readonly shape: readonly number[];
}

export function statePartsOf(state: readonly PlanState[]): StatePart[] {
  const parts: StatePart[] = [];
  const taken = new Set<string>();
  // Trainable slots first, so that weights keep their names whatever else a plan holds.
  for (const slot of [...state.filter((s) => s.trainable), ...state.filter((s) => !s.trainable)]) {
    const views = slot.views.length > 0 ? slot.views : [{ name: slot.name, offset: 0, shape: slot.shape }];
    for (const v of views) {
      let name = taken.has(v.name) ? `${slot.name}/${v.name}` : v.name;
      while (taken.has(name)) name += "'";
      taken.add(name);
      parts.push({ name, slot, offset: v.offset, shape: v.shape });
    }
  }
  return parts;
}

/** All state of a session that the plan names, on the host. */
export async function readWeights(session: Session, state: readonly PlanState[]): Promise<NamedTensor[]> {
  const slots = new Map<string, HostArray>();
  for (const s of state) slots.set(s.name, await session.readState(s.name));
  return statePartsOf(state).map((p) => ({
    name: p.name,
    dtype: p.slot.dtype,
    shape: p.shape,
    data: slots.get(p.slot.name)!.slice(p.offset, p.offset + elementsOf(p.shape)) as HostArray,
  }));
}

/** Writes a safetensors file into the state. Every tensor must fit a part, and every trainable part without initial contents must be there; other parts keep what they have. */
export function writeWeights(session: Session, state: readonly PlanState[], file: Uint8Array, source: string): void {
  const { tensors } = readSafetensors(file, source);
  const parts = new Map(statePartsOf(state).map((p) => [p.name, p]));
  const data: { part: StatePart; values: HostArray }[] = [];
  for (const [name, t] of tensors) {
    const part = parts.get(name);
    if (!part)
      throw new ModelFormatError(
        `${source}: tensor '${name}' is no part of the model's state; it has ${[...parts.keys()]
          .slice(0, 8)
          .map((n) => `'${n}'`)
          .join(', ')}${parts.size > 8 ? ', …' : ''}`,
      );
    if (t.shape.length !== part.shape.length || t.shape.some((d, i) => d !== part.shape[i]))
      throw new ModelFormatError(`${source}, '${name}': expected shape [${part.shape.join(',')}], the file holds [${t.shape.join(',')}]`);
    data.push({ part, values: tensorAs(t, part.slot.dtype, `${source}, '${name}'`) });
  }
  const missing = [...parts.values()].filter((p) => p.slot.trainable && p.slot.initial === null && !tensors.has(p.name));
  if (missing.length > 0)
    throw new ModelFormatError(
      `${source}: weights are missing: ${missing
        .slice(0, 8)
        .map((p) => `'${p.name}'`)
        .join(', ')}${missing.length > 8 ? ` and ${missing.length - 8} more` : ''}`,
    );
  // Checked whole before anything is written.
  for (const { part, values } of data) session.writeState(part.slot.name, values, part.offset);
}
