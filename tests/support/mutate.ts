/** Damaged copies of files, for tests of what reads them. */
import type { RandomStream } from '../../frontend/keras/utils/random.js';

/** A changed copy: bits flipped, a range overwritten, bytes cut out, or the end cut off. */
export function mutated(bytes: Uint8Array, r: RandomStream): Uint8Array {
  const at = () => Math.floor(r.uniform() * bytes.length);
  const kind = Math.floor(r.uniform() * 5);
  if (kind === 0) return bytes.slice(0, at());
  if (kind === 1) {
    const [a, n] = [at(), 1 + Math.floor(r.uniform() * 16)];
    return Uint8Array.from([...bytes.subarray(0, a), ...bytes.subarray(a + n)]);
  }
  const out = bytes.slice();
  if (kind === 2) {
    const a = at();
    out.fill(r.uniform() < 0.5 ? 255 : 0, a, a + 1 + Math.floor(r.uniform() * 8));
    return out;
  }
  // most structure is in the first bytes of such files
  const near = kind === 3 ? bytes.length : Math.min(bytes.length, 2048);
  for (let i = 0; i < 1 + Math.floor(r.uniform() * 8); i++) out[Math.floor(r.uniform() * near)]! ^= 1 << Math.floor(r.uniform() * 8);
  return out;
}
