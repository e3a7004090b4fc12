/**
 * TensorFlow checkpoints, version 2 ("tensor bundles"): `PREFIX.index`, a table of names with type, shape and place of each tensor, and `PREFIX.data-SSSSS-of-NNNNN` with the bytes.
 * Tensors are read from their places when they are asked for, and their checksums compared.
 */
import type { DType, TypedArray } from '../../../ir/dtype.js';
import { ModelFormatError } from '../../../ir/errors.js';
import { crc32c, masked } from '../crc32.js';
import { bytesOf, bytesOfShape, elementsOf, writtenType } from '../elements.js';
import type { Sink } from '../sink.js';
import { type OpenFile, readAll } from '../source.js';
import { countOf, decodeEntry, decodeHeader, encodeEntry, encodeHeader } from './messages.js';
import { compareBytes, readTable, writeTable } from './table.js';

const largestIndex = 256 << 20;
const stringType = 7;
const types: ReadonlyMap<number, DType> = new Map([
  [1, 'float32'],
  [2, 'float64'],
  [3, 'int32'],
  [4, 'uint8'],
  [5, 'int16'],
  [6, 'int8'],
  [9, 'int64'],
  [10, 'bool'],
  [14, 'bfloat16'],
  [17, 'uint16'],
  [19, 'float16'],
  [22, 'uint32'],
  [23, 'uint64'],
]);

/** A tensor of a checkpoint. */
export interface BundleTensor {
  readonly key: string;
  readonly shape: readonly number[];
  /** Null for strings. */
  readonly dtype: DType | null;
  readonly shard: number;
  readonly offset: number;
  readonly size: number;
  readonly crc: number;
}

export interface Bundle {
  readonly name: string;
  readonly tensors: ReadonlyMap<string, BundleTensor>;
  /** The elements; the array belongs to the caller. */
  read(key: string): Promise<TypedArray>;
  /** The bytes of a scalar string. `limit`: most bytes. */
  readString(key: string, limit: number): Promise<Uint8Array>;
  close(): Promise<void>;
}

export const shardName = (prefix: string, shard: number, count: number): string =>
  `${prefix}.data-${String(shard).padStart(5, '0')}-of-${String(count).padStart(5, '0')}`;

function tensorOf(what: string, key: string, bytes: Uint8Array, shards: number): BundleTensor {
  const where = `${what}: ${JSON.stringify(key.slice(0, 200))}`;
  const e = decodeEntry(where, bytes);
  if (e.slices && e.slices.length > 0) throw new ModelFormatError(`${where}: is stored in slices (a partitioned variable), which are not read`);
  if (e.shape?.unknown_rank) throw new ModelFormatError(`${where}: has no shape`);
  const shape = (e.shape?.dim ?? []).map((d) => countOf(where, d.size));
  const dtype = types.get(e.dtype ?? 0) ?? null;
  if (dtype === null && e.dtype !== stringType) throw new ModelFormatError(`${where}: has the type ${e.dtype}, which is not read`);
  const size = countOf(where, e.size);
  const expected = dtype === null ? size : bytesOfShape(where, dtype, shape);
  if (expected !== size) throw new ModelFormatError(`${where}: ${dtype}[${shape.join(',')}] has ${expected} bytes, its place has ${size}`);
  const shard = e.shard_id ?? 0;
  if (shard < 0 || shard >= shards) throw new ModelFormatError(`${where}: is in shard ${shard} of ${shards}`);
  return { key, shape, dtype, shard, offset: countOf(where, e.offset), size, crc: e.crc32c ?? 0 };
}

