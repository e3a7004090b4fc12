/** Prints kernel expressions as WGSL. */
import { InternalError, UnsupportedError } from '../../ir/errors.js';
import {
  type BinaryFn,
  binary,
  type CompareFn,
  constant,
  type Expr,
  isFloatScalar,
  isInt,
  type Lanes,
  type LoadExpr,
  linear,
  type Scalar,
  type UnaryFn,
  unary,
  variable,
} from '../kernel/expr.js';
import { expand } from '../kernel/legalize.js';
import type { Names } from '../kernel/names.js';

export function typeName(s: Scalar, lanes: Lanes): string {
  if (s === 'f64') throw new UnsupportedError('float64 on WebGPU: WGSL has no 64-bit floats; compute in float32 or use the wasm device');
  return lanes === 1 ? s : `vec${lanes}<${s}>`;
}

/** Precedence levels: 10 primary, 9 product, 8 sum, 6 comparison. Shifts and bit operations take primaries only, and are wrapped everywhere. */
const symbols: Partial<Record<BinaryFn | CompareFn, { text: string; level: number; operand: number }>> = {
  mul: { text: '*', level: 9, operand: 9 },
  div: { text: '/', level: 9, operand: 9 },
  rem: { text: '%', level: 9, operand: 9 },
  add: { text: '+', level: 8, operand: 8 },
  sub: { text: '-', level: 8, operand: 8 },
  shl: { text: '<<', level: 4, operand: 10 },
  shr: { text: '>>', level: 4, operand: 10 },
  and: { text: '&', level: 4, operand: 10 },
  xor: { text: '^', level: 4, operand: 10 },
  or: { text: '|', level: 4, operand: 10 },
  lt: { text: '<', level: 6, operand: 8 },
  le: { text: '<=', level: 6, operand: 8 },
  gt: { text: '>', level: 6, operand: 8 },
  ge: { text: '>=', level: 6, operand: 8 },
  eq: { text: '==', level: 6, operand: 8 },
  ne: { text: '!=', level: 6, operand: 8 },
};

const natives: Partial<Record<UnaryFn, string>> = {
  abs: 'abs',
  floor: 'floor',
  ceil: 'ceil',
  round: 'round',
  trunc: 'trunc',
  sqrt: 'sqrt',
  rsqrt: 'inverseSqrt',
  exp: 'exp',
  log: 'log',
  sin: 'sin',
  cos: 'cos',
  tan: 'tan',
  asin: 'asin',
  acos: 'acos',
  atan: 'atan',
  sinh: 'sinh',
  cosh: 'cosh',
  tanh: 'tanh',
  asinh: 'asinh',
  acosh: 'acosh',
  atanh: 'atanh',
  sign: 'sign',
};

/** Nodes of an expression on one line. */
const longest = 24;

/** A finite number as a WGSL literal: the shortest that reads back as the same float32. */
export function floatLiteral(v: number): string {
  for (let digits = 1; digits <= 9; digits++) {
    const text = String(Number(v.toPrecision(digits)));
    if (Object.is(Math.fround(Number(text)), Math.fround(v))) return withPoint(Object.is(v, -0) ? '-0' : text);
  }
  return withPoint(String(v));
}
const withPoint = (t: string): string => (/[.e]/.test(t) ? t : `${t}.0`);

/** What is shared by all functions of a module: helpers that were asked for, and whether runtime infinities are. */
export class Helpers {
  readonly texts = new Map<string, string>();
  private readonly names = new Map<string, string>();
  specials = new Set<'inf' | 'nan'>();

  constructor(private readonly module: Names) {}

  /** The name of a helper; `text` prints it the first time, given its name. */
  get(key: string, hint: string, text: (name: string) => string): string {
    let name = this.names.get(key);
    if (name === undefined) {
      name = this.module.unique(hint);
      this.names.set(key, name);
      // Callees stand before callers, since printing asks for them first.
      this.texts.set(name, text(name));
    }
    return name;
  }
}

/** Prints the expressions of one function. Shared parts are bound by lines before the statement. */
export class ExpressionPrinter {
  /** Names of expressions of the current statement. */
  private temps = new Map<Expr, string>();
  private readonly definitions = new Map<Expr, Expr>();

