/**
 * Sorted string tables, the form of a checkpoint's index: LevelDB's table format (google/leveldb, doc/table_format.md), without filters. Blocks of entries whose keys leave out what
 * they share with the one before, an index of the blocks, a footer; each block with a masked CRC-32C.
 */
import { ModelFormatError } from '../../../ir/errors.js';
import { crc32c, masked } from '../crc32.js';
import { unsnappy } from './snappy.js';

const footerBytes = 48;
const magic = [0x57, 0xfb, 0x80, 0x8b, 0x24, 0x75, 0x47, 0xdb];
const restartInterval = 16;
/** Contents after which a new block begins. */
const blockBytes = 262_144;

export const isTable = (tail: Uint8Array): boolean => tail.byteLength >= 8 && magic.every((b, i) => tail[tail.byteLength - 8 + i] === b);

/** A varint of at most 10 bytes and 2^53; where it ends. */
function varintAt(what: string, bytes: Uint8Array, from: number): [number, number] {
  let value = 0;
  for (let i = 0; i < 10 && from + i < bytes.byteLength; i++) {
    const b = bytes[from + i]!;
    value += (b & 127) * 2 ** (7 * i);
    if (b < 128) {
      if (!Number.isSafeInteger(value)) break;
      return [value, from + i + 1];
    }
  }
  throw new ModelFormatError(`${what}: a number at byte ${from} of a block is damaged`);
}

/** Entries of a block, in order. */
function entriesOf(what: string, block: Uint8Array): [Uint8Array, Uint8Array][] {
  const fail = (message: string): never => {
    throw new ModelFormatError(`${what}: a block of its table is damaged: ${message}`);
  };
  if (block.byteLength < 4) fail('it is empty');
  const restarts = new DataView(block.buffer, block.byteOffset + block.byteLength - 4).getUint32(0, true);
  const end = block.byteLength - 4 - 4 * restarts;
  if (restarts < 1 || end < 0) fail(`${restarts} restarts do not fit in`);
  const data = block.subarray(0, end);
  const out: [Uint8Array, Uint8Array][] = [];
  let key = new Uint8Array(0);
  let keyBytes = 0;
  for (let at = 0; at < end; ) {
    let shared: number;
    let unshared: number;
    let length: number;
    [shared, at] = varintAt(what, data, at);
    [unshared, at] = varintAt(what, data, at);
    [length, at] = varintAt(what, data, at);
    if (shared > key.byteLength || at + unshared + length > end) fail('an entry runs past its end');
    const next = new Uint8Array(shared + unshared);
    next.set(key.subarray(0, shared));
    next.set(data.subarray(at, at + unshared), shared);
    if (out.length > 0 && compareBytes(key, next) >= 0) fail('its keys are not in order');
    key = next;
    // keys that share much are small in the file and large in memory
    keyBytes += key.byteLength;
    if (keyBytes > 16 * block.byteLength + (1 << 20)) fail('its keys are too long');
    at += unshared;
    out.push([key, data.subarray(at, at + length)]);
    at += length;
  }
  return out;
}

export function compareBytes(a: Uint8Array, b: Uint8Array): number {
  const n = Math.min(a.byteLength, b.byteLength);
  for (let i = 0; i < n; i++) if (a[i] !== b[i]) return a[i]! - b[i]!;
  return a.byteLength - b.byteLength;
}

