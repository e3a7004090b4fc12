/**
 * Three published GPUs and a model of the time that a step takes on them. Peak and bandwidth are the makers' figures; the launch cost is the measured
 * cost of one WebGPU dispatch in a sequence of dispatches: J. Maczan, "Characterizing WebGPU dispatch overhead for LLM inference across four GPU vendors,
 * three backends, and three browsers", arXiv:2604.02344 (24 to 36 microseconds on Vulkan, 32 to 71 on Metal). The model is a roofline with launches: a
 * kernel takes its launch or its work, whichever is longer, since the host records the next launch while the device works.
 */

export interface Gpu {
  readonly id: string;
  readonly name: string;
  /** float32 operations a second, multiply-adds counted as two. */
  readonly peak: number;
  /** Bytes a second. */
  readonly bandwidth: number;
  /** Seconds for one dispatch. */
  readonly launch: number;
  readonly source: string;
}

export const gpus: readonly Gpu[] = [
  {
    id: 'rtx4090',
    name: 'NVIDIA GeForce RTX 4090',
    peak: 82.6e12,
    bandwidth: 1008e9,
    launch: 24e-6,
    source: 'NVIDIA Ada GPU architecture whitepaper, appendix A: 82.6 TFLOPS FP32, 1008 GB/s; launch: low end of Vulkan',
  },
  {
    id: 'm2',
    name: 'Apple M2 (10-core GPU)',
    peak: 3.6e12,
    bandwidth: 100e9,
    launch: 32e-6,
    source: 'Apple, "Apple unveils M2", 6 June 2022: 3.6 teraflops, 100 GB/s unified memory; launch: low end of Metal',
  },
  {
    id: 'irisxe',
    name: 'Intel Iris Xe (96 units, Core i7-1185G7)',
    peak: 2.07e12,
    bandwidth: 68.2e9,
    launch: 36e-6,
    source:
      'Intel product specification of the i7-1185G7: 96 execution units, 1.35 GHz (16 operations a clock each), LPDDR4x-4266 on 128 bits; launch: high end of Vulkan',
  },
];

export interface Work {
  readonly flops: number;
  readonly bytes: number;
}

/** Modelled seconds of a sequence of dispatches. */
export const modelledSeconds = (gpu: Gpu, dispatches: readonly Work[]): number =>
  dispatches.reduce((sum, d) => sum + Math.max(gpu.launch, d.bytes / gpu.bandwidth, d.flops / gpu.peak), 0);
