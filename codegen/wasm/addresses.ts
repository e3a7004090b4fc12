/**
 * Addresses in a WASM kernel. An index is taken apart into constant + sum of coefficient * atom. The constant goes into the instruction's offset, so that accesses that differ by constants
 * share a pointer. What depends linearly on a loop variable becomes a pointer that the loop moves by a fixed step (strength reduction); what does not is added outside the loop.
 *
 * An instruction's offset cannot be negative, and address + offset does not wrap: where the rest of the index may be negative, the constant is rounded down to a multiple of 64 KiB that
 * goes into the pointer. This cannot fall below zero since memory below `lowestAddress` holds no tensors.
 */

import type { Expr } from '../kernel/expr.js';
import * as E from '../kernel/expr.js';
import type { Memory } from '../kernel/ir.js';
import { elementBytes } from './instructions.js';
import { op } from './opcodes.js';
import type { Loop, Scope } from './scope.js';
import { type EmitOptions, isFixed, Values } from './values.js';

/** Tensors lie at or above this address. */
export const lowestAddress = 65536;

/** A factor of a product as a sum of atoms with coefficients (null: the constant part). plain: it is one atom already. */
interface Factor {
  readonly plain: boolean;
  readonly parts: readonly (readonly [Expr | null, number])[];
}

export class Addresses extends Values {
  constructor(
    options: EmitOptions,
    parameters: number,
    symbol: (name: string) => number,
    /** Local that holds a memory's address, and a constant to add. */
    private readonly base: (m: Memory) => { readonly local: number; readonly offset: number },
  ) {
    super(options, parameters, symbol);
  }

  protected address(m: Memory, index: Expr): number {
    const size = elementBytes(m);
    const base = this.base(m);
    const terms = new Map<Expr, number>();
    let bytes = this.expand(index, size, terms) + base.offset;
    const changing: [Expr, number][] = [];
    let low = 0;
    for (const [atom, k] of terms) {
      if (k !== 0) low += k > 0 ? k * atom.lo : k * atom.hi;
      if (k === 0 || !isFixed(atom)) {
        terms.delete(atom);
        if (k !== 0) changing.push([atom, k]);
      }
    }
    let bias = 0;
    if (bytes < 0 || !(low >= 0)) {
      bias = Math.floor(bytes / lowestAddress) * lowestAddress;
      bytes -= bias;
    }
    this.current.code.get(this.pointer(base.local, terms, bias));
    for (const [atom, k] of changing) {
      this.value(atom);
      this.scale(k);
      this.current.code.op(op.i32Add);
    }
    return bytes;
  }

  /** Adds `scale` times an index to `terms`; returns its constant part. Names and products of sums are opened. */
  private expand(e: Expr, scale: number, terms: Map<Expr, number>): number {
    const { constant, terms: own } = E.linear(e);
    let c = constant * scale;
    for (const [atom, k] of own) {
      const alias = atom.kind === 'var' && atom.role !== 'symbol' && atom.role !== 'local' ? this.binding(atom) : null;
      if (alias?.kind === 'alias') {
        c += this.expand(alias.value, scale * k, terms);
        continue;
      }
      if (atom.kind === 'var' && atom.role === 'local') continue;
      if (atom.kind === 'binary' && atom.fn === 'mul' && isFixed(atom)) {
        const [x, y] = atom.args.map((part) => {
          const t = new Map<Expr, number>();
          const constantPart = this.expand(part, 1, t);
          return {
            plain: constantPart === 0 && t.size === 1 && t.get(part) === 1,
            parts: [...t, ...(constantPart === 0 ? [] : [[null, constantPart] as const])],
          };
        }) as unknown as readonly [Factor, Factor];
        if (!(x.plain && y.plain) && x.parts.length * y.parts.length <= 16) {
          for (const [f, n] of x.parts) {
            for (const [g, q] of y.parts) {
              const product = f && g ? E.mul(f, g) : (f ?? g);
              c += product ? this.expand(product, scale * k * n * q, terms) : scale * k * n * q;
            }
          }
          continue;
        }
      }
      terms.set(atom, (terms.get(atom) ?? 0) + scale * k);
    }
    return c;
  }

  /** Multiplies the i32 on the stack. */
  private scale(k: number): void {
    const bits = Math.log2(k);
    if (k === 1) return;
    if (Number.isInteger(bits) && k > 0) this.current.code.i32(bits).op(op.i32Shl);
    else this.current.code.i32(k).op(op.i32Mul);
  }

  /** Local that holds base + terms + bias, all terms being fixed. */
  private pointer(base: number, terms: ReadonlyMap<Expr, number>, bias: number): number {
    if (terms.size === 0 && bias === 0) return base;
    const key = `${base}+${bias}${[...terms]
      .sort(([a], [b]) => a.id - b.id)
      .map(([a, k]) => `+${k}*${a.id}`)
      .join('')}`;
    const found = this.find((s) => s.pointers.get(key));
    if (found !== undefined) return found;
    let place = this.root;
    for (const atom of terms.keys()) {
      const h = this.home(atom);
      if (h.depth > place.depth) place = h;
    }
    const inner = [...terms].filter(([atom]) => this.home(atom) === place);
    const outer = new Map([...terms].filter(([atom]) => this.home(atom) !== place));
    const local = (place.loop && this.induction(place, place.loop, base, inner, outer, bias)) ?? this.sum(place, base, inner, outer, bias);
    place.pointers.set(key, local);
    return local;
  }

  private sum(place: Scope, base: number, inner: readonly (readonly [Expr, number])[], outer: ReadonlyMap<Expr, number>, bias: number): number {
    return this.withScope(place, () => {
      // At the root everything is inner: the bias is added there.
      const from = outer.size > 0 || place !== this.root ? this.pointer(base, outer, bias) : base;
      place.code.get(from);
      if (from === base && bias !== 0) place.code.i32(bias).op(op.i32Add);
      for (const [atom, k] of inner) {
        this.value(atom);
        this.scale(k);
        place.code.op(op.i32Add);
      }
      const local = place.allocate('i32');
      place.code.set(local);
      return local;
    });
  }

  /** A pointer that the loop moves, when all inner terms are multiples of the loop variable; else null. */
  private induction(
    place: Scope,
    loop: Loop,
    base: number,
    inner: readonly (readonly [Expr, number])[],
    outer: ReadonlyMap<Expr, number>,
    bias: number,
  ): number | null {
    let constantStep = 0;
    let step: Expr | null = null;
    const start = new Map(outer);
    let startBias = bias;
    for (const [atom, k] of inner) {
      if (atom === loop.v) {
        constantStep += k * loop.step;
        startBias += this.expand(loop.begin, k, start);
        continue;
      }
      if (atom.kind !== 'binary' || atom.fn !== 'mul') return null;
      const [x, y] = atom.args as readonly [Expr, Expr];
      const factor = x === loop.v ? y : y === loop.v ? x : null;
      if (!factor || !isFixed(factor) || this.home(factor).depth >= place.depth) return null;
      const move = E.mul(factor, E.i32(k * loop.step));
      step = step ? E.add(step, move) : move;
      startBias += this.expand(E.mul(loop.begin, factor), k, start);
    }
    if (constantStep !== 0 && step) step = E.add(step, E.i32(constantStep));
    for (const [atom, k] of start) if (k === 0) start.delete(atom);
    const { preheader } = loop;
    return this.withScope(preheader, () => {
      const from = this.pointer(base, start, startBias);
      const local = preheader.allocate('i32');
      preheader.code.get(from).set(local);
      loop.inductions.push({ local, step: step ?? constantStep });
      return local;
    });
  }
}