  constructor(
    private readonly names: Names,
    private readonly helpers: Helpers,
    /** Adds a line before the current statement. */
    private readonly line: (text: string) => void,
    private readonly load: (e: LoadExpr, printer: ExpressionPrinter) => string,
    /** The function whose helper this prints: inside, WGSL's own is meant. */
    private readonly native = '',
  ) {}

  /** Starts a statement that evaluates `roots`: names what it uses twice, and parts of what would be too long to read. */
  share(roots: readonly Expr[]): void {
    this.temps = new Map();
    const uses = new Map<Expr, number>();
    const order: Expr[] = [];
    const count = (e: Expr): void => {
      const n = (uses.get(e) ?? 0) + 1;
      uses.set(e, n);
      if (n > 1) return;
      e.args.forEach(count);
      order.push(e);
    };
    roots.forEach(count);
    /** Nodes that print in one line, named parts counting as one. */
    const sizes = new Map<Expr, number>();
    for (const e of order) {
      let size = e.args.reduce((n, a) => n + sizes.get(a)!, 1);
      if ((uses.get(e)! > 1 && !this.isShort(e)) || (size > longest && !roots.includes(e))) {
        this.bind(e, e.kind === 'load' ? `${e.memory.name}_` : isInt(e.scalar) ? 'n' : e.scalar === 'bool' ? 'c' : 't');
        size = 1;
      }
      sizes.set(e, size);
    }
  }

  /** Tells what a name stands for. */
  define(v: Expr, value: Expr): void {
    this.definitions.set(v, value);
  }

  /** Binds an expression to a name before the current statement. */
  bind(e: Expr, hint: string): string {
    const name = this.names.unique(hint);
    this.line(`let ${name} = ${this.print(e)};`);
    this.temps.set(e, name);
    return name;
  }

  /** Binds a text to a name before the current statement. */
  bindText(text: string, hint: string): string {
    const name = this.names.unique(hint);
    this.line(`let ${name} = ${text};`);
    return name;
  }

  private isShort(e: Expr): boolean {
    if (e.kind === 'const' || e.kind === 'var') return true;
    if (e.kind === 'extract' || e.kind === 'splat') return this.isShort(e.args[0]!);
    return e.kind === 'binary' && e.scalar === 'i32' && e.lanes === 1 && e.args.every((a) => a.kind === 'const' || a.kind === 'var');
  }

  print(e: Expr, outer = 0): string {
    const temp = this.temps.get(e);
    if (temp !== undefined) return temp;
    switch (e.kind) {
      case 'const':
        return this.constant(e, outer);
      case 'var':
        return this.names.of(e);
      case 'unary':
        return this.unary(e, outer);
      case 'binary':
        return this.binary(e, outer);
      case 'compare':
        // WGSL's != may be false where one side is NaN.
        if (e.fn === 'ne' && isFloatScalar(e.args[0]!.scalar)) return wrap(`!(${this.infix('eq', e, 0)})`, 7, outer);
        return this.infix(e.fn, e, outer);
      case 'select':
        return `select(${this.print(e.args[2]!)}, ${this.print(e.args[1]!)}, ${this.print(e.args[0]!)})`;
      case 'mad':
        return wrap(
          `${this.product(e.args[0]!, e.args[1]!, 9)} * ${isUniform(e.args[0]!) ? this.print(e.args[1]!, 10) : this.operand(e.args[1]!, 10)} + ${this.operand(e.args[2]!, 9)}`,
          8,
          outer,
        );
      case 'cast':
        return this.cast(e);
      case 'bitcast':
        return `bitcast<${typeName(e.scalar, e.lanes)}>(${this.print(e.args[0]!)})`;
      case 'load':
        return this.load(e, this);
      case 'splat':
      case 'vector':
        return `${typeName(e.scalar, e.lanes)}(${e.args.map((a) => this.print(a)).join(', ')})`;
      case 'extract':
        return `${this.print(e.args[0]!, 10)}.${'xyzw'[e.lane]}`;
    }
  }

