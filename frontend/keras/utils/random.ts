/** Seeded random numbers on the host: initial weights and the order of samples. Threefry-2x32 in counter mode, like the graph's random bits. */
import { ValueError } from '../../../ir/errors.js';
import { describe } from './options.js';

let globalSeed: number | null = null;
let drawn = 0;

/** Makes all weights, masks and shuffles that follow the same in every process. */
export function setRandomSeed(seed: number): void {
  if (typeof seed !== 'number' || !Number.isInteger(seed)) throw new ValueError(`setRandomSeed: the seed must be a whole number, got ${describe(seed)}`);
  globalSeed = seed >>> 0;
  drawn = 0;
}

/** The next seed: follows from setRandomSeed where it was called, else random. */
export function nextSeed(): number {
  if (globalSeed === null) return Math.floor(Math.random() * 4294967296) >>> 0;
  return threefry(globalSeed, 0x6b657261, drawn++, 0)[0];
}

const rotations = [13, 15, 26, 6, 17, 29, 16, 24];

/** One block of Threefry-2x32-20 (Salmon et al., 2011). */
export function threefry(key0: number, key1: number, counter0: number, counter1: number): [number, number] {
  const ks = [key0 >>> 0, key1 >>> 0, (0x1bd11bda ^ key0 ^ key1) >>> 0];
  let x = (counter0 + ks[0]!) >>> 0;
  let y = (counter1 + ks[1]!) >>> 0;
  for (let i = 0; i < 20; i++) {
    x = (x + y) >>> 0;
    const r = rotations[i % 8]!;
    y = ((y << r) | (y >>> (32 - r))) >>> 0;
    y = (y ^ x) >>> 0;
    if (i % 4 === 3) {
      const j = (i + 1) / 4;
      x = (x + ks[j % 3]!) >>> 0;
      y = (y + ks[(j + 1) % 3]! + j) >>> 0;
    }
  }
  return [x, y];
}

/** Where a stream of random numbers stands. */
export interface RandomState {
  readonly seed: number;
  readonly counter: number;
  readonly spare: number | null;
}

/** A stream of random numbers. */
export class RandomStream {
  private readonly seed: number;
  private counter = 0;
  private spare: number | null = null;
  /** Starts at a seed, or goes on from a state. */
  constructor(from: number | RandomState) {
    if (typeof from === 'number') {
      this.seed = from;
      return;
    }
    this.seed = from.seed;
    this.counter = from.counter;
    this.spare = from.spare;
  }
  get state(): RandomState {
    return { seed: this.seed, counter: this.counter, spare: this.spare };
  }

  /** 32 random bits. */
  bits(): number {
    if (this.spare !== null) {
      const s = this.spare;
      this.spare = null;
      return s;
    }
    const [a, b] = threefry(this.seed, 0, this.counter++, 0);
    this.spare = b;
    return a;
  }
  /** In [0, 1). */
  uniform(): number {
    return (this.bits() >>> 0) / 4294967296;
  }
  /** Standard normal (Box-Muller). */
  normal(): number {
    return Math.sqrt(-2 * Math.log(1 - this.uniform())) * Math.cos(2 * Math.PI * this.uniform());
  }
  /** Standard normal within two standard deviations. */
  truncatedNormal(): number {
    for (;;) {
      const x = this.normal();
      if (Math.abs(x) <= 2) return x;
    }
  }
  /** A permutation of 0 … n-1 (Fisher-Yates). */
  permutation(n: number): Int32Array {
    const p = Int32Array.from({ length: n }, (_, i) => i);
    for (let i = n - 1; i > 0; i--) {
      const j = Math.floor(this.uniform() * (i + 1));
      const t = p[i]!;
      p[i] = p[j]!;
      p[j] = t;
    }
    return p;
  }
}
