/**
 * Integer index arithmetic as linear forms: a sum of coefficient * atom and a constant. Sums of the same terms are one expression; divisions and remainders by constants cancel where
 * the ranges of variables allow.
 */
import { constant, dependsOn, type Expr, i32, type Linear, make, type Scalar } from './expr-node.js';

export function linear(e: Expr): Linear {
  e.linear ??= e.kind === 'const' ? { constant: e.value, terms: new Map() } : { constant: 0, terms: new Map([[e, 1]]) };
  return e.linear;
}

/** Whether `e` is a multiple of `n` whatever its variables are. */
export function isMultiple(e: Expr, n: number): boolean {
  const l = linear(e);
  return l.constant % n === 0 && [...l.terms.values()].every((c) => c % n === 0);
}

/** coefficient of atom `x` in `e`; null when `e` depends on x in another way too. */
export function coefficient(e: Expr, x: Expr): number | null {
  const l = linear(e);
  for (const atom of l.terms.keys()) if (atom !== x && dependsOn(atom, x)) return null;
  return l.terms.get(x) ?? 0;
}

const byId = (a: readonly [Expr, number], b: readonly [Expr, number]): number => a[0].id - b[0].id;

function fromLinear(scalar: Scalar, constantIn: number, termMap: Map<Expr, number>): Expr {
  const constantPart = constantIn + recombine(termMap);
  const terms: [Expr, number][] = [];
  let sorted = true;
  let last = 0;
  for (const t of termMap) {
    const [a, c] = t;
    // Arithmetic is modulo 2^32: coefficients beyond that (integer data, not indices) wrap, and say nothing about ranges.
    if (c !== (c | 0)) return wrapped(scalar, a, c, constantPart, termMap);
    if (c === 0) continue;
    terms.push(t);
    if (a.id < last) sorted = false;
    last = a.id;
  }
  if (!sorted) terms.sort(byId);
  if (terms.length === 0) return constant(constantPart, scalar);
  let e: Expr | null = null;
  let [lo, hi] = [0, 0];
  for (let i = 0; i < terms.length; i++) {
    const [atom, c] = terms[i]!;
    const low = c > 0 ? c * atom.lo : c * atom.hi;
    const high = c > 0 ? c * atom.hi : c * atom.lo;
    lo += low;
    hi += high;
    let term = atom;
    if (c !== 1) {
      term = make('binary', scalar, 1, [atom, constant(c, scalar)], 'mul', low, high);
      term.linear ??= { constant: 0, terms: new Map([[atom, c]]) };
    }
    if (e === null) e = term;
    else {
      e = make('binary', scalar, 1, [e, term], 'add', lo, hi);
      e.linear ??= { constant: 0, terms: new Map(terms.slice(0, i + 1)) };
    }
  }
  return plus(scalar, e!, constantPart);
}

/** A sum without constant part, and a constant. */
function plus(scalar: Scalar, e: Expr, c: number): Expr {
  if (c === 0) return e;
  const out = make('binary', scalar, 1, [e, constant(c, scalar)], 'add', e.lo + c, e.hi + c);
  out.linear ??= { constant: c, terms: linear(e).terms };
  return out;
}

/** A sum with a coefficient outside 32 bits: the same sum modulo 2^32, with the oversized product as an opaque atom. */
function wrapped(scalar: Scalar, atom: Expr, c: number, constantPart: number, terms: ReadonlyMap<Expr, number>): Expr {
  const rest = new Map(terms);
  rest.delete(atom);
  const product = make('binary', scalar, 1, [atom, constant(Number(BigInt.asIntN(32, BigInt(c))), scalar)], 'mul');
  return fromLinear(scalar, constantPart, rest.set(product, (rest.get(product) ?? 0) + 1));
}

const isDivOf = (e: Expr): { x: Expr; c: number } | null =>
  e.kind === 'binary' && e.fn === 'div' && e.args[1]!.kind === 'const' ? { x: e.args[0]!, c: e.args[1]!.value } : null;
const isRemOf = (e: Expr): { x: Expr; c: number } | null =>
  e.kind === 'binary' && e.fn === 'rem' && e.args[1]!.kind === 'const' ? { x: e.args[0]!, c: e.args[1]!.value } : null;

/** k*(x rem c) + k*c*(x div c) = k*x, and k*(x rem a) + k*a*((x div a) rem b) = k*(x rem a*b). Changes `terms`; returns what is to be added to the constant. */
function recombine(terms: Map<Expr, number>): number {
  let extra = 0;
  for (let found = recombination(terms); found; found = recombination(terms)) {
    terms.delete(found.atom);
    terms.delete(found.other);
    const l = linear(found.sum);
    extra += found.k * l.constant;
    for (const [a, c] of l.terms) terms.set(a, (terms.get(a) ?? 0) + c * found.k);
  }
  return extra;
}

function recombination(terms: ReadonlyMap<Expr, number>): { atom: Expr; other: Expr; k: number; sum: Expr } | null {
  if (terms.size < 2) return null;
  for (const [atom, k] of terms) {
    const rem = isRemOf(atom);
    if (!rem || k === 0) continue;
    const quotient = divInt(rem.x, rem.c);
    for (const [other, k2] of terms) {
      if (k2 !== k * rem.c || other === atom) continue;
      if (other === quotient) return { atom, other, k, sum: rem.x };
      const outer = isRemOf(other);
      if (outer && outer.x === quotient) return { atom, other, k, sum: remInt(rem.x, rem.c * outer.c) };
    }
  }
  return null;
}

