/**
 * Loads damaged files of one kind, one after the other, and prints a line of JSON for each: `load-mutations.ts KIND FIRST COUNT FOLDER`, with --expose-gc. Mutation i of a kind is the
 * same in every run. What must hold: a model, or an error of ours that names the file; no memory over twice the file and 64 MB; nothing written but what was asked for; prototypes
 * as they were. The kind `faulty` breaks these one by one, on purpose, so that it is seen that this finds it. Who started this watches the time.
 */
import { mkdirSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { loadModel } from '../../frontend/keras/index.js';
import { RandomStream } from '../../frontend/keras/utils/random.js';
import { InternalError, TenonError } from '../../ir/errors.js';
import { type Base, kinds, loadBase } from './mutation-kinds.js';

const [name, first, count, folder] = process.argv.slice(2) as [string, string, string, string];
const faults: readonly (() => unknown)[] = [
  () => new Float32Array(40e6).fill(1),
  () => writeFileSync(path.join(folder, 'stray'), 'x'),
  () => {
    throw new TypeError('x is not a function');
  },
  () => {
    throw new TenonError('something is wrong');
  },
  () => {
    for (;;);
  },
];
const faulty = name === 'faulty';
const kind = kinds[faulty ? 'json' : name]!;
/** Files of configurations alone say how large weights are, and have none: such models are not written again with weights. */
const isModel = !['json', 'yaml', 'faulty'].includes(name);
const collect = (globalThis as { gc?: () => void }).gc!;
const [cases, out] = [path.join(folder, 'case'), path.join(folder, 'out')];
const limit = 64 << 20;

/** Everything in the folder, with sizes and times. */
function snapshot(at = folder): string {
  return readdirSync(at, { withFileTypes: true })
    .map((e) => {
      const file = path.join(at, e.name);
      if (e.isDirectory()) return `${file}/\n${snapshot(file)}`;
      const { size, mtimeMs } = statSync(file);
      return `${file} ${size} ${mtimeMs}`;
    })
    .join('\n');
}

function write(base: Base, changed: ReadonlyMap<string, Uint8Array>): number {
  rmSync(cases, { recursive: true, force: true });
  let size = 0;
  for (const [file, bytes] of new Map([...base.files, ...changed])) {
    mkdirSync(path.dirname(path.join(cases, file)), { recursive: true });
    writeFileSync(path.join(cases, file), bytes);
    size += bytes.length;
  }
  return size;
}
const used = (): number => {
  const m = process.memoryUsage();
  return m.heapUsed + m.external;
};

mkdirSync(path.join(folder, 'cwd'), { recursive: true });
mkdirSync(out, { recursive: true });
writeFileSync(path.join(folder, 'escaped'), 'not to be touched');
const bases = await kind.bases();
// what is loaded once stays: the code, and the HDF5 library, which some damaged files need
await loadModel(new Blob([...(await kinds.h5!.bases())[0]!.files.values()] as BlobPart[]), { name: 'first.h5', device: 'reference' });
for (const base of [...bases, ...bases]) {
  write(base, new Map());
  const model = await loadBase(kind, base, cases);
  if (model && isModel) await model.save(path.join(out, 'again.h5'));
}
rmSync(path.join(out, 'again.h5'), { force: true });
process.chdir(path.join(folder, 'cwd'));
collect();
let before = used();
const resting = before;
const start = process.resourceUsage().maxRSS * 1024;
let largest = 0;

async function one(i: number): Promise<{ outcome: string; wrong?: string }> {
  const r = new RandomStream(1000 + i);
  const base = bases[i % bases.length]!;
  const changes = kind.changes(base);
  const [file, change] = changes[r.uniform() < 0.6 ? 0 : Math.floor(r.uniform() * changes.length)]!;
  const size = write(base, new Map([[file, await change(base.files.get(file)!, r)]]));
  largest = Math.max(largest, size);
  const seen = snapshot();
  if (used() - resting > 16e6) collect();
  before = used();
  let outcome = 'loaded';
  let kept: unknown;
  try {
    kept = faulty ? faults[i]?.() : null;
    const model = await loadBase(kind, base, cases);
    // what a damaged file says must not lead to other files when it is written again
    if (model && isModel && i % 4 === 0) {
      try {
        await model.save(path.join(out, i % 8 === 0 ? 'again.keras' : 'again.h5'));
      } finally {
        for (const again of ['again.keras', 'again.h5']) rmSync(path.join(out, again), { force: true });
      }
    }
    model?.dispose();
  } catch (e) {
    if (!(e instanceof TenonError) || e instanceof InternalError) return { outcome: 'fault', wrong: e instanceof Error ? (e.stack ?? e.message) : String(e) };
    if (!e.message.includes(path.basename(base.main))) return { outcome: 'fault', wrong: `does not name ${base.main}: ${e.name}: ${e.message}` };
    outcome = e.message;
  }
  const grown = used() - before;
  if (grown > 2 * size + limit) return { outcome: 'fault', wrong: `took ${grown} bytes of memory for ${size} of files${kept ? ' (kept)' : ''}` };
  if (snapshot() !== seen) return { outcome: 'fault', wrong: `files changed:\n${seen}\n->\n${snapshot()}` };
  if (({} as { polluted?: unknown }).polluted !== undefined || Object.keys(Object.prototype).length > 0)
    return { outcome: 'fault', wrong: 'a prototype was changed' };
  return { outcome };
}

for (let i = Number(first); i < Number(first) + Number(count); i++) {
  const began = performance.now();
  const { outcome, wrong } = await one(i);
  console.log(JSON.stringify({ i, outcome: outcome.slice(0, 300), ms: performance.now() - began, ...(wrong === undefined ? {} : { wrong }) }));
}
console.log(JSON.stringify({ grown: process.resourceUsage().maxRSS * 1024 - start, largest }));
process.exit(0);
