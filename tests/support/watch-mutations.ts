/** Runs load-mutations.ts and watches it: a file that takes more than 5 seconds, or the process's life, is a fault, and the next one is looked at in a new process. */
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

export interface Watched {
  readonly loaded: number;
  readonly refused: number;
  /** The slowest file, in milliseconds; and how far the process grew at most, in bytes. */
  readonly slowest: number;
  readonly grown: number;
  /** Messages, without repetitions. */
  readonly messages: readonly string[];
  readonly wrong: readonly string[];
}

const script = fileURLToPath(new URL('./load-mutations.ts', import.meta.url));
const root = fileURLToPath(new URL('../..', import.meta.url));
/** Starting and the first good files. */
const startLimit = 120_000;
const fileLimit = 5000;
const mostFaults = 20;

interface Line {
  readonly i?: number;
  readonly outcome?: string;
  readonly ms?: number;
  readonly wrong?: string;
  readonly grown?: number;
  readonly largest?: number;
}

/** One process, from mutation `first` on: its lines, and why it ended early. */
function run(kind: string, first: number, count: number, onLine: (l: Line) => void): Promise<string | null> {
  const folder = mkdtempSync(path.join(tmpdir(), 'tenon-mutations-'));
  return new Promise((resolve) => {
    const child = spawn(process.execPath, ['--expose-gc', '--import', 'tsx', script, kind, String(first), String(count), folder], {
      cwd: root,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let [rest, errors, why] = ['', '', null as string | null];
    const watch = (ms: number) =>
      setTimeout(() => {
        why = `it took more than ${ms} ms`;
        child.kill('SIGKILL');
      }, ms);
    let timer = watch(startLimit);
    child.stdout.on('data', (d: Buffer) => {
      clearTimeout(timer);
      const lines = (rest + d.toString()).split('\n');
      rest = lines.pop()!;
      for (const l of lines) onLine(JSON.parse(l) as Line);
      timer = watch(fileLimit);
    });
    child.stderr.on('data', (d: Buffer) => {
      errors = (errors + d.toString()).slice(-2000);
    });
    child.on('close', (code) => {
      clearTimeout(timer);
      rmSync(folder, { recursive: true, force: true });
      resolve(why ?? (code === 0 ? null : `the process ended with ${code}: ${errors}`));
    });
  });
}

export async function watchMutations(kind: string, count: number): Promise<Watched> {
  let [loaded, refused, slowest, grown, next] = [0, 0, 0, 0, 0];
  const messages = new Set<string>();
  const wrong: string[] = [];
  while (next < count && wrong.length < mostFaults) {
    const why = await run(kind, next, count - next, (l) => {
      if (l.i === undefined) {
        grown = Math.max(grown, l.grown!);
        if (l.grown! > 2 * l.largest! + (64 << 20)) wrong.push(`${kind}: the process grew by ${l.grown} bytes, its largest file had ${l.largest}`);
        return;
      }
      next = l.i + 1;
      slowest = Math.max(slowest, l.ms!);
      if (l.wrong !== undefined) wrong.push(`${kind} ${l.i}: ${l.wrong}`);
      else if (l.outcome === 'loaded') loaded++;
      else {
        refused++;
        messages.add(l.outcome!);
      }
    });
    if (why === null) break;
    wrong.push(`${kind} ${next}: ${why}`);
    next++;
  }
  return { loaded, refused, slowest, grown, messages: [...messages], wrong };
}
