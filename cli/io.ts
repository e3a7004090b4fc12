/** What commands print to, their errors of usage, and small text formatting. */
import pc from 'picocolors';

export interface CliIo {
  out(text: string): void;
  err(text: string): void;
}

export const processIo: CliIo = { out: (t) => process.stdout.write(t), err: (t) => process.stderr.write(t) };

/** The command was called wrongly: exit code 2. */
export class UsageError extends Error {
  override name = 'UsageError';
}

export const bold = (t: string): string => pc.bold(t);
export const dim = (t: string): string => pc.dim(t);
export const red = (t: string): string => pc.red(t);

const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];

export function bytesText(n: number): string {
  let unit = 0;
  let v = n;
  while (v >= 1024 && unit < units.length - 1) {
    v /= 1024;
    unit++;
  }
  return unit === 0 ? `${n} B` : `${v.toFixed(v < 10 ? 2 : 1)} ${units[unit]}`;
}

/** 1234567 as `1.23 M`. */
export function countText(n: number): string {
  for (const [size, letter] of [
    [1e12, 'T'],
    [1e9, 'G'],
    [1e6, 'M'],
    [1e3, 'k'],
  ] as const)
    if (Math.abs(n) >= size) return `${(n / size).toFixed(2)} ${letter}`;
  return String(n);
}

/** Rows in columns; columns of `right` are aligned right. No line ends in spaces. */
export function table(rows: readonly (readonly string[])[], right: readonly number[] = []): string[] {
  const widths: number[] = [];
  for (const r of rows) r.forEach((c, i) => (widths[i] = Math.max(widths[i] ?? 0, c.length)));
  return rows.map((r) =>
    r
      .map((c, i) => (right.includes(i) ? c.padStart(widths[i]!) : c.padEnd(widths[i]!)))
      .join('  ')
      .trimEnd(),
  );
}
