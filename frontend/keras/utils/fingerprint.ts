/** Hashes of strings as TensorFlow has them: FarmHash's Fingerprint64 (Pike, Alakuijala: farmhashna) and SipHash-2-4 (Aumasson, Bernstein, 2012), on 64-bit integers. */

const mask = 0xffffffffffffffffn;
const u64 = (x: bigint): bigint => x & mask;
const k0 = 0xc3a5c85c97cb3127n;
const k1 = 0xb492b66fbe98f273n;
const k2 = 0x9ae16a3b2f90404fn;

const rotate = (v: bigint, s: bigint): bigint => (s === 0n ? v : u64((v >> s) | (v << (64n - s))));
const shiftMix = (v: bigint): bigint => v ^ (v >> 47n);

/** Little-endian reads. */
class Bytes {
  private readonly view: DataView;
  constructor(readonly b: Uint8Array) {
    this.view = new DataView(b.buffer, b.byteOffset, b.byteLength);
  }
  u64(at: number): bigint {
    return this.view.getBigUint64(at, true);
  }
  u32(at: number): bigint {
    return BigInt(this.view.getUint32(at, true));
  }
  u8(at: number): bigint {
    return BigInt(this.b[at]!);
  }
}

function hash16(u: bigint, v: bigint, mul: bigint): bigint {
  let a = u64((u ^ v) * mul);
  a ^= a >> 47n;
  let b = u64((v ^ a) * mul);
  b ^= b >> 47n;
  return u64(b * mul);
}

function upTo16(s: Bytes, n: number): bigint {
  const length = BigInt(n);
  const mul = u64(k2 + length * 2n);
  if (n >= 8) {
    const a = u64(s.u64(0) + k2);
    const b = s.u64(n - 8);
    const c = u64(rotate(b, 37n) * mul + a);
    const d = u64((rotate(a, 25n) + b) * mul);
    return hash16(c, d, mul);
  }
  if (n >= 4) return hash16(length + (s.u32(0) << 3n), s.u32(n - 4), mul);
  if (n === 0) return k2;
  const y = s.u8(0) + (s.u8(n >> 1) << 8n);
  const z = length + (s.u8(n - 1) << 2n);
  return u64(shiftMix(u64(y * k2) ^ u64(z * k0)) * k2);
}

function upTo32(s: Bytes, n: number): bigint {
  const mul = u64(k2 + BigInt(n) * 2n);
  const a = u64(s.u64(0) * k1);
  const b = s.u64(8);
  const c = u64(s.u64(n - 8) * mul);
  const d = u64(s.u64(n - 16) * k2);
  return hash16(u64(rotate(u64(a + b), 43n) + rotate(c, 30n) + d), u64(a + rotate(u64(b + k2), 18n) + c), mul);
}

function upTo64(s: Bytes, n: number): bigint {
  const mul = u64(k2 + BigInt(n) * 2n);
  const a = u64(s.u64(0) * k2);
  const b = s.u64(8);
  const c = u64(s.u64(n - 8) * mul);
  const d = u64(s.u64(n - 16) * k2);
  const y = u64(rotate(u64(a + b), 43n) + rotate(c, 30n) + d);
  const z = hash16(y, u64(a + rotate(u64(b + k2), 18n) + c), mul);
  const e = u64(s.u64(16) * mul);
  const f = s.u64(24);
  const g = u64((y + s.u64(n - 32)) * mul);
  const h = u64((z + s.u64(n - 24)) * mul);
  return hash16(u64(rotate(u64(e + f), 43n) + rotate(g, 30n) + h), u64(e + rotate(u64(f + a), 18n) + g), mul);
}

type Pair = readonly [bigint, bigint];

/** 32 bytes at `at`, mixed with two seeds. */
function weak(s: Bytes, at: number, seedA: bigint, seedB: bigint): Pair {
  const [w, x, y, z] = [s.u64(at), s.u64(at + 8), s.u64(at + 16), s.u64(at + 24)];
  let a = u64(seedA + w);
  let b = rotate(u64(seedB + a + z), 21n);
  const c = a;
  a = u64(a + x + y);
  b = u64(b + rotate(a, 44n));
  return [u64(a + z), u64(b + c)];
}

