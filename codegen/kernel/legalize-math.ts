/**
 * Elementary functions of float32 as expressions: range reduction and polynomials, with selects for branches, so that they work on vectors. Coefficients are interpolations at
 * Chebyshev nodes, computed in 40 digits and rounded to float32. Accuracy (see tests/codegen/kernel/legalize.test.ts): 2 ulp for most, 4 for pow.
 */
import { add, and, binary, bitcast, cast, compare, constant, div, type Expr, mad, mul, or, select, sub, unary } from './expr.js';

export type Target = 'wgsl' | 'wasm';

/** exp(r) = 1 + r + r^2 * P(r) for |r| < 0.35. */
const EXP = [0.00139304716, 0.0083637666, 0.0416664965, 0.166665733, 0.5];
/** 2^r = 1 + r * ln 2 + r^2 * P(r) for |r| < 0.505. */
const EXP2 = [0.000154484471, 0.00133822637, 0.00961809326, 0.0555037968, 0.240226507];
/** log(1 + f) = f - f^2 / 2 + f^3 * P(f) for sqrt(1/2) <= 1 + f <= sqrt(2). */
const LOG = [0.0697251856, -0.114812121, 0.116857849, -0.124255233, 0.142490074, -0.166678071, 0.20000717, -0.24999997, 0.333333313];
/** sin(r) = r + r^3 * P(r^2), cos(r) = 1 - r^2 / 2 + r^4 * P(r^2) for |r| < pi / 4. */
const SIN = [2.72437819e-6, -0.00019840039, 0.00833333191, -0.166666672];
const COS = [2.4542871e-5, -0.00138882792, 0.0416666642];
/** x + x^3 * P(x^2): tanh below 0.625, sinh below 1, asin below 0.5, atan below 1. */
const TANH = [-0.00609671418, 0.0209971797, -0.0538509078, 0.133327693, -0.333333284];
const SINH = [2.80628024e-6, 0.000198381022, 0.00833333936, 0.166666672];
const ASIN = [0.0336908475, 0.0171492379, 0.0311006624, 0.0445994027, 0.0750009418, 0.166666657];
const ATAN = [-0.00238699722, 0.0135077713, -0.0358715393, 0.0625016913, -0.0865688026, 0.110337645, -0.142785683, 0.199997395, -0.333333313];
/** erf(x) = x + x * P(x^2) below 1; erfc(x) = exp(P(x)) from 1 to 4. */
const ERF = [7.87587487e-5, -0.00080168643, 0.00518908724, -0.0268542115, 0.112835944, -0.37612626, 0.128379166];
const LOG_ERFC = [1.64267897e-6, -4.61647869e-5, 0.000597677252, -0.00476350961, 0.0264316425, -0.110097244, -0.631809533, -1.13024187, 0.000321866246];
/** log(erfc(x)) = x * P(x) - x from 0 to 4: the least relative error of erf, by reweighted least squares. P(0) is small, so that rounding it costs nothing. */
const LOG_ERFC_OVER_X = [9.25626955e-6, -0.000117641306, 0.000632836949, -0.00166702759, 0.00016039623, 0.0191530641, -0.102777831, -0.636619389, -0.128379167];
/** atanh(s) = s + s^3 * P(s^2) for |s| < 0.172. */
const ATANH = [0.116660841, 0.142753795, 0.200000614, 0.333333343];

/** ln 2 with 15 bits, so that products with exponents are exact, and the rest. */
const LN2_HI = 0.693145751953125;
const LN2_LO = 1.428606765330187e-6;
const LN2 = Math.LN2;
/** pi / 2 in three parts of 8 bits and the rest: products with integers below 2^16 are exact. */
const PIO2 = [1.5703125, 0.0004825592041015625, 1.2665987014770508e-6, 9.92093629470503e-10];
const PIO2_HI = Math.fround(Math.PI / 2);
const PIO2_LO = Math.PI / 2 - PIO2_HI;
const INF = Number.POSITIVE_INFINITY;