/** A sum's part before its constant, which is added last. */
const withoutConstant = (e: Expr, l: Linear): Expr => (l.constant === 0 ? e : e.args[0]!);

export function addLinear(scalar: Scalar, a: Expr, b: Expr, sign: number): Expr {
  if (b.kind === 'const' && b.value === 0) return a;
  if (a.kind === 'const' && a.value === 0 && sign === 1) return b;
  const la = linear(a);
  const lb = linear(b);
  if (lb.terms.size === 0 && la.terms.size > 0) return plus(scalar, withoutConstant(a, la), la.constant + sign * lb.constant);
  if (la.terms.size === 0 && lb.terms.size > 0 && sign === 1) return plus(scalar, withoutConstant(b, lb), la.constant + lb.constant);
  const terms = new Map(la.terms);
  for (const [x, c] of lb.terms) terms.set(x, (terms.get(x) ?? 0) + sign * c);
  return fromLinear(scalar, la.constant + sign * lb.constant, terms);
}

/** a * b; where a double cannot hold it, a number that is equal modulo 2^32 and also outside 32 bits. */
function times(a: number, b: number): number {
  const p = a * b;
  if (Math.abs(p) <= Number.MAX_SAFE_INTEGER) return p;
  const low = Number(BigInt.asIntN(32, BigInt(a) * BigInt(b)));
  return low < 0 ? low - 4294967296 : low + 4294967296;
}

export function scaleLinear(scalar: Scalar, a: Expr, k: number): Expr {
  if (k === 0) return constant(0, scalar);
  if (k === 1) return a;
  const l = linear(a);
  const terms = new Map<Expr, number>();
  for (const [x, c] of l.terms) terms.set(x, times(c, k));
  return fromLinear(scalar, times(l.constant, k), terms);
}

/** Splits e = c*q + r with r's coefficients in (-c/2, c) chosen so that they are not multiples of c. */
function splitBy(e: Expr, c: number): { q: Expr; r: Expr } {
  const l = linear(e);
  const q = new Map<Expr, number>();
  const r = new Map<Expr, number>();
  for (const [x, k] of l.terms) (k % c === 0 ? q : r).set(x, k % c === 0 ? k / c : k);
  const qc = Math.floor(l.constant / c);
  return { q: fromLinear('i32', qc, q), r: fromLinear('i32', l.constant - qc * c, r) };
}

/** x = g*y + r with 0 <= r < g for g > 1, the greatest common divisor of c and all coefficients of x; null when there is none or y may be negative. */
function commonFactor(x: Expr, c: number): { g: number; y: Expr; r: number } | null {
  const l = linear(x);
  let g = c;
  for (const k of l.terms.values()) for (let a = Math.abs(k); a; ) [g, a] = [a, g % a];
  if (g <= 1) return null;
  const q = Math.floor(l.constant / g);
  const y = fromLinear('i32', q, new Map([...l.terms].map(([t, k]) => [t, k / g])));
  return y.lo >= 0 ? { g, y, r: l.constant - q * g } : null;
}

const isZero = (e: Expr): boolean => e.kind === 'const' && e.value === 0;

/** x div c for c > 0. Simplifies where x >= 0 (indices). */
export function divInt(x: Expr, c: number): Expr {
  if (c === 1) return x;
  if (x.kind === 'const') return i32(Math.trunc(x.value / c));
  if (x.lo >= 0) {
    if (x.hi < c) return i32(0);
    const factor = commonFactor(x, c);
    if (factor) return divInt(factor.y, c / factor.g);
    const { q, r } = splitBy(x, c);
    if (r.lo >= 0 && r.hi < c) return q;
    if (r.lo >= 0 && q.lo >= 0 && !isZero(q)) return addLinear('i32', q, divInt(r, c), 1);
    const inner = isDivOf(x);
    if (inner && inner.c * c <= 2147483647) return divInt(inner.x, inner.c * c);
    // (y rem (c*m)) div c = (y div c) rem m
    const rem = isRemOf(x);
    if (rem && rem.c % c === 0 && rem.x.lo >= 0) return remInt(divInt(rem.x, c), rem.c / c);
  }
  return make('binary', 'i32', 1, [x, i32(c)], 'div', Math.trunc(x.lo / c), Math.trunc(x.hi / c));
}

/** x rem c for c > 0. */
export function remInt(x: Expr, c: number): Expr {
  if (c === 1) return i32(0);
  if (x.kind === 'const') return i32(x.value % c);
  if (x.lo >= 0) {
    if (x.hi < c) return x;
    const factor = commonFactor(x, c);
    if (factor) return addLinear('i32', scaleLinear('i32', remInt(factor.y, c / factor.g), factor.g), i32(factor.r), 1);
    const { q, r } = splitBy(x, c);
    if (r.lo >= 0 && q.lo >= 0 && r !== x) return remInt(r, c);
    const inner = isRemOf(x);
    if (inner && inner.c % c === 0) return remInt(inner.x, c);
    return make('binary', 'i32', 1, [x, i32(c)], 'rem', 0, c - 1);
  }
  return make('binary', 'i32', 1, [x, i32(c)], 'rem', 1 - c, c - 1);
}
