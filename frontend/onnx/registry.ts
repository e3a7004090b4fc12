/** What an entry of the op table is: name, domain, versions, attributes with their types and defaults, and the lowering to primitives. The entries are in ops/, one file per family. */
import type { Value } from '../../ir/graph.js';
import type { TensorData } from '../../ir/tensor-data.js';
import type { NodeContext } from './context.js';
import { bigOf, intOf, textOf } from './schema/codec.js';
import type { AttributeProto, GraphProto, TypeProto } from './schema/types.js';
import { readSparse, readTensor } from './tensors.js';

/** A list of tensors: ONNX sequences exist while a model is imported, never at run time. */
export class Sequence {
  constructor(readonly items: readonly Value[]) {}
}
/** An optional with nothing in it. */
export class Nothing {}

/** What a name in a graph stands for. */
export type Item = Value | Sequence | Nothing;
export const isValue = (x: Item | null | undefined): x is Value => x !== null && x !== undefined && !(x instanceof Sequence) && !(x instanceof Nothing);

/** AttributeProto's types. */
const types = { float: 1, int: 2, string: 3, tensor: 4, graph: 5, floats: 6, ints: 7, strings: 8, sparse: 11, type: 13 } as const;
type AttrKind = keyof typeof types;

export interface Attr<T> {
  readonly kind: AttrKind;
  readonly type: number;
  readonly read: (a: AttributeProto, where: string) => T;
  /** undefined: required. */
  readonly fallback: T | undefined;
  readonly required: boolean;
}

const attr = <T>(kind: AttrKind, read: (a: AttributeProto, where: string) => T, fallback: T | undefined): Attr<T> => ({
  kind,
  type: types[kind],
  read,
  fallback,
  required: fallback === undefined,
});

const readInt = (a: AttributeProto): number => intOf(a.i);
const readFloat = (a: AttributeProto): number => a.f ?? 0;
const readText = (a: AttributeProto): string => textOf(a.s);
const readInts = (a: AttributeProto): readonly number[] => (a.ints ?? []).map(intOf);
const readFloats = (a: AttributeProto): readonly number[] => a.floats ?? [];
const readTexts = (a: AttributeProto): readonly string[] => (a.strings ?? []).map(textOf);

/** Attribute types. Without an argument: required. `opt`: null where missing. */
export const int = (d?: number): Attr<number> => attr('int', readInt, d);
export const float = (d?: number): Attr<number> => attr('float', readFloat, d);
export const text = (d?: string): Attr<string> => attr('string', readText, d);
export const ints = (d?: readonly number[]): Attr<readonly number[]> => attr('ints', readInts, d);
export const floats = (d?: readonly number[]): Attr<readonly number[]> => attr('floats', readFloats, d);
export const texts = (d?: readonly string[]): Attr<readonly string[]> => attr('strings', readTexts, d);
export const graph = (): Attr<GraphProto> => attr('graph', (a) => a.g ?? {}, undefined);
export const opt = {
  int: attr<number | null>('int', readInt, null),
  /** Exact, for values beyond 2^53. */
  big: attr<bigint | null>('int', (a) => bigOf(a.i), null),
  float: attr<number | null>('float', readFloat, null),
  text: attr<string | null>('string', readText, null),
  ints: attr<readonly number[] | null>('ints', readInts, null),
  bigs: attr<readonly bigint[] | null>('ints', (a) => (a.ints ?? []).map(bigOf), null),
  floats: attr<readonly number[] | null>('floats', readFloats, null),
  texts: attr<readonly string[] | null>('strings', readTexts, null),
  tensor: attr<TensorData | null>('tensor', (a, where) => readTensor(a.t ?? {}, where), null),
  sparse: attr<TensorData | null>('sparse', (a, where) => readSparse(a.sparse_tensor ?? {}, where), null),
  graph: attr<GraphProto | null>('graph', (a) => a.g ?? null, null),
  type: attr<TypeProto | null>('type', (a) => a.tp ?? null, null),
} as const;

export type AttrSpec = Readonly<Record<string, Attr<unknown>>>;
export type AttrsOf<S extends AttrSpec> = { readonly [K in keyof S]: S[K] extends Attr<infer T> ? T : never };

/** Outputs in order: one item, or a list (null where the node does not want it). */
export type Lowered = Item | readonly (Item | null)[];

export interface OpEntry {
  readonly name: string;
  /** '' is the default domain. */
  readonly domain: string;
  /** Opset versions at which its definition changed; the largest that is not above the model's opset holds. */
  readonly versions: readonly number[];
  /** The last opset that has it, where it was removed. */
  readonly until: number | null;
  readonly attributes: AttrSpec;
  /** It knows what to do with padded inputs of data-dependent size. */
  readonly padded: boolean;
  readonly lower: (c: NodeContext, attributes: Readonly<Record<string, unknown>>) => Lowered;
}

export interface OpOptions {
  readonly domain?: string;
  readonly padded?: boolean;
  readonly until?: number;
}

export function op<S extends AttrSpec>(
  name: string,
  versions: readonly number[],
  attributes: S,
  lower: (c: NodeContext, a: AttrsOf<S>) => Lowered,
  options: OpOptions = {},
): OpEntry {
  return {
    name,
    domain: options.domain ?? '',
    versions,
    until: options.until ?? null,
    attributes,
    padded: options.padded ?? false,
    lower: lower as OpEntry['lower'],
  };
}