const abs = (x: Expr): Expr => unary('abs', x);
const neg = (x: Expr): Expr => unary('neg', x);
const trunc = (x: Expr): Expr => unary('trunc', x);
const shl = (x: Expr, n: number): Expr => binary('shl', x, constant(n, 'i32', x.lanes));
const shr = (x: Expr, n: number): Expr => binary('shr', x, constant(n, 'i32', x.lanes));
const k = (x: Expr, v: number): Expr => constant(v, 'f32', x.lanes);
const ki = (x: Expr, v: number): Expr => constant(v, 'i32', x.lanes);
const horner = (coefficients: readonly number[], x: Expr): Expr => coefficients.slice(1).reduce((acc: Expr, c) => mad(acc, x, k(x, c)), k(x, coefficients[0]!));
/** The same as two chains, of the even and of the odd powers: half the latency for one product more. `z` is x squared. */
const evenOdd = (coefficients: readonly number[], x: Expr, z: Expr): Expr => {
  const last = coefficients.length - 1;
  const every = (parity: number): number[] => coefficients.filter((_, i) => (last - i) % 2 === parity);
  return mad(horner(every(1), z), x, horner(every(0), z));
};
const lt = (a: Expr, b: number): Expr => compare('lt', a, k(a, b));
const gt = (a: Expr, b: number): Expr => compare('gt', a, k(a, b));
const eq = (a: Expr, b: number): Expr => compare('eq', a, k(a, b));
/** |v| with the sign of x, where v is not negative. */
const copySign = (v: Expr, x: Expr): Expr => select(lt(x, 0), neg(v), v);
/** x, not above and not below bounds; NaN stays. */
const clamp = (x: Expr, lo: number, hi: number): Expr => {
  const below = select(gt(x, hi), k(x, hi), x);
  return select(lt(below, lo), k(x, lo), below);
};
/** The same in two instructions on WASM, where min and max keep NaN. */
const bounded = (x: Expr, lo: number, hi: number, target: Target): Expr =>
  target === 'wasm' ? binary('min', binary('max', x, k(x, lo)), k(x, hi)) : clamp(x, lo, hi);
/** 2^i for -126 <= i <= 127. */
const power2 = (i: Expr): Expr => bitcast(shl(add(i, ki(i, 127)), 23), 'f32');
/** x * 2^i for |i| up to 252, rounded once. */
const scale = (x: Expr, i: Expr): Expr => {
  const half = shr(i, 1);
  return mul(mul(x, power2(half)), power2(sub(i, half)));
};

/** The nearest integer as a float and as i32, for |x| < 2^22. */
function nearest(x: Expr, target: Target): { f: Expr; i: Expr } {
  if (target === 'wgsl') {
    const f = unary('round', x);
    return { f, i: cast(f, 'i32') };
  }
  // Adding 1.5 * 2^23 leaves the integer in the low bits: two operations where a saturating conversion is a dozen.
  const t = add(x, k(x, 12582912));
  return { f: sub(t, k(x, 12582912)), i: sub(bitcast(t, 'i32'), ki(x, 0x4b400000)) };
}

/** x = n * ln 2 + r. */
function reduceExp(x: Expr, target: Target): { n: Expr; r: Expr } {
  const n = nearest(mul(x, k(x, Math.LOG2E)), target);
  return { n: n.i, r: mad(n.f, k(x, -LN2_LO), mad(n.f, k(x, -LN2_HI), x)) };
}

/** e^x * 2^shift. */
function expScaled(x: Expr, target: Target, shift = 0): Expr {
  const { n, r } = reduceExp(bounded(x, -105, 90, target), target);
  const p = add(mad(mul(r, r), horner(EXP, r), r), k(x, 1));
  return scale(p, shift === 0 ? n : add(n, ki(x, shift)));
}

