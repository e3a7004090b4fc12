/** Prints one kernel as a WGSL module: header, bindings, workgroup memory, helper functions and the entry point. */
import { InternalError } from '../../ir/errors.js';
import { type Expr, type Lanes, type LoadExpr, type VarExpr, varsOf } from '../kernel/expr.js';
import { exprsOf, type Kernel, type Memory, type Stmt } from '../kernel/ir.js';
import { Names } from '../kernel/names.js';
import { builtins } from '../kernel/print.js';
import { loadsOf, visitExprs, visitStmts } from '../kernel/walk.js';
import { type Binding, bindingsOf, type Element, elementOf, packedBits, type WgslLayout } from './access.js';
import { ExpressionPrinter, Helpers, typeName } from './expression.js';
import { reserved } from './words.js';

/** Where a memory's elements are: an array in the module or function. */
interface Place {
  readonly array: string;
  readonly element: Element;
  readonly vec4: boolean;
  /** Words in the argument block; -1 for local memory. */
  readonly arg: number;
}

export class ModulePrinter {
  private readonly names = new Names([...reserved, ...builtins]);
  private readonly helpers = new Helpers(this.names);
  private readonly places = new Map<Memory, Place>();
  private readonly bindings: readonly Binding[];
  private readonly bindingNames: string[] = [];
  private readonly symbolNames: string[] = [];
  private lines: string[] = [];
  private indent = '  ';
  /** A condition of a loop is printed: loads of workgroup memory are uniform. */
  private uniform = false;
  /** Offsets of arguments, in elements and in units of 4, that the body uses. */
  private readonly offsets = new Map<string, string>();
  private readonly expressions: ExpressionPrinter;

  constructor(
    private readonly kernel: Kernel,
    layout: WgslLayout,
    private readonly wide: ReadonlyMap<Memory, Memory>,
  ) {
    const used = new Set<Memory>();
    const see = (m: Memory): void => void used.add(m);
    visitExprs(kernel.body, (e) => e.kind === 'load' && see(e.memory));
    visitStmts(kernel.body, (s) => s.kind === 'store' && see(s.memory));
    const usedWide = new Set([...used].flatMap((m) => wide.get(m) ?? []));
    this.bindings = bindingsOf(kernel, layout, usedWide);
    this.bindings.forEach((b, index) => {
      const array = this.names.unique(b.args.length === 1 ? kernel.args[b.args[0]!]!.name : `buffer${index}`);
      this.bindingNames.push(array);
      for (const i of b.args) this.places.set(kernel.args[i]!, { array, element: b.element, vec4: b.vec4, arg: i });
    });
    for (const m of kernel.locals) this.places.set(m, { array: this.names.unique(m.name), element: elementOf(m), vec4: usedWide.has(m), arg: -1 });
    for (const s of kernel.symbols) this.symbolNames.push(this.names.symbol(s));
    this.expressions = new ExpressionPrinter(
      this.names,
      this.helpers,
      (t) => this.line(t),
      (e) => this.load(e),
    );
  }

