/**
 * npm run bench: Tenon and the peers on the same work in one run, ratios as a table.
 *   --workload i1*,t1-mlp-b128   only these (a trailing * stands for anything)
 *   --runtime tenon-wasm,ort*    only these; tenon-webgpu and the webgpu peers run only when named
 *   --no-peers                   Tenon alone
 *   --box-ms 10000               time for each cell
 *   --tries 3                    how often a noisy cell is run again
 *   --quiet-ms 20000             how long to wait for quiet before a cell
 *   --out FILE                   appends every measurement as a JSON line (and reads what is there: --again runs only cells that it lacks)
 *   --json FILE                  the table as JSON
 *   --limits                     also single kernels beside the machine's limits
 *   --compile                    compile times alone: of benchmark models, of ONNX models beside ONNX Runtime Web, of networks with their memory (--tries: processes each)
 *   --load                       how long loading an H5 file takes beside h5py, and how much memory (--tries: processes each)
 */
import { appendFileSync, existsSync, readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { ensurePython } from '../scripts/python.js';
import { type Cell, isNoisy, runCell, waitForQuiet } from './cells.js';
import { compileTables } from './compile.js';
import { loadTable } from './load.js';
import { ensurePeers, peerCommand, peerRuntimes } from './peers.js';
import { markdown, rows } from './report.js';
import { workloads } from './workloads.js';

const root = fileURLToPath(new URL('..', import.meta.url));
const { values: args } = parseArgs({
  options: {
    workload: { type: 'string' },
    runtime: { type: 'string' },
    'no-peers': { type: 'boolean', default: false },
    'box-ms': { type: 'string', default: '10000' },
    tries: { type: 'string', default: '3' },
    'quiet-ms': { type: 'string', default: '20000' },
    out: { type: 'string' },
    again: { type: 'boolean', default: false },
    json: { type: 'string' },
    limits: { type: 'boolean', default: false },
    compile: { type: 'boolean', default: false },
    load: { type: 'boolean', default: false },
  },
});

const matches = (list: string | undefined, x: string) =>
  list === undefined || list.split(',').some((p) => x === p || (p.endsWith('*') && x.startsWith(p.slice(0, -1))));
const wantsRuntime = (name: string) => (name.includes('webgpu') && args.runtime === undefined ? false : matches(args.runtime, name));
const boxMs = Number(args['box-ms']);

/** Our rows: what is measured and the flags of Node that it takes. Relaxed SIMD is behind a flag in Node 20 and on by default later. */
const ourRuntimes: { name: string; node: string[] }[] = [
  { name: 'tenon-wasm', node: [] },
  { name: 'tenon-wasm-1t', node: [] },
  { name: 'tenon-wasm-relaxed', node: ['--experimental-wasm-relaxed-simd'] },
  { name: 'tenon-webgpu', node: [] },
];

if (args.load) {
  console.log(loadTable(ensurePython(), Number(args.tries)));
  process.exit(0);
}

const chosen = workloads.filter((w) => matches(args.workload, w.id));
if (chosen.length === 0) throw new Error(`no workload is called '${args.workload}'; there are ${workloads.map((w) => w.id).join(', ')}`);
const peers = args['no-peers'] ? null : ensurePeers();

if (args.compile) {
  console.log(compileTables(peers?.dir ?? null, Number(args.tries)));
  process.exit(0);
}

const cells: Cell[] = [];
if (args.again && args.out && existsSync(args.out)) {
  for (const line of readFileSync(args.out, 'utf8').split('\n')) if (line) cells.push(JSON.parse(line) as Cell);
}
const settled = new Set(cells.filter((c) => !isNoisy(c) && !c.error).map((c) => `${c.workload} ${c.runtime}`));

async function cell(command: string, argv: string[], cwd: string, workload: string, runtime: string): Promise<void> {
  if (settled.has(`${workload} ${runtime}`)) return;
  for (let attempt = 1; attempt <= Number(args.tries); attempt++) {
    await waitForQuiet(Number(args['quiet-ms']));
    const c = { ...(await runCell(command, argv, cwd, workload, runtime)), attempt };
    cells.push(c);
    console.error(
      `${workload} ${runtime}: ${c.median !== undefined ? `${c.median} ms (p90 ${c.p90}, others ${c.others_cores} cores)` : (c.error ?? c.skipped)}`,
    );
    if (args.out) appendFileSync(args.out, `${JSON.stringify(c)}\n`);
    if (!isNoisy(c)) return;
  }
}

// Row by row, so that what is compared is measured in the same minutes.
for (const w of chosen) {
  for (const r of ourRuntimes) {
    if (wantsRuntime(r.name)) await cell(process.execPath, [...r.node, '--import', 'tsx', 'bench/cell.ts', r.name, w.id, String(boxMs)], root, w.id, r.name);
  }
  for (const p of peerRuntimes) {
    const c = peers && p.can(w) && wantsRuntime(p.name) ? peerCommand(peers, p.name, w.id, boxMs) : null;
    if (c) await cell(c.command, c.args, c.cwd, w.id, p.name);
  }
}

const table = rows(cells.filter((c) => chosen.some((w) => w.id === c.workload)));
console.log(markdown(table));
if (args.json) writeFileSync(args.json, `${JSON.stringify(table, null, 2)}\n`);
if (args.limits) {
  const { kernels, kernelTable } = await import('./kernels.js');
  console.log(`\n${kernelTable(await kernels())}`);
}
process.exit(table.some((r) => r.error !== undefined) ? 1 : 0);
