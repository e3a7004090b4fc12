/** Tables of the benchmark: per workload our time, the fastest peer's, and the ratio, beside what the project wants. */
import type { Cell } from './cells.js';
import { peerRuntimes } from './peers.js';
import { workloads } from './workloads.js';

/** How many times faster than the fastest peer on WebAssembly each row shall be; native: at most so many times the time of the best native Keras. */
const wanted: Record<string, { peers?: number; native?: number }> = {
  'i1-mlp-b1': { peers: 1.2 },
  'i1-mlp-b256': { peers: 1.5 },
  'i2-cnn-b1': { peers: 1.2 },
  'i2-cnn-b64': { peers: 1.5 },
  'i3-mobilenet-b1': { peers: 1.5 },
  'i4-resnet50-b1': { peers: 1.5 },
  'i5-lstm-b1': { peers: 2 },
  'i5-lstm-b32': { peers: 2 },
  'i6-encoder-b1': { peers: 2 },
  'i6-encoder-b8': { peers: 2 },
  't1-mlp-b128': { peers: 2.5, native: 1.4 },
  't2-cnn-b64': { native: 2 },
  't3-lstm-b32': { native: 1 },
  't4-resnet8-b32': { native: 2 },
};

export interface Row {
  readonly workload: string;
  readonly runtime: string;
  readonly ms: number | null;
  readonly error?: string;
  readonly fastestPeer: string | null;
  readonly peerMs: number | null;
  /** How many times faster than the fastest peer. */
  readonly ratio: number | null;
  readonly native: string | null;
  readonly nativeMs: number | null;
  /** Our time over the native peer's. */
  readonly ofNative: number | null;
  readonly wanted: { peers?: number; native?: number };
  /** Null where nothing is asked or there is nothing to compare with. */
  readonly met: boolean | null;
  /** Whether all runtimes computed the same numbers. */
  readonly agrees: boolean;
}

const round = (x: number | null, digits = 2) => (x === null ? null : Number(x.toFixed(digits)));

/** The quietest measurement of each cell: the one with the smallest median. */
export function bestOf(cells: readonly Cell[]): Map<string, Cell> {
  const best = new Map<string, Cell>();
  for (const c of cells) {
    const key = `${c.workload} ${c.runtime}`;
    const old = best.get(key);
    if (!old || (c.median !== undefined && (old.median === undefined || c.median < old.median))) best.set(key, c);
  }
  return best;
}

export function rows(cells: readonly Cell[]): Row[] {
  const best = bestOf(cells);
  const out: Row[] = [];
  for (const w of workloads) {
    const of = (name: string) => best.get(`${w.id} ${name}`);
    const timed = (names: readonly string[]) =>
      names
        .map(of)
        .filter((c): c is Cell & { median: number } => c?.median !== undefined)
        .sort((a, b) => a.median - b.median)[0];
    const ours = [...best.values()].filter((c) => c.workload === w.id && c.runtime.startsWith('tenon-'));
    for (const c of ours) {
      const gpu = c.runtime.includes('webgpu');
      const oneThread = c.runtime.includes('-1t');
      const peer = timed(peerRuntimes.filter((p) => !p.native && p.name.includes('webgpu') === gpu && (!oneThread || p.threads === 1)).map((p) => p.name));
      const native = gpu || oneThread ? undefined : timed(peerRuntimes.filter((p) => p.native).map((p) => p.name));
      const ratio = c.median !== undefined && peer ? peer.median / c.median : null;
      const ofNative = c.median !== undefined && native ? c.median / native.median : null;
      const goal = gpu || oneThread ? {} : (wanted[w.id] ?? {});
      const verdicts = [
        goal.peers !== undefined && ratio !== null ? ratio >= goal.peers : null,
        goal.native !== undefined && ofNative !== null ? ofNative <= goal.native : null,
      ].filter((v) => v !== null);
      const reference = peer?.check ?? native?.check;
      const agrees = !reference || !c.check || c.check.every((v, i) => Math.abs(v - reference[i]!) <= 2e-3 * Math.max(1, Math.abs(reference[i]!)));
      out.push({
        workload: w.id,
        runtime: c.runtime,
        ms: c.median ?? null,
        error: c.error ?? c.skipped,
        fastestPeer: peer?.runtime ?? null,
        peerMs: peer?.median ?? null,
        ratio: round(ratio),
        native: native?.runtime ?? null,
        nativeMs: native?.median ?? null,
        ofNative: round(ofNative),
        wanted: goal,
        met: verdicts.length ? verdicts.every(Boolean) : null,
        agrees,
      });
    }
  }
  return out;
}

export function markdown(list: readonly Row[]): string {
  const ms = (x: number | null) => (x === null ? '' : x >= 100 ? x.toFixed(0) : x.toPrecision(3));
  const lines = [
    '| workload | runtime | ms | fastest peer | its ms | times faster | wanted | native Keras | its ms | of its time | at most | met |',
    '| --- | --- | ---: | --- | ---: | ---: | ---: | --- | ---: | ---: | ---: | --- |',
    ...list.map((r) => {
      const verdict = r.error ? `error: ${r.error}` : `${r.met === null ? '' : r.met ? 'yes' : 'no'}${r.agrees ? '' : ' (numbers differ)'}`;
      const cells = [
        r.workload,
        r.runtime,
        ms(r.ms),
        r.fastestPeer ?? '',
        ms(r.peerMs),
        r.ratio ?? '',
        r.wanted.peers ?? '',
        r.native ?? '',
        ms(r.nativeMs),
        r.ofNative ?? '',
        r.wanted.native ?? '',
        verdict,
      ];
      return `| ${cells.join(' | ')} |`;
    }),
  ];
  return lines.join('\n');
}
