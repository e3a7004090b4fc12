/**
 * Reads HDF5 files of the plain kind that h5py writes by default (superblock 0, symbol tables, object headers of version 1, contiguous little-endian arrays, no filters), without the HDF5
 * library: no worker has to start, and arrays are read straight to where they are wanted. Every offset is checked, every structure is visited once, and the work is bounded by the
 * file's size. A file with anything else, or with anything wrong, gives null: the library in its worker reads it, or says what is wrong.
 * Format: HDF5 File Format Specification 3.0, sections II.A, III.A to III.D and IV.A.
 */
import { ModelFormatError } from '../../ir/errors.js';
import type { H5Dataset, H5Group, H5Limits, H5Reply, H5Tree, H5Value } from './h5-serve.js';
import type { OpenFile } from './source.js';

/** An open file of the plain kind. */
export interface PlainH5 {
  readonly tree: H5Tree;
  read(path: string): Promise<NonNullable<H5Reply['data']>>;
  /** Starts to read arrays that will be asked for: the disk and the copying go on while other work is done. */
  readAhead(paths: readonly string[]): void;
}

/** What is not of the plain kind. */
class NotPlain extends Error {}
const notPlain = (): never => {
  throw new NotPlain();
};

interface Element {
  /** float32, float64, int8, int32, int64, uint8, uint32, or a kind of text. */
  readonly dtype: string;
  readonly size: number;
}
interface Place {
  readonly offset: number;
  readonly bytes: number;
  readonly dtype: string;
}
interface Message {
  readonly type: number;
  readonly at: number;
  readonly size: number;
}

const blockBytes = 1 << 14;
const mostBlocks = 512;
const longestName = 4096;
/** Smaller arrays are read at once: going to another thread and back takes longer. */
const smallBytes = 1 << 16;
const numbers: Readonly<Record<string, number>> = { float32: 4, float64: 8, int8: 1, int32: 4, int64: 8, uint8: 1, uint32: 4 };
/** Where exponent and fraction lie: bits offset, precision, exponent's place and size, fraction's place and size, bias. */
const floats: Readonly<Record<string, string>> = { '0,32,23,8,0,23,127': 'float32', '0,64,52,11,0,52,1023': 'float64' };

const viewOf = (b: Uint8Array): DataView => new DataView(b.buffer, b.byteOffset, b.byteLength);

/** Bytes at positions, through a few blocks; what is asked for must lie in the file. */
class Bytes {
  private readonly blocks = new Map<number, DataView>();
  /** A piece of the file, and where it begins. */
  private window: DataView = new DataView(new ArrayBuffer(0));
  private start = 0;
  /** How many bytes of structures may still be looked at. */
  private budget: number;
  constructor(
    private readonly get: (offset: number, length: number) => Uint8Array,
    readonly size: number,
  ) {
    this.budget = 2 * size + (1 << 20);
  }
  /** Claims a range of the file, which is about to be looked at. */
  range(at: number, length: number): void {
    if (!Number.isSafeInteger(at) || !Number.isSafeInteger(length) || at < 0 || length < 0 || at + length > this.size) notPlain();
    this.budget -= length;
    if (this.budget < 0) notPlain();
  }
  /** Where `length` bytes at a position lie in the current window, which is moved there when they are not in it. */
  private place(at: number, length: number): number {
    const near = at - this.start;
    if (near >= 0 && near + length <= this.window.byteLength) return near;
    if (!(at >= 0 && at + length <= this.size)) notPlain();
    const index = Math.floor(at / blockBytes);
    let start = index * blockBytes;
    let found = this.blocks.get(index);
    if (at + length > start + blockBytes) {
      // across the border of two blocks
      start = at;
      found = viewOf(this.get(at, length));
    } else if (!found) {
      found = viewOf(this.get(start, Math.min(blockBytes, this.size - start)));
      if (this.blocks.size >= mostBlocks) this.blocks.clear();
      this.blocks.set(index, found);
    }
    this.window = found;
    this.start = start;
    return at - start;
  }
  u8(at: number): number {
    const p = this.place(at, 1);
    return this.window.getUint8(p);
  }
  u16(at: number): number {
    const p = this.place(at, 2);
    return this.window.getUint16(p, true);
  }
  u32(at: number): number {
    const p = this.place(at, 4);
    return this.window.getUint32(p, true);
  }
  /** A length or an address; those beyond 2^53 are of no file. */
  u64(at: number): number {
    const p = this.place(at, 8);
    const high = this.window.getUint32(p + 4, true);
    if (high >= 1 << 21) notPlain();
    return high * 2 ** 32 + this.window.getUint32(p, true);
  }
  /** Whether an address is the one that stands for none. */
  none(at: number): boolean {
    return this.u32(at) === 0xffffffff && this.u32(at + 4) === 0xffffffff;
  }
  tag(at: number, text: string): void {
    for (let i = 0; i < text.length; i++) if (this.u8(at + i) !== text.charCodeAt(i)) notPlain();
  }
  copy(at: number, length: number): Uint8Array {
    this.range(at, length);
    return this.get(at, length);
  }
}

