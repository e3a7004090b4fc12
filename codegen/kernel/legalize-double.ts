/**
 * Elementary functions of float64 as expressions, for WASM: range reduction and Taylor series, with selects for branches. Relative error about 1e-15, of pow |y log x| times that;
 * sin, cos and tan lose accuracy beyond 1e6. They may use each other: legalize expands what they give.
 */
import { add, and, type BinaryFn, binary, bitcast, cast, compare, constant, div, type Expr, mad, mul, or, select, sub, type UnaryFn, unary } from './expr.js';

const k = (v: number): Expr => constant(v, 'f64');
const ki = (v: number): Expr => constant(v, 'i64');
const INF = Number.POSITIVE_INFINITY;

const abs = (x: Expr): Expr => unary('abs', x);
const neg = (x: Expr): Expr => unary('neg', x);
const exp = (x: Expr): Expr => unary('exp', x);
const expm1 = (x: Expr): Expr => unary('expm1', x);
const log = (x: Expr): Expr => unary('log', x);
const log1p = (x: Expr): Expr => unary('log1p', x);
const sqrt = (x: Expr): Expr => unary('sqrt', x);
const lt = (a: Expr, b: number): Expr => compare('lt', a, k(b));
const gt = (a: Expr, b: number): Expr => compare('gt', a, k(b));
const eq = (a: Expr, b: number): Expr => compare('eq', a, k(b));
/** By the sign bit, so that -0 is negative. */
const isNegative = (x: Expr): Expr => compare('lt', bitcast(x, 'i64'), ki(0));
/** v, which is not negative, with the sign of x. */
const withSign = (v: Expr, x: Expr): Expr => select(isNegative(x), neg(v), v);
/** Sum of c[i] x^i. */
const polynomial = (c: readonly number[], x: Expr): Expr => c.slice(0, -1).reduceRight((acc: Expr, a) => mad(acc, x, k(a)), k(c.at(-1)!));
const inverseFactorials = (from: number, to: number, step = 1): number[] => {
  const out: number[] = [];
  for (let i = 0, f = 1; i <= to; f /= ++i) if (i >= from && (i - from) % step === 0) out.push(f);
  return out;
};

/** ln 2 in two parts: products of the first with integers below 2^20 are exact. */
const LN2_HI = 0.6931471803691238;
const LN2_LO = 1.9082149292705877e-10;
/** pi / 2 in parts of 33 bits. */
const PIO2 = [1.5707963267341256, 6.077100506303966e-11, 2.0222662487111665e-21];

/** 2^n for an integer n, given as f64, from -1022 to 1023. */
const powerOfTwo = (n: Expr): Expr => bitcast(binary('shl', add(cast(n, 'i64'), ki(1023)), ki(52)), 'f64');

function expOf(x: Expr): Expr {
  const high = select(gt(x, 710), k(710), x);
  const y = select(lt(high, -746), k(-746), high);
  const n = unary('round', mul(y, k(Math.LOG2E)));
  const r = sub(sub(y, mul(n, k(LN2_HI))), mul(n, k(LN2_LO)));
  const half = unary('trunc', mul(n, k(0.5)));
  return mul(mul(polynomial(inverseFactorials(0, 14), r), powerOfTwo(half)), powerOfTwo(sub(n, half)));
}

const expm1Of = (x: Expr): Expr => select(lt(abs(x), 0.35), mul(x, polynomial(inverseFactorials(1, 15), x)), sub(exp(x), k(1)));

