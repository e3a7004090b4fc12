/**
 * The peers (TensorFlow.js, ONNX Runtime Web, jax-js, Keras) under their own scripts: copied from shared/bench/peers into a cache folder outside the
 * repository, where their packages (0.9 GB) and exported models appear. TENON_SHARED names the shared folder, TENON_PEERS the cache folder.
 */
import { spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { ensurePython } from '../scripts/python.js';
import type { Workload } from './workloads.js';

const root = fileURLToPath(new URL('..', import.meta.url));

export interface Peers {
  readonly dir: string;
  /** Null when there is none: rows of Keras and of ONNX Runtime (whose models Python exports) are left out. */
  readonly python: string | null;
}

/** Null, with the reason printed, when the scripts are not here. */
export function ensurePeers(): Peers | null {
  const from = path.join(process.env.TENON_SHARED ?? path.join(root, '..', 'shared'), 'bench', 'peers');
  const dir = process.env.TENON_PEERS ?? path.join(process.env.XDG_CACHE_HOME ?? path.join(homedir(), '.cache'), 'tenon', 'peers');
  if (!existsSync(from)) {
    console.error(`No peers: there is no ${from} (TENON_SHARED names another place).`);
    return null;
  }
  let python: string | null = null;
  try {
    python = ensurePython();
  } catch (e) {
    console.error(`No Keras and no ONNX Runtime among the peers: ${(e as Error).message}`);
  }
  const lock = readFileSync(path.join(from, 'package-lock.json'), 'utf8');
  const stamp = path.join(dir, 'ready');
  // not the path of Python: every checkout has its own, and the set-up is the same
  const wanted = `${python ? 'with' : 'without'} Python\n${lock}`;
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === wanted) return { dir, python };
  console.error(`Setting up the peers in ${dir} ...`);
  mkdirSync(dir, { recursive: true });
  cpSync(from, dir, { recursive: true });
  const run = (command: string, ...args: string[]) => {
    const { status, error } = spawnSync(command, args, { cwd: dir, stdio: ['ignore', 'ignore', 'inherit'] });
    if (status !== 0) throw new Error(`${command} ${args.join(' ')} in ${dir} failed${error ? `: ${error.message}` : ''}`);
  };
  run('npm', 'ci', '--ignore-scripts', '--no-audit', '--no-fund');
  run(process.execPath, 'models.mjs');
  if (python) run(python, 'export_onnx.py');
  writeFileSync(stamp, wanted);
  return { dir, python };
}

export interface PeerRuntime {
  readonly name: string;
  /** Threads it runs on: decides which of our rows it stands beside. */
  readonly threads: 1 | 2;
  /** native: not WebAssembly, for orientation. */
  readonly native: boolean;
  readonly can: (w: Workload) => boolean;
}

const infers = (w: Workload) => w.kind === 'infer';
const mlp = (w: Workload) => w.model === 'mlp';
const normalized = (w: Workload) => w.model === 'mobilenet' || w.model === 'resnet50';

/** The peers that the issue compares with. tfjs has no training kernels for convolutions and recurrence on WebAssembly. */
export const peerRuntimes: readonly PeerRuntime[] = [
  { name: 'tfjs-wasm', threads: 1, native: false, can: (w) => (infers(w) && !normalized(w)) || (w.kind === 'train' && mlp(w)) },
  { name: 'tfjs-wasm-folded', threads: 1, native: false, can: (w) => infers(w) && normalized(w) },
  { name: 'ort-web-wasm', threads: 2, native: false, can: infers },
  { name: 'ort-web-wasm-1t', threads: 1, native: false, can: infers },
  { name: 'jax-wasm', threads: 2, native: false, can: mlp },
  { name: 'jax-wasm-1t', threads: 1, native: false, can: mlp },
  { name: 'keras-tf', threads: 2, native: true, can: () => true },
  { name: 'keras-tf-xla', threads: 2, native: true, can: () => true },
  { name: 'tfjs-webgpu', threads: 2, native: false, can: (w) => !normalized(w) },
  { name: 'jax-webgpu', threads: 2, native: false, can: mlp },
];

const kerasArgs: Record<string, string[]> = { 'keras-tf': ['--threads', '2'], 'keras-tf-xla': ['--threads', '2', '--xla'] };

/** The command of one cell; null when the peer needs Python and there is none. */
export function peerCommand(peers: Peers, runtime: string, workload: string, boxMs: number): { command: string; args: string[]; cwd: string } | null {
  const keras = kerasArgs[runtime];
  if (!peers.python && (keras || runtime.startsWith('ort'))) return null;
  const args = keras
    ? ['keras_cpu.py', '--runtime', runtime, '--workload', workload, '--box-ms', String(boxMs), ...keras]
    : ['cell.mjs', runtime, workload, String(boxMs)];
  return { command: keras ? peers.python! : process.execPath, args, cwd: peers.dir };
}