/** Opens a checkpoint by its open index. */
export async function openBundle(index: OpenFile): Promise<Bundle> {
  const what = index.name;
  const [first, ...rest] = readTable(what, await readAll(index, largestIndex));
  if (first?.[0] !== '') throw new ModelFormatError(`${what}: is not the index of a checkpoint: it has no header`);
  const header = decodeHeader(`${what}: its header`, first[1]);
  const count = header.num_shards ?? 0;
  if (count < 1 || count > 99_999) throw new ModelFormatError(`${what}: says that it has ${count} shards`);
  if (header.endianness) throw new ModelFormatError(`${what}: was written on a big-endian machine, which is not read`);
  if ((header.version?.min_consumer ?? 0) > 1) throw new ModelFormatError(`${what}: needs a newer reader (version ${header.version?.min_consumer})`);
  const tensors = new Map(rest.map(([key, value]) => [key, tensorOf(what, key, value, count)]));
  const prefix = (what.split(/[\\/]/).at(-1) ?? what).replace(/\.index$/, '');
  const shards = new Map<number, Promise<OpenFile>>();
  const bytes = async (key: string): Promise<[Uint8Array, BundleTensor, boolean]> => {
    const t = tensors.get(key);
    if (!t) throw new ModelFormatError(`${what}: has no tensor ${JSON.stringify(key)}`);
    const opened = shards.get(t.shard) ?? index.beside(shardName(prefix, t.shard, count));
    shards.set(t.shard, opened);
    const shard = await opened;
    if (t.offset + t.size > shard.size)
      throw new ModelFormatError(`${shard.name}: ${JSON.stringify(key)} lies at bytes ${t.offset} to ${t.offset + t.size}, the file has ${shard.size}`);
    return [await shard.read(t.offset, t.size), t, !shard.lendsBytes];
  };
  const verify = (t: BundleTensor, crc: number): void => {
    if (masked(crc) !== t.crc) throw new ModelFormatError(`${what}: ${JSON.stringify(t.key)} is damaged: its checksum does not fit`);
  };
  return {
    name: what,
    tensors,
    async read(key) {
      const [data, t, fresh] = await bytes(key);
      if (t.dtype === null) throw new ModelFormatError(`${what}: ${JSON.stringify(key)} holds strings, expected numbers`);
      verify(t, crc32c(data));
      return elementsOf(`${what}: ${JSON.stringify(key)}`, t.dtype, data, fresh);
    },
    async readString(key, limit) {
      const t = tensors.get(key);
      if (t && (t.dtype !== null || t.shape.length > 0)) throw new ModelFormatError(`${what}: ${JSON.stringify(key)} is not a string`);
      if (t && t.size > limit) throw new ModelFormatError(`${what}: ${JSON.stringify(key)} has ${t.size} bytes, more than the limit of ${limit}`);
      const [data, tensor] = await bytes(key);
      const fail = (): never => {
        throw new ModelFormatError(`${what}: the string ${JSON.stringify(key)} is damaged`);
      };
      let length = 0;
      let at = 0;
      for (; ; at++) {
        const b = data[at] ?? fail();
        length += (b & 127) * 2 ** (7 * at);
        if (b < 128) break;
        if (at > 6) fail();
      }
      const body = ++at + 4;
      if (body + length !== data.byteLength) fail();
      verify(tensor, crc32c(data.subarray(at), crc32c(lengthBytes(length))));
      return data.subarray(body);
    },
    async close() {
      for (const s of await Promise.allSettled(shards.values())) if (s.status === 'fulfilled') await s.value.close();
    },
  };
}

/** The length of a string as its checksum takes it. */
function lengthBytes(n: number): Uint8Array {
  const out = new Uint8Array(n > 0xffffffff ? 8 : 4);
  const v = new DataView(out.buffer);
  v.setUint32(0, n % 2 ** 32, true);
  if (n > 0xffffffff) v.setUint32(4, Math.floor(n / 2 ** 32), true);
  return out;
}

/** A scalar string as checkpoints store it, and its checksum. */
function stringTensor(text: Uint8Array): { readonly bytes: Uint8Array; readonly crc: number } {
  const varint: number[] = [];
  let rest = text.byteLength;
  for (; rest > 127; rest = Math.floor(rest / 128)) varint.push((rest % 128) | 128);
  varint.push(rest);
  const bytes = new Uint8Array(varint.length + 4 + text.byteLength);
  bytes.set(varint);
  const lengths = crc32c(lengthBytes(text.byteLength));
  new DataView(bytes.buffer).setUint32(varint.length, masked(lengths), true);
  bytes.set(text, varint.length + 4);
  return { bytes, crc: crc32c(bytes.subarray(varint.length), lengths) };
}

/** What is written: numbers, or the bytes of a scalar string. */
export interface NewTensor {
  readonly shape: readonly number[];
  readonly data: Parameters<typeof bytesOf>[0] | { readonly text: Uint8Array };
}

const codes = new Map([...types].map(([code, t]) => [t, code]));

/** Writes tensors one after the other into a shard, which is the only one with data of `shards`; gives the pieces of the index. */
export function writeShard(sink: Sink, tensors: ReadonlyMap<string, NewTensor>, shards = 1): Uint8Array[] {
  const encoder = new TextEncoder();
  const entries: (readonly [Uint8Array<ArrayBuffer>, Uint8Array])[] = [];
  let at = 0;
  for (const [key, t] of tensors) {
    const text = 'text' in t.data ? stringTensor(t.data.text) : null;
    const data = text ? text.bytes : bytesOf(t.data as Parameters<typeof bytesOf>[0]);
    const dtype = text ? stringType : codes.get(writtenType(t.data as Parameters<typeof bytesOf>[0]))!;
    sink.write(data, at);
    const dim = t.shape.map((size) => (size === 0 ? {} : { size }));
    entries.push([
      encoder.encode(key),
      encodeEntry({
        dtype,
        shape: { dim },
        ...(at > 0 ? { offset: at } : {}),
        ...(data.byteLength > 0 ? { size: data.byteLength } : {}),
        crc32c: masked(text ? text.crc : crc32c(data)),
      }),
    ]);
    at += data.byteLength;
  }
  entries.sort(([a], [b]) => compareBytes(a, b));
  return writeTable([[new Uint8Array(0), encodeHeader({ num_shards: shards, version: { producer: 1 } })], ...entries]);
}
