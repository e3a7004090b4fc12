/**
 * Compile times, in the benchmark by `npm run bench -- --compile`: every measurement is the first compilation of a fresh process, the best of a few such processes. Three tables:
 * benchmark models from tracing to the ready plan, ONNX models from the file to the first output beside ONNX Runtime Web, and networks of keras.applications with their memory.
 */
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Model } from '../frontend/keras/index.js';
import type { CompileInput } from './compile-inputs.js';

/** What a cold process prints. Times in milliseconds, sizes in bytes. */
export interface CompileCell {
  readonly kind: 'workload' | 'onnx' | 'architecture' | 'ort';
  readonly name: string;
  /** To the ready plan; of ONNX models to the first output. */
  readonly ms?: number;
  /** Building the model from its configuration; reading an ONNX file, or creating a session of it. */
  readonly build?: number;
  readonly kernels?: number;
  /** Memory of intermediates as planned. */
  readonly arena?: number;
  /** All intermediates that kernels store, without sharing. */
  readonly stored?: number;
  /** What all layers give for one sample. */
  readonly activations?: number;
  readonly inputs?: readonly CompileInput[];
  readonly check?: readonly number[];
  readonly error?: string;
}

const root = fileURLToPath(new URL('..', import.meta.url));
const shared = process.env.TENON_SHARED ?? path.join(root, '..', 'shared');
/** At most so many milliseconds to the ready plan. */
const limits: Readonly<Record<string, number>> = { 't4-resnet8-b32': 1000, 'i4-resnet50-b1': 3000 };
export const architectures = ['mobilenet', 'mobilenet_v2', 'resnet50', 'inception_v3'] as const;
export const architectureFile = (name: string): string => path.join(shared, 'golden', 'architectures', name, 'architecture.json');
const light = ['bvlc_alexnet', 'inception_v1', 'resnet50', 'squeezenet'];

function onnxFiles(): [string, string][] {
  const files = light.map((n): [string, string] => [`light ${n}`, path.join(shared, 'onnx', 'light', `light_${n}.onnx`)]);
  // Where the interoperability tests unpack published models.
  return [...files, ['magika', path.join(root, '.cache', 'onnx-models', 'magika.onnx')] as [string, string]].filter(([, f]) => existsSync(f));
}

/** The quickest of `tries` fresh processes. */
function best(args: readonly string[], tries: number): CompileCell {
  const cells = Array.from({ length: tries }, () => {
    const { stdout, stderr } = spawnSync(process.execPath, ['--import', 'tsx', ...args], { cwd: root, encoding: 'utf8', timeout: 120_000 });
    const line = stdout.split('\n').find((l) => l.startsWith('{"kind"'));
    return line
      ? (JSON.parse(line) as CompileCell)
      : ({ kind: 'onnx', name: args[2]!, error: stderr.split('\n').find((l) => /Error\b/.test(l)) ?? 'no output' } as CompileCell);
  });
  return cells.sort((a, b) => (a.ms ?? Number.POSITIVE_INFINITY) - (b.ms ?? Number.POSITIVE_INFINITY))[0]!;
}

const mine = (kind: CompileCell['kind'], name: string, file: string, tries: number): CompileCell => best(['bench/compile-cell.ts', kind, name, file], tries);
export const agree = (a: readonly number[] = [], b: readonly number[] = []): boolean =>
  a.length > 0 && a.length === b.length && a.every((x, i) => Math.abs(x - b[i]!) <= 1e-3 * Math.max(1e-3, Math.abs(x)));
const mega = (n: number): string => (n / 1e6).toFixed(2);
const tableOf = (head: readonly string[], lines: readonly (readonly unknown[])[]): string =>
  [head, head.map((_, i) => (i === 0 ? '---' : '---:')), ...lines].map((l) => `| ${l.join(' | ')} |`).join('\n');

/** Bytes of what all layers give for one sample. */
export const activationBytes = (model: Model): number =>
  model.layers.reduce((sum, l) => {
    const shapes = l.inboundNodes[0]?.outputs.map((o) => o.shape.slice(1)) ?? [];
    return sum + shapes.reduce((s, shape) => s + 4 * shape.reduce<number>((a, d) => a * Number(d), 1), 0);
  }, 0);

/** All rows as markdown. `peers`: the peers' folder; without it ONNX models stand alone. */
export function compileTables(peers: string | null, tries: number): string {
  const plans = Object.entries(limits).map(([id, most]) => {
    const c = mine('workload', id, '-', tries);
    return [id, c.error ?? c.ms, most, c.ms !== undefined && c.ms <= most ? 'yes' : 'no'];
  });
  const onnx = onnxFiles().map(([name, file]) => {
    const c = mine('onnx', name, file, tries);
    const peer = peers && c.inputs ? best(['bench/ort-cell.mjs', peers, name, file, JSON.stringify(c.inputs)], tries) : null;
    const ratio = c.ms && peer?.ms ? peer.ms / c.ms : null;
    return [
      name,
      c.error ?? c.ms,
      peer ? (peer.error ?? peer.ms) : '',
      ratio?.toFixed(2) ?? '',
      ratio === null ? '' : ratio >= 1 ? 'yes' : 'no',
      peer ? (agree(c.check, peer.check) ? 'yes' : 'no') : '',
    ];
  });
  const networks = architectures
    .filter((n) => existsSync(architectureFile(n)))
    .map((n) => {
      const c = mine('architecture', n, architectureFile(n), tries);
      if (c.error !== undefined) return [n, c.error, '', '', '', '', '', ''];
      return [n, c.build, c.ms, c.kernels, mega(c.arena!), mega(c.stored!), mega(c.activations!), `${Math.round((100 * c.arena!) / c.activations!)} %`];
    });
  return [
    tableOf(['trace to ready plan', 'ms', 'at most', 'met'], plans),
    tableOf(['file to first output', 'Tenon ms', 'onnxruntime-web ms', 'times faster', 'not slower', 'same output'], onnx),
    tableOf(['network', 'build ms', 'compile ms', 'kernels', 'arena MB', 'stored values MB', 'all activations MB', 'arena of activations'], networks),
  ].join('\n\n');
}
