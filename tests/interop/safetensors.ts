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
