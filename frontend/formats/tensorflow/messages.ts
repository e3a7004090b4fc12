/** TensorFlow's protobuf messages, from bytes and back. The schema is tensorflow.proto. Small messages are counted before they are decoded: as objects they are many times larger. */
import { ModelFormatError } from '../../../ir/errors.js';
import { tensorflow } from './generated.js';

export type Int64 = number | { readonly low: number; readonly high: number; readonly unsigned: boolean };

export interface BundleHeader {
  readonly num_shards?: number;
  readonly endianness?: number;
  readonly version?: { readonly producer?: number; readonly min_consumer?: number } | null;
}
export interface BundleEntry {
  readonly dtype?: number;
  readonly shape?: { readonly dim?: readonly { readonly size?: Int64 }[]; readonly unknown_rank?: boolean } | null;
  readonly shard_id?: number;
  readonly offset?: Int64;
  readonly size?: Int64;
  readonly crc32c?: number;
  readonly slices?: readonly Uint8Array[];
}
export interface TrackableObject {
  readonly children?: readonly { readonly node_id?: number; readonly local_name?: string }[];
  readonly attributes?: readonly { readonly name?: string; readonly full_name?: string; readonly checkpoint_key?: string }[];
  readonly slot_variables?: readonly {
    readonly original_variable_node_id?: number;
    readonly slot_name?: string;
    readonly slot_variable_node_id?: number;
  }[];
  readonly has_checkpoint_values?: { readonly value?: boolean } | null;
}
export interface TrackableObjectGraph {
  readonly nodes: readonly TrackableObject[];
}
export interface SavedMetadata {
  readonly nodes: readonly { readonly node_id?: number; readonly node_path?: string; readonly identifier?: string; readonly metadata?: string }[];
}
export interface SavedModel {
  readonly meta_graphs: readonly {
    readonly object_graph_def?: {
      readonly nodes: readonly { readonly user_object?: { readonly identifier?: string; readonly metadata?: string } | null }[];
    } | null;
  }[];
}

/** A 64-bit integer of a message that is a size or a position. */
export function countOf(where: string, x: Int64 | undefined): number {
  const n = typeof x === 'object' ? Number(BigInt.asIntN(64, (BigInt(x.high >>> 0) << 32n) | BigInt(x.low >>> 0))) : (x ?? 0);
  if (!Number.isSafeInteger(n) || n < 0) throw new ModelFormatError(`${where}: ${n} is no size or position`);
  return n;
}

/** Most messages within one. */
const mostMessages = 400_000;

/** Fields that hold messages, by number. */
interface Nested {
  readonly [field: number]: Nested;
}
const graphFields: Nested = { 1: { 1: {}, 2: {}, 3: {} } };
const metadataFields: Nested = { 1: {} };
const savedModelFields: Nested = { 2: { 7: { 1: { 4: {} } } } };

/** Walks over a message and counts those in it. Whatever is damaged is left to the decoder. */
function counted(what: string, bytes: Uint8Array, fields: Nested): Uint8Array {
  let count = 0;
  const walk = (from: number, to: number, inner: Nested): void => {
    let at = from;
    const varint = (): number => {
      let value = 0;
      for (let shift = 0; at < to && shift < 70; shift += 7) {
        const b = bytes[at++]!;
        value += (b & 127) * 2 ** shift;
        if (b < 128) return value;
      }
      at = to;
      return value;
    };
    while (at < to) {
      const tag = varint();
      const type = tag % 8;
      if (type === 0) varint();
      else if (type === 1) at += 8;
      else if (type === 5) at += 4;
      else if (type === 2) {
        const n = varint();
        const nested = inner[Math.floor(tag / 8)];
        if (nested) {
          if (++count > mostMessages) throw new ModelFormatError(`${what}: has more than ${mostMessages} objects`);
          walk(at, Math.min(at + n, to), nested);
        }
        at += n;
      } else return;
    }
  };
  walk(0, bytes.byteLength, fields);
  return bytes;
}

function decode<T>(what: string, codec: { decode(bytes: Uint8Array): T }, bytes: Uint8Array): T {
  try {
    return codec.decode(bytes);
  } catch (e) {
    throw new ModelFormatError(`${what}: is not a valid message: ${e instanceof Error ? e.message : String(e)}`);
  }
}
const own = (x: { finish(): Uint8Array }): Uint8Array => new Uint8Array(x.finish());

export const decodeHeader = (what: string, bytes: Uint8Array): BundleHeader => decode(what, tensorflow.BundleHeader, bytes);
export const encodeHeader = (m: BundleHeader): Uint8Array => own(tensorflow.BundleHeader.encode(m));
export const decodeEntry = (what: string, bytes: Uint8Array): BundleEntry => decode(what, tensorflow.BundleEntry, bytes);
export const encodeEntry = (m: BundleEntry): Uint8Array => own(tensorflow.BundleEntry.encode(m));
export const decodeGraph = (what: string, bytes: Uint8Array): TrackableObjectGraph =>
  decode(what, tensorflow.TrackableObjectGraph, counted(what, bytes, graphFields));
export const encodeGraph = (m: TrackableObjectGraph): Uint8Array => own(tensorflow.TrackableObjectGraph.encode(m));
export const decodeMetadata = (what: string, bytes: Uint8Array): SavedMetadata => decode(what, tensorflow.SavedMetadata, counted(what, bytes, metadataFields));
export const decodeSavedModel = (what: string, bytes: Uint8Array): SavedModel => decode(what, tensorflow.SavedModel, counted(what, bytes, savedModelFields));