function logOf(x: Expr): Expr {
  const tiny = lt(x, 2 ** -1022);
  const bits = bitcast(select(tiny, mul(x, k(2 ** 54)), x), 'i64');
  // e is chosen so that m lies between sqrt(1/2) and sqrt(2).
  const e = binary('shr', sub(bits, ki(0x3fe6a09e * 2 ** 32)), ki(52));
  const m = bitcast(sub(bits, binary('shl', e, ki(52))), 'f64');
  const s = div(sub(m, k(1)), add(m, k(1)));
  const z = mul(s, s);
  const series = polynomial(
    Array.from({ length: 11 }, (_, i) => 2 / (2 * i + 3)),
    z,
  );
  const n = sub(cast(e, 'f64'), select(tiny, k(54), k(0)));
  const value = add(mul(n, k(LN2_HI)), add(mul(s, k(2)), add(mul(mul(s, z), series), mul(n, k(LN2_LO)))));
  return select(gt(x, 0), select(lt(x, INF), value, x), select(eq(x, 0), k(-INF), k(Number.NaN)));
}

/** log(1 + x), corrected for what 1 + x lost. */
function log1pOf(x: Expr): Expr {
  const u = add(x, k(1));
  const value = sub(log(u), div(sub(sub(u, k(1)), x), u));
  return select(eq(u, 1), x, select(lt(u, INF), select(gt(u, 0), value, log(u)), u));
}

function sine(x: Expr, quarter: number): Expr {
  const n = unary('round', mul(x, k(2 / Math.PI)));
  const r = PIO2.reduce((y, p) => sub(y, mul(n, k(p))), x);
  const z = mul(r, r);
  const signs = (c: readonly number[]): number[] => c.map((v, i) => (i % 2 === 0 ? v : -v));
  const s = mul(r, polynomial(signs(inverseFactorials(1, 19, 2)), z));
  const c = polynomial(signs(inverseFactorials(0, 20, 2)), z);
  const q = binary('and', add(cast(n, 'i64'), ki(quarter)), ki(3));
  const value = select(compare('eq', binary('and', q, ki(1)), ki(0)), s, c);
  return select(compare('lt', q, ki(2)), value, neg(value));
}

function atanOf(x: Expr): Expr {
  const a = abs(x);
  const big = gt(a, 1);
  const half = (t: Expr): Expr => div(t, add(sqrt(mad(t, t, k(1))), k(1)));
  const t = half(half(select(big, div(k(1), a), a)));
  const series = polynomial(
    Array.from({ length: 13 }, (_, i) => (i % 2 === 0 ? 4 : -4) / (2 * i + 1)),
    mul(t, t),
  );
  const value = mul(t, series);
  return withSign(select(big, sub(k(Math.PI / 2), value), value), x);
}

function atan2Of(y: Expr, x: Expr): Expr {
  const [ax, ay] = [abs(x), abs(y)];
  const ratio = div(binary('min', ax, ay), binary('max', ax, ay));
  const t = select(compare('eq', ax, ay), select(eq(ax, 0), k(0), k(1)), ratio);
  const a = unary('atan', t);
  const first = select(compare('gt', ay, ax), sub(k(Math.PI / 2), a), a);
  return withSign(select(isNegative(x), sub(k(Math.PI), first), first), y);
}

const asinOf = (x: Expr): Expr => mul(k(2), unary('atan', div(x, add(k(1), sqrt(mul(sub(k(1), x), add(k(1), x)))))));
const acosOf = (x: Expr): Expr => mul(k(2), unary('atan', sqrt(div(sub(k(1), x), add(k(1), x)))));

function sinhOf(x: Expr): Expr {
  const a = abs(x);
  const t = expm1(a);
  const half = exp(mul(a, k(0.5)));
  return withSign(select(gt(a, 700), mul(mul(k(0.5), half), half), mul(k(0.5), add(t, div(t, add(t, k(1)))))), x);
}

function coshOf(x: Expr): Expr {
  const a = abs(x);
  const e = exp(a);
  const half = exp(mul(a, k(0.5)));
  return select(gt(a, 700), mul(mul(k(0.5), half), half), mul(k(0.5), add(e, div(k(1), e))));
}

