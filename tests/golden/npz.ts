/** Reads `.npz` files as the golden fixtures have them: a plain zip without compression, each member a version 1.0 `.npy`, little endian, C order. */
import { readFileSync } from 'node:fs';
import type { DType, TypedArray } from '../../ir/dtype.js';
import type { TensorData } from '../../ir/tensor-data.js';

export type Arrays = ReadonlyMap<string, TensorData>;

const fail = (file: string, what: string): never => {
  throw new Error(`${file}: ${what}`);
};

/** All members by name, without `.npy`. */
export function readNpz(file: string): Arrays {
  const bytes = readFileSync(file);
  const arrays = new Map<string, TensorData>();
  let at = 0;
  while (at + 4 <= bytes.length && bytes.readUInt32LE(at) === 0x04034b50) {
    if (bytes.readUInt16LE(at + 8) !== 0) fail(file, 'a member is compressed');
    const size = bytes.readUInt32LE(at + 18);
    const nameLength = bytes.readUInt16LE(at + 26);
    const start = at + 30 + nameLength + bytes.readUInt16LE(at + 28);
    const name = bytes.toString('utf8', at + 30, at + 30 + nameLength);
    arrays.set(name.replace(/\.npy$/, ''), readNpy(`${file}:${name}`, bytes.subarray(start, start + size)));
    at = start + size;
  }
  return arrays;
}

function readNpy(name: string, bytes: Buffer): TensorData {
  if (bytes.toString('latin1', 0, 6) !== '\x93NUMPY' || bytes[6] !== 1) fail(name, 'not a version 1.0 .npy');
  const headerLength = bytes.readUInt16LE(8);
  const header = bytes.toString('latin1', 10, 10 + headerLength);
  const descr = /'descr': '([^']+)'/.exec(header)?.[1];
  const shape = (/'shape': \(([^)]*)\)/.exec(header)?.[1] ?? fail(name, 'no shape'))
    .split(',')
    .map((s) => s.trim())
    .filter((s) => s !== '')
    .map(Number);
  if (!header.includes("'fortran_order': False")) fail(name, 'not in C order');
  const raw = bytes.buffer.slice(bytes.byteOffset + 10 + headerLength, bytes.byteOffset + bytes.length) as ArrayBuffer;
  const [dtype, data] = ((): [DType, TypedArray] => {
    switch (descr) {
      case '<f4':
        return ['float32', new Float32Array(raw)];
      case '<i4':
        return ['int32', new Int32Array(raw)];
      case '|b1':
        return ['bool', new Uint8Array(raw)];
      default:
        return fail(name, `element type ${descr}`);
    }
  })();
  return { dtype, shape, data };
}
