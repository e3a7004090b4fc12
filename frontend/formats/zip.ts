/**
 * Zip files: reading entries of files that may come from anywhere, and writing stored entries. Names are checked (no folders above, no absolute paths, no links, none twice), sizes are
 * checked against the file before anything is unpacked, checksums after. Nothing is ever unpacked to a disk. Format: PKWARE APPNOTE 6.3.
 */
import { Inflate } from 'fflate';
import { ModelFormatError } from '../../ir/errors.js';
import { crc32 } from './crc32.js';
import type { Sink } from './sink.js';
import type { OpenFile } from './source.js';

export interface ZipLimits {
  /** Most entries; default 10,000. */
  readonly maxEntries?: number;
  /** Largest size of all entries unpacked; default: the size of the file and 32 MB. */
  readonly maxBytes?: number;
}

export interface ZipEntry {
  readonly name: string;
  readonly size: number;
  readonly packed: number;
  readonly method: number;
  readonly crc: number;
  /** Of the local header. */
  readonly header: number;
}

export interface ZipFile {
  readonly entries: ReadonlyMap<string, ZipEntry>;
  /** The first bytes, unpacked and not checked; fewer where the entry is shorter. */
  head(name: string, length: number): Promise<Uint8Array>;
  /** The unpacked bytes, checked. */
  read(name: string): Promise<Uint8Array>;
  /** Where the bytes of a stored entry lie in the file, checked by checksum; null when it is compressed. */
  place(name: string): Promise<{ readonly offset: number; readonly size: number } | null>;
}

const pieceBytes = 1 << 22;

