/**
 * The test runner. `npm test`: type check, lint and format, import arrows, every tests/**\/*.test.ts in a process of its own (two at a time), then the
 * golden cases of ../shared/golden (or TENON_SHARED/golden) and the ONNX backend cases of ../shared/onnx on both targets when they are there. `npm test -- PATTERN`: only the test files whose path holds
 * PATTERN. `npm run check`: only the checks. The last line is the sum of all: `N passed, N failed, N skipped`.
 */
import { spawn } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

interface Totals {
  passed: number;
  failed: number;
  skipped: number;
}

const root = fileURLToPath(new URL('..', import.meta.url));
const shared = process.env.TENON_SHARED ?? path.join(root, '..', 'shared');
const goldenFamilies = [
  'formats',
  'training',
  'layers',
  'losses',
  'optimizers',
  'metrics',
  'activations',
  'initializers',
  'regularizers',
  'constraints',
  'schedules',
];
/**
 * ONNX cases that cannot pass. The inverse DFT expects NumPy's own rounding noise (1.9e-7) where the exact result is 0, which the tolerance of 1e-7 does not allow for; WebGPU has
 * no float64, whose bits BitCast asks for.
 */
const onnxKnown = {
  wasm: ['dft_inverse_opset19'],
  webgpu: ['dft_inverse_opset19', 'bitcast_float64_to_int64', 'bitcast_int64_to_float64'],
} as const;
const atOnce = 2;
const fileLimitMs = 10 * 60_000;

const totals: Totals = { passed: 0, failed: 0, skipped: 0 };
const add = (t: Totals) => {
  totals.passed += t.passed;
  totals.failed += t.failed;
  totals.skipped += t.skipped;
};

interface Finished {
  readonly code: number;
  readonly output: string;
  readonly seconds: number;
}