const decoder = new TextDecoder('utf-8', { fatal: true });
/** Text up to its first zero byte. */
function textOf(bytes: Uint8Array): string {
  const end = bytes.indexOf(0);
  try {
    return decoder.decode(end < 0 ? bytes : bytes.subarray(0, end));
  } catch {
    return notPlain();
  }
}

class Reader {
  private readonly seen = new Set<number>();
  private readonly heaps = new Map<number, Map<number, { at: number; size: number }>>();
  private textBytes = 0;
  readonly groups: H5Group[] = [];
  readonly datasets: H5Dataset[] = [];
  readonly places = new Map<string, Place>();
  constructor(
    private readonly b: Bytes,
    private readonly limits: H5Limits,
  ) {}

  /** A structure at an address, the first time that it is met. */
  private once(at: number): void {
    if (this.seen.has(at)) notPlain();
    this.seen.add(at);
  }

  /** The address of the root group's object header. */
  root(): number {
    const { b } = this;
    b.range(0, 96);
    // version of the superblock; sizes of addresses and lengths
    if (b.u8(8) !== 0 || b.u8(13) !== 8 || b.u8(14) !== 8) notPlain();
    if (b.u64(24) !== 0 || b.u64(40) > b.size || !b.none(48)) notPlain();
    return b.u64(64);
  }

  walk(): void {
    const queue: { path: string; at: number; depth: number }[] = [{ path: '/', at: this.root(), depth: 0 }];
    while (queue.length > 0) {
      const { path, at, depth } = queue.pop()!;
      if (depth > this.limits.maxDepth || this.groups.length + this.datasets.length + queue.length >= this.limits.maxObjects) notPlain();
      const messages = this.header(at);
      const table = messages.find((m) => m.type === 0x11);
      if (!table) {
        this.dataset(path, messages);
        continue;
      }
      this.groups.push({ path, attributes: this.attributes(messages) });
      const names = new Set<string>();
      for (const { name, header } of this.links(table)) {
        if (name === '' || name.includes('/') || name === '.' || name === '..' || names.has(name)) notPlain();
        names.add(name);
        queue.push({ path: path === '/' ? `/${name}` : `${path}/${name}`, at: header, depth: depth + 1 });
      }
    }
  }

  /** Messages of an object header, its continuations included. */
  private header(at: number): Message[] {
    const { b } = this;
    this.once(at);
    b.range(at, 16);
    if (b.u8(at) !== 1) notPlain();
    const count = b.u16(at + 2);
    const out: Message[] = [];
    const blocks = [{ at: at + 16, size: b.u32(at + 8) }];
    let met = 0;
    for (let i = 0; i < blocks.length; i++) {
      const { at: start, size } = blocks[i]!;
      b.range(start, size);
      for (let p = start; p + 8 <= start + size && met < count; met++) {
        const [type, length, flags] = [b.u16(p), b.u16(p + 2), b.u8(p + 4)];
        // a shared message lies elsewhere; the library must fail on unknown ones that say so
        if (flags & ~0x05 || p + 8 + length > start + size) notPlain();
        if (type === 0x10) {
          const next = { at: b.u64(p + 8), size: b.u64(p + 16) };
          this.once(next.at);
          blocks.push(next);
        } else out.push({ type, at: p + 8, size: length });
        p += 8 + length;
      }
    }
    if (met !== count) notPlain();
    return out;
  }