  private constant(e: Extract<Expr, { kind: 'const' }>, outer: number): string {
    const one = this.scalarConstant(e, e.lanes > 1 ? 0 : outer);
    return e.lanes > 1 ? `${typeName(e.scalar, e.lanes)}(${one})` : one;
  }

  private scalarConstant(e: Extract<Expr, { kind: 'const' }>, outer: number): string {
    const { value } = e;
    if (e.scalar === 'bool') return value ? 'true' : 'false';
    if (e.scalar === 'u32') return `${value}u`;
    if (e.scalar === 'i32') return value === -2147483648 ? '(-2147483647 - 1)' : String(value);
    if (Number.isFinite(value)) {
      return `${floatLiteral(value)}${e.scalar === 'f16' ? 'h' : ''}`;
    }
    // WGSL refuses constant expressions that are infinite or not a number: the bits are read from a variable.
    this.helpers.specials.add(Number.isNaN(value) ? 'nan' : 'inf');
    const bits = `bitcast<f32>(${Number.isNaN(value) ? 'nan_bits' : 'inf_bits'})`;
    const typed = e.scalar === 'f16' ? `f16(${bits})` : bits;
    return value < 0 ? wrap(`-${typed}`, 7, outer) : typed;
  }

  /** Calls the helper for a function of float32 that WGSL does not have as we need it; null when it does. */
  private helper(e: Extract<Expr, { kind: 'unary' | 'binary' }>): string | null {
    const s = e.args[0]!.scalar;
    if (`${e.fn}|${s}` === this.native) return null;
    const hint = (n: string): 'x' | 'y' => n as 'x' | 'y';
    const params = e.args.map((_, i) => variable(hint(i === 0 ? 'x' : 'y'), 'let', s, undefined, e.lanes));
    const call = e.kind === 'unary' ? unary(e.fn, params[0]!) : binary(e.fn, params[0]!, params[1]!);
    const body = expand(call, 'wgsl');
    if (!body) return null;
    const plain = { is_nan: 'is_nan', is_inf: 'is_inf', min: 'nan_min', max: 'nan_max', pow: 'power', rem: 'remainder' } as Record<string, string>;
    const base = plain[e.fn] ?? (e.fn in natives || e.fn === 'atan2' ? `${e.fn}_f32` : e.fn);
    const suffix = `${s === 'f16' ? '_h' : ''}${e.lanes > 1 ? `_${e.lanes}` : ''}`;
    const name = this.helpers.get(`${e.fn}|${s}|${e.lanes}`, `${base}${suffix}`, (own) => {
      const lines: string[] = [];
      const scope = this.names.child();
      const p = new ExpressionPrinter(
        scope,
        this.helpers,
        (t) => lines.push(`  ${t}\n`),
        () => {
          throw new InternalError(`load in the expansion of ${e.fn}`);
        },
        `${e.fn}|${s}`,
      );
      const typed = params.map((v) => `${scope.of(v)}: ${typeName(s, e.lanes)}`).join(', ');
      p.share([body]);
      return `fn ${own}(${typed}) -> ${typeName(e.scalar, e.lanes)} {\n${lines.join('')}  return ${p.print(body)};\n}\n`;
    });
    return `${name}(${e.args.map((a) => this.print(a)).join(', ')})`;
  }

  private unary(e: Extract<Expr, { kind: 'unary' }>, outer: number): string {
    const [a] = e.args as readonly [Expr];
    if (e.fn === 'neg') return wrap(`-${a.kind === 'const' ? `(${this.print(a)})` : this.print(a, 10)}`, 7, outer);
    if (e.fn === 'not') return wrap(`!${this.print(a, 10)}`, 7, outer);
    if (e.fn === 'bitnot') return wrap(`~${this.print(a, 10)}`, 7, outer);
    const helper = isFloatScalar(a.scalar) ? this.helper(e) : null;
    if (helper) return helper;
    const name = natives[e.fn];
    if (!name) throw new InternalError(`WGSL has no ${e.fn} of ${a.scalar}`);
    return `${name}(${this.print(a)})`;
  }