/** Runs Node with these arguments and collects what it prints. A process that hangs is ended after the limit. */
function runNode(args: readonly string[], limitMs: number): Promise<Finished> {
  return new Promise((resolve) => {
    const start = performance.now();
    const child = spawn(process.execPath, args, { cwd: root, stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, NO_COLOR: '1', FORCE_COLOR: '0' } });
    let output = '';
    const take = (d: Buffer) => {
      output += d.toString();
    };
    child.stdout.on('data', take);
    child.stderr.on('data', take);
    const timer = setTimeout(() => {
      output += `\nended: it ran for more than ${limitMs / 1000} s\n`;
      child.kill('SIGKILL');
    }, limitMs);
    child.on('close', (code) => {
      clearTimeout(timer);
      resolve({ code: code ?? 1, output, seconds: (performance.now() - start) / 1000 });
    });
  });
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: the escape character starts a colour code
const plain = (text: string) => text.replace(/\x1b\[[0-9;]*m/g, '');

/** uvu's totals. Skipped tests are not in its Total; a file that never called run() has Total 0, which is a failure; so is a bad exit without a failed test. */
export function uvuTotals(output: string, code: number): Totals {
  const count = (word: string) => [...plain(output).matchAll(new RegExp(`^\\s*${word}:\\s+(\\d+)`, 'gm'))].reduce((sum, m) => sum + Number(m[1]), 0);
  const [total, passed, skipped] = [count('Total'), count('Passed'), count('Skipped')];
  const failed = total - passed;
  const unseen = failed === 0 && (code !== 0 || total + skipped === 0) ? 1 : 0;
  return { passed, failed: failed + unseen, skipped };
}

/** The totals that a child printed as its last such line; null when there is none. */
export function closingLine(output: string): Totals | null {
  const all = [...plain(output).matchAll(/^(\d+) passed, (\d+) failed(?:, (\d+) skipped)?$/gm)];
  const last = all.at(-1);
  return last ? { passed: Number(last[1]), failed: Number(last[2]), skipped: Number(last[3] ?? 0) } : null;
}

const indent = (text: string) => text.trimEnd().replace(/^/gm, '    ');
const report = (ok: boolean, name: string, seconds: number, note = '') => console.log(`${ok ? 'ok  ' : 'FAIL'} ${name} (${seconds.toFixed(1)} s)${note}`);

async function checks(): Promise<void> {
  const all: [string, string[]][] = [
    ['type check', ['node_modules/typescript/bin/tsc', '-p', '.']],
    ['lint and format', ['node_modules/@biomejs/biome/bin/biome', 'check', '--max-diagnostics=50', '.']],
    ['import arrows', ['scripts/check-imports.mjs']],
  ];
  for (const [name, args] of all) {
    const { code, output, seconds } = await runNode(args, fileLimitMs);
    report(code === 0, name, seconds);
    if (code !== 0) console.log(indent(output));
    add({ passed: code === 0 ? 1 : 0, failed: code === 0 ? 0 : 1, skipped: 0 });
  }
}

function testFiles(dir: string): string[] {
  return readdirSync(dir, { withFileTypes: true })
    .flatMap((e) =>
      e.isDirectory() ? (e.name === 'interop' ? [] : testFiles(path.join(dir, e.name))) : e.name.endsWith('.test.ts') ? [path.join(dir, e.name)] : [],
    )
    .sort();
}

async function files(pattern: string | undefined): Promise<void> {
  const queue = testFiles(path.join(root, 'tests'))
    .map((f) => path.relative(root, f).split(path.sep).join('/'))
    .filter((f) => !pattern || f.includes(pattern));
  if (queue.length === 0) {
    console.log(`no test file's path holds '${pattern}'`);
    add({ passed: 0, failed: 1, skipped: 0 });
  }
  const worker = async () => {
    for (let file = queue.shift(); file; file = queue.shift()) {
      const { code, output, seconds } = await runNode(['--import', 'tsx', file], fileLimitMs);
      const t = uvuTotals(output, code);
      add(t);
      report(t.failed === 0, file, seconds, `: ${t.passed} passed${t.failed ? `, ${t.failed} failed` : ''}${t.skipped ? `, ${t.skipped} skipped` : ''}`);
      if (t.failed) console.log(indent(output));
    }
  };
  await Promise.all(Array.from({ length: atOnce }, worker));
}

interface CaseJob {
  readonly name: string;
  /** The runner and its arguments. */
  readonly args: readonly string[];
}

/** One process for each golden family and target, and for each part of the ONNX suite and target. Says which of the two is not there. */
function caseJobs(): CaseJob[] {
  const devices = ['wasm', 'webgpu'] as const;
  const there = (dir: string): boolean => {
    if (existsSync(dir)) return true;
    console.log(`${path.basename(dir)} cases not run: there is no ${path.relative(root, dir)} (TENON_SHARED names another place)`);
    return false;
  };
  const jobs: CaseJob[] = [];
  const onnx = path.join(shared, 'onnx');
  if (there(onnx))
    for (const device of devices)
      for (const part of ['node', 'light'] as const) {
        // A software adapter takes minutes for the larger light models.
        const more = part === 'node' ? ['--allow', onnxKnown[device].join()] : device === 'webgpu' ? ['--only', 'squeezenet'] : [];
        jobs.push({ name: `onnx ${part} on ${device}`, args: ['tests/onnx/run.ts', path.join(onnx, part), '--device', device, ...more] });
      }
  const golden = path.join(shared, 'golden');
  const addGolden = (family: string, device: string, ...only: string[]): void => {
    jobs.push({ name: `golden ${family} on ${device}`, args: ['tests/golden/run.ts', path.join(golden, family), '--device', device, ...only] });
  };
  if (there(golden)) {
    // Kernels as GPUs get them, where products and reductions differ from those for adapters on the CPU.
    addGolden('training', 'webgpu-as-gpu');
    addGolden('layers', 'webgpu-as-gpu', '--only', 'multi_head|conv2d_s|dense_');
    for (const device of devices) for (const family of goldenFamilies) addGolden(family, device);
    // tests/keras/golden.test.ts runs these on WASM
    addGolden('architectures', 'webgpu', '--only', 'net|inception');
    addGolden('preprocessing', 'webgpu');
  }
  return jobs;
}

async function cases(): Promise<void> {
  const queue = caseJobs();
  const worker = async () => {
    for (let job = queue.shift(); job; job = queue.shift()) {
      const { code, output, seconds } = await runNode(['--import', 'tsx', ...job.args], 2 * fileLimitMs);
      const t = closingLine(output) ?? { passed: 0, failed: 1, skipped: 0 };
      if (code !== 0 && t.failed === 0) t.failed = 1;
      add(t);
      report(t.failed === 0, job.name, seconds, `: ${t.passed} passed${t.failed ? `, ${t.failed} failed` : ''}, ${t.skipped} skipped`);
      if (t.failed)
        console.log(
          indent(
            plain(output)
              .split('\n')
              .filter((l) => !/^(ok|skip)\b/i.test(l))
              .slice(-120)
              .join('\n'),
          ),
        );
    }
  };
  await Promise.all(Array.from({ length: atOnce }, worker));
}

async function main(): Promise<void> {
  const [argument] = process.argv.slice(2);
  const onlyChecks = argument === '--checks';
  const pattern = onlyChecks ? undefined : argument;
  if (!pattern) await checks();
  if (!onlyChecks) await files(pattern);
  if (!argument) await cases();
  console.log(`${totals.passed} passed, ${totals.failed} failed, ${totals.skipped} skipped`);
  process.exit(totals.failed ? 1 : 0);
}

if (process.argv[1] && path.resolve(process.argv[1]) === fileURLToPath(import.meta.url)) await main();
