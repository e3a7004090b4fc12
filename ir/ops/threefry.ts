/**
 * Threefry-2x32 with 20 rounds (Salmon, Moraes, Dror, Shaw: Parallel Random Numbers: As Easy as 1, 2, 3; SC 2011): a block of two 32-bit words from a
 * key and a counter of two words each. Every target computes the same words.
 */

/** Rotation distances of Threefry-2x32, repeated every 8 rounds. */
export const threefryRotations = [13, 15, 26, 6, 17, 29, 16, 24] as const;
/** The constant that makes the third key word. */
export const threefryParity = 0x1bd11bda;

export function threefry2x32(key0: number, key1: number, counter0: number, counter1: number): readonly [number, number] {
  const keys = [key0 | 0, key1 | 0, key0 ^ key1 ^ threefryParity];
  let x = (counter0 + keys[0]!) | 0;
  let y = (counter1 + keys[1]!) | 0;
  for (let round = 0; round < 20; round++) {
    const r = threefryRotations[round % 8]!;
    x = (x + y) | 0;
    y = ((y << r) | (y >>> (32 - r))) ^ x;
    if (round % 4 === 3) {
      const group = (round + 1) / 4;
      x = (x + keys[group % 3]!) | 0;
      y = (y + keys[(group + 1) % 3]! + group) | 0;
    }
  }
  return [x >>> 0, y >>> 0];
}
