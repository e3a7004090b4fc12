/** Readable names that are the same in every run: hints of variables and memories, numbered only where two meet. */
import type { Expr, VarExpr } from './expr.js';
import { hintOf } from './walk.js';

export class Names {
  private readonly used: Set<string>;
  private readonly names = new Map<object, string>();
  private readonly fixed = new Map<string, string>();
  /** Labels of long expressions that were printed once. */
  readonly labels = new Map<Expr, string>();

  constructor(private readonly reserved: Iterable<string> = []) {
    this.used = new Set(reserved);
  }

  /** A name that nothing else has: the hint itself, or the hint with a number. */
  unique(hint: string): string {
    let clean = hint
      .replace(/[^A-Za-z0-9_]+/g, '_')
      .replace(/^_+|_+$/g, '')
      .replace(/__+/g, '_');
    if (!/^[A-Za-z]/.test(clean)) clean = `v${clean}`;
    let name = clean;
    for (let n = 2; this.used.has(name); n++) name = /\d$/.test(clean) ? `${clean}_${n}` : `${clean}${n}`;
    this.used.add(name);
    return name;
  }

  /** The name of a variable or memory, chosen when first asked for. Symbols and builtins go by their own names. */
  of(x: VarExpr | { readonly name: string }): string {
    if ('kind' in x && (x.role === 'symbol' || x.role === 'group' || x.role === 'local')) {
      return this.fixed.get(x.name) ?? x.name;
    }
    let name = this.names.get(x);
    if (name === undefined) {
      name = this.unique('kind' in x ? hintOf(x) : x.name);
      this.names.set(x, name);
    }
    return name;
  }

  /** Chooses the name of a symbol, whose own may be taken or not allowed. */
  symbol(name: string): string {
    const text = this.unique(name);
    this.fixed.set(name, text);
    return text;
  }

  /** Names of another function: only the reserved ones are taken. */
  child(): Names {
    return new Names(this.reserved);
  }
}