/** Reads the directory of a zip file. */
export async function openZip(file: OpenFile, limits: ZipLimits = {}): Promise<ZipFile> {
  const fail = (message: string): never => {
    throw new ModelFormatError(`${file.name}: ${message}`);
  };
  const tail = await file.read(Math.max(0, file.size - 65557), 65557);
  const tailAt = file.size - tail.byteLength;
  let end = tail.byteLength - 22;
  const view = new DataView(tail.buffer, tail.byteOffset, tail.byteLength);
  while (end >= 0 && view.getUint32(end, true) !== 0x06054b50) end--;
  if (end < 0) return fail('is not a zip file (its directory is missing: was it cut off?)');
  let count = view.getUint16(end + 10, true);
  let size = view.getUint32(end + 12, true);
  let start = view.getUint32(end + 16, true);
  if (view.getUint16(end + 4, true) !== 0 && view.getUint16(end + 4, true) !== 0xffff) fail('is one of several parts of a zip file');
  if (count === 0xffff || size === 0xffffffff || start === 0xffffffff) {
    const locator = end - 20;
    if (locator < 0 || view.getUint32(locator, true) !== 0x07064b50) return fail('its zip64 directory is missing');
    const at = Number(view.getBigUint64(locator + 8, true));
    const record = await file.read(at, 56);
    const v = new DataView(record.buffer, record.byteOffset, record.byteLength);
    if (record.byteLength < 56 || v.getUint32(0, true) !== 0x06064b50) return fail('its zip64 directory is damaged');
    count = Number(v.getBigUint64(32, true));
    size = Number(v.getBigUint64(40, true));
    start = Number(v.getBigUint64(48, true));
  }
  const most = limits.maxEntries ?? 10_000;
  if (count > most) fail(`${count} entries are more than the limit of ${most}`);
  if (start + size > tailAt + end || size > 64 * 1024 * Math.max(count, 1)) fail('its directory lies outside of the file');
  const directory = await file.read(start, size);
  const d = new DataView(directory.buffer, directory.byteOffset, directory.byteLength);
  const entries = new Map<string, ZipEntry>();
  const mostBytes = limits.maxBytes ?? file.size + (32 << 20);
  let total = 0;
  let at = 0;
  for (let i = 0; i < count; i++) {
    if (at + 46 > directory.byteLength || d.getUint32(at, true) !== 0x02014b50) fail(`entry ${i} of its directory is damaged`);
    const flags = d.getUint16(at + 8, true);
    const [nameLength, extraLength, commentLength] = [d.getUint16(at + 28, true), d.getUint16(at + 30, true), d.getUint16(at + 32, true)];
    if (at + 46 + nameLength + extraLength > directory.byteLength) fail(`entry ${i} of its directory is damaged`);
    const name = new TextDecoder().decode(directory.subarray(at + 46, at + 46 + nameLength));
    let entry: ZipEntry = {
      name,
      method: d.getUint16(at + 10, true),
      crc: d.getUint32(at + 16, true),
      packed: d.getUint32(at + 20, true),
      size: d.getUint32(at + 24, true),
      header: d.getUint32(at + 42, true),
    };
    entry = withZip64(entry, directory.subarray(at + 46 + nameLength, at + 46 + nameLength + extraLength));
    const shown = JSON.stringify(name.slice(0, 100));
    if (name === '' || name.includes('\0') || name.includes('\\') || name.startsWith('/') || /^[A-Za-z]:/.test(name) || name.split('/').includes('..'))
      fail(`the entry ${shown} has a name that leads out of the archive`);
    if (entries.has(name)) fail(`the entry ${shown} occurs twice`);
    if (((d.getUint32(at + 38, true) >>> 16) & 0xf000) === 0xa000) fail(`the entry ${shown} is a link`);
    if (flags & 1) fail(`the entry ${shown} is encrypted`);
    if (entry.header + 30 + entry.packed > start) fail(`the entry ${shown} lies outside of the file`);
    if (entry.method === 0 && entry.size !== entry.packed) fail(`the entry ${shown} is stored, but its sizes differ`);
    total += entry.size;
    if (total > mostBytes)
      fail(`its entries unpack to ${total} bytes or more, the file has ${file.size}: more than the limit of ${mostBytes} (option maxBytes)`);
    entries.set(name, entry);
    at += 46 + nameLength + extraLength + commentLength;
  }
  const found = (name: string): ZipEntry =>
    entries.get(name) ?? fail(`has no entry ${JSON.stringify(name)}; it has ${[...entries.keys()].slice(0, 20).join(', ') || 'none'}`);
  const dataAt = async (e: ZipEntry): Promise<number> => {
    const local = await file.read(e.header, 30);
    const v = new DataView(local.buffer, local.byteOffset, local.byteLength);
    if (local.byteLength < 30 || v.getUint32(0, true) !== 0x04034b50) fail(`the entry '${e.name}' has no header where the directory says`);
    const offset = e.header + 30 + v.getUint16(26, true) + v.getUint16(28, true);
    if (offset + e.packed > start) fail(`the entry '${e.name}' lies outside of the file`);
    return offset;
  };
  const verify = (e: ZipEntry, crc: number): void => {
    if (crc !== e.crc) fail(`the entry '${e.name}' is damaged: its checksum is ${crc.toString(16)}, expected ${e.crc.toString(16)}`);
  };
  const pieces = async (e: ZipEntry, each: (piece: Uint8Array, last: boolean) => void): Promise<void> => {
    const offset = await dataAt(e);
    for (let done = 0; done < e.packed || done === 0; done += pieceBytes) {
      const n = Math.min(pieceBytes, e.packed - done);
      each(await file.read(offset + done, n), done + n >= e.packed);
    }
  };
  return {
    entries,
    async head(name, length) {
      const e = found(name);
      const offset = await dataAt(e);
      if (e.method === 0) return file.read(offset, Math.min(length, e.size));
      const out = new Uint8Array(Math.min(length, e.size));
      let done = 0;
      const inflate = new Inflate((piece) => {
        out.set(piece.subarray(0, out.byteLength - done), done);
        done = Math.min(out.byteLength, done + piece.byteLength);
      });
      try {
        const step = 4096;
        for (let at = 0; at < e.packed && done < out.byteLength; at += step)
          inflate.push(await file.read(offset + at, Math.min(step, e.packed - at)), at + step >= e.packed);
      } catch (error) {
        fail(`the entry '${name}' is damaged: ${error instanceof Error ? error.message : String(error)}`);
      }
      return out.subarray(0, done);
    },
    async read(name) {
      const e = found(name);
      const out = new Uint8Array(e.size);
      let done = 0;
      const take = (piece: Uint8Array): void => {
        if (done + piece.byteLength > e.size) fail(`the entry '${name}' unpacks to more than the ${e.size} bytes that the directory says`);
        out.set(piece, done);
        done += piece.byteLength;
      };
      if (e.method === 0) await pieces(e, take);
      else if (e.method === 8) {
        const inflate = new Inflate(take);
        try {
          await pieces(e, (piece, last) => inflate.push(piece, last));
        } catch (error) {
          if (error instanceof ModelFormatError) throw error;
          fail(`the entry '${name}' is damaged: ${error instanceof Error ? error.message : String(error)}`);
        }
      } else fail(`the entry '${name}' is compressed by the unknown method ${e.method}`);
      if (done !== e.size) fail(`the entry '${name}' unpacks to ${done} bytes, the directory says ${e.size}`);
      verify(e, crc32(out));
      return out;
    },
    async place(name) {
      const e = found(name);
      if (e.method !== 0) return null;
      let crc = 0;
      await pieces(e, (piece) => {
        crc = crc32(piece, crc);
      });
      verify(e, crc);
      return { offset: await dataAt(e), size: e.size };
    },
  };
}