  /** Names and object headers in a group. */
  private links(table: Message): { name: string; header: number }[] {
    const { b } = this;
    const heap = b.u64(table.at + 8);
    b.range(heap, 32);
    b.tag(heap, 'HEAP');
    const [heapSize, heapData] = [b.u64(heap + 8), b.u64(heap + 24)];
    b.range(heapData, heapSize);
    const out: { name: string; header: number }[] = [];
    const nodes = [{ at: b.u64(table.at), level: -1 }];
    while (nodes.length > 0) {
      const { at, level } = nodes.shift()!;
      this.once(at);
      if (level === 0) {
        b.tag(at, 'SNOD');
        const count = b.u16(at + 6);
        b.range(at, 8 + 40 * count);
        for (let e = at + 8; e < at + 8 + 40 * count; e += 40) {
          // 2: the entry is a symbolic link
          if (b.u32(e + 16) > 1) notPlain();
          const name = b.u64(e);
          if (name >= heapSize) notPlain();
          out.push({ name: textOf(this.nameAt(heapData + name, Math.min(longestName, heapSize - name))), header: b.u64(e + 8) });
        }
        continue;
      }
      b.tag(at, 'TREE');
      const own = b.u8(at + 5);
      const count = b.u16(at + 6);
      if (b.u8(at + 4) !== 0 || own > 16 || (level >= 0 && own !== level - 1)) notPlain();
      b.range(at, 24 + 8 + 16 * count);
      for (let i = 0; i < count; i++) nodes.push({ at: b.u64(at + 32 + 16 * i), level: own });
    }
    return out;
  }

  private nameAt(at: number, most: number): Uint8Array {
    const bytes: number[] = [];
    for (let i = 0; i < most; i++) {
      const c = this.b.u8(at + i);
      if (c === 0) return Uint8Array.from(bytes);
      bytes.push(c);
    }
    return notPlain();
  }

  private dataset(path: string, messages: readonly Message[]): void {
    const { b } = this;
    const one = (type: number): Message => {
      const found = messages.filter((m) => m.type === type);
      return found.length === 1 ? found[0]! : notPlain();
    };
    // beside space, type and layout: fill values, times, attributes, comments, nothing
    if (messages.some((m) => ![0x00, 0x01, 0x03, 0x04, 0x05, 0x08, 0x0c, 0x0d, 0x0e, 0x12].includes(m.type))) notPlain();
    const shape = this.space(one(0x01));
    const { dtype, size } = this.element(one(0x03));
    if (numbers[dtype] !== size) notPlain();
    const bytes = this.count(shape) * size;
    const layout = one(0x08);
    if (b.u8(layout.at) !== 3) notPlain();
    const kind = b.u8(layout.at + 1);
    let offset = 0;
    if (kind === 0) {
      if (b.u16(layout.at + 2) !== bytes || bytes + 4 > layout.size) notPlain();
      offset = layout.at + 4;
    } else if (kind === 1) {
      if (b.none(layout.at + 2)) {
        if (bytes > 0) notPlain();
      } else {
        offset = b.u64(layout.at + 2);
        if (b.u64(layout.at + 10) !== bytes || offset + bytes > b.size) notPlain();
      }
    } else notPlain();
    this.datasets.push({ path, shape, dtype });
    this.places.set(path, { offset, bytes, dtype });
  }

  private count(shape: readonly number[]): number {
    const n = shape.reduce((a, d) => a * d, 1);
    return Number.isSafeInteger(n) && n <= this.b.size ? n : notPlain();
  }