  text(): string {
    const { kernel } = this;
    this.block(kernel.body);
    const body = this.lines.join('');
    const used = new Set<string>();
    visitStmts(kernel.body, (s) => {
      for (const e of exprsOf(s)) for (const v of varsOf(e)) if (v.role === 'symbol' || v.role === 'group' || v.role === 'local') used.add(v.name);
    });
    const half = [...this.bindings.map((b) => b.element), ...kernel.locals.map(elementOf)].includes('f16') || /\bf16\b/.test(body);
    const head = [
      ...kernel.notes.map((n) => `// ${n}\n`),
      half ? 'enable f16;\n' : '',
      '\n',
      ...this.bindings.map(
        (b, i) => `@group(0) @binding(${i}) var<storage, ${b.access}> ${this.bindingNames[i]}: array<${b.vec4 ? `vec4<${b.element}>` : b.element}>;\n`,
      ),
      ...this.blockDeclaration(),
      ...kernel.locals.filter((m) => m.space === 'workgroup').map((m) => `var<workgroup> ${this.places.get(m)!.array}: ${this.arrayType(m)};\n`),
      this.helpers.specials.has('inf') ? 'var<private> inf_bits: u32 = 0x7f800000u;\n' : '',
      this.helpers.specials.has('nan') ? 'var<private> nan_bits: u32 = 0x7fc00000u;\n' : '',
      '\n',
      ...[...this.helpers.texts.values()].map((t) => `${t}\n`),
    ];
    const [group, local] = ['group', 'local'].map((b) => [...used].some((n) => n.startsWith(b) && builtins.includes(n)));
    const params = [group ? '@builtin(workgroup_id) group: vec3<u32>' : '', local ? '@builtin(local_invocation_id) local: vec3<u32>' : '']
      .filter(Boolean)
      .join(', ');
    const prologue = [
      ...builtins.filter((n) => used.has(n)).map((n) => `  let ${n} = i32(${n.slice(0, -1)}.${'xyz'[Number(n.at(-1))]});\n`),
      ...kernel.symbols.flatMap((s, i) => (used.has(s) ? [`  let ${this.symbolNames[i]} = i32(${word(kernel.args.length + i)});\n`] : [])),
      // In the order of arguments.
      ...[...this.offsets].sort(([, a], [, b]) => (a < b ? -1 : 1)).map(([name, value]) => `  let ${name} = ${value};\n`),
      ...kernel.locals.filter((m) => m.space === 'private').map((m) => `  var ${this.places.get(m)!.array}: ${this.arrayType(m)};\n`),
    ];
    return `${head.join('')}@compute @workgroup_size(${kernel.workgroupSize.join(', ')})\nfn main(${params}) {\n${prologue.join('')}${body}}\n`;
  }

  private blockDeclaration(): string[] {
    const words = this.kernel.args.length + this.kernel.symbols.length;
    return words === 0 ? [] : [`@group(0) @binding(${this.bindings.length}) var<uniform> block: array<vec4<u32>, ${Math.ceil(words / 4)}>;\n`];
  }

  private arrayType(m: Memory): string {
    const p = this.places.get(m)!;
    return p.vec4 ? `array<vec4<${p.element}>, ${Math.ceil(m.size / 4)}>` : `array<${p.element}, ${m.size}>`;
  }

  // ---- statements

  private line(text: string): void {
    this.lines.push(`${this.indent}${text}\n`);
  }

  private block(stmts: readonly Stmt[]): void {
    for (const s of stmts) this.statement(s);
  }

  private nested(open: string, body: () => void, close = '}'): void {
    this.line(open);
    this.indent += '  ';
    body();
    this.indent = this.indent.slice(2);
    this.line(close);
  }