/** Sizes and position from the extra field of large files. */
function withZip64(e: ZipEntry, extra: Uint8Array): ZipEntry {
  const v = new DataView(extra.buffer, extra.byteOffset, extra.byteLength);
  for (let at = 0; at + 4 <= extra.byteLength; ) {
    const [id, n] = [v.getUint16(at, true), v.getUint16(at + 2, true)];
    if (id === 1) {
      let p = at + 4;
      const next = (old: number): number => {
        if (old !== 0xffffffff || p + 8 > extra.byteLength) return old;
        p += 8;
        return Number(v.getBigUint64(p - 8, true));
      };
      const size = next(e.size);
      const packed = next(e.packed);
      return { ...e, size, packed, header: next(e.header) };
    }
    at += 4 + n;
  }
  return e;
}

/** Writes a zip file of stored entries into a sink. */
export class ZipWriter {
  private at = 0;
  private readonly entries: { name: Uint8Array; crc: number; size: number; header: number }[] = [];
  constructor(private readonly sink: Sink) {}

  private header(name: Uint8Array, crc: number, size: number): Uint8Array {
    const out = new Uint8Array(30 + name.byteLength);
    const v = new DataView(out.buffer);
    v.setUint32(0, 0x04034b50, true);
    v.setUint16(4, 20, true);
    v.setUint16(6, 0x800, true);
    v.setUint16(12, 0x21, true);
    v.setUint32(14, crc, true);
    v.setUint32(18, size, true);
    v.setUint32(22, size, true);
    v.setUint16(26, name.byteLength, true);
    out.set(name, 30);
    return out;
  }

  add(name: string, bytes: Uint8Array): Promise<void> {
    return this.stream(name, async (sink, base) => {
      sink.write(bytes, base);
      return bytes.byteLength;
    });
  }

  /** An entry that `body` writes at a position of the sink; it gives the size. */
  async stream(name: string, body: (sink: Sink, base: number) => Promise<number>): Promise<void> {
    const encoded = new TextEncoder().encode(name);
    const header = this.at;
    const base = header + 30 + encoded.byteLength;
    const size = await body(this.sink, base);
    if (base + size >= 2 ** 32)
      throw new ModelFormatError(`${this.sink.name}: more than 4 GB cannot be written to a zip file: use a TensorFlow checkpoint or safetensors`);
    let crc = 0;
    const buffer = new Uint8Array(Math.min(size, pieceBytes));
    for (let done = 0; done < size; ) {
      const n = this.sink.read(buffer.subarray(0, Math.min(buffer.byteLength, size - done)), base + done);
      if (n <= 0) throw new ModelFormatError(`${this.sink.name}: what was written cannot be read back`);
      crc = crc32(buffer.subarray(0, n), crc);
      done += n;
    }
    this.sink.write(this.header(encoded, crc, size), header);
    this.entries.push({ name: encoded, crc, size, header });
    this.at = base + size;
  }

  /** Writes the directory. */
  finish(): void {
    const start = this.at;
    for (const e of this.entries) {
      const out = new Uint8Array(46 + e.name.byteLength);
      const v = new DataView(out.buffer);
      v.setUint32(0, 0x02014b50, true);
      v.setUint16(4, 20 | (3 << 8), true);
      v.setUint16(6, 20, true);
      v.setUint16(8, 0x800, true);
      v.setUint16(14, 0x21, true);
      v.setUint32(16, e.crc, true);
      v.setUint32(20, e.size, true);
      v.setUint32(24, e.size, true);
      v.setUint16(28, e.name.byteLength, true);
      v.setUint32(38, 0o100644 * 65536, true);
      v.setUint32(42, e.header, true);
      out.set(e.name, 46);
      this.sink.write(out, this.at);
      this.at += out.byteLength;
    }
    const out = new Uint8Array(22);
    const v = new DataView(out.buffer);
    v.setUint32(0, 0x06054b50, true);
    v.setUint16(8, this.entries.length, true);
    v.setUint16(10, this.entries.length, true);
    v.setUint32(12, this.at - start, true);
    v.setUint32(16, start, true);
    this.sink.write(out, this.at);
    this.at += 22;
    this.sink.truncate(this.at);
  }
}
