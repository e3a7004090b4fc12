/** Threefry-2x32-20 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011) as u32 expressions. */
import { add, binary, constant, type Expr } from '../kernel/expr.js';

const u = (v: number): Expr => constant(v, 'u32');
const rotations = [13, 15, 26, 6, 17, 29, 16, 24];
const rotate = (x: Expr, r: number): Expr => binary('or', binary('shl', x, u(r)), binary('shr', x, u(32 - r)));

/** Both words of the block with counter (c0, c1) under key (k0, k1). */
export function threefry(k0: Expr, k1: Expr, c0: Expr, c1: Expr): [Expr, Expr] {
  const k2 = binary('xor', binary('xor', k0, k1), u(0x1bd11bda));
  const keys = [k0, k1, k2];
  let x0 = add(c0, k0);
  let x1 = add(c1, k1);
  for (let round = 0; round < 20; round++) {
    x0 = add(x0, x1);
    x1 = binary('xor', rotate(x1, rotations[round % 8]!), x0);
    if (round % 4 === 3) {
      const s = (round + 1) / 4;
      x0 = add(x0, keys[s % 3]!);
      x1 = add(add(x1, keys[(s + 1) % 3]!), u(s));
    }
  }
  return [x0, x1];
}