  private statement(s: Stmt): void {
    const x = this.expressions;
    switch (s.kind) {
      case 'comment':
        this.line(`// ${s.text}`);
        return;
      case 'barrier':
        if (this.kernel.locals.some((m) => m.space === 'workgroup')) this.line('workgroupBarrier();');
        if (this.kernel.args.some((m) => m.access === 'read_write') || !this.kernel.locals.some((m) => m.space === 'workgroup')) this.line('storageBarrier();');
        return;
      case 'let': {
        x.share([s.value]);
        const text = x.print(s.value);
        x.define(s.v, s.value);
        this.line(`let ${this.names.of(s.v)} = ${text};`);
        return;
      }
      case 'mutable': {
        x.share([s.init]);
        const text = x.print(s.init);
        this.line(`var ${this.names.of(s.v)}: ${typeName(s.v.scalar, s.v.lanes)} = ${text};`);
        return;
      }
      case 'assign': {
        x.share([s.value]);
        const text = x.print(s.value);
        this.line(`${this.names.of(s.v)} = ${text};`);
        return;
      }
      case 'store':
        this.store(s);
        return;
      case 'for': {
        x.share([s.begin, s.end]);
        const begin = x.print(s.begin);
        // Evaluated once, so not in the header when it could change there.
        const fixed = loadsOf(s.end).size === 0 && ![...varsOf(s.end)].some((v: VarExpr) => v.role === 'mutable');
        const end = fixed ? x.print(s.end, 8) : x.bind(s.end, 'end');
        const v = this.names.of(s.v);
        this.nested(`for (var ${v}: i32 = ${begin}; ${v} < ${end}; ${v} += ${s.step}) {`, () => this.block(s.body));
        return;
      }
      case 'while': {
        const before = this.lines;
        this.lines = [];
        x.share([s.cond]);
        this.uniform = true;
        const cond = x.print(s.cond);
        this.uniform = false;
        const needs = this.lines;
        this.lines = before;
        if (needs.length === 0) this.nested(`while (${cond}) {`, () => this.block(s.body));
        else {
          this.nested('loop {', () => {
            this.lines.push(...needs.map((l) => `  ${l}`));
            this.line(`if (!(${cond})) { break; }`);
            this.block(s.body);
          });
        }
        return;
      }
      case 'if': {
        x.share([s.cond]);
        const cond = x.print(s.cond);
        this.nested(`if (${cond}) {`, () => this.block(s.then), s.else.length ? '} else {' : '}');
        if (s.else.length === 0) return;
        this.indent += '  ';
        this.block(s.else);
        this.indent = this.indent.slice(2);
        this.line('}');
        return;
      }
    }
  }

  // ---- memory

  private placeOf(m: Memory): { place: Place; root: Memory; view: boolean } {
    const root = this.wide.get(m) ?? m;
    const place = this.places.get(root);
    if (!place) throw new InternalError(`${this.kernel.name}: memory '${m.name}' is neither an argument nor a local`);
    return { place, root, view: root !== m };
  }

  /** The text of an index in a place's array: for arguments with their offset, in elements or in units of 4. */
  private at(p: Place, root: Memory, index: Expr, unit: 1 | 4): string {
    if (p.arg < 0) return this.expressions.print(index);
    const name = `at${unit === 4 ? '4' : ''}_${root.name.replace(/[^A-Za-z0-9]+/g, '_')}`;
    const key = [...this.offsets.keys()].find((k) => this.offsets.get(k) === offsetText(p.arg, unit)) ?? this.names.unique(name);
    this.offsets.set(key, offsetText(p.arg, unit));
    return index.kind === 'const' && index.value === 0 ? key : `${key} + ${this.expressions.print(index, 8)}`;
  }

  /** An element of an array by the text of its index. */
  private cell(p: Place, index: string): string {
    if (!p.vec4) return `${p.array}[${index}]`;
    if (/^\d+$/.test(index)) return `${p.array}[${Number(index) >> 2}].${'xyzw'[Number(index) & 3]}`;
    const i = /^\w+$/.test(index) ? index : this.expressions.bindText(index, 'i');
    return `${p.array}[${i} >> 2u][${i} & 3]`;
  }

  private load(e: LoadExpr): string {
    const { place, root, view } = this.placeOf(e.memory);
    const index = e.args[0]!;
    const own = elementOf(root);
    if (own === 'packed') return this.packed(e, place, root, view);
    const convert = (text: string, lanes: Lanes): string => {
      const typed = place.element === own || place.arg < 0 ? text : `bitcast<${typeName(own, lanes)}>(${text})`;
      return root.scalar === 'bool' && own === 'u32' ? `(${typed} != ${lanes > 1 ? `vec${lanes}<u32>()` : '0u'})` : typed;
    };
    // The barriers in a loop need a condition that WGSL knows to be the same for all threads.
    if (this.uniform && root.space === 'workgroup' && e.lanes === 1 && !place.vec4)
      return convert(`workgroupUniformLoad(&${place.array}[${this.at(place, root, index, 1)}])`, 1);
    if (view) return convert(`${place.array}[${this.at(place, root, index, 4)}]`, 4);
    const at = this.at(place, root, index, 1);
    if (e.lanes === 1) return convert(this.cell(place, at), 1);
    const i = this.expressions.bindText(at, 'i');
    const parts = Array.from({ length: e.lanes }, (_, l) => this.cell(place, l === 0 ? i : `${i} + ${l}`));
    return convert(`vec${e.lanes}<${place.element}>(${parts.join(', ')})`, e.lanes);
  }

