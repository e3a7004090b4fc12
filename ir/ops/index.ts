/** The registry of primitives: one record per op, and nothing but the list here. */
import type { OpDef } from '../op.js';
import type { OpName } from '../op-attrs.js';

export const ops: { readonly [K in OpName]: OpDef<K> } = {} as never;

export const opDef = <K extends OpName>(name: K): OpDef<K> => ops[name];
