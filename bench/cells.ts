/** Runs cells: one (workload, runtime) pair in a process of its own, which prints one JSON line. */
import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';

/** What a cell prints. Times in milliseconds; `check`: digests or losses of the warm-up iterations. */
export interface Cell {
  workload: string;
  runtime: string;
  median?: number;
  min?: number;
  p90?: number;
  iters?: number;
  build_ms?: number;
  first_iter_ms?: number;
  check?: number[];
  others_cores?: number | null;
  version?: string;
  error?: string;
  skipped?: string;
  attempt?: number;
}

/** Seconds of CPU that the machine was busy since its start (Linux), else null. */
function busySeconds(): number | null {
  try {
    const f = readFileSync('/proc/stat', 'utf8').split('\n')[0]!.trim().split(/\s+/).slice(1).map(Number);
    return (f[0]! + f[1]! + f[2]! + f[5]! + f[6]! + f[7]!) / 100;
  } catch {
    return null;
  }
}

/** Starts watching; the result gives how many cores other programs kept busy since (this process and its ended children not counted). */
export function watchOthers(): () => number | null {
  const own = () => {
    const u = process.cpuUsage();
    return (u.user + u.system) / 1e6;
  };
  const [t, b, o] = [performance.now(), busySeconds(), own()];
  return () => {
    const now = busySeconds();
    return b === null || now === null ? null : Math.max(0, Math.round(((now - b - (own() - o)) / ((performance.now() - t) / 1000)) * 100) / 100);
  };
}

/** Waits, at most so long, for a second in which other programs leave the cores alone. */
export async function waitForQuiet(limitMs: number): Promise<void> {
  const start = performance.now();
  while (performance.now() - start < limitMs) {
    const others = watchOthers();
    await new Promise((r) => setTimeout(r, 1000));
    if ((others() ?? 0) <= 0.25) return;
  }
}

/** Noise: a long tail, or other programs took over a third of a core. */
export const isNoisy = (c: Cell): boolean => c.median !== undefined && ((c.p90 ?? 0) > 1.4 * c.median || (c.others_cores ?? 0) > 0.34);

export function runCell(command: string, args: readonly string[], cwd: string, workload: string, runtime: string): Promise<Cell> {
  return new Promise((resolve) => {
    const env = { ...process.env, TF_CPP_MIN_LOG_LEVEL: '3', XDG_RUNTIME_DIR: process.env.XDG_RUNTIME_DIR ?? '/tmp' };
    const child = spawn(command, args, { cwd, env, stdio: ['ignore', 'pipe', 'pipe'] });
    let out = '';
    let err = '';
    child.stdout.on('data', (d) => {
      out += d;
    });
    child.stderr.on('data', (d) => {
      err += d;
    });
    const timer = setTimeout(() => child.kill('SIGKILL'), 300_000);
    child.on('close', (code, signal) => {
      clearTimeout(timer);
      const line = out.split('\n').find((l) => l.startsWith('{"workload"'));
      if (line) resolve(JSON.parse(line) as Cell);
      else
        resolve({
          workload,
          runtime,
          error: signal === 'SIGKILL' ? 'ran past 300 s' : `exit ${code}: ${(err.split('\n').find((l) => /Error\b/.test(l)) ?? err.trim()).slice(0, 300)}`,
        });
    });
  });
}

/**
 * The peers' protocol: three warm-up iterations (the first, apart, compiles), then iterations until `boxMs` is over or 300 are done, five at least.
 * `prepare` builds the model and gives a function that runs one iteration from a host array to a number read back.
 */
export async function measure(prepare: () => Promise<() => Promise<number>>, boxMs: number): Promise<Partial<Cell>> {
  const now = () => performance.now();
  const round = (x: number) => Math.round(x * 1000) / 1000;
  const t0 = now();
  const step = await prepare();
  const build = now() - t0;
  const check: number[] = [];
  let first = 0;
  for (let i = 0; i < 3; i++) {
    const t = now();
    check.push(Number((await step()).toPrecision(6)));
    if (i === 0) first = now() - t;
  }
  const times: number[] = [];
  const start = now();
  while (times.length < 5 || (now() - start < boxMs && times.length < 300)) {
    const t = now();
    await step();
    times.push(now() - t);
  }
  times.sort((a, b) => a - b);
  const n = times.length;
  const median = n % 2 ? times[(n - 1) / 2]! : (times[n / 2 - 1]! + times[n / 2]!) / 2;
  return {
    median: round(median),
    min: round(times[0]!),
    p90: round(times[Math.min(n - 1, Math.floor(0.9 * n))]!),
    iters: n,
    build_ms: round(build),
    first_iter_ms: round(first),
    check,
  };
}
