/**
 * Kernels that differ in nothing but names have the same key. Every expression is written once and numbered where it first occurs, so that shared ones cost nothing more; the text that
 * people read (print.ts) writes them out.
 */
import type { Expr } from './expr.js';
import type { Kernel, Memory, Stmt } from './ir.js';
import { printSize } from './print.js';

export function kernelKey(k: Kernel): string {
  const numbers = new Map<object, number>();
  let out = `${k.grid.map(printSize).join()};${k.workgroupSize.join()};${k.symbols.join()}`;
  const memory = (m: Memory): number => {
    let n = numbers.get(m);
    if (n === undefined) {
      n = numbers.size;
      numbers.set(m, n);
      out += `;${m.space} ${m.access} ${m.storage} ${m.scalar} ${m.size}`;
    }
    return n;
  };
  const expr = (e: Expr): number => {
    const old = numbers.get(e);
    if (old !== undefined) return old;
    let text = `;${e.kind}${e.scalar}${e.lanes}`;
    switch (e.kind) {
      case 'const':
        text += Object.is(e.value, -0) ? ' -0' : ` ${e.value}`;
        break;
      case 'var':
        text += e.role === 'symbol' || e.role === 'group' || e.role === 'local' ? e.name : e.role;
        break;
      case 'load':
        text += ` ${memory(e.memory)}`;
        break;
      case 'extract':
        text += ` ${e.lane}`;
        break;
      case 'unary':
      case 'binary':
      case 'compare':
        text += e.fn;
        break;
      default:
        break;
    }
    for (const a of e.args) text += `,${expr(a)}`;
    out += text;
    const n = numbers.size;
    numbers.set(e, n);
    return n;
  };
  const block = (stmts: readonly Stmt[]): void => {
    out += '{';
    for (const s of stmts) {
      switch (s.kind) {
        case 'for': {
          const text = `\nfor ${expr(s.v)} ${expr(s.begin)} ${expr(s.end)} ${s.step}${s.unroll ? 'u' : ''}${s.parallel ? 'p' : ''}`;
          out += text;
          block(s.body);
          break;
        }
        case 'if': {
          const text = `\nif ${expr(s.cond)}`;
          out += text;
          block(s.then);
          block(s.else);
          break;
        }
        case 'while': {
          const text = `\nwhile ${expr(s.cond)}`;
          out += text;
          block(s.body);
          break;
        }
        case 'let':
        case 'assign': {
          const text = `\n${s.kind} ${expr(s.v)} ${expr(s.value)}`;
          out += text;
          break;
        }
        case 'mutable': {
          const text = `\nmutable ${expr(s.v)} ${expr(s.init)}`;
          out += text;
          break;
        }
        case 'store': {
          const text = `\nstore ${memory(s.memory)} ${expr(s.index)} ${expr(s.value)}`;
          out += text;
          break;
        }
        case 'barrier':
          out += '\nbarrier';
          break;
        case 'comment':
          break;
      }
    }
    out += '}';
  };
  for (const m of [...k.args, ...k.locals]) memory(m);
  block(k.body);
  return out;
}
