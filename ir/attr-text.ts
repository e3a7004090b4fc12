/**
 * The text form of attributes: `key=value` pairs separated by `, `. Values are words (`float32`), numbers (also `inf`, `-inf`, `nan`), quoted
 * text (JSON), lists (`[1,2]`, `[[0,1],[2,3]]`), dimensions (`2*batch+1`), records (`{axis=-1, approximate=true}`) and, made by the graph
 * printer, tensors and sub-graphs. AttrReader reads what attrText writes.
 */
import { type Dim, dimToString, parseDim, type Shape } from './dim.js';
import { type DType, dtypes } from './dtype.js';
import { didYouMean, ValueError } from './errors.js';
import type { Pair } from './op-attrs.js';

export function numberText(x: number): string {
  if (Number.isNaN(x)) return 'nan';
  if (!Number.isFinite(x)) return x > 0 ? 'inf' : '-inf';
  return Object.is(x, -0) ? '-0' : String(x);
}

export function parseNumber(text: string): number {
  const t = text.trim();
  if (t === 'nan') return Number.NaN;
  if (t === 'inf') return Infinity;
  if (t === '-inf') return -Infinity;
  const x = Number(t);
  if (t === '' || Number.isNaN(x)) throw new ValueError(`'${text}' is not a number`);
  return x;
}

export const listText = (xs: readonly (number | Dim)[]): string => `[${xs.map((x) => (typeof x === 'number' ? numberText(x) : dimToString(x))).join(',')}]`;
export const pairsText = (xs: readonly Pair[]): string => `[${xs.map(listText).join(',')}]`;

/** `key=value` pairs joined by `, `. */
export const attrText = (pairs: Readonly<Record<string, string | number | boolean>>): string =>
  Object.entries(pairs)
    .map(([k, v]) => `${k}=${typeof v === 'number' ? numberText(v) : v}`)
    .join(', ');

/** Splits `text` at the separator wherever no bracket or quote is open; parts are trimmed. */
export function splitTop(text: string, separator: string): string[] {
  const parts: string[] = [];
  let depth = 0;
  let quoted = false;
  let start = 0;
  for (let i = 0; i < text.length; i++) {
    const c = text[i]!;
    if (quoted) {
      if (c === '\\') i++;
      else if (c === '"') quoted = false;
    } else if (c === '"') quoted = true;
    else if (c === '[' || c === '{' || c === '(') depth++;
    else if (c === ']' || c === '}' || c === ')') depth--;
    else if (c === separator && depth === 0) {
      parts.push(text.slice(start, i).trim());
      start = i + 1;
    }
  }
  const last = text.slice(start).trim();
  if (last !== '' || parts.length > 0) parts.push(last);
  return parts;
}

/** Inverse of attrText. */
export function splitAttrs(text: string): Map<string, string> {
  const out = new Map<string, string>();
  for (const part of splitTop(text, ',')) {
    const at = part.indexOf('=');
    if (at <= 0) throw new ValueError(`'${part}' is not an attribute: expected key=value`);
    out.set(part.slice(0, at).trim(), part.slice(at + 1).trim());
  }
  return out;
}

function unwrap(text: string, open: string, close: string): string {
  const t = text.trim();
  if (!t.startsWith(open) || !t.endsWith(close)) throw new ValueError(`'${text}' is not of the form ${open}…${close}`);
  return t.slice(1, -1);
}

/** Typed access to parsed attributes; a missing or malformed one is a ValueError that names it. */
export class AttrReader {
  constructor(private readonly attrs: ReadonlyMap<string, string>) {}
  private read<T>(key: string, as: (text: string) => T): T {
    const text = this.attrs.get(key);
    if (text === undefined) throw new ValueError(`attribute '${key}' is missing; found ${[...this.attrs.keys()].join(', ') || 'none'}`);
    try {
      return as(text);
    } catch (e) {
      throw new ValueError(`attribute '${key}': ${e instanceof Error ? e.message : String(e)}`);
    }
  }
  text = (key: string): string => this.read(key, (t) => t);
  number = (key: string): number => this.read(key, parseNumber);
  numbers = (key: string): number[] => this.read(key, (t) => splitTop(unwrap(t, '[', ']'), ',').map(parseNumber));
  pairs = (key: string): Pair[] =>
    this.read(key, (t) =>
      splitTop(unwrap(t, '[', ']'), ',').map((p): Pair => {
        const [lo, hi] = splitTop(unwrap(p, '[', ']'), ',').map(parseNumber);
        if (lo === undefined || hi === undefined) throw new ValueError(`'${p}' is not a pair`);
        return [lo, hi];
      }),
    );
  dim = (key: string): Dim => this.read(key, parseDim);
  shape = (key: string): Shape => this.read(key, (t) => splitTop(unwrap(t, '[', ']'), ',').map(parseDim));
  bool = (key: string): boolean => this.word(key, ['true', 'false']) === 'true';
  dtype = (key: string): DType => this.word(key, dtypes);
  word = <T extends string>(key: string, allowed: readonly T[]): T =>
    this.read(key, (t) => {
      const found = allowed.find((a) => a === t);
      if (found === undefined) throw new ValueError(`'${t}' is not one of ${allowed.join(', ')}.${didYouMean(t, allowed)}`);
      return found;
    });
  string = (key: string): string => this.read(key, parseString);
  record = (key: string): Record<string, AttrValue> => this.read(key, parseRecord);
}

export type AttrValue = string | number | boolean | readonly number[];

function parseString(text: string): string {
  const v: unknown = JSON.parse(text);
  if (typeof v !== 'string') throw new ValueError(`'${text}' is not quoted text`);
  return v;
}

/** Free-form attributes of composites: text is quoted. */
export const recordText = (r: Readonly<Record<string, AttrValue>>): string =>
  `{${Object.entries(r)
    .map(([k, v]) => `${k}=${typeof v === 'string' ? JSON.stringify(v) : typeof v === 'object' ? listText(v) : typeof v === 'number' ? numberText(v) : v}`)
    .join(', ')}}`;

function parseRecord(text: string): Record<string, AttrValue> {
  const value = (t: string): AttrValue => {
    if (t.startsWith('"')) return parseString(t);
    if (t.startsWith('[')) return splitTop(unwrap(t, '[', ']'), ',').map(parseNumber);
    return t === 'true' ? true : t === 'false' ? false : parseNumber(t);
  };
  return Object.fromEntries([...splitAttrs(unwrap(text, '{', '}'))].map(([k, v]) => [k, value(v)]));
}
