/**
 * Dimensions. A dimension is a number, or affine in named symbols with integer coefficients (`batch`, `2*batch+1`). Only sums, products with
 * integers and exact divisions are allowed, so that equality stays decidable. Symbols are bound when a plan runs.
 */
import { InternalError, ShapeError } from './errors.js';

/** An affine form: sum of `coefficient * symbol` plus `offset`. Immutable; terms are sorted by symbol, coefficients are never 0. */
export class AffineDim {
  constructor(
    readonly terms: readonly (readonly [symbol: string, coefficient: number])[],
    readonly offset: number,
  ) {}
  toString(): string {
    const parts = this.terms.map(([s, c]) => (c === 1 ? s : `${c}*${s}`));
    if (this.offset !== 0) parts.push(String(this.offset));
    return parts.join('+');
  }
}

export type Dim = number | AffineDim;
export type Shape = readonly Dim[];
/** Values of symbols. */
export type Bindings = Readonly<Record<string, number>>;

export const isStatic = (d: Dim): d is number => typeof d === 'number';
export const isStaticShape = (s: Shape): s is readonly number[] => s.every(isStatic);

/** The dimension that is just the symbol `name`. */
export const symbol = (name: string): AffineDim => new AffineDim([[name, 1]], 0);

const normal = (terms: Map<string, number>, offset: number): Dim => {
  const list = [...terms].filter(([, c]) => c !== 0).sort(([a], [b]) => (a < b ? -1 : 1));
  return list.length === 0 ? offset : new AffineDim(list, offset);
};

export function addDim(a: Dim, b: Dim): Dim {
  if (isStatic(a) && isStatic(b)) return a + b;
  const terms = new Map<string, number>();
  let offset = 0;
  for (const d of [a, b]) {
    if (isStatic(d)) offset += d;
    else {
      offset += d.offset;
      for (const [s, c] of d.terms) terms.set(s, (terms.get(s) ?? 0) + c);
    }
  }
  return normal(terms, offset);
}

/** Product; one of the two must be a number. */
export function mulDim(a: Dim, b: Dim): Dim {
  if (isStatic(a) && isStatic(b)) return a * b;
  if (!isStatic(a) && !isStatic(b)) throw new ShapeError(`the product of the symbolic dimensions ${a} and ${b} is not affine`);
  const [k, d] = isStatic(a) ? [a, b as AffineDim] : [b as number, a];
  return normal(new Map(d.terms.map(([s, c]) => [s, c * k])), d.offset * k);
}

export const subDim = (a: Dim, b: Dim): Dim => addDim(a, mulDim(b, -1));

/** `a / k` where it is exact for every value of the symbols, else null. */
export function divDimExact(a: Dim, k: number): Dim | null {
  if (k === 0) return null;
  if (isStatic(a)) return a % k === 0 ? a / k : null;
  if (a.offset % k !== 0 || a.terms.some(([, c]) => c % k !== 0)) return null;
  return normal(new Map(a.terms.map(([s, c]) => [s, c / k])), a.offset / k);
}

/** `floor(a / k)` where it is affine: every coefficient is a multiple of k. Else null. */
export function floorDivDim(a: Dim, k: number): Dim | null {
  if (isStatic(a)) return Math.floor(a / k);
  if (a.terms.some(([, c]) => c % k !== 0)) return null;
  return normal(new Map(a.terms.map(([s, c]) => [s, c / k])), Math.floor(a.offset / k));
}

/** Whether two shapes have the same number of elements for every value of the symbols: also where the size itself is not affine. */
export function equalSize(a: Shape, b: Shape): boolean {
  const [x, y] = [sizeFactors(a), sizeFactors(b)];
  return x.fixed === y.fixed && (x.fixed === 0 || (x.symbolic.length === y.symbolic.length && x.symbolic.every((s, i) => s === y.symbolic[i])));
}

/** The static factor of a size, and its symbolic factors without their common divisors, sorted. */
function sizeFactors(s: Shape): { fixed: number; symbolic: string[] } {
  const gcd = (a: number, b: number): number => (b === 0 ? Math.abs(a) : gcd(b, a % b));
  let fixed = 1;
  const symbolic: string[] = [];
  for (const d of s) {
    const k = isStatic(d) ? d : d.terms.reduce((g, [, c]) => gcd(g, c), d.offset);
    fixed *= Math.abs(k) === 0 ? 0 : k;
    if (!isStatic(d)) symbolic.push(dimToString(divDimExact(d, k)!));
  }
  return { fixed, symbolic: symbolic.sort() };
}

export function equalDim(a: Dim, b: Dim): boolean {
  if (isStatic(a) || isStatic(b)) return a === b;
  return a.offset === b.offset && a.terms.length === b.terms.length && a.terms.every(([s, c], i) => b.terms[i]![0] === s && b.terms[i]![1] === c);
}

export const equalShape = (a: Shape, b: Shape): boolean => a.length === b.length && a.every((d, i) => equalDim(d, b[i]!));

/** The number that `d` is when its symbols have the given values. */
export function evalDim(d: Dim, bindings: Bindings): number {
  if (isStatic(d)) return d;
  let v = d.offset;
  for (const [s, c] of d.terms) {
    const x = bindings[s];
    if (x === undefined) throw new InternalError(`symbol '${s}' has no value`);
    v += c * x;
  }
  return v;
}

export const evalShape = (s: Shape, bindings: Bindings): number[] => s.map((d) => evalDim(d, bindings));
export const symbolsOf = (s: Shape): string[] => [...new Set(s.flatMap((d) => (isStatic(d) ? [] : d.terms.map(([n]) => n))))];

/** Number of elements as an affine dimension; throws where two symbolic dimensions meet. */
export const sizeDim = (s: Shape): Dim => s.reduce<Dim>((a, d) => mulDim(a, d), 1);
/** Number of elements with symbols bound. */
export const sizeAt = (s: Shape, bindings: Bindings): number => s.reduce<number>((a, d) => a * evalDim(d, bindings), 1);

export const dimToString = (d: Dim): string => String(d);
export const shapeToString = (s: Shape): string => `[${s.map(dimToString).join(',')}]`;

/** Inverse of dimToString. */
export function parseDim(text: string): Dim {
  let d: Dim = 0;
  for (const part of text.replaceAll(' ', '').split('+')) {
    const m = /^(?:(-?\d+)\*)?([A-Za-z_]\w*)$|^(-?\d+)$/.exec(part);
    if (!m) throw new ShapeError(`'${text}' is not a dimension: expected a form like 3, batch or 2*batch+1`);
    d = addDim(d, m[3] !== undefined ? Number(m[3]) : mulDim(symbol(m[2]!), Number(m[1] ?? 1)));
  }
  return d;
}