  private binary(e: Extract<Expr, { kind: 'binary' }>, outer: number): string {
    const [a, b] = e.args as readonly [Expr, Expr];
    if (e.scalar === 'bool') {
      if (e.fn === 'xor') return wrap(`${this.print(a, 8)} != ${this.print(b, 8)}`, 6, outer);
      // not && and ||: those are branches, one for each operand
      const op = e.fn === 'and' ? '&' : '|';
      const side = (x: Expr): string => this.print(x, x.kind === 'binary' && x.scalar === 'bool' && x.fn === e.fn ? 4 : 10);
      return wrap(`${side(a)} ${op} ${side(b)}`, 4, outer);
    }
    if (isFloatScalar(e.scalar)) {
      const helper = this.helper(e);
      if (helper) return helper;
    }
    if (e.fn === 'min' || e.fn === 'max' || e.fn === 'pow' || e.fn === 'atan2') return `${e.fn}(${this.print(a)}, ${this.print(b)})`;
    if (e.fn === 'shl' || e.fn === 'shr') {
      const amount =
        b.kind === 'const'
          ? b.lanes > 1
            ? `vec${b.lanes}<u32>(${b.value}u)`
            : `${b.value}u`
          : b.scalar === 'u32'
            ? this.print(b, 10)
            : `${typeName('u32', b.lanes)}(${this.print(b)})`;
      return wrap(`${this.print(a, 10)} ${e.fn === 'shl' ? '<<' : '>>'} ${amount}`, 4, outer);
    }
    if (e.scalar === 'i32' && e.lanes === 1) {
      const power = b.kind === 'const' && b.value > 0 && (b.value & (b.value - 1)) === 0 && a.lo >= 0;
      if (power && e.fn === 'div') return wrap(`${this.print(a, 10)} >> ${31 - Math.clz32(b.value)}u`, 4, outer);
      if (power && e.fn === 'rem') return wrap(`${this.print(a, 10)} & ${b.value - 1}`, 4, outer);
      if (e.fn === 'add') return wrap(this.sum(e), 8, outer);
    }
    if ((e.fn === 'add' || e.fn === 'sub') && isFloatScalar(e.scalar) && this.joins(a, b)) return wrap(this.exactSum(e), 8, outer);
    return this.infix(e.fn, e, outer);
  }

  private infix(fn: BinaryFn | CompareFn, e: Expr, outer: number): string {
    const s = symbols[fn];
    if (!s) throw new InternalError(`WGSL has no ${fn}`);
    const [a, b] = e.args as readonly [Expr, Expr];
    const right = Math.min(10, s.operand + 1);
    if (s.level < 8) return wrap(`${this.print(a, s.operand)} ${s.text} ${this.print(b, right)}`, s.level, outer);
    return wrap(`${this.product(a, b, s.operand)} ${s.text} ${isUniform(a) ? this.print(b, right) : this.operand(b, right)}`, s.level, outer);
  }

  /** Whether a sum with a constant has another sum with a constant as its other operand. */
  private joins(a: Expr, b: Expr): boolean {
    const [constantOne, other] = isConstant(a) ? [a, b] : [b, a];
    if (!isConstant(constantOne)) return false;
    const e = this.definitions.get(other) ?? other;
    return e.kind === 'mad' ? isConstant(e.args[2]) : e.kind === 'binary' && (e.fn === 'add' || e.fn === 'sub') && e.args.some(isConstant);
  }

  /**
   * (1 - x) + 1e-7: compilers may make (1 + 1e-7) - x of it, which loses the small constant. They cannot join what they do not know: the sign bit of an offset is 0 at run time only.
   */
  private exactSum(e: Extract<Expr, { kind: 'binary' }>): string {
    const name = this.helpers.get(
      'exact',
      'exact',
      (own) => `fn ${own}(x: f32) -> f32 {\n  return bitcast<f32>(bitcast<u32>(x) | (block[0].x & 0x80000000u));\n}\n`,
    );
    const exact = (c: Expr): string => {
      const one = c.kind === 'const' ? constant(c.value, 'f32') : c;
      const text = `${name}(${one.kind === 'const' ? this.scalarConstant(one, 0) : this.print(one)})`;
      return e.scalar === 'f16' ? `f16(${text})` : text;
    };
    const side = (x: Expr, outer: number): string => (isConstant(x) ? exact(x.kind === 'splat' ? x.args[0]! : x) : this.print(x, outer));
    return `${side(e.args[0]!, 8)} ${e.fn === 'add' ? '+' : '-'} ${side(e.args[1]!, 9)}`;
  }

