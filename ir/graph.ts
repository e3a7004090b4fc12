/**
 * The graph IR: nodes in topological order, in SSA form. Graphs are immutable once built (GraphBuilder.build); passes build new ones.
 * All values are dense and row-major in their logical shape; a memory layout is a transpose in the graph.
 */

import { type Dim, type Shape, shapeToString } from './dim.js';
import type { DType } from './dtype.js';
import type { OpAttrs, OpName } from './op-attrs.js';
import type { TensorData } from './tensor-data.js';

export interface TensorType {
  readonly dtype: DType;
  readonly shape: Shape;
}

/** A typed value: the output of a node, or (producer null) an input or state slot of the graph. Identity is the object. */
export interface Value extends TensorType {
  /** Unique within its graph. */
  readonly id: number;
  readonly producer: Node | null;
  /** Which output of the producer. */
  readonly index: number;
}

export interface NodeOf<K extends OpName> {
  readonly op: K;
  readonly attrs: OpAttrs[K];
  readonly inputs: readonly Value[];
  readonly outputs: readonly Value[];
  /** Where it came from: a layer path such as `lstm_1/kernel`, or an ONNX node name. Empty when unknown. */
  readonly origin: string;
}

/** A node of any op; `node.op === 'dot'` narrows the attributes. */
export type Node = { [K in OpName]: NodeOf<K> }[OpName];

export interface Port {
  readonly name: string;
  readonly value: Value;
}

export interface GraphInput extends Port {
  /** `resident`: a data set that stays on the device between runs and is bound by the host, not copied at each run. */
  readonly resident: boolean;
}

/** A named part of a flat state slot, such as one layer's kernel inside all trainable parameters. */
export interface StateView {
  readonly name: string;
  readonly offset: number;
  readonly shape: readonly number[];
}

/** Memory that outlives a run: weights, optimizer slots, counters, accumulators. Graphs of one model share slots by name. */
export interface StateSlot {
  readonly name: string;
  /** The slot's value at the start of the run. Its shape is static. */
  readonly value: Value;
  readonly trainable: boolean;
  /** Initial contents; null: the host writes them. */
  readonly initial: TensorData | null;
  readonly views: readonly StateView[];
}

export interface SymbolDecl {
  readonly name: string;
  /** Largest value that memory is planned for. */
  readonly max: number;
}

export interface Update {
  /** Name of the state slot. */
  readonly slot: string;
  /** Its value after the run. */
  readonly value: Value;
}

export interface Graph {
  readonly name: string;
  readonly symbols: readonly SymbolDecl[];
  readonly inputs: readonly GraphInput[];
  readonly state: readonly StateSlot[];
  readonly nodes: readonly Node[];
  readonly outputs: readonly Port[];
  readonly updates: readonly Update[];
}

export const typeToString = (t: TensorType): string => `${t.dtype}${shapeToString(t.shape)}`;
export const maxBindings = (g: Graph): Record<string, number> => Object.fromEntries(g.symbols.map((s) => [s.name, s.max]));

/** The values that leave the graph: outputs and updates. */
export const rootsOf = (g: Graph): Value[] => [...g.outputs.map((o) => o.value), ...g.updates.map((u) => u.value)];

/** The nodes that use each value, in order; `null` stands for the graph's outputs and updates. */
export function usersOf(g: Graph): Map<Value, (Node | null)[]> {
  const users = new Map<Value, (Node | null)[]>();
  const add = (v: Value, n: Node | null) => {
    const list = users.get(v);
    if (list) list.push(n);
    else users.set(v, [n]);
  };
  for (const n of g.nodes) for (const v of n.inputs) add(v, n);
  for (const v of rootsOf(g)) add(v, null);
  return users;
}

export type { Dim, Shape };
