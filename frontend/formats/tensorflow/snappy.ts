/** Unpacks raw snappy blocks (google/snappy, format_description.txt). The size is checked against what the packed bytes can give before memory is taken; every step moves on. */
import { ModelFormatError } from '../../../ir/errors.js';

/** A copy of 64 bytes takes 3 bytes at least. */
const mostTimes = 22;

export function unsnappy(what: string, bytes: Uint8Array, limit: number): Uint8Array {
  const fail = (message: string): never => {
    throw new ModelFormatError(`${what}: a block is not valid snappy: ${message}`);
  };
  let at = 0;
  const byte = (): number => (at < bytes.byteLength ? bytes[at++]! : fail('it ends too early'));
  const little = (n: number): number => {
    let v = 0;
    for (let i = 0; i < n; i++) v += byte() * 256 ** i;
    return v;
  };
  let size = 0;
  for (let shift = 0; ; shift += 7) {
    const b = byte();
    size += (b & 127) * 2 ** shift;
    if (b < 128) break;
    if (shift > 28) fail('its size is none');
  }
  if (size > limit || size > mostTimes * bytes.byteLength) fail(`${bytes.byteLength} bytes cannot unpack to ${size} (limit ${limit})`);
  const out = new Uint8Array(size);
  let done = 0;
  while (at < bytes.byteLength) {
    const tag = byte();
    const kind = tag & 3;
    if (kind === 0) {
      const n = (tag >>> 2 < 60 ? tag >>> 2 : little((tag >>> 2) - 59)) + 1;
      if (at + n > bytes.byteLength || done + n > size) fail('bytes run past the end');
      out.set(bytes.subarray(at, at + n), done);
      at += n;
      done += n;
      continue;
    }
    const n = kind === 1 ? ((tag >>> 2) & 7) + 4 : (tag >>> 2) + 1;
    const back = kind === 1 ? ((tag >>> 5) << 8) + byte() : little(kind === 2 ? 2 : 4);
    if (back === 0 || back > done) fail('a copy begins before the data');
    if (done + n > size) fail('a copy runs past the end');
    // source and target may overlap: that repeats what was copied
    for (let i = 0; i < n; i++, done++) out[done] = out[done - back]!;
  }
  if (done !== size) fail(`it has ${done} bytes, it says ${size}`);
  return out;
}