export const exp = (x: Expr, target: Target): Expr => expScaled(x, target);

export function expm1(x: Expr, target: Target): Expr {
  // 2 * (2^(n-1) * expm1(r) + (2^(n-1) - 1/2)): with n - 1, the power does not overflow before the result does.
  const { n, r } = reduceExp(bounded(x, -20, 90, target), target);
  const s = power2(select(compare('gt', n, ki(x, 128)), ki(x, 127), sub(n, ki(x, 1))));
  const p = mad(mul(r, r), horner(EXP, r), r);
  const y = mul(mad(s, p, sub(s, k(x, 0.5))), k(x, 2));
  // Without going through 2^(n-1) near zero, -0 and denormals stay.
  return select(gt(x, 88.8), k(x, INF), select(compare('eq', n, ki(x, 0)), p, y));
}

/** x = 2^e * (1 + f), sqrt(1/2) <= 1 + f < sqrt(2), for positive finite x. */
function splitExponent(x: Expr): { e: Expr; m: Expr } {
  const small = lt(x, 1.1754943508222875e-38);
  const bits = bitcast(select(small, mul(x, k(x, 8388608)), x), 'i32');
  const e = shr(sub(bits, ki(x, 0x3f3504f3)), 23);
  const m = bitcast(sub(bits, shl(e, 23)), 'f32');
  return { e: sub(e, select(small, ki(x, 23), ki(x, 0))), m };
}

/** log(2^e * (1 + f)). */
function logParts(f: Expr, e: Expr): Expr {
  const z = mul(f, f);
  const y = mad(e, k(f, LN2_LO), mul(mul(f, z), horner(LOG, f)));
  return mad(e, k(f, LN2_HI), add(f, sub(y, mul(z, k(f, 0.5)))));
}

/** The result of a logarithm with its poles: `x` decides. */
export const logEnds = (x: Expr, y: Expr): Expr => select(gt(x, 0), select(lt(x, INF), y, x), select(eq(x, 0), k(x, -INF), k(x, Number.NaN)));

export function log(x: Expr): Expr {
  const { e, m } = splitExponent(x);
  return logEnds(x, logParts(sub(m, k(x, 1)), cast(e, 'f32')));
}

export function log1p(x: Expr, target: Target): Expr {
  const u = add(x, k(x, 1));
  const near = and(gt(x, -0.29), lt(x, 0.41));
  const z = mul(x, x);
  if (target === 'wgsl') return select(near, add(x, sub(mul(mul(x, z), horner(LOG, x)), mul(z, k(x, 0.5)))), unary('log', u));
  const { e, m } = splitExponent(u);
  const far = logParts(select(near, x, sub(m, k(x, 1))), select(near, k(x, 0), cast(e, 'f32')));
  return logEnds(u, far);
}

/** x = n * pi/2 + r, |r| <= pi/4; beyond 10^5 less and less accurate. */
function reduceTrig(x: Expr, target: Target): { n: Expr; r: Expr } {
  const n = nearest(mul(x, k(x, 2 / Math.PI)), target);
  const r = PIO2.reduce((acc, part) => mad(n.f, k(x, -part), acc), x);
  return { n: n.i, r: clamp(r, -0.7854, 0.7854) };
}

function sinCos(r: Expr): { s: Expr; c: Expr } {
  const z = mul(r, r);
  return { s: mad(mul(z, r), horner(SIN, z), r), c: add(mad(mul(z, z), horner(COS, z), mul(z, k(r, -0.5))), k(r, 1)) };
}

const bit = (n: Expr, mask: number): Expr => compare('ne', and(n, ki(n, mask)), ki(n, 0));

