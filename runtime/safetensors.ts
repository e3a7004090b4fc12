/**
 * Reads and writes safetensors: 8 bytes of header length, a JSON header, then the tensors without gaps. A file may come from anywhere, so the header is checked whole before any tensor is
 * used: sizes, dtypes, names that occur twice, holes, overlaps, bytes after the last tensor.
 */
import type { HostArray } from './device.js';
import { ModelFormatError } from './errors.js';
import type { PlanDType } from './plan.js';
import { fromFloat16Bits, makeHostArray, toBfloat16Bits, toFloat16Bits } from './storage.js';

const itemBytes: Readonly<Record<string, number>> = { F64: 8, F32: 4, F16: 2, BF16: 2, I64: 8, U64: 8, I32: 4, U32: 4, I16: 2, U16: 2, I8: 1, U8: 1, BOOL: 1 };
export const planType: Readonly<Record<string, PlanDType>> = {
  F64: 'float64',
  F32: 'float32',
  F16: 'float16',
  BF16: 'bfloat16',
  I64: 'int64',
  U64: 'uint64',
  I16: 'int16',
  U16: 'uint16',
  I32: 'int32',
  U32: 'uint32',
  I8: 'int8',
  U8: 'uint8',
  BOOL: 'bool',
};
const fileType = Object.fromEntries(Object.entries(planType).map(([file, plan]) => [plan, file])) as Readonly<Record<PlanDType, string>>;

export interface SafetensorsEntry {
  /** As the file says: F32, I64, BF16, … */
  readonly dtype: string;
  readonly shape: readonly number[];
  /** A view of the file. */
  readonly bytes: Uint8Array;
}

export interface Safetensors {
  readonly tensors: ReadonlyMap<string, SafetensorsEntry>;
  readonly metadata: ReadonlyMap<string, string>;
}

export interface SafetensorsLimits {
  /** Largest header; default 100 MB, as in the reference implementation. */
  readonly maxHeaderBytes?: number;
  /** Most tensors; default 100,000. */
  readonly maxTensors?: number;
}

/** What a header says of a tensor. */
export interface NamedShape {
  readonly name: string;
  readonly dtype: PlanDType;
  readonly shape: readonly number[];
  readonly data: { readonly length: number };
}
export interface NamedTensor extends NamedShape {
  readonly data: HostArray;
}

/** Throws on a key that occurs twice in one object (JSON.parse keeps the last one silently) and on deep nesting. The text is known to be JSON. */
function checkKeys(json: string, fail: (message: string) => never): void {
  const open: (Set<string> | null)[] = [];
  for (let i = 0; i < json.length; i++) {
    const c = json[i];
    if (c === '{' || c === '[') open.push(c === '{' ? new Set() : null);
    else if (c === '}' || c === ']') open.pop();
    if (open.length > 8) fail('the header is nested too deeply');
    if (c !== '"') continue;
    const begin = i;
    for (i++; json[i] !== '"'; i++) if (json[i] === '\\') i++;
    let next = i + 1;
    while (' \t\n\r'.includes(json[next] ?? '.')) next++;
    const keys = open.at(-1);
    if (json[next] !== ':' || !keys) continue;
    const key = JSON.parse(json.slice(begin, i + 1)) as string;
    if (keys.has(key)) fail(`the name '${key.slice(0, 80)}' occurs twice`);
    keys.add(key);
  }
}

const isCount = (v: unknown): v is number => typeof v === 'number' && Number.isSafeInteger(v) && v >= 0;

/** A tensor's place: from the first byte after the header on. */
export interface SafetensorsPlace {
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly begin: number;
  readonly end: number;
}

/** The size of the header, from the first 8 bytes of a file of `fileBytes`. Throws ModelFormatError. */
export function safetensorsHeaderBytes(first: Uint8Array, fileBytes: number, source: string, limits: SafetensorsLimits = {}): number {
  const fail = (message: string): never => {
    throw new ModelFormatError(`${source}: ${message}`);
  };
  const maxHeader = limits.maxHeaderBytes ?? 100_000_000;
  if (first.byteLength < 8) fail(`${fileBytes} bytes are too few for a safetensors file`);
  const headerBytes = Number(new DataView(first.buffer, first.byteOffset, 8).getBigUint64(0, true));
  if (headerBytes > maxHeader) fail(`a header of ${headerBytes} bytes is larger than the limit of ${maxHeader} (is this a safetensors file?)`);
  if (8 + headerBytes > fileBytes) fail(`the header of ${headerBytes} bytes runs past the end of the file of ${fileBytes}`);
  return headerBytes;
}

