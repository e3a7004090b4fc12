/** Prints Kernel IR as text, for `inspect` and golden tests. Names are those of the variables, numbered only where two are the same. */
import type { SizeExpr } from '../../runtime/plan.js';
import { type BinaryFn, type CompareFn, type Expr, linear } from './expr.js';
import type { Kernel, Memory, Stmt } from './ir.js';
import { Names } from './names.js';

const infix: Partial<Record<BinaryFn | CompareFn, [string, number]>> = {
  mul: ['*', 9],
  div: ['/', 9],
  rem: ['%', 9],
  add: ['+', 8],
  sub: ['-', 8],
  shl: ['<<', 7],
  shr: ['>>', 7],
  lt: ['<', 6],
  le: ['<=', 6],
  gt: ['>', 6],
  ge: ['>=', 6],
  eq: ['==', 5],
  ne: ['!=', 5],
  and: ['&', 4],
  xor: ['^', 3],
  or: ['|', 2],
};

export function printNumber(e: Extract<Expr, { kind: 'const' }>): string {
  if (e.scalar === 'bool') return e.value ? 'true' : 'false';
  const text = Object.is(e.value, -0) ? '-0' : String(e.value);
  return e.scalar === 'i32' || e.scalar === 'u32' ? (e.scalar === 'u32' ? `${text}u` : text) : /[.eIN]/.test(text) ? text : `${text}.0`;
}

/** Shared expressions (random bits share hundreds) longer than this get a label and are printed once: as a tree the text would grow exponentially. */
const longExpression = 400;

/** An expression in infix form. Long ones are `$1{…}` where they stand first, and `$1` from then on. */
export function printExpr(e: Expr, names: Names = new Names(), outer = 0): string {
  const label = names.labels.get(e);
  if (label !== undefined) return label;
  const text = printTree(e, names, outer);
  if (text.length <= longExpression) return text;
  const fresh = `$${names.labels.size + 1}`;
  names.labels.set(e, fresh);
  return `${fresh}{${text}}`;
}

function printTree(e: Expr, names: Names, outer: number): string {
  const p = (x: Expr, level = 0): string => printExpr(x, names, level);
  const wrap = (text: string, level: number): string => (level < outer ? `(${text})` : text);
  const call = (fn: string): string => `${fn}(${e.args.map((a) => p(a)).join(', ')})`;
  switch (e.kind) {
    case 'const':
      return e.lanes === 1 ? printNumber(e) : `${printNumber(e)}x${e.lanes}`;
    case 'var':
      return names.of(e);
    case 'binary':
    case 'compare': {
      const op = infix[e.fn];
      if (!op) return call(e.fn);
      if (e.fn === 'add' && e.scalar === 'i32' && e.lanes === 1) return wrap(printSum(e, p), 8);
      return wrap(`${p(e.args[0]!, op[1])} ${op[0]} ${p(e.args[1]!, op[1] + 1)}`, op[1]);
    }
    case 'unary':
      return call(e.fn);
    case 'select':
    case 'mad':
    case 'vector':
      return call(e.kind);
    case 'splat':
      return call(`x${e.lanes}`);
    case 'cast':
      return call(e.scalar);
    case 'bitcast':
      return call(`bits_${e.scalar}`);
    case 'load':
      return `${names.of(e.memory)}[${p(e.args[0]!)}${e.lanes > 1 ? ` : ${e.lanes}` : ''}]`;
    case 'extract':
      return `${p(e.args[0]!, 10)}.${'xyzw'[e.lane]}`;
  }
}