function sine(x: Expr, target: Target, quarter: number): Expr {
  const { n, r } = reduceTrig(x, target);
  const q = quarter === 0 ? n : add(n, ki(x, quarter));
  const { s, c } = sinCos(r);
  const v = select(bit(q, 1), c, s);
  // An infinite argument has no sine.
  return select(eq(abs(x), INF), k(x, Number.NaN), select(bit(q, 2), neg(v), v));
}
export const sin = (x: Expr, target: Target): Expr => sine(x, target, 0);
export const cos = (x: Expr, target: Target): Expr => sine(x, target, 1);

export function tan(x: Expr, target: Target): Expr {
  const { n, r } = reduceTrig(x, target);
  const { s, c } = sinCos(r);
  const odd = bit(n, 1);
  return select(eq(abs(x), INF), k(x, Number.NaN), div(select(odd, neg(c), s), select(odd, s, c)));
}

const odd = (coefficients: readonly number[], x: Expr, z: Expr): Expr => mad(mul(x, z), horner(coefficients, z), x);

/** asin(a) for small a, or asin(sqrt((1 - a) / 2)) for a above 1/2. */
function asinParts(a: Expr): { big: Expr; p: Expr } {
  const big = gt(a, 0.5);
  const z = select(big, mul(sub(k(a, 1), a), k(a, 0.5)), mul(a, a));
  return { big, p: odd(ASIN, select(big, unary('sqrt', z), a), z) };
}
const halfPiMinus = (p: Expr): Expr => sub(k(p, PIO2_HI), sub(p, k(p, PIO2_LO)));

export function asin(x: Expr): Expr {
  const { big, p } = asinParts(abs(x));
  return copySign(select(big, halfPiMinus(mul(p, k(x, 2))), p), x);
}

export function acos(x: Expr): Expr {
  const { big, p } = asinParts(abs(x));
  const twice = mul(p, k(x, 2));
  const far = select(lt(x, 0), sub(k(x, 2 * PIO2_HI), sub(twice, k(x, 2 * PIO2_LO))), twice);
  return select(big, far, halfPiMinus(copySign(p, x)));
}

/** atan(z) for 0 <= z <= 1. */
const atanUnit = (z: Expr): Expr => odd(ATAN, z, mul(z, z));

export function atan(x: Expr): Expr {
  const a = abs(x);
  const big = gt(a, 1);
  const p = atanUnit(select(big, div(k(x, 1), a), a));
  return copySign(select(big, halfPiMinus(p), p), x);
}

const isNegative = (x: Expr): Expr => compare('lt', bitcast(x, 'i32'), ki(x, 0));

export function atan2(y: Expr, x: Expr): Expr {
  const [ay, ax] = [abs(y), abs(x)];
  const swap = compare('gt', ay, ax);
  const [num, den] = [select(swap, ax, ay), select(swap, ay, ax)];
  const q = select(eq(den, 0), den, select(eq(num, INF), k(x, 1), div(num, den)));
  const p = atanUnit(q);
  const quadrant = select(swap, halfPiMinus(p), p);
  const half = select(isNegative(x), sub(k(x, 2 * PIO2_HI), sub(quadrant, k(x, 2 * PIO2_LO))), quadrant);
  const signed = select(isNegative(y), neg(half), half);
  return select(or(unary('is_nan', x), unary('is_nan', y)), add(x, y), signed);
}

/** e^a / 2, which does not overflow before sinh and cosh do. */
const halfExp = (a: Expr, target: Target): Expr => {
  if (target === 'wasm') return expScaled(a, target, -1);
  const root = unary('exp', mul(a, k(a, 0.5)));
  return mul(mul(root, k(a, 0.5)), root);
};

export function sinh(x: Expr, target: Target): Expr {
  const h = halfExp(abs(x), target);
  const far = copySign(sub(h, div(k(x, 0.25), h)), x);
  return select(lt(abs(x), 1), odd(SINH, x, mul(x, x)), far);
}

export function cosh(x: Expr, target: Target): Expr {
  const h = halfExp(abs(x), target);
  return add(h, div(k(x, 0.25), h));
}