  private space(m: { readonly at: number; readonly size: number }): number[] {
    const { b } = this;
    const version = b.u8(m.at);
    const rank = b.u8(m.at + 1);
    const start = version === 1 ? 8 : version === 2 && b.u8(m.at + 3) === (rank === 0 ? 0 : 1) ? 4 : notPlain();
    if (start + 8 * rank > m.size || rank > 32) notPlain();
    return Array.from({ length: rank }, (_, i) => b.u64(m.at + start + 8 * i));
  }

  private element(m: { readonly at: number; readonly size: number }): Element {
    const { b } = this;
    if (m.size < 8) notPlain();
    const kind = b.u8(m.at) & 15;
    const bits = b.u8(m.at + 1);
    const size = b.u32(m.at + 4);
    if (kind === 0 && m.size >= 12 && (bits & ~8) === 0 && b.u16(m.at + 8) === 0 && b.u16(m.at + 10) === 8 * size)
      return { dtype: `${bits & 8 ? '' : 'u'}int${8 * size}`, size };
    if (kind === 1 && m.size >= 20 && (bits & 0x41) === 0) {
      const parts = [b.u16(m.at + 8), b.u16(m.at + 10), ...[12, 13, 14, 15].map((i) => b.u8(m.at + i)), b.u32(m.at + 16)];
      return { dtype: floats[parts.join()] ?? notPlain(), size };
    }
    // fixed texts that end with zeros, or are filled with them or with spaces; texts of any length
    if (kind === 3 && (bits & 15) < 3 && size > 0) return { dtype: 'text', size };
    if (kind === 9 && (bits & 15) === 1 && size === 16) return { dtype: 'texts', size };
    return notPlain();
  }

  private attributes(messages: readonly Message[]): (readonly [string, H5Value])[] {
    // beside the table: attributes, times, comments, nothing
    if (messages.some((m) => ![0x00, 0x0c, 0x0d, 0x0e, 0x11, 0x12].includes(m.type))) notPlain();
    const out = new Map<string, H5Value>();
    for (const m of messages) {
      if (m.type !== 0x0c) continue;
      const [name, value] = this.attribute(m);
      if (out.has(name)) notPlain();
      out.set(name, value);
    }
    return [...out];
  }

  private attribute(m: Message): [string, H5Value] {
    const { b } = this;
    const version = b.u8(m.at);
    if (!(version >= 1 && version <= 3) || (version > 1 && b.u8(m.at + 1) !== 0)) notPlain();
    const padded = (n: number): number => (version === 1 ? Math.ceil(n / 8) * 8 : n);
    const [nameSize, typeSize, spaceSize] = [b.u16(m.at + 2), b.u16(m.at + 4), b.u16(m.at + 6)];
    let at = m.at + (version === 3 ? 9 : 8);
    const take = (n: number): { at: number; size: number } => {
      const part = { at, size: n };
      at += padded(n);
      if (at > m.at + m.size) notPlain();
      return part;
    };
    const name = textOf(b.copy(take(nameSize).at, nameSize));
    const element = this.element(take(typeSize));
    const shape = this.space(take(spaceSize));
    const n = this.count(shape);
    if (shape.length > 1 || n * element.size > m.at + m.size - at) notPlain();
    const values = Array.from({ length: n }, (_, i) => this.value(element, at + i * element.size));
    return [name, shape.length === 0 ? values[0]! : (values as readonly string[] | readonly number[])];
  }

  private value({ dtype, size }: Element, at: number): string | number {
    if (dtype === 'text') {
      const text = textOf(this.b.copy(at, size));
      return text.endsWith(' ') ? notPlain() : text;
    }
    if (dtype === 'texts') return this.heapText(this.b.u32(at), at);
    if (numbers[dtype] !== size) notPlain();
    const bytes = this.b.copy(at, size).slice();
    return Number(typed(dtype, bytes.buffer)[0]);
  }