/** farmhash::Fingerprint64, `tf.strings.to_hash_bucket_fast` before the remainder. */
export function fingerprint64(bytes: Uint8Array): bigint {
  const s = new Bytes(bytes);
  const n = bytes.length;
  if (n <= 16) return upTo16(s, n);
  if (n <= 32) return upTo32(s, n);
  if (n <= 64) return upTo64(s, n);
  let x = 81n;
  let y = u64(81n * k1 + 113n);
  let z = u64(shiftMix(u64(y * k2 + 113n)) * k2);
  let v: Pair = [0n, 0n];
  let w: Pair = [0n, 0n];
  x = u64(x * k2 + s.u64(0));
  const end = Math.floor((n - 1) / 64) * 64;
  const last = end + ((n - 1) & 63) - 63;
  for (let at = 0; at !== end; at += 64) {
    x = u64(rotate(u64(x + y + v[0] + s.u64(at + 8)), 37n) * k1);
    y = u64(rotate(u64(y + v[1] + s.u64(at + 48)), 42n) * k1);
    x ^= w[1];
    y = u64(y + v[0] + s.u64(at + 40));
    z = u64(rotate(u64(z + w[0]), 33n) * k1);
    v = weak(s, at, u64(v[1] * k1), u64(x + w[0]));
    w = weak(s, at + 32, u64(z + w[1]), u64(y + s.u64(at + 16)));
    [z, x] = [x, z];
  }
  const mul = u64(k1 + ((z & 0xffn) << 1n));
  const w0 = u64(w[0] + BigInt((n - 1) & 63));
  const v0 = u64(v[0] + w0);
  w = [u64(w0 + v0), w[1]];
  v = [v0, v[1]];
  x = u64(rotate(u64(x + y + v[0] + s.u64(last + 8)), 37n) * mul);
  y = u64(rotate(u64(y + v[1] + s.u64(last + 48)), 42n) * mul);
  x ^= u64(w[1] * 9n);
  y = u64(y + v[0] * 9n + s.u64(last + 40));
  z = u64(rotate(u64(z + w[0]), 33n) * mul);
  v = weak(s, last, u64(v[1] * mul), u64(x + w[0]));
  w = weak(s, last + 32, u64(z + w[1]), u64(y + s.u64(last + 16)));
  [z, x] = [x, z];
  return hash16(u64(hash16(v[0], w[0], mul) + u64(shiftMix(y) * k0) + z), u64(hash16(v[1], w[1], mul) + x), mul);
}

/** Two fingerprints as one, as TensorFlow crosses columns. */
export function fingerprintCat(a: bigint, b: bigint): bigint {
  const mul = 0xc6a4a7935bd1e995n;
  let r = a ^ mul;
  r ^= u64(shiftMix(u64(b * mul)) * mul);
  r = u64(r * mul);
  r = u64(shiftMix(r) * mul);
  return shiftMix(r);
}

/** SipHash-2-4, `tf.strings.to_hash_bucket_strong` before the remainder. */
export function sipHash(bytes: Uint8Array, key: readonly [bigint, bigint]): bigint {
  let v0 = 0x736f6d6570736575n ^ u64(key[0]);
  let v1 = 0x646f72616e646f6dn ^ u64(key[1]);
  let v2 = 0x6c7967656e657261n ^ u64(key[0]);
  let v3 = 0x7465646279746573n ^ u64(key[1]);
  const left = (v: bigint, s: bigint) => u64((v << s) | (v >> (64n - s)));
  const round = () => {
    v0 = u64(v0 + v1);
    v1 = left(v1, 13n) ^ v0;
    v0 = left(v0, 32n);
    v2 = u64(v2 + v3);
    v3 = left(v3, 16n) ^ v2;
    v0 = u64(v0 + v3);
    v3 = left(v3, 21n) ^ v0;
    v2 = u64(v2 + v1);
    v1 = left(v1, 17n) ^ v2;
    v2 = left(v2, 32n);
  };
  const absorb = (m: bigint) => {
    v3 ^= m;
    round();
    round();
    v0 ^= m;
  };
  const s = new Bytes(bytes);
  const whole = bytes.length & ~7;
  for (let at = 0; at < whole; at += 8) absorb(s.u64(at));
  let tail = BigInt(bytes.length & 0xff) << 56n;
  for (let i = whole; i < bytes.length; i++) tail |= s.u8(i) << BigInt(8 * (i - whole));
  absorb(tail);
  v2 ^= 0xffn;
  for (let i = 0; i < 4; i++) round();
  return v0 ^ v1 ^ v2 ^ v3;
}