export function tanh(x: Expr, target: Target): Expr {
  if (target === 'wasm') {
    // m / (m + 2) with m = expm1(2a): no branch, and one power of two since 2a is bounded
    const { a: size, sign } = splitSign(x);
    const d = binary('min', size, k(x, 10));
    const { s, p } = expParts(add(d, d));
    const m = mad(s, p, sub(s, k(x, 1)));
    return withSign(div(m, add(m, k(x, 2))), sign);
  }
  const a = abs(x);
  // Bounded, since WGSL promises nothing for an exp that overflows.
  const top = select(gt(a, 10), k(x, 10), a);
  const far = sub(k(x, 1), div(k(x, 2), add(unary('exp', add(top, top)), k(x, 1))));
  return select(lt(a, 0.625), odd(TANH, x, mul(x, x)), copySign(far, x));
}

export function sigmoid(x: Expr, target: Target): Expr {
  if (target === 'wasm') {
    // e / (1 + e) with e = e^x, times 2^24 until the end: e may become denormal, and is rounded once
    const { s, p } = expParts(bounded(x, -104, 60, target), 24);
    const e = mul(mad(s, p, s), k(x, 2 ** -24));
    return div(e, add(e, k(x, 1)));
  }
  const e = unary('exp', neg(abs(x)));
  const r = div(k(x, 1), add(e, k(x, 1)));
  return select(compare('ge', x, k(x, 0)), r, mul(e, r));
}

/**
 * e^x * 2^shift = s * (1 + p) on WASM, where that is neither denormal nor overflows. Adding 1.5 * 2^23 and the bias of exponents leaves the exponent of s in the low bits; what is above them
 * is shifted out.
 */
function expParts(x: Expr, shift = 0): { s: Expr; p: Expr } {
  const bias = k(x, 12582912 + 127 + shift);
  const t = mad(x, k(x, Math.LOG2E), bias);
  const n = sub(t, bias);
  const r = mad(n, k(x, -LN2_LO), mad(n, k(x, -LN2_HI), x));
  return { s: bitcast(shl(bitcast(t, 'i32'), 23), 'f32'), p: mad(mul(r, r), horner(EXP, r), r) };
}

/** |x| and its sign bit: two instructions on WASM, where an absolute value of vectors alone is three. */
function splitSign(x: Expr): { a: Expr; sign: Expr } {
  const bits = bitcast(x, 'i32');
  const sign = and(bits, ki(x, -2147483648));
  return { a: bitcast(binary('xor', bits, sign), 'f32'), sign };
}
const withSign = (v: Expr, sign: Expr): Expr => bitcast(or(bitcast(v, 'i32'), sign), 'f32');

export function erf(x: Expr, target: Target): Expr {
  if (target === 'wasm') {
    // 1 - erfc(a) = -expm1(log(erfc(a))) keeps its digits near zero, so that no branch is needed
    const { a: size, sign } = splitSign(x);
    const d = binary('min', size, k(x, 4));
    const { s, p } = expParts(sub(mul(d, evenOdd(LOG_ERFC_OVER_X, d, mul(d, d))), d));
    return withSign(sub(sub(k(x, 1), s), mul(s, p)), sign);
  }
  const a = abs(x);
  const near = mad(x, horner(ERF, mul(x, x)), x);
  const far = sub(k(x, 1), unary('exp', horner(LOG_ERFC, select(gt(a, 4), k(x, 4), a))));
  return select(lt(a, 1), near, copySign(far, x));
}

export function asinh(x: Expr): Expr {
  const a = abs(x);
  const z = mul(a, a);
  const near = unary('log1p', add(a, div(z, add(unary('sqrt', add(z, k(x, 1))), k(x, 1)))));
  return copySign(select(gt(a, 1e9), add(unary('log', a), k(x, LN2)), near), x);
}

