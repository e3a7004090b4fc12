/** Checksums of files: CRC-32 as zip files have it, and CRC-32C (Castagnoli) as TensorFlow's have it. Both take eight bytes at a time. */

const made = new Map<number, readonly Uint32Array[]>();

/** Eight tables for a reflected polynomial. */
function tablesOf(polynomial: number): readonly Uint32Array[] {
  const known = made.get(polynomial);
  if (known) return known;
  const tables: Uint32Array[] = [];
  for (let k = 0; k < 8; k++) {
    const t = new Uint32Array(256);
    for (let n = 0; n < 256; n++) {
      if (k === 0) {
        let c = n;
        for (let i = 0; i < 8; i++) c = c & 1 ? polynomial ^ (c >>> 1) : c >>> 1;
        t[n] = c >>> 0;
      } else {
        const before = tables[k - 1]![n]!;
        t[n] = (tables[0]![before & 255]! ^ (before >>> 8)) >>> 0;
      }
    }
    tables.push(t);
  }
  made.set(polynomial, tables);
  return tables;
}

function checksum(polynomial: number, bytes: Uint8Array, before: number): number {
  const [t0, t1, t2, t3, t4, t5, t6, t7] = tablesOf(polynomial) as [
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

/** CRC-32 (polynomial 0xEDB88320) of `bytes`, going on from that of what was before them. */
export const crc32 = (bytes: Uint8Array, before = 0): number => checksum(0xedb88320, bytes, before);

/** CRC-32C (polynomial 0x82F63B78) of `bytes`, going on from that of what was before them. */
export const crc32c = (bytes: Uint8Array, before = 0): number => checksum(0x82f63b78, bytes, before);

/** A CRC-32C as TensorFlow and LevelDB store it: turned and shifted, so that a checksum of data with checksums in it is a good one. */
export const masked = (crc: number): number => (((crc >>> 15) | (crc << 17)) + 0xa282ead8) >>> 0;
