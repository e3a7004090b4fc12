/** CRC-32 as zip files have it (polynomial 0xEDB88320), eight bytes at a time. */

const tables: Uint32Array[] = [];
function tablesOf(): Uint32Array[] {
  if (tables.length > 0) return tables;
  for (let k = 0; k < 8; k++) {
    const t = new Uint32Array(256);
    for (let n = 0; n < 256; n++) {
      if (k === 0) {
        let c = n;
        for (let i = 0; i < 8; i++) c = c & 1 ? 0xedb88320 ^ (c >>> 1) : c >>> 1;
        t[n] = c >>> 0;
      } else {
        const before = tables[k - 1]![n]!;
        t[n] = (tables[0]![before & 255]! ^ (before >>> 8)) >>> 0;
      }
    }
    tables.push(t);
  }
  return tables;
}

/** The checksum of `bytes`, going on from that of what was before them. */
export function crc32(bytes: Uint8Array, before = 0): number {
  const [t0, t1, t2, t3, t4, t5, t6, t7] = tablesOf() as [
    Uint32Array,
    Uint32Array,
    Uint32Array,
    Uint32Array,
    Uint32Array,
    Uint32Array,
    Uint32Array,
    Uint32Array,
  ];
  let c = ~before;
  let i = 0;
  for (const end = bytes.length - 7; i < end; i += 8) {
    c ^= bytes[i]! | (bytes[i + 1]! << 8) | (bytes[i + 2]! << 16) | (bytes[i + 3]! << 24);
    c =
      t7[c & 255]! ^
      t6[(c >>> 8) & 255]! ^
      t5[(c >>> 16) & 255]! ^
      t4[c >>> 24]! ^
      t3[bytes[i + 4]!]! ^
      t2[bytes[i + 5]!]! ^
      t1[bytes[i + 6]!]! ^
      t0[bytes[i + 7]!]!;
  }
  for (; i < bytes.length; i++) c = t0[(c ^ bytes[i]!) & 255]! ^ (c >>> 8);
  return ~c >>> 0;
}