export function acosh(x: Expr): Expr {
  const t = sub(x, k(x, 1));
  const near = unary('log1p', add(t, unary('sqrt', mul(t, add(x, k(x, 1))))));
  return select(lt(x, 1), k(x, Number.NaN), select(gt(x, 1e9), add(unary('log', x), k(x, LN2)), near));
}

export function atanh(x: Expr): Expr {
  const a = abs(x);
  return copySign(mul(unary('log1p', div(add(a, a), sub(k(x, 1), a))), k(x, 0.5)), x);
}

/** x - trunc(x / y) * y with the sign of x, as C's fmod while the quotient is below 2^24. */
export function remainder(x: Expr, y: Expr): Expr {
  const [ax, ay] = [abs(x), abs(y)];
  const r = sub(ax, mul(trunc(div(ax, ay)), ay));
  const up = select(lt(r, 0), add(r, ay), r);
  const fixed = select(compare('ge', up, ay), sub(up, ay), up);
  const finite = select(and(eq(ay, INF), lt(ax, INF)), ax, fixed);
  return select(isNegative(x), neg(finite), finite);
}

/** The leading 12 bits: products of two such are exact. */
const high = (x: Expr): Expr => bitcast(and(bitcast(x, 'i32'), ki(x, -4096)), 'f32');

/** log2 and its product with y are carried in two floats; special cases as in C. */
export function pow(x: Expr, y: Expr, target: Target): Expr {
  const ax = abs(x);
  const { e, m } = splitExponent(ax);
  const ef = cast(e, 'f32');
  // log2(m) = 2 / ln 2 * atanh(s), s = (m - 1) / (m + 1) = s1 + s2.
  const num = sub(m, k(x, 1));
  const den = add(m, k(x, 1));
  const d1 = high(den);
  const d2 = sub(m, sub(d1, k(x, 1)));
  const s = div(num, den);
  const s1 = high(s);
  const s2 = div(sub(sub(num, mul(s1, d1)), mul(s1, d2)), den);
  const z = mul(s, s);
  const tail = mul(mul(s, z), horner(ATANH, z));
  const t1 = mul(s1, k(x, 2.884765625));
  const t2 = mad(s1, k(x, 0.0006244567921385169), mul(add(s2, tail), k(x, 2 / LN2)));
  const l1 = high(add(ef, add(t1, t2)));
  const l2 = sub(t2, sub(sub(l1, ef), t1));
  // y * log2(x) = p1 + p2.
  const yc = clamp(y, -1e10, 1e10);
  const y1 = high(yc);
  const p1 = mul(y1, l1);
  const p2 = mad(sub(yc, y1), l1, mul(yc, l2));
  const total = add(p1, p2);
  const n = nearest(clamp(total, -160, 130), target);
  const r = add(sub(p1, n.f), p2);
  const two = add(mad(mul(r, r), horner(EXP2, r), mul(r, k(x, LN2))), k(x, 1));
  const normal = select(gt(total, 128.5), k(x, INF), select(lt(total, -151), k(x, 0), scale(two, n.i)));
  const atEnd = or(eq(ax, 0), eq(ax, INF));
  const endInf = compare('eq', select(eq(ax, 0), k(x, 1), k(x, 0)), select(lt(y, 0), k(x, 1), k(x, 0)));
  const magnitude = select(atEnd, select(endInf, k(x, INF), k(x, 0)), normal);
  const whole = compare('eq', trunc(y), y);
  const half = mul(y, k(x, 0.5));
  const flips = and(and(whole, compare('ne', trunc(half), half)), isNegative(x));
  const signed = select(flips, neg(magnitude), magnitude);
  const undefinedPower = and(and(lt(x, 0), gt(x, -INF)), unary('not', whole));
  const wrong = or(undefinedPower, or(unary('is_nan', x), unary('is_nan', y)));
  return select(or(eq(x, 1), eq(y, 0)), k(x, 1), select(wrong, k(x, Number.NaN), signed));
}