  /** A text in a global heap: its length, the heap's address, its number there. */
  private heapText(length: number, at: number): string {
    const { b } = this;
    if (length === 0) return '';
    this.textBytes += length;
    if (this.textBytes > b.size) notPlain();
    const address = b.u64(at + 4);
    let heap = this.heaps.get(address);
    if (!heap) {
      b.range(address, 16);
      b.tag(address, 'GCOL');
      const size = b.u64(address + 8);
      b.range(address, size);
      heap = new Map();
      for (let p = address + 16; p + 16 <= address + size; ) {
        const index = b.u16(p);
        const n = b.u64(p + 8);
        // the rest is free
        if (index === 0) break;
        if (p + 16 + n > address + size) notPlain();
        heap.set(index, { at: p + 16, size: n });
        p += 16 + Math.ceil(n / 8) * 8;
      }
      this.heaps.set(address, heap);
    }
    const found = heap.get(b.u32(at + 12));
    if (!found || found.size < length) return notPlain();
    return textOf(b.copy(found.at, length));
  }
}

/** The elements of a file's bytes. */
function typed(dtype: string, buffer: ArrayBufferLike): NonNullable<H5Reply['data']> | BigInt64Array {
  const b = buffer as ArrayBuffer;
  if (dtype === 'float32') return new Float32Array(b);
  if (dtype === 'float64') return new Float64Array(b);
  if (dtype === 'int32') return new Int32Array(b);
  if (dtype === 'uint32') return new Uint32Array(b);
  if (dtype === 'int64') return new BigInt64Array(b);
  return dtype === 'int8' ? new Int8Array(b) : new Uint8Array(b);
}

/** Opens an HDF5 file, or the part of a file, where it is of the plain kind and its bytes can be had at once; otherwise null. */
export function openPlainH5(file: OpenFile, part: { readonly offset: number; readonly size: number }, limits: H5Limits): PlainH5 | null {
  const { readNow } = file;
  if (!readNow) return null;
  const reader = new Reader(new Bytes((at, n) => readNow(part.offset + at, n), part.size), limits);
  try {
    reader.walk();
  } catch (e) {
    if (e instanceof NotPlain) return null;
    throw e;
  }
  let bytesRead = 0;
  const started = new Map<string, () => Promise<Uint8Array>>();
  const bytesOf = (path: string, { offset, bytes }: Place): Uint8Array | Promise<Uint8Array> => {
    bytesRead += bytes;
    if (bytesRead > limits.maxBytes)
      throw new ModelFormatError(
        `${file.name}: ${path} and what was read before it have ${bytesRead} bytes, the file ${part.size}: more than the limit of ${limits.maxBytes} (option maxBytes)`,
      );
    return bytes <= smallBytes ? readNow(part.offset + offset, bytes) : file.read(part.offset + offset, bytes);
  };
  return {
    tree: { groups: reader.groups, datasets: reader.datasets },
    readAhead(paths) {
      if (!file.readMany) return;
      const wanted = [...new Set(paths)].flatMap((path) => {
        const place = reader.places.get(path);
        if (!place || place.bytes <= smallBytes || started.has(path) || bytesRead + place.bytes > limits.maxBytes) return [];
        bytesRead += place.bytes;
        return [{ path, offset: part.offset + place.offset, length: place.bytes }];
      });
      const all = file.readMany(wanted);
      // who asks for an array gets the error
      all.catch(() => undefined);
      wanted.forEach(({ path }, i) => {
        started.set(path, () => all.then((found) => found[i]!));
      });
    },
    async read(path) {
      const place = reader.places.get(path);
      if (!place) throw new ModelFormatError(`${file.name}: has no dataset ${path}`);
      const found = await (started.get(path)?.() ?? bytesOf(path, place));
      started.delete(path);
      // the caller may keep and change what it gets
      const own = found.byteOffset === 0 && found.byteLength === found.buffer.byteLength && !file.lendsBytes ? found : found.slice();
      const data = typed(place.dtype, own.buffer);
      if (!(data instanceof BigInt64Array)) return data;
      return Int32Array.from(data, (v, i) => {
        if (v < -2147483648n || v > 2147483647n) throw new ModelFormatError(`${file.name}: ${path}: element ${i} is ${v}, which is beyond 32 bits`);
        return Number(v);
      });
    },
  };
}