  /** Bytes: four in a word, the first lowest; or two 16-bit integers. */
  private packed(e: LoadExpr, p: Place, root: Memory, view: boolean): string {
    const signed = root.storage === 'i8' || root.storage === 'i16';
    const bits = packedBits(root);
    const int = signed ? 'i32' : 'u32';
    if (view) {
      const name = this.helpers.get(`bytes|${int}`, `bytes_${int}`, (own) =>
        signed
          ? `fn ${own}(w: u32) -> vec4<i32> {\n  return (vec4<i32>(bitcast<i32>(w)) << vec4<u32>(24u, 16u, 8u, 0u)) >> vec4<u32>(24u);\n}\n`
          : `fn ${own}(w: u32) -> vec4<u32> {\n  return (vec4<u32>(w) >> vec4<u32>(0u, 8u, 16u, 24u)) & vec4<u32>(255u);\n}\n`,
      );
      return `${typeName(root.scalar, 4)}(${name}(${this.cell(p, this.at(p, root, e.args[0]!, 4))}))`;
    }
    const what = bits === 8 ? 'byte' : 'half';
    const [last, mask] = bits === 8 ? [3, 255] : [1, 65535];
    const name = this.helpers.get(`${what}|${int}`, `${what}_${int}`, (own) =>
      signed
        ? `fn ${own}(w: u32, i: i32) -> i32 {\n  return (bitcast<i32>(w) << (${32 - bits}u - (u32(i) & ${last}u) * ${bits}u)) >> ${32 - bits}u;\n}\n`
        : `fn ${own}(w: u32, i: i32) -> u32 {\n  return (w >> ((u32(i) & ${last}u) * ${bits}u)) & ${mask}u;\n}\n`,
    );
    const i = this.expressions.bindText(this.at(p, root, e.args[0]!, 1), 'i');
    const one = (l: number): string => {
      const at = l === 0 ? i : `${i} + ${l}`;
      return `${name}(${this.cell(p, `${l === 0 ? i : `(${at})`} >> ${bits === 8 ? 2 : 1}u`)}, ${at})`;
    };
    if (e.lanes === 1) return `${root.scalar}(${one(0)})`;
    return `vec${e.lanes}<${root.scalar}>(${Array.from({ length: e.lanes }, (_, l) => `${root.scalar}(${one(l)})`).join(', ')})`;
  }

  private store(s: Extract<Stmt, { kind: 'store' }>): void {
    const x = this.expressions;
    const { place, root, view } = this.placeOf(s.memory);
    const own = elementOf(root);
    const lanes = s.value.lanes;
    x.share([s.index, s.value]);
    const value = x.print(s.value);
    const asWord = root.scalar === 'bool' && own === 'u32' ? `${typeName('u32', lanes)}(${value})` : value;
    const stored = place.element === own || place.arg < 0 ? asWord : `bitcast<${typeName(place.element === 'f16' ? 'f16' : 'u32', lanes)}>(${asWord})`;
    if (view) {
      this.line(`${place.array}[${this.at(place, root, s.index, 4)}] = ${stored};`);
      return;
    }
    const at = this.at(place, root, s.index, 1);
    if (lanes === 1) {
      this.line(`${this.cell(place, at)} = ${stored};`);
      return;
    }
    const i = x.bindText(at, 'i');
    const v = x.bindText(stored, 'v');
    for (let l = 0; l < lanes; l++) this.line(`${this.cell(place, l === 0 ? i : `${i} + ${l}`)} = ${v}.${'xyzw'[l]};`);
  }
}

const word = (i: number): string => `block[${i >> 2}].${'xyzw'[i & 3]}`;
const offsetText = (arg: number, unit: 1 | 4): string => (unit === 4 ? `i32(${word(arg)} >> 2u)` : `i32(${word(arg)})`);
