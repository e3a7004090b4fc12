/**
 * How long loading a model file takes, beside what h5py needs to read the same arrays, and how much memory: `npm run bench -- --load`. ResNet50's H5, made by the real Keras; every
 * measurement is a fresh process of the built package, h5py's and ours in turns.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, renameSync, statSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

/** What a process prints. Times in milliseconds, sizes in bytes. */
export interface LoadCell {
  readonly ms: number;
  readonly importMs?: number;
  readonly peak?: number;
  /** Of all weights, sorted. */
  readonly digests: readonly string[];
}

const root = fileURLToPath(new URL('..', import.meta.url));
const script = (name: string): string => path.join(root, 'bench', name);
/** Most that issue and docs allow: of h5py's time, and of the file's size. */
export const timesWanted = 2;
export const memoryWanted = 2.2;

function run(command: string, ...args: string[]): string {
  const { status, stdout, stderr } = spawnSync(command, args, { cwd: root, encoding: 'utf8', timeout: 300_000 });
  if (status !== 0) throw new Error(`${path.basename(args[0] ?? command)} failed: ${stderr.trim().split('\n').slice(-4).join('\n')}`);
  return stdout;
}
const cell = (stdout: string): LoadCell => JSON.parse(stdout.split('\n').find((l) => l.startsWith('{"kind"'))!) as LoadCell;

export const buildPackage = (): string => run(process.execPath, path.join(root, 'scripts', 'build.mjs'));
export const makeResNet = (python: string, file: string): string => run(python, script('load.py'), 'make', file);
/** The weights as h5py reads them. */
export const readByH5py = (python: string, file: string): LoadCell => cell(run(python, script('load.py'), 'read', file));
/** The model as the built package loads it. */
export const loadByPackage = (file: string): LoadCell => cell(run(process.execPath, script('load-cell.mjs'), path.join(root, 'dist', 'esm', 'index.js'), file));

const median = (list: readonly number[]): number => [...list].sort((a, b) => a - b)[Math.floor(list.length / 2)]!;

/** A table, as markdown. */
export function loadTable(python: string, tries: number): string {
  const folder = path.join(root, '.cache');
  const file = path.join(folder, 'resnet50.h5');
  mkdirSync(folder, { recursive: true });
  if (!existsSync(file)) {
    makeResNet(python, `${file}.new.h5`);
    renameSync(`${file}.new.h5`, file);
  }
  buildPackage();
  const { size } = statSync(file);
  const [theirs, ours]: [LoadCell[], LoadCell[]] = [[], []];
  for (let i = 0; i < tries; i++) {
    theirs.push(readByH5py(python, file));
    ours.push(loadByPackage(file));
  }
  const same = ours.every((c) => c.digests.join() === theirs[0]!.digests.join());
  const [a, b] = [median(theirs.map((c) => c.ms)), median(ours.map((c) => c.ms))];
  const peak = Math.max(...ours.map((c) => c.peak!));
  const list = (cells: readonly LoadCell[]): string => cells.map((c) => c.ms.toFixed(0)).join(' ');
  return [
    `ResNet50's H5, ${(size / 1e6).toFixed(1)} MB, ${tries} processes each in turns; the same weights: ${same ? 'yes' : 'no'}`,
    '',
    '| | median ms | all | times h5py | at most | peak memory, MB | of the file | at most |',
    '| --- | ---: | --- | ---: | ---: | ---: | ---: | ---: |',
    `| h5py, all arrays | ${a.toFixed(0)} | ${list(theirs)} | | | | | |`,
    `| loadModel | ${b.toFixed(0)} | ${list(ours)} | ${(b / a).toFixed(2)} | ${timesWanted} | ${(peak / 1e6).toFixed(0)} | ${(peak / size).toFixed(2)} | ${memoryWanted} |`,
  ].join('\n');
}
