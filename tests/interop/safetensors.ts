/** Arrays between this process and the Python oracle: an 8-byte length, a JSON header, the bytes. Written apart from the product's own reader, so that a fault in one shows. */
import { readFileSync, writeFileSync } from 'node:fs';

export interface NamedArray {
  readonly shape: readonly number[];
  readonly data: Float32Array | Int32Array;
}

interface Entry {
  readonly dtype: 'F32' | 'I32';
  readonly shape: readonly number[];
  readonly data_offsets: readonly [number, number];
}

export function writeArrays(file: string, arrays: Readonly<Record<string, NamedArray>>): void {
  let at = 0;
  const entries = Object.entries(arrays).map(([name, a]): [string, Entry] => {
    const entry: Entry = { dtype: a.data instanceof Int32Array ? 'I32' : 'F32', shape: a.shape, data_offsets: [at, at + a.data.byteLength] };
    at += a.data.byteLength;
    return [name, entry];
  });
  const text = JSON.stringify(Object.fromEntries(entries));
  const header = Buffer.from(text.padEnd(Math.ceil(text.length / 8) * 8));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(header.length));
  writeFileSync(file, Buffer.concat([length, header, ...Object.values(arrays).map((a) => Buffer.from(a.data.buffer, a.data.byteOffset, a.data.byteLength))]));
}

export function readArrays(file: string): Record<string, NamedArray> {
  const bytes = readFileSync(file);
  const n = Number(bytes.readBigUInt64LE(0));
  const header = JSON.parse(bytes.toString('utf8', 8, 8 + n)) as Record<string, Entry>;
  return Object.fromEntries(
    Object.entries(header).map(
      ([
        name,
        {
          dtype,
          shape,
          data_offsets: [a, b],
        },
      ]) => {
        const copy = new Uint8Array(bytes.subarray(8 + n + a, 8 + n + b)).buffer;
        return [name, { shape, data: dtype === 'I32' ? new Int32Array(copy) : new Float32Array(copy) }];
      },
    ),
  );
}

/** What is wrong with the numbers, or null. */
export function difference(actual: ArrayLike<number>, expected: ArrayLike<number>, allowed: number): string | null {
  if (actual.length !== expected.length) return `${actual.length} numbers, expected ${expected.length}`;
  let worst = 0;
  for (let i = 0; i < expected.length; i++) {
    const d = Math.abs(actual[i]! - expected[i]!) / (1 + Math.abs(expected[i]!));
    if (!(d <= worst)) worst = d;
  }
  return worst <= allowed ? null : `differs by ${worst.toPrecision(3)}, allowed ${allowed}`;
}

/** The arrays `p0`, `p1`, … of a prefix. */
export const numbered = (arrays: Readonly<Record<string, NamedArray>>, prefix: string): NamedArray[] =>
  Object.keys(arrays)
    .filter((k) => new RegExp(`^${prefix}\\d+$`).test(k))
    .sort((a, b) => Number(a.slice(prefix.length)) - Number(b.slice(prefix.length)))
    .map((k) => arrays[k]!);
