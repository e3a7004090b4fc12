/** The progress bar of `fit` and `evaluate`, as Keras 3 prints it: redrawn on a terminal, plain lines elsewhere. */

import { oneOf } from '../utils/options.js';

/** 0, 1 or 2; 'auto' is 1. */
export const verbosity = (what: string, x: unknown): 0 | 1 | 2 =>
  x === undefined || x === 'auto' || x === true ? 1 : x === false ? 0 : (Number(oneOf(what, 'verbose', String(x), ['0', '1', '2'])) as 0 | 1 | 2);

/** Where text goes; process.stdout, or the console in browsers. */
export interface Output {
  readonly isTTY: boolean;
  write(text: string): void;
}

interface NodeLike {
  readonly stdout?: { readonly isTTY?: boolean; write(text: string): unknown };
}

/** Standard output, or console lines where there is none. */
export function standardOutput(): Output {
  const { stdout } = (globalThis as { readonly process?: NodeLike }).process ?? {};
  if (stdout) return { isTTY: stdout.isTTY === true, write: (text) => void stdout.write(text) };
  let line = '';
  return {
    isTTY: false,
    write: (text) => {
      const lines = (line + text).split('\n');
      line = lines.pop()!;
      for (const l of lines) console.log(l);
    },
  };
}

const width = 20;

/** `5ms/step`, `120us/step`, `2s/step`. */
export function timePerStep(seconds: number): string {
  if (seconds >= 1 || seconds === 0) return `${Math.round(seconds)}s/step`;
  if (seconds >= 1e-3) return `${Math.round(seconds * 1e3)}ms/step`;
  return `${Math.round(seconds * 1e6)}us/step`;
}

/** Time that is left: `3s`, `1:05`, `1:00:05`. */
export function duration(seconds: number): string {
  const s = Math.floor(seconds);
  const two = (n: number) => String(n).padStart(2, '0');
  if (seconds > 3600) return `${Math.floor(s / 3600)}:${two(Math.floor(s / 60) % 60)}:${two(s % 60)}`;
  return seconds > 60 ? `${Math.floor(s / 60)}:${two(s % 60)}` : `${s}s`;
}

/** Four digits, in powers of ten when small (0, too, as Python writes it). */
export function metricText(value: number): string {
  if (!Number.isFinite(value)) return Number.isNaN(value) ? 'nan' : value > 0 ? 'inf' : '-inf';
  return Math.abs(value) > 1e-3 ? value.toFixed(4) : value.toExponential(4).replace(/e([+-])(\d)$/, (_, sign: string, digit: string) => `e${sign}0${digit}`);
}

export const logsText = (logs: Readonly<Record<string, number>>): string =>
  Object.entries(logs)
    .map(([name, value]) => ` - ${name}: ${metricText(value)}`)
    .join('');

export class ProgressBar {
  private readonly start = performance.now();
  private drawn = false;

  constructor(
    private readonly total: number,
    private readonly verbose: 0 | 1 | 2,
    private readonly out: Output,
  ) {}

  /** Whether a redraw would show. */
  get redraws(): boolean {
    return this.verbose === 1 && this.out.isTTY;
  }

  private text(step: number, logs: Readonly<Record<string, number>>, done: boolean): string {
    const seconds = (performance.now() - this.start) / 1000;
    const perStep = seconds / Math.max(1, step);
    const digits = String(this.total).length;
    const head = `${String(step).padStart(digits)}/${this.total}`;
    const elapsed = `${Math.round(seconds)}s`;
    if (this.verbose === 2) return `${head} - ${elapsed} - ${timePerStep(perStep)}${logsText(logs)}`;
    const filled = Math.floor((width * step) / this.total);
    const [full, rest] = ['━'.repeat(filled), '━'.repeat(width - filled)];
    const bar = this.out.isTTY ? `\x1b[32m${full}\x1b[0m\x1b[37m${rest}\x1b[0m` : full + rest;
    const bold = (text: string) => (this.out.isTTY ? `\x1b[1m${text}\x1b[0m` : text);
    const time = bold(done ? elapsed : duration(perStep * (this.total - step)));
    return `${bold(head)} ${bar} ${time} ${timePerStep(perStep)}${logsText(logs)}`;
  }

  /** Draws the state of a running epoch (terminals only). */
  update(step: number, logs: Readonly<Record<string, number>>): void {
    if (!this.redraws) return;
    this.drawn = true;
    this.out.write(`\r\x1b[K${this.text(step, logs, false)}`);
  }

  /** The last line of the epoch. */
  finish(logs: Readonly<Record<string, number>>): void {
    if (this.verbose === 0) return;
    this.out.write(`${this.drawn ? '\r\x1b[K' : ''}${this.text(this.total, logs, true)}\n`);
  }
}