/** Sums of indices print in the order of their variables, the constant last, negative terms as differences. */
function printSum(e: Expr, p: (e: Expr, level?: number) => string): string {
  const l = linear(e);
  if (l.terms.size === 0) return `${p(e.args[0]!, 8)} + ${p(e.args[1]!, 9)}`;
  const parts = [...l.terms]
    .filter(([, c]) => c !== 0)
    .sort(([, a], [, b]) => Number(a < 0) - Number(b < 0))
    .map(([x, c]) => ({ minus: c < 0, text: Math.abs(c) === 1 ? p(x, 9) : `${p(x, 9)} * ${Math.abs(c)}` }));
  if (l.constant !== 0) parts.push({ minus: l.constant < 0, text: String(Math.abs(l.constant)) });
  return parts.map((t, i) => (i === 0 ? (t.minus ? `-${t.text}` : t.text) : `${t.minus ? ' - ' : ' + '}${t.text}`)).join('');
}

export function printStmts(stmts: readonly Stmt[], names: Names = new Names(), indent = ''): string {
  const line = (s: Stmt): string => {
    const x = (e: Expr): string => printExpr(e, names);
    const block = (b: readonly Stmt[]): string => `{\n${printStmts(b, names, `${indent}  `)}${indent}}`;
    switch (s.kind) {
      case 'for': {
        const marks = [s.step === 1 ? '' : ` step ${s.step}`, s.unroll ? ' unroll' : '', s.parallel ? ' parallel' : ''].join('');
        return `for ${names.of(s.v)} in ${x(s.begin)}..${x(s.end)}${marks} ${block(s.body)}`;
      }
      case 'if':
        return `if ${x(s.cond)} ${block(s.then)}${s.else.length ? ` else ${block(s.else)}` : ''}`;
      case 'while':
        return `while ${x(s.cond)} ${block(s.body)}`;
      case 'let':
        return `let ${names.of(s.v)} = ${x(s.value)}`;
      case 'mutable':
        return `var ${names.of(s.v)}: ${s.v.scalar}${s.v.lanes > 1 ? `x${s.v.lanes}` : ''} = ${x(s.init)}`;
      case 'assign':
        return `${names.of(s.v)} = ${x(s.value)}`;
      case 'store':
        return `${names.of(s.memory)}[${x(s.index)}${s.value.lanes > 1 ? ` : ${s.value.lanes}` : ''}] = ${x(s.value)}`;
      case 'barrier':
        return 'barrier';
      case 'comment':
        return `// ${s.text}`;
    }
  };
  return stmts.map((s) => `${indent}${line(s)}\n`).join('');
}

/** A size as text: `batch*784`. */
export function printSize(e: SizeExpr): string {
  if (typeof e === 'number') return String(e);
  if ('symbol' in e) return e.symbol;
  const [a, b] = [printSize(e.args[0]), printSize(e.args[1])];
  const sign = { add: '+', sub: '-', mul: '*', mod: '%' } as const;
  return e.op in sign ? `(${a} ${sign[e.op as keyof typeof sign]} ${b})` : `${e.op}(${a}, ${b})`;
}

/** Names of the group and local ids. */
export const builtins: readonly string[] = ['group0', 'group1', 'group2', 'local0', 'local1', 'local2'];

const printMemory = (m: Memory, names: Names): string =>
  `${names.of(m)}: ${m.space === 'global' ? `${m.access} ` : `${m.space} `}${m.storage === 'same' ? m.scalar : `${m.storage} as ${m.scalar}`}[${Number.isFinite(m.size) ? m.size : '?'}]`;

/** A kernel as text. */
export function printKernel(k: Kernel): string {
  const names = new Names([...k.symbols, ...builtins]);
  const head = k.notes.map((n) => `// ${n}\n`).join('');
  const args = k.args.map((m) => `  ${printMemory(m, names)}\n`).join('');
  const locals = k.locals.map((m) => `  ${printMemory(m, names)}\n`).join('');
  const symbols = k.symbols.length ? ` symbols ${k.symbols.join(', ')}` : '';
  return `${head}kernel ${k.name} grid [${k.grid.map(printSize).join(', ')}] workgroup [${k.workgroupSize.join(', ')}]${symbols}\n${args}${locals}${printStmts(k.body, names)}`;
}
