/**
 * The benchmark's workloads, and the seeded numbers that weights and inputs are filled with. Both are defined by the peers' benchmark (shared/bench/peers), so
 * that every runtime computes the same thing; this is our own statement of the definition.
 */

export type ModelName = 'mlp' | 'cnn' | 'mobilenet' | 'resnet50' | 'lstm' | 'encoder' | 'resnet8';

export interface Workload {
  /** As the peers name it. */
  readonly id: string;
  readonly kind: 'infer' | 'train';
  readonly model: ModelName;
  readonly batch: number;
}

const table: [string, Workload['kind'], ModelName, number[]][] = [
  ['i1-mlp', 'infer', 'mlp', [1, 256]],
  ['i2-cnn', 'infer', 'cnn', [1, 64]],
  ['i3-mobilenet', 'infer', 'mobilenet', [1]],
  ['i4-resnet50', 'infer', 'resnet50', [1]],
  ['i5-lstm', 'infer', 'lstm', [1, 32]],
  ['i6-encoder', 'infer', 'encoder', [1, 8]],
  ['t1-mlp', 'train', 'mlp', [128]],
  ['t2-cnn', 'train', 'cnn', [64]],
  ['t3-lstm', 'train', 'lstm', [32]],
  ['t4-resnet8', 'train', 'resnet8', [32]],
];

export const workloads: readonly Workload[] = table.flatMap(([name, kind, model, batches]) =>
  batches.map((batch) => ({ id: `${name}-b${batch}`, kind, model, batch })),
);

/** Adam's settings in every training workload. */
export const adam = { learningRate: 1e-3, beta1: 0.9, beta2: 0.999, epsilon: 1e-7 } as const;

const inputSeed = 7777;
const labelSeed = 4242;

/** `n` values uniform in [-limit, limit): a 32-bit mix (murmur3's finalizer) of the index plus a multiple of the seed. */
export function uniform(n: number, seed: number, limit = 1): Float32Array {
  const start = Math.imul(seed, 0x9e3779b9);
  const mix = (h0: number) => {
    let h = h0;
    h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
    h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
    return (h ^ (h >>> 16)) >>> 0;
  };
  return Float32Array.from({ length: n }, (_, i) => ((mix((i + start) | 0) / 4294967296) * 2 - 1) * limit);
}

export const elements = (shape: readonly number[]): number => shape.reduce((a, b) => a * b, 1);

export const inputData = (shape: readonly number[], batch: number): Float32Array => uniform(batch * elements(shape), inputSeed);

/** One-hot targets. */
export function targetData(classes: number, batch: number): Float32Array {
  const out = new Float32Array(batch * classes);
  const seeded = uniform(batch, labelSeed);
  for (let i = 0; i < batch; i++) out[i * classes + Math.min(classes - 1, Math.floor(((seeded[i]! + 1) / 2) * classes))] = 1;
  return out;
}

/** One number that tells whether two runtimes computed the same: the output dotted with a fixed wave. */
export const digest = (y: ArrayLike<number>): number => {
  let s = 0;
  for (let i = 0; i < y.length; i++) s += y[i]! * Math.cos(i * 0.37);
  return s;
};
