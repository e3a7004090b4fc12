/** Damaged copies of files, for tests of what reads them. */
import { ChunkSink } from '../../frontend/formats/sink.js';
import { openSource } from '../../frontend/formats/source.js';
import { openZip, ZipWriter } from '../../frontend/formats/zip.js';
import type { RandomStream } from '../../frontend/keras/utils/random.js';

/** A changed copy: bits flipped, a range overwritten, bytes cut out, or the end cut off. */
export function mutated(bytes: Uint8Array, r: RandomStream): Uint8Array {
  if (bytes.length === 0) return Uint8Array.of(Math.floor(r.uniform() * 256));
  const at = () => Math.floor(r.uniform() * bytes.length);
  const kind = Math.floor(r.uniform() * 5);
  if (kind === 0) return bytes.slice(0, at());
  if (kind === 1) {
    const [a, n] = [at(), 1 + Math.floor(r.uniform() * 16)];
    return Uint8Array.from([...bytes.subarray(0, a), ...bytes.subarray(a + n)]);
  }
  const out = bytes.slice();
  if (kind === 2) {
    const a = at();
    out.fill(r.uniform() < 0.5 ? 255 : 0, a, a + 1 + Math.floor(r.uniform() * 8));
    return out;
  }
  // most structure is in the first bytes of such files
  const near = kind === 3 ? bytes.length : Math.min(bytes.length, 2048);
  for (let i = 0; i < 1 + Math.floor(r.uniform() * 8); i++) out[Math.floor(r.uniform() * near)]! ^= 1 << Math.floor(r.uniform() * 8);
  return out;
}

const pick = <T>(list: readonly T[], r: RandomStream): T => list[Math.floor(r.uniform() * list.length)]!;

/** A copy in which an integer of 4 or 8 bytes has another value, as sizes, counts and offsets that lie have. */
export function withLie(bytes: Uint8Array, r: RandomStream): Uint8Array {
  const out = bytes.slice();
  if (out.length < 8) return out;
  const view = new DataView(out.buffer);
  // structures are aligned in some formats and not in others
  const step = pick([1, 4, 8], r);
  const at = Math.floor((r.uniform() * (out.length - 8)) / step) * step;
  const value = pick([0, 1, 2, 0x7f, 0xff, 0x7fff, 0xffff, 0x7fffffff, 0x80000000, 0xffffffff, out.length, out.length - at, at, 2 ** 40, 2 ** 53 - 1], r);
  if (r.uniform() < 0.5) view.setUint32(at, value % 2 ** 32, true);
  else view.setBigUint64(at, BigInt(value), true);
  return out;
}

/** Text in which a number has another value; of the same length where other bytes of the file say how long the text is. */
export function withOtherNumber(bytes: Uint8Array, r: RandomStream, sameLength = false): Uint8Array {
  const isDigit = (c: number | undefined) => c !== undefined && c >= 48 && c <= 57;
  let from = Math.floor(r.uniform() * bytes.length);
  for (let n = 0; n < bytes.length && !isDigit(bytes[from]); n++) from = (from + 1) % bytes.length;
  if (!isDigit(bytes[from])) return mutated(bytes, r);
  while (isDigit(bytes[from - 1])) from--;
  let to = from;
  while (isDigit(bytes[to])) to++;
  if (sameLength) return bytes.map((b, i) => (i >= from && i < to ? 48 + Math.floor(r.uniform() * 10) : b));
  const text = pick(['0', '-1', '1', '7', '1e9', '4294967296', '99999999999', '9007199254740993', '1e400', '0.5', 'null', '[]', '""', 'true', '{}'], r);
  return Uint8Array.from([...bytes.subarray(0, from), ...new TextEncoder().encode(text), ...bytes.subarray(to)]);
}

/** JSON in which one value is another one: of a wrong kind, absurdly large, or a copy of another part (names that refer to other places, and in circles). */
export function withOtherValue(bytes: Uint8Array, r: RandomStream): Uint8Array {
  type Json = null | boolean | number | string | Json[] | { [key: string]: Json };
  const root = JSON.parse(new TextDecoder().decode(bytes)) as Json;
  const places: { readonly holder: Json[] | Record<string, Json>; readonly key: string }[] = [];
  const visit = (x: Json): void => {
    if (typeof x !== 'object' || x === null) return;
    for (const key of Object.keys(x)) {
      places.push({ holder: x, key });
      visit((x as Record<string, Json>)[key]!);
    }
  };
  visit(root);
  if (places.length === 0) return mutated(bytes, r);
  for (let n = 1 + Math.floor(r.uniform() * 2); n > 0; n--) {
    const { holder, key } = pick(places, r);
    const other = pick(places, r);
    const copied = structuredClone((other.holder as Record<string, Json>)[other.key] ?? null);
    const nested = (depth: number): Json => (depth === 0 ? copied : [nested(depth - 1)]);
    const value = pick<() => Json>(
      [() => copied, () => copied, () => null, () => -1, () => 1e12, () => 0, () => '', () => 'x', () => [], () => ({}), () => true, () => nested(300)],
      r,
    )();
    const way = Array.isArray(holder) ? 1 : r.uniform();
    if (way < 0.1) delete (holder as Record<string, Json>)[key];
    else if (way < 0.2) (holder as Record<string, Json>)[pick(['__proto_', '../x', 'constructor_', '\u0000', 'name', 'class_name'], r)] = value;
    else (holder as Record<string, Json>)[key] = value;
  }
  return new TextEncoder().encode(JSON.stringify(root));
}

/** A zip file in which the contents of one entry are changed, the checksums good again; or, now and then, an entry's name. */
export async function withOtherEntry(bytes: Uint8Array, r: RandomStream, change: (name: string, contents: Uint8Array) => Uint8Array): Promise<Uint8Array> {
  const zip = await openZip(await openSource(bytes));
  const names = [...zip.entries.keys()];
  const chosen = pick(names, r);
  const renamed = r.uniform() < 0.1 ? pick(['../escaped', '/tmp/escaped', 'a/../../escaped', '', 'assets/x/../../../escaped', names[0]!], r) : null;
  const sink = new ChunkSink('changed.zip');
  const writer = new ZipWriter(sink);
  for (const name of names) {
    const contents = await zip.read(name);
    await writer.add(name === chosen ? (renamed ?? name) : name, name === chosen && renamed === null ? change(name, contents) : contents);
  }
  writer.finish();
  const out = new Uint8Array(sink.parts.reduce((n, p) => n + p.length, 0));
  let at = 0;
  for (const p of sink.parts) {
    out.set(p, at);
    at += p.length;
  }
  return out;
}