/** Reads a file's header and gives views of its tensors. `source` is named in errors. Throws ModelFormatError. */
export function readSafetensors(file: Uint8Array, source = 'safetensors', limits: SafetensorsLimits = {}): Safetensors {
  const headerBytes = safetensorsHeaderBytes(file.subarray(0, 8), file.byteLength, source, limits);
  const data = file.subarray(8 + headerBytes);
  const { places, metadata } = readSafetensorsHeader(file.subarray(8, 8 + headerBytes), data.byteLength, source, limits);
  const tensors = new Map([...places].map(([name, p]) => [name, { dtype: p.dtype, shape: p.shape, bytes: data.subarray(p.begin, p.end) }]));
  return { tensors, metadata };
}

/** Reads a header, checked whole against the number of bytes after it. Throws ModelFormatError. */
export function readSafetensorsHeader(
  bytes: Uint8Array,
  dataBytes: number,
  source = 'safetensors',
  limits: SafetensorsLimits = {},
): { readonly places: ReadonlyMap<string, SafetensorsPlace>; readonly metadata: ReadonlyMap<string, string> } {
  const fail = (message: string): never => {
    throw new ModelFormatError(`${source}: ${message}`);
  };
  let text = '';
  let header: unknown;
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
    header = JSON.parse(text);
  } catch (e) {
    fail(`the header is not JSON in UTF-8: ${e instanceof Error ? e.message : String(e)}`);
  }
  if (typeof header !== 'object' || header === null || Array.isArray(header)) fail('the header is not a JSON object');
  checkKeys(text, fail);
  const places = new Map<string, SafetensorsPlace>();
  const metadata = new Map<string, string>();
  const entries = Object.entries(header as object) as [string, unknown][];
  const most = limits.maxTensors ?? 100_000;
  if (entries.length > most + 1) fail(`${entries.length} tensors are more than the limit of ${most}`);
  const ranges: { name: string; begin: number; end: number }[] = [];
  for (const [name, value] of entries) {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) fail(`'${name}' is not an object`);
    if (name === '__metadata__') {
      for (const [k, v] of Object.entries(value as object)) {
        if (typeof v !== 'string') fail(`metadata '${k}' is not a string`);
        metadata.set(k, v as string);
      }
      continue;
    }
    const { dtype, shape, data_offsets: offsets } = value as { dtype?: unknown; shape?: unknown; data_offsets?: unknown };
    const size =
      typeof dtype === 'string' && Object.hasOwn(itemBytes, dtype)
        ? itemBytes[dtype]!
        : fail(`tensor '${name}' has the unknown dtype ${JSON.stringify(dtype) ?? 'none'}`);
    if (!Array.isArray(shape) || !shape.every(isCount)) return fail(`the shape of tensor '${name}' is not an array of sizes`);
    if (!Array.isArray(offsets) || offsets.length !== 2 || !offsets.every(isCount)) return fail(`data_offsets of tensor '${name}' are not two positions`);
    const [begin, end] = offsets as [number, number];
    if (begin > end || end > dataBytes) fail(`tensor '${name}' lies at bytes ${begin} to ${end}, the file has ${dataBytes} bytes of data`);
    const expected = (shape as number[]).reduce((a, d) => a * d, size);
    if (expected !== end - begin) fail(`tensor '${name}' of ${dtype}[${shape.join(',')}] has ${expected} bytes, its place has ${end - begin}`);
    places.set(name, { dtype: dtype as string, shape: shape as number[], begin, end });
    ranges.push({ name, begin, end });
  }
  ranges.sort((a, b) => a.begin - b.begin || a.end - b.end);
  let at = 0;
  for (const r of ranges) {
    if (r.begin !== at) fail(r.begin < at ? `tensor '${r.name}' overlaps another one` : `${r.begin - at} bytes before tensor '${r.name}' belong to no tensor`);
    at = r.end;
  }
  if (at !== dataBytes) fail(`${dataBytes - at} bytes after the last tensor belong to no tensor`);
  return { places, metadata };
}