function tanhOf(x: Expr): Expr {
  const a = abs(x);
  const t = expm1(mul(a, k(2)));
  return withSign(select(gt(a, 22), k(1), div(t, add(t, k(2)))), x);
}

function asinhOf(x: Expr): Expr {
  const a = abs(x);
  const z = mul(a, a);
  const value = log1p(add(a, div(z, add(k(1), sqrt(add(z, k(1)))))));
  return withSign(select(gt(a, 2 ** 28), add(log(a), k(Math.LN2)), value), x);
}

function acoshOf(x: Expr): Expr {
  const t = sub(x, k(1));
  return select(gt(x, 2 ** 28), add(log(x), k(Math.LN2)), log1p(add(t, sqrt(mad(t, t, mul(t, k(2)))))));
}

function atanhOf(x: Expr): Expr {
  const a = abs(x);
  return withSign(mul(k(0.5), log1p(div(mul(k(2), a), sub(k(1), a)))), x);
}

/** Below 3.2 by the series with positive terms; above it 1 - erfc, by the continued fraction of erfc. */
function erfOf(x: Expr): Expr {
  const a = abs(x);
  const z = mul(a, a);
  const gauss = exp(neg(z));
  let sum = k(1);
  for (let n = 54; n >= 1; n--) sum = mad(mul(z, k(2 / (2 * n + 1))), sum, k(1));
  const near = mul(mul(mul(k(2 / Math.sqrt(Math.PI)), a), gauss), sum);
  let fraction = a;
  for (let n = 24; n >= 1; n--) fraction = add(a, div(k(n / 2), fraction));
  const far = sub(k(1), div(mul(gauss, k(1 / Math.sqrt(Math.PI))), fraction));
  return withSign(select(lt(a, 3.2), near, select(gt(a, 6), k(1), far)), x);
}

function powOf(x: Expr, y: Expr): Expr {
  const a = abs(x);
  const size = exp(mul(y, select(eq(a, 1), k(0), log(a))));
  const product = select(eq(a, 1), k(1), size);
  const whole = compare('eq', unary('floor', y), y);
  const halfway = mul(y, k(0.5));
  const odd = and(whole, compare('ne', unary('floor', halfway), halfway));
  const signed = select(isNegative(x), select(odd, neg(product), select(or(whole, eq(x, 0)), product, k(Number.NaN))), product);
  const negative = select(unary('is_nan', y), y, select(unary('is_nan', x), x, signed));
  return select(or(eq(y, 0), eq(x, 1)), k(1), negative);
}

/** The rest of a division that truncates, with the sign of x. */
function remainder(x: Expr, y: Expr): Expr {
  const [ax, ay] = [abs(x), abs(y)];
  const r = sub(ax, mul(unary('trunc', div(ax, ay)), ay));
  const up = select(lt(r, 0), add(r, ay), r);
  const fixed = select(compare('ge', up, ay), sub(up, ay), up);
  const finite = select(and(eq(ay, INF), lt(ax, INF)), ax, fixed);
  return select(isNegative(x), neg(finite), finite);
}

export const doubleUnary: Partial<Record<UnaryFn, (x: Expr) => Expr>> = {
  exp: expOf,
  expm1: expm1Of,
  log: logOf,
  log1p: log1pOf,
  sin: (x) => sine(x, 0),
  cos: (x) => sine(x, 1),
  tan: (x) => div(unary('sin', x), unary('cos', x)),
  asin: asinOf,
  acos: acosOf,
  atan: atanOf,
  sinh: sinhOf,
  cosh: coshOf,
  tanh: tanhOf,
  asinh: asinhOf,
  acosh: acoshOf,
  atanh: atanhOf,
  sigmoid: (x) => div(k(1), add(k(1), exp(neg(x)))),
  erf: erfOf,
};

export const doubleBinary: Partial<Record<BinaryFn, (a: Expr, b: Expr) => Expr>> = { pow: powOf, atan2: atan2Of, rem: remainder };