/** All entries of a table, in the order of their keys. `what` is named in errors. */
export function readTable(what: string, file: Uint8Array): [string, Uint8Array][] {
  const fail = (message: string): never => {
    throw new ModelFormatError(`${what}: ${message}`);
  };
  if (file.byteLength < footerBytes || !isTable(file)) fail('is not the index of a checkpoint, or was cut off (its last bytes are not those of a table)');
  const footer = file.subarray(file.byteLength - footerBytes);
  const end = file.byteLength - footerBytes;
  const handle = (bytes: Uint8Array, from: number): [number, number, number] => {
    const [offset, a] = varintAt(what, bytes, from);
    const [size, b] = varintAt(what, bytes, a);
    if (offset + size + 5 > end) fail(`a block at bytes ${offset} to ${offset + size} lies outside of the file`);
    return [offset, size, b];
  };
  // packed blocks may not make more of a file than memory can bear
  let budget = 2 * file.byteLength + (32 << 20);
  const blockAt = (offset: number, size: number): Uint8Array => {
    const stored = file.subarray(offset, offset + size + 1);
    const crc = new DataView(file.buffer, file.byteOffset + offset + size + 1).getUint32(0, true);
    if (crc !== masked(crc32c(stored))) fail(`the block at byte ${offset} is damaged: its checksum does not fit`);
    const contents = stored.subarray(0, size);
    const type = stored[size];
    if (type !== 0 && type !== 1) fail(`the block at byte ${offset} is packed in the unknown way ${type}`);
    const block = type === 1 ? unsnappy(what, contents, budget) : contents;
    budget -= block.byteLength;
    if (budget < 0) fail('its blocks unpack to too much, or are listed more than once');
    return block;
  };
  const [, , next] = handle(footer, 0);
  const [offset, size] = handle(footer, next);
  const out: [string, Uint8Array][] = [];
  const text = new TextDecoder();
  let last: Uint8Array | null = null;
  for (const [, place] of entriesOf(what, blockAt(offset, size))) {
    const [from, length] = handle(place, 0);
    for (const [key, value] of entriesOf(what, blockAt(from, length))) {
      if (last && compareBytes(last, key) >= 0) fail('its keys are not in order');
      last = key;
      out.push([text.decode(key), value]);
    }
  }
  return out;
}

class Block {
  private readonly parts: number[] = [];
  private readonly restarts: number[] = [];
  private count = 0;
  last = new Uint8Array(0);
  constructor(private readonly interval: number) {}
  get size(): number {
    return this.parts.length;
  }
  add(key: Uint8Array<ArrayBuffer>, value: Uint8Array): void {
    let shared = 0;
    if (this.count % this.interval === 0) this.restarts.push(this.parts.length);
    else while (shared < Math.min(key.byteLength, this.last.byteLength) && key[shared] === this.last[shared]) shared++;
    this.parts.push(...varint(shared), ...varint(key.byteLength - shared), ...varint(value.byteLength));
    for (const b of key.subarray(shared)) this.parts.push(b);
    for (const b of value) this.parts.push(b);
    this.last = key;
    this.count++;
  }
  bytes(): Uint8Array {
    const restarts = this.restarts.length > 0 ? this.restarts : [0];
    const out = new Uint8Array(this.parts.length + 4 * restarts.length + 4);
    out.set(this.parts);
    const v = new DataView(out.buffer);
    [...restarts, restarts.length].forEach((r, i) => {
      v.setUint32(this.parts.length + 4 * i, r, true);
    });
    return out;
  }
}

function varint(n: number): number[] {
  const out: number[] = [];
  let rest = n;
  for (; rest > 127; rest = Math.floor(rest / 128)) out.push((rest % 128) | 128);
  out.push(rest);
  return out;
}

/** A table of entries, whose keys must be in order. */
export function writeTable(entries: Iterable<readonly [Uint8Array<ArrayBuffer>, Uint8Array]>): Uint8Array[] {
  const out: Uint8Array[] = [];
  let at = 0;
  const put = (b: Block): number[] => {
    const contents = b.bytes();
    const whole = new Uint8Array(contents.byteLength + 5);
    whole.set(contents);
    new DataView(whole.buffer).setUint32(contents.byteLength + 1, masked(crc32c(whole.subarray(0, contents.byteLength + 1))), true);
    const handle = [...varint(at), ...varint(contents.byteLength)];
    out.push(whole);
    at += whole.byteLength;
    return handle;
  };
  const index = new Block(1);
  let block = new Block(restartInterval);
  for (const [key, value] of entries) {
    block.add(key, value);
    if (block.size < blockBytes) continue;
    index.add(block.last, Uint8Array.from(put(block)));
    block = new Block(restartInterval);
  }
  if (block.size > 0) index.add(block.last, Uint8Array.from(put(block)));
  const footer = new Uint8Array(footerBytes);
  const meta = put(new Block(restartInterval));
  footer.set([...meta, ...put(index)]);
  footer.set(magic, footerBytes - 8);
  out.push(footer);
  return out;
}
