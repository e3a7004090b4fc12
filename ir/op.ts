/** The record that says everything about one primitive op. Records live in ir/ops/, one file per family; ir/ops/index.ts is the registry. */
import type { GraphBuilder } from './builder.js';
import type { Pullback } from './cotangents.js';
import type { Bindings } from './dim.js';
import type { Node, NodeOf, TensorType, Value } from './graph.js';
import type { OpAttrs, OpName } from './op-attrs.js';
import type { TensorData } from './tensor-data.js';

/**
 * How fusion sees an op. elementwise: output i from inputs i. injective: each output element reads at most one element of each input, at an index that
 * follows from the output's (shape ops, gather). view: injective, and a reinterpretation of the same memory where contiguous (reshape).
 * reduction, window, contraction, scatter, control: as named. source: no tensor inputs that are indexed (iota, constants, random bits). opaque: never fused.
 */
export type FusionKind = 'source' | 'elementwise' | 'injective' | 'view' | 'reduction' | 'window' | 'contraction' | 'scatter' | 'control' | 'opaque';

/** A slot that an op does not have, and why. */
export interface Absent {
  readonly none: string;
}

export interface EvaluateContext {
  readonly bindings: Bindings;
  /** Evaluates a sub-graph. */
  readonly run: (graph: import('./graph.js').Graph, inputs: readonly TensorData[]) => TensorData[];
}

export interface GradientContext<K extends OpName> {
  readonly b: GraphBuilder;
  readonly node: NodeOf<K>;
  /** Cotangent of each output; null where nothing flows. At least one is not null. */
  readonly grads: readonly (Value | null)[];
  /** Which inputs need a gradient; rules may leave the others null. */
  readonly wanted: readonly boolean[];
  /** Differentiates the nodes of an inlined sub-graph. */
  readonly pullback: Pullback;
  /** How fusion sees a node: what is cheap to compute again. */
  readonly kindOf: (node: Node) => FusionKind;
}

/** For each input axis: the output axis that it becomes unchanged (same size, index i to index i), or null. One list per input. For single-output ops. */
export type AxesMap = readonly (readonly (number | null)[])[];

export interface OpDef<K extends OpName = OpName> {
  readonly name: K;
  readonly kind: FusionKind | ((node: NodeOf<K>) => FusionKind);
  /** Types of the outputs; throws ShapeError or ValueError with a message that starts with the op's name. */
  readonly infer: (inputs: readonly TensorType[], attrs: OpAttrs[K]) => TensorType[];
  /** Plain loops; floats in float64. Inputs and outputs hold floats as Float64Array. */
  readonly evaluate: (inputs: readonly TensorData[], attrs: OpAttrs[K], outputs: readonly TensorType[], ctx: EvaluateContext) => TensorData[];
  /** Cotangents of the inputs, each of the input's type, or null where nothing flows. */
  readonly gradient: ((ctx: GradientContext<K>) => readonly (Value | null)[]) | Absent;
  readonly axes: ((inputs: readonly TensorType[], attrs: OpAttrs[K]) => AxesMap) | Absent;
  /** The attributes as `key=value` text and back. */
  readonly print: (attrs: OpAttrs[K], p: AttrPrinter) => string;
  readonly parse: (attrs: ReadonlyMap<string, string>, p: AttrParser) => OpAttrs[K];
}

/** What attribute printers need of the graph printer: constants by reference and sub-graphs. */
export interface AttrPrinter {
  readonly tensor: (t: TensorData) => string;
  readonly graph: (g: import('./graph.js').Graph) => string;
}
export interface AttrParser {
  readonly tensor: (text: string) => TensorData;
  readonly graph: (text: string) => import('./graph.js').Graph;
}

export const defineOp = <K extends OpName>(def: OpDef<K>): OpDef<K> => def;
