/**
 * The machine's limits on WebAssembly, to hold kernels against: SIMD multiply-adds a second (plain and relaxed, one and two threads) and bytes read a second.
 * Each limit is a loop of hand-written WebAssembly, run in worker threads at once; the best of several repeats counts.
 */
import { Worker } from 'node:worker_threads';
import binaryen from 'binaryen';

/** Independent chains of multiply-adds: enough to fill the pipes, few enough for 16 registers. */
const chains = 12;
const multiplyAdds = 5e6;
/** The weights of the MLP (2.6 MB, in a cache) and more than caches hold. */
const readSizes = [2621440, 64 << 20] as const;

const list = (f: (i: number) => string) => Array.from({ length: chains }, (_, i) => f(i)).join('\n');

function multiplyAddText(relaxed: boolean): string {
  const step = (i: number) =>
    relaxed
      ? `(f32x4.relaxed_madd (local.get $a${i}) (local.get $x) (local.get $y))`
      : `(f32x4.add (f32x4.mul (local.get $a${i}) (local.get $x)) (local.get $y))`;
  return `(module (func (export "run") (param $n i32) (result f32) (local $x v128) (local $y v128) ${list((i) => `(local $a${i} v128)`)}
    (local.set $x (f32x4.splat (f32.const 0.9999))) (local.set $y (f32x4.splat (f32.const 0.0001)))
    ${list((i) => `(local.set $a${i} (f32x4.splat (f32.const ${i}.5)))`)}
    (loop $l ${list((i) => `(local.set $a${i} ${step(i)})`)}
      (br_if $l (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
    (f32x4.extract_lane 0 ${Array.from({ length: chains }, (_, i) => `(local.get $a${i})`).reduce((a, b) => `(f32x4.add ${a} ${b})`)})))`;
}

/** Sums the first n bytes of its memory, four vectors a round. */
const readText = `(module (memory (export "memory") ${readSizes[1] / 65536}) (func (export "run") (param $n i32) (result f32) (local $p i32) (local $a v128) (local $b v128) (local $c v128) (local $d v128)
  (loop $l
    (local.set $a (f32x4.add (local.get $a) (v128.load (local.get $p)))) (local.set $b (f32x4.add (local.get $b) (v128.load offset=16 (local.get $p))))
    (local.set $c (f32x4.add (local.get $c) (v128.load offset=32 (local.get $p)))) (local.set $d (f32x4.add (local.get $d) (v128.load offset=48 (local.get $p))))
    (br_if $l (i32.lt_u (local.tee $p (i32.add (local.get $p) (i32.const 64))) (local.get $n))))
  (f32x4.extract_lane 0 (f32x4.add (f32x4.add (local.get $a) (local.get $b)) (f32x4.add (local.get $c) (local.get $d))))))`;

function assemble(text: string): Uint8Array<ArrayBuffer> {
  const m = binaryen.parseText(text);
  m.setFeatures(binaryen.Features.All);
  const bytes = new Uint8Array(m.emitBinary());
  m.dispose();
  return bytes;
}

/** Best milliseconds of `run(n)` in each of some workers that run at the same time. */
async function time(bytes: Uint8Array, n: number, threads: number): Promise<number[]> {
  const source = `const { parentPort, workerData: { bytes, n } } = require('node:worker_threads');
    const { run, memory } = new WebAssembly.Instance(new WebAssembly.Module(bytes)).exports;
    if (memory) new Float32Array(memory.buffer).fill(0.5);
    for (let i = 0; i < 20; i++) run(100000);
    let best = Infinity;
    for (let i = 0; i < 20; i++) { const t = performance.now(); run(n); best = Math.min(best, performance.now() - t); }
    parentPort.postMessage(best);`;
  return Promise.all(
    Array.from(
      { length: threads },
      () =>
        new Promise<number>((resolve, reject) => {
          const w = new Worker(source, { eval: true, workerData: { bytes, n } });
          w.on('message', resolve);
          w.on('error', reject);
        }),
    ),
  );
}

export interface Limits {
  /** Multiply-adds a second, counted as two, in GFLOP/s: [one thread, two threads]; relaxed is null where the engine has no relaxed SIMD. */
  readonly plain: readonly [number, number];
  readonly relaxed: readonly [number, number] | null;
  /** GB/s read of 2.6 MB that lie in a cache, and of 64 MiB: [one thread, two threads]. */
  readonly cached: readonly [number, number];
  readonly memory: readonly [number, number];
}

export async function limits(): Promise<Limits> {
  const flops = multiplyAdds * chains * 4 * 2;
  const rate = async (bytes: Uint8Array, n: number, work: number, threads: number) =>
    (await time(bytes, n, threads)).reduce((sum, ms) => sum + work / ms / 1e6, 0);
  const plain = assemble(multiplyAddText(false));
  const relaxed = assemble(multiplyAddText(true));
  const read = assemble(readText);
  const both = async (bytes: Uint8Array, n: number, work: number): Promise<[number, number]> => [await rate(bytes, n, work, 1), await rate(bytes, n, work, 2)];
  return {
    plain: await both(plain, multiplyAdds, flops),
    relaxed: WebAssembly.validate(new Uint8Array(relaxed)) ? await both(relaxed, multiplyAdds, flops) : null,
    cached: await both(read, readSizes[0], readSizes[0]),
    memory: await both(read, readSizes[1], readSizes[1]),
  };
}
