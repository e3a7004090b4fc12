/**
 * Scopes of a WASM function under construction. Every block has its own code buffer, and a nested block is appended to its parent only when it is complete: until then
 * the end of the parent's buffer is the place right before the nested block, so what does not depend on a loop is hoisted by writing it there.
 *
 * Locals are reused by type. A local that a closed block has used may be given to anything later in the parent, but never to a value hoisted above that parent: such a value
 * would be alive while the block runs again. So each scope keeps its own list of free locals, and an allocation looks at the lists of its scope and the scopes around it.
 */
import type { Expr, VarExpr } from '../kernel/expr.js';
import { Code, type ValueType } from './encoder.js';

/** A pointer that moves by a fixed number of bytes per iteration. */
export interface Induction {
  readonly local: number;
  /** Bytes per iteration: a number, or a value that is invariant in the loop. */
  readonly step: number | Expr;
}

/** The loop whose body a scope is. */
export interface Loop {
  readonly v: VarExpr;
  readonly begin: Expr;
  readonly step: number;
  readonly preheader: Scope;
  readonly inductions: Induction[];
  /** Local of the variable; null until something asks for it. */
  counter: number | null;
}

export class Scope {
  readonly code = new Code();
  readonly depth: number;
  /** Values computed in this scope that stay right until it ends. */
  readonly values = new Map<Expr, number>();
  /** Addresses computed in this scope, by key. */
  readonly pointers = new Map<string, number>();
  /** Values that a store or an assignment may make stale; `uses` counts those still to come. */
  readonly volatile = new Map<Expr, { readonly local: number; uses: number }>();
  loop: Loop | null = null;
  private readonly owned: number[] = [];
  private readonly free: number[] = [];

  /** `guarded`: runs only under a condition. */
  constructor(
    readonly parent: Scope | null,
    private readonly types: ValueType[],
    private readonly parameters: number,
    readonly guarded = false,
  ) {
    this.depth = parent ? parent.depth + 1 : 0;
  }

  /** A nested scope. */
  nested(guarded = false): Scope {
    return new Scope(this, this.types, this.parameters, guarded);
  }

  /** A local that nothing else uses until this scope ends or releases it. */
  allocate(type: ValueType): number {
    for (let s: Scope | null = this; s; s = s.parent) {
      const at = s.free.findIndex((l) => this.types[l - this.parameters] === type);
      if (at < 0) continue;
      const [local] = s.free.splice(at, 1);
      this.owned.push(local!);
      return local!;
    }
    this.types.push(type);
    const local = this.types.length - 1 + this.parameters;
    this.owned.push(local);
    return local;
  }

  release(local: number): void {
    this.owned.splice(this.owned.indexOf(local), 1);
    this.free.push(local);
  }

  /** Ends the scope: its locals may serve later code of the parent. */
  close(): void {
    this.parent?.free.push(...this.owned, ...this.free);
  }
}