  /** An operand beside a vector: WGSL's arithmetic takes a scalar for all its lanes. */
  private operand(e: Expr, outer: number): string {
    if (!isUniform(e) || this.temps.has(e)) return this.print(e, outer);
    return e.kind === 'const' ? this.scalarConstant(e, outer) : this.print(e.args[0]!, outer);
  }

  /** The left operand of an operation whose right one is `b`. */
  private product(a: Expr, b: Expr, outer: number): string {
    return isUniform(b) ? this.print(a, outer) : this.operand(a, outer);
  }

  /** Sums of indices: positive terms first, the constant last. */
  private sum(e: Expr): string {
    const l = linear(e);
    const parts = [...l.terms]
      .filter(([, c]) => c !== 0)
      .sort(([, a], [, b]) => Number(a < 0) - Number(b < 0))
      .map(([x, c]) => ({ minus: c < 0, text: Math.abs(c) === 1 ? this.print(x, 9) : `${this.print(x, 9)} * ${Math.abs(c)}` }));
    if (l.constant !== 0) parts.push({ minus: l.constant < 0, text: String(Math.abs(l.constant)) });
    return parts.map((t, i) => (i === 0 ? (t.minus ? `-${t.text}` : t.text) : `${t.minus ? ' - ' : ' + '}${t.text}`)).join('');
  }

  private cast(e: Expr): string {
    const a = e.args[0]!;
    const from = a.scalar;
    const text = this.print(a);
    const to = typeName(e.scalar, e.lanes);
    if (e.scalar === 'bool' && isFloatScalar(from))
      return `(!(${this.print(a, 8)} == ${e.lanes > 1 ? `${typeName(from, e.lanes)}()` : from === 'f16' ? '0.0h' : '0.0'}))`;
    if (e.scalar === 'bool') return `(${this.print(a, 8)} != ${e.lanes > 1 ? `${typeName(from, e.lanes)}()` : from === 'u32' ? '0u' : '0'})`;
    if (!isFloatScalar(from) || !isInt(e.scalar)) return `${to}(${text})`;
    // Saturating, and 0 for NaN, on every implementation.
    const float = typeName('f32', e.lanes);
    const name = this.helpers.get(`cast|${e.scalar}|${e.lanes}`, `to_${e.scalar}${e.lanes > 1 ? `_${e.lanes}` : ''}`, (own) => {
      const [lo, hi, most] = e.scalar === 'i32' ? ['-2147483648.0', '2147483520.0', '2147483647'] : ['0.0', '4294967040.0', '4294967295u'];
      const over = e.scalar === 'i32' ? '2147483648.0' : '4294967296.0';
      const clean = `select(x, ${float}(0.0), (bitcast<${typeName('u32', e.lanes)}>(x) & ${typeName('u32', e.lanes)}(0x7fffffffu)) > ${typeName('u32', e.lanes)}(0x7f800000u))`;
      return `fn ${own}(x: ${float}) -> ${to} {\n  let v = ${clean};\n  return select(${to}(clamp(v, ${float}(${lo}), ${float}(${hi}))), ${to}(${most}), v >= ${float}(${over}));\n}\n`;
    });
    return `${name}(${from === 'f16' ? `${float}(${text})` : text})`;
  }
}

const isConstant = (e: Expr): boolean => e.kind === 'const' || (e.kind === 'splat' && e.args[0].kind === 'const');

/** The same value in every lane. */
const isUniform = (e: Expr): boolean => e.lanes > 1 && (e.kind === 'const' || e.kind === 'splat');

const wrap = (text: string, level: number, outer: number): string => (level < outer ? `(${text})` : text);
