/** Arrays of NumPy in zip files (`numpy.savez`): each entry an `.npy` file of version 1 to 3. Sizes come from the headers and are compared before data is unpacked. Format: numpy.lib.format. */
import type { DType, TypedArray } from '../../ir/dtype.js';
import { ModelFormatError } from '../../ir/errors.js';
import { bytesOf, bytesOfShape, elementsOf, writtenType } from './elements.js';
import type { Sink } from './sink.js';
import type { OpenFile } from './source.js';
import { openZip, type ZipLimits, ZipWriter } from './zip.js';

const magic = '\x93NUMPY';
const longestHeader = 1 << 16;
const types: Readonly<Record<string, DType>> = {
  '<f4': 'float32',
  '<f8': 'float64',
  '<f2': 'float16',
  '<i8': 'int64',
  '<i4': 'int32',
  '<i2': 'int16',
  '|i1': 'int8',
  '<u8': 'uint64',
  '<u4': 'uint32',
  '<u2': 'uint16',
  '|u1': 'uint8',
  '|b1': 'bool',
};
const descriptions = new Map(Object.entries(types).map(([description, t]) => [t, description]));

export interface NpyHeader {
  readonly dtype: DType;
  readonly shape: readonly number[];
  readonly fortran: boolean;
  /** Where the data begins, and its size. */
  readonly offset: number;
  readonly bytes: number;
}

/** The header of an `.npy` file, from its first bytes. */
export function npyHeader(where: string, head: Uint8Array): NpyHeader {
  const fail = (message: string): never => {
    throw new ModelFormatError(`${where}: ${message}`);
  };
  const latin = (a: number, b: number): string => String.fromCharCode(...head.subarray(a, b));
  if (head.byteLength < 12 || latin(0, 6) !== magic) fail('is not an .npy file');
  const version = head[6]!;
  if (version < 1 || version > 3) fail(`is an .npy file of the unknown version ${version}`);
  const v = new DataView(head.buffer, head.byteOffset, head.byteLength);
  const start = version === 1 ? 10 : 12;
  const length = version === 1 ? v.getUint16(8, true) : v.getUint32(8, true);
  if (start + length > head.byteLength) fail(`its header of ${length} bytes is too long, or was cut off`);
  const text = new TextDecoder(version === 3 ? 'utf-8' : 'latin1').decode(head.subarray(start, start + length));
  const m = /^\s*\{\s*'descr':\s*'([^']{1,20})',\s*'fortran_order':\s*(True|False),\s*'shape':\s*\(([\d\s,L]*)\),?\s*\}\s*$/.exec(text);
  if (!m) return fail(`its header is not that of a plain array: ${JSON.stringify(text.trim().slice(0, 100))}`);
  const dtype = Object.hasOwn(types, m[1]!) ? types[m[1]!]! : fail(`has elements of the type '${m[1]}', which is not read`);
  const shape = m[3]!
    .split(',')
    .map((d) => d.replace('L', '').trim())
    .filter((d) => d !== '')
    .map(Number);
  return { dtype, shape, fortran: m[2] === 'True', offset: start + length, bytes: bytesOfShape(where, dtype, shape) };
}

/** An array whose first index runs fastest, with the last one running fastest. */
function rowsFirst(data: TypedArray, shape: readonly number[]): TypedArray {
  const out = data.slice();
  const index = new Array<number>(shape.length).fill(0);
  const strides = shape.map((_, a) => shape.slice(0, a).reduce((x, y) => x * y, 1));
  for (let i = 0, from = 0; i < out.length; i++) {
    out[i] = data[from]!;
    for (let a = shape.length - 1; a >= 0; a--) {
      from += strides[a]!;
      if (++index[a]! < shape[a]!) break;
      from -= strides[a]! * shape[a]!;
      index[a] = 0;
    }
  }
  return out;
}

export interface NpzArray {
  readonly name: string;
  readonly shape: readonly number[];
  readonly dtype: DType;
  /** The elements, unpacked and checked by checksum; the array belongs to the caller. */
  read(): Promise<TypedArray>;
}

/** The arrays of an `.npz` file by name, in the file's order. */
export async function openNpz(file: OpenFile, limits: ZipLimits = {}): Promise<ReadonlyMap<string, NpzArray>> {
  const zip = await openZip(file, limits);
  const out = new Map<string, NpzArray>();
  for (const [entry, { size }] of zip.entries) {
    const where = `${file.name}: ${JSON.stringify(entry.slice(0, 100))}`;
    if (!entry.endsWith('.npy')) throw new ModelFormatError(`${where}: is not an array (.npy)`);
    const h = npyHeader(where, await zip.head(entry, longestHeader));
    if (h.offset + h.bytes !== size)
      throw new ModelFormatError(`${where}: ${h.dtype}[${h.shape.join(',')}] has ${h.bytes} bytes, the entry ${size - h.offset}`);
    const name = entry.slice(0, -4);
    out.set(name, {
      name,
      shape: h.shape,
      dtype: h.dtype,
      async read() {
        const bytes = await zip.read(entry);
        const data = elementsOf(where, h.dtype, bytes.subarray(h.offset), true);
        return h.fortran && h.shape.length > 1 ? rowsFirst(data, h.shape) : data;
      },
    });
  }
  return out;
}

/** Writes arrays, not compressed, as `numpy.savez` does. */
export async function writeNpz(
  sink: Sink,
  arrays: readonly { readonly name: string; readonly shape: readonly number[]; readonly data: TypedArray | BigInt64Array }[],
): Promise<void> {
  const zip = new ZipWriter(sink);
  for (const a of arrays) {
    const shape = a.shape.length === 1 ? `${a.shape[0]},` : a.shape.join(', ');
    const text = `{'descr': '${descriptions.get(writtenType(a.data))}', 'fortran_order': False, 'shape': (${shape}), }`;
    // the data begins at a multiple of 64
    const length = Math.ceil((10 + text.length + 1) / 64) * 64 - 10;
    const head = new Uint8Array(10 + length);
    head.set([...magic].map((c) => c.charCodeAt(0)));
    head.set([1, 0, length & 255, length >> 8], 6);
    head.set(new TextEncoder().encode(`${text.padEnd(length - 1)}\n`), 10);
    await zip.stream(`${a.name}.npy`, async (s, base) => {
      const data = bytesOf(a.data);
      s.write(head, base);
      s.write(data, base + head.byteLength);
      return head.byteLength + data.byteLength;
    });
  }
  zip.finish();
}