/** The elements of a tensor as host data of `dtype`. Widening from F16 and BF16 to float32 is done; anything else must match. */
export function tensorAs(entry: SafetensorsEntry, dtype: PlanDType, where: string): HostArray {
  const { bytes } = entry;
  const n = bytes.byteLength / itemBytes[entry.dtype]!;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (entry.dtype === 'F16' && (dtype === 'float16' || dtype === 'float32'))
    return Float32Array.from({ length: n }, (_, i) => fromFloat16Bits(view.getUint16(2 * i, true)));
  if (entry.dtype === 'BF16' && (dtype === 'bfloat16' || dtype === 'float32')) {
    const bits = Uint32Array.from({ length: n }, (_, i) => view.getUint16(2 * i, true) << 16);
    return new Float32Array(bits.buffer);
  }
  if (planType[entry.dtype] !== dtype) throw new ModelFormatError(`${where}: expected ${dtype}, the file holds ${entry.dtype}`);
  const out = makeHostArray(dtype, n);
  new Uint8Array(out.buffer).set(bytes);
  return out;
}

/** The order and the bytes before the tensors of a file: length and header. Wider elements come first, so that all are aligned. */
export function safetensorsHead<T extends NamedShape>(
  tensors: readonly T[],
  metadata: Readonly<Record<string, string>> = {},
): { readonly head: Uint8Array; readonly ordered: readonly T[]; readonly bytes: number } {
  const size = (t: T) => itemBytes[fileType[t.dtype]]!;
  const ordered = [...tensors].sort((a, b) => size(b) - size(a) || (a.name < b.name ? -1 : a.name > b.name ? 1 : 0));
  const header = new Map<string, unknown>();
  if (Object.keys(metadata).length > 0) header.set('__metadata__', metadata);
  let at = 0;
  for (const t of ordered) {
    const n = t.shape.reduce((a, d) => a * d, 1);
    if (t.data.length !== n) throw new ModelFormatError(`tensor '${t.name}' of shape [${t.shape.join(',')}] has ${n} elements, its data ${t.data.length}`);
    if (header.has(t.name)) throw new ModelFormatError(`two tensors are named '${t.name}'`);
    header.set(t.name, { dtype: fileType[t.dtype], shape: t.shape, data_offsets: [at, at + n * size(t)] });
    at += n * size(t);
  }
  // Written by hand, so that any name stays an own key and the order is kept.
  let json = `{${[...header].map(([k, v]) => `${JSON.stringify(k)}:${JSON.stringify(v)}`).join(',')}}`;
  const encoder = new TextEncoder();
  json += ' '.repeat((8 - (encoder.encode(json).byteLength % 8)) % 8);
  const text = encoder.encode(json);
  const head = new Uint8Array(8 + text.byteLength);
  new DataView(head.buffer).setBigUint64(0, BigInt(text.byteLength), true);
  head.set(text, 8);
  return { head, ordered, bytes: at };
}

/** Writes tensors. */
export function writeSafetensors(tensors: readonly NamedTensor[], metadata: Readonly<Record<string, string>> = {}): Uint8Array {
  const { head, ordered, bytes } = safetensorsHead(tensors, metadata);
  const file = new Uint8Array(head.byteLength + bytes);
  file.set(head);
  let position = head.byteLength;
  for (const t of ordered) {
    if (t.dtype === 'float16' || t.dtype === 'bfloat16') {
      const view = new DataView(file.buffer, position);
      const bits = t.dtype === 'float16' ? toFloat16Bits : toBfloat16Bits;
      for (let i = 0; i < t.data.length; i++) view.setUint16(2 * i, bits(Number(t.data[i]!)), true);
    } else file.set(new Uint8Array(t.data.buffer, t.data.byteOffset, t.data.byteLength), position);
    position += t.data.length * itemBytes[fileType[t.dtype]]!;
  }
  return file;
}
