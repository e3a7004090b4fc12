/**
 * Structural validation of plans. A plan may come from a file, so nothing in it is believed: after validatePlan every index is in range, every tensor lies inside its buffer at the largest sizes,
 * every expression is bounded in depth and names known symbols, and no dispatch binds a written buffer twice. What kernels do inside their code is outside its reach: code is
 * trusted as the application's own script is.
 */
import { ModelFormatError } from './errors.js';
import { type CompiledPlan, evalSize, type Plan, type PlanBuffer, type PlanDType, type SizeExpr } from './plan.js';
import { planDTypes, storageBytes } from './storage.js';

type Json = Readonly<Record<string, unknown>>;

const maxExpressionDepth = 32;
const maxLoopDepth = 8;
const sizeOps = ['add', 'sub', 'mul', 'ceildiv', 'floordiv', 'mod', 'max', 'min'] as const;
const bufferKinds = ['state', 'arena', 'prepared', 'constant', 'input', 'io'] as const;

function fail(where: string, message: string): never {
  throw new ModelFormatError(`${where}: ${message}`);
}

function show(v: unknown): string {
  const text = typeof v === 'string' ? `'${v}'` : v === null || typeof v !== 'object' ? String(v) : Array.isArray(v) ? 'an array' : 'an object';
  return text.length > 60 ? `${text.slice(0, 57)}...` : text;
}

function object(v: unknown, where: string): Json {
  if (typeof v !== 'object' || v === null || Array.isArray(v)) fail(where, `expected an object, found ${show(v)}`);
  return v as Json;
}

function list(v: unknown, where: string): readonly unknown[] {
  if (!Array.isArray(v)) fail(where, `expected an array, found ${show(v)}`);
  // A copy without holes, which forEach and map would pass over.
  return Array.from(v as unknown[]);
}

function text(v: unknown, where: string): string {
  if (typeof v !== 'string') fail(where, `expected a string, found ${show(v)}`);
  if (v.length > 4096) fail(where, `a string of ${v.length} characters is too long (at most 4096)`);
  return v;
}

function name(v: unknown, where: string): string {
  if (text(v, where) === '') fail(where, 'is empty');
  return v as string;
}

function count(v: unknown, where: string, least = 0, most = Number.MAX_SAFE_INTEGER): number {
  if (typeof v !== 'number' || !Number.isSafeInteger(v) || v < least || v > most)
    fail(where, `expected an integer ${most === Number.MAX_SAFE_INTEGER ? `of at least ${least}` : `from ${least} to ${most}`}, found ${show(v)}`);
  return v;
}

function index(v: unknown, where: string, length: number, what: string): number {
  if (typeof v !== 'number' || !Number.isInteger(v) || v < 0 || v >= length) fail(where, `expected the index of one of ${length} ${what}, found ${show(v)}`);
  return v;
}

function flag(v: unknown, where: string): boolean {
  if (typeof v !== 'boolean') fail(where, `expected true or false, found ${show(v)}`);
  return v;
}

function oneOf<T extends string>(v: unknown, known: readonly T[], where: string): T {
  if (typeof v !== 'string' || !(known as readonly string[]).includes(v)) fail(where, `expected one of ${known.join(', ')}, found ${show(v)}`);
  return v as T;
}

function unique(names: readonly string[], where: string): void {
  const seen = new Set<string>();
  for (const n of names) {
    if (seen.has(n)) fail(where, `the name '${n}' occurs twice`);
    seen.add(n);
  }
}

function expression(v: unknown, where: string, symbols: ReadonlySet<string>, depth = 0): SizeExpr {
  if (depth > maxExpressionDepth) fail(where, `the expression is nested deeper than ${maxExpressionDepth}`);
  if (typeof v === 'number') {
    if (!Number.isSafeInteger(v)) fail(where, `expected an integer, found ${show(v)}`);
    return v;
  }
  const e = object(v, where);
  if ('symbol' in e) {
    const s = text(e.symbol, `${where}.symbol`);
    if (!symbols.has(s)) fail(where, `unknown symbol '${s}'; known here: ${[...symbols].join(', ') || 'none'}`);
    return v as SizeExpr;
  }
  const op = oneOf(e.op, sizeOps, `${where}.op`);
  const args = list(e.args, `${where}.args`);
  if (args.length !== 2) fail(`${where}.args`, `expected two operands, found ${args.length}`);
  args.forEach((a, i) => expression(a, `${where}.args[${i}]`, symbols, depth + 1));
  if ((op === 'ceildiv' || op === 'floordiv' || op === 'mod') && !(typeof args[1] === 'number' && args[1] > 0))
    fail(where, `${op} must be by a positive number`);
  return v as SizeExpr;
}

class Validator {
  /** Symbols of the plan with their largest values. */
  private readonly max: Record<string, number> = Object.create(null) as Record<string, number>;
  private buffers: readonly PlanBuffer[] = [];
  private kernels: readonly Json[] = [];
  private webgpu = false;

  constructor(private readonly blobBytes: number | null) {}

  plan(json: unknown): Plan {
    const p = object(json, 'plan');
    if (p.format !== 'tenon-plan') fail('plan.format', `expected 'tenon-plan', found ${show(p.format)}: this is not a Tenon plan`);
    if (p.version !== 2)
      fail(
        'plan.version',
        `expected 2, found ${show(p.version)}: the plan was made by ${typeof p.version === 'number' && p.version > 2 ? 'a newer' : 'another'} version of Tenon; compile the model again with this one`,
      );
    name(p.name, 'plan.name');
    this.webgpu = oneOf(p.target, ['webgpu', 'wasm'], 'plan.target') === 'webgpu';
    const symbols = list(p.symbols, 'plan.symbols').map((v, i) => {
      const s = object(v, `plan.symbols[${i}]`);
      const n = name(s.name, `plan.symbols[${i}].name`);
      this.max[n] = count(s.max, `plan.symbols[${i}].max`, 1);
      return n;
    });
    unique(symbols, 'plan.symbols');
    this.buffers = list(p.buffers, 'plan.buffers').map((v, i) => this.buffer(v, `plan.buffers[${i}]`));
    unique(
      this.buffers.map((b) => b.name),
      'plan.buffers',
    );
    unique(
      list(p.state, 'plan.state').map((v, i) => this.state(v, `plan.state[${i}]`)),
      'plan.state',
    );
    for (const [key, s] of Object.entries(object(p.schedules, 'plan.schedules'))) text(s, `plan.schedules['${key}']`);
    this.kernels = list(p.kernels, 'plan.kernels').map((v, i) => this.kernel(v, `plan.kernels[${i}]`));
    unique(
      this.kernels.map((k) => k.name as string),
      'plan.kernels',
    );
    unique(
      list(p.programs, 'plan.programs').map((v, i) => this.program(v, `plan.programs[${i}]`)),
      'plan.programs',
    );
    for (const [program, v] of Object.entries(object(p.memory, 'plan.memory'))) {
      const m = object(v, `plan.memory.${program}`);
      for (const field of ['arena', 'sum', 'lowerBound'] as const) count(m[field], `plan.memory.${program}.${field}`);
    }
    for (const [limit, v] of Object.entries(object(p.requiredLimits, 'plan.requiredLimits'))) count(v, `plan.requiredLimits.${limit}`);
    if (p.wasm !== undefined) {
      const w = object(p.wasm, 'plan.wasm');
      flag(w.threads, 'plan.wasm.threads');
      flag(w.relaxedSimd, 'plan.wasm.relaxedSimd');
      count(w.scratchBytes, 'plan.wasm.scratchBytes');
    } else if (!this.webgpu) fail('plan.wasm', 'is missing in a plan for wasm');
    return json as Plan;
  }

  private get symbols(): Set<string> {
    return new Set(Object.keys(this.max));
  }

  private buffer(v: unknown, where: string): PlanBuffer {
    const b = object(v, where);
    name(b.name, `${where}.name`);
    const kind = oneOf(b.kind, bufferKinds, `${where}.kind`);
    const bytes = count(b.bytes, `${where}.bytes`);
    if (kind === 'constant') this.inBlob(count(b.blobOffset, `${where}.blobOffset`), bytes, where);
    return v as PlanBuffer;
  }

  private inBlob(offset: number, bytes: number, where: string): void {
    if (this.blobBytes !== null && offset + bytes > this.blobBytes)
      fail(where, `bytes ${offset} to ${offset + bytes} lie outside the constant blob of ${this.blobBytes} bytes`);
  }

  /** Name, dtype, shape and place of a tensor. Gives its bytes at the largest sizes. */
  private tensor(t: Json, where: string, kinds: readonly PlanBuffer['kind'][]): number {
    name(t.name, `${where}.name`);
    const dtype: PlanDType = oneOf(t.dtype, planDTypes, `${where}.dtype`);
    const stored: PlanDType = t.stored === undefined ? dtype : oneOf(t.stored, planDTypes, `${where}.stored`);
    const shape = list(t.shape, `${where}.shape`).map((d, i) => expression(d, `${where}.shape[${i}]`, this.symbols));
    const b = this.buffers[index(t.buffer, `${where}.buffer`, this.buffers.length, 'buffers')]!;
    if (!kinds.includes(b.kind)) fail(where, `'${t.name}' lies in buffer '${b.name}' of kind ${b.kind}; expected ${kinds.join(' or ')}`);
    const offset = count(t.offset, `${where}.offset`);
    if (offset % Math.max(4, storageBytes[stored]) !== 0) fail(`${where}.offset`, `${offset} is not aligned for ${stored}`);
    let bytes = storageBytes[stored];
    shape.forEach((d, i) => {
      const most = evalSize(d, this.max);
      if (most < 0) fail(`${where}.shape[${i}]`, `is ${most} at the symbols' largest values`);
      bytes *= most;
    });
    if (b.kind !== 'input' && offset + bytes > b.bytes)
      fail(where, `'${t.name}' takes bytes ${offset} to ${offset + bytes} of buffer '${b.name}', which has ${b.bytes}`);
    if (b.kind === 'input' && offset !== 0) fail(`${where}.offset`, `must be 0 in buffer '${b.name}' of kind input, found ${offset}`);
    return bytes;
  }

  private state(v: unknown, where: string): string {
    const s = object(v, where);
    const bytes = this.tensor(s, where, ['state']);
    const shape = list(s.shape, `${where}.shape`).map((d, i) => count(d, `${where}.shape[${i}]`));
    const elements = shape.reduce((a, d) => a * d, 1);
    flag(s.trainable, `${where}.trainable`);
    const views = list(s.views, `${where}.views`).map((x, i) => {
      const at = `${where}.views[${i}]`;
      const view = object(x, at);
      const size = list(view.shape, `${at}.shape`).reduce<number>((a, d, j) => a * count(d, `${at}.shape[${j}]`), 1);
      const offset = count(view.offset, `${at}.offset`);
      if (offset + size > elements) fail(at, `elements ${offset} to ${offset + size} lie outside of '${s.name}', which has ${elements}`);
      return name(view.name, `${at}.name`);
    });
    unique(views, `${where}.views`);
    if (s.initial !== null) this.inBlob(count(s.initial, `${where}.initial`), bytes, `${where}.initial`);
    return s.name as string;
  }

  private kernel(v: unknown, where: string): Json {
    const k = object(v, where);
    name(k.name, `${where}.name`);
    const bindings = list(k.bindings, `${where}.bindings`).map((b, i) =>
      oneOf(object(b, `${where}.bindings[${i}]`).access, ['read', 'read_write'], `${where}.bindings[${i}].access`),
    );
    const used = new Set<number>();
    list(k.args, `${where}.args`).forEach((x, i) => {
      const at = `${where}.args[${i}]`;
      const a = object(x, at);
      name(a.name, `${at}.name`);
      oneOf(a.dtype, planDTypes, `${at}.dtype`);
      const access = oneOf(a.access, ['read', 'write', 'read_write'], `${at}.access`);
      const b = index(a.binding, `${at}.binding`, bindings.length, 'bindings');
      used.add(b);
      if (access !== 'read' && bindings[b] === 'read') fail(at, `'${a.name}' is written through binding ${b}, which is for reading only`);
    });
    bindings.forEach((_, i) => {
      if (!used.has(i)) fail(`${where}.bindings[${i}]`, 'no argument uses it');
    });
    const symbols = list(k.symbols, `${where}.symbols`).map((s, i) => name(s, `${where}.symbols[${i}]`));
    unique(symbols, `${where}.symbols`);
    if (this.webgpu && (k.args as unknown[]).length + symbols.length > 64)
      fail(where, `kernel '${k.name}' has ${(k.args as unknown[]).length} arguments and ${symbols.length} symbols, at most 64 together fit an argument block`);
    text(k.schedule, `${where}.schedule`);
    const size = list(k.workgroupSize, `${where}.workgroupSize`);
    if (size.length !== 3) fail(`${where}.workgroupSize`, `expected three numbers, found ${size.length}`);
    size.forEach((n, i) => count(n, `${where}.workgroupSize[${i}]`, 1));
    count(k.code, `${where}.code`);
    return k;
  }

  private program(v: unknown, where: string): string {
    const p = object(v, where);
    const inputs = list(p.inputs, `${where}.inputs`).map((x, i) => {
      const at = `${where}.inputs[${i}]`;
      const t = object(x, at);
      this.tensor(t, at, flag(t.resident, `${at}.resident`) ? ['input'] : ['io']);
      return t;
    });
    unique(
      inputs.map((t) => t.name as string),
      `${where}.inputs`,
    );
    const bound = inputs.filter((t) => t.resident).map((t) => t.buffer as number);
    if (new Set(bound).size !== bound.length) fail(`${where}.inputs`, 'two resident inputs share a buffer');
    const outputs = list(p.outputs, `${where}.outputs`).map((x, i) => {
      const t = object(x, `${where}.outputs[${i}]`);
      this.tensor(t, `${where}.outputs[${i}]`, bufferKinds);
      return t;
    });
    unique(
      outputs.map((t) => t.name as string),
      `${where}.outputs`,
    );
    for (const [i, t] of outputs.entries())
      if (this.buffers[t.buffer as number]!.kind === 'input' && !bound.includes(t.buffer as number))
        fail(`${where}.outputs[${i}]`, `lies in buffer '${this.buffers[t.buffer as number]!.name}', which no input of the program binds`);
    this.steps(p.prepare, `${where}.prepare`, this.symbols, [], 0);
    this.steps(p.steps, `${where}.steps`, this.symbols, bound, 0);
    return name(p.name, `${where}.name`);
  }

  private steps(v: unknown, where: string, symbols: ReadonlySet<string>, bound: readonly number[], depth: number): void {
    if (depth > maxLoopDepth) fail(where, `loops are nested deeper than ${maxLoopDepth}`);
    list(v, where).forEach((x, i) => {
      const at = `${where}[${i}]`;
      const s = object(x, at);
      if (oneOf(s.kind, ['dispatch', 'loop'], `${at}.kind`) === 'dispatch') {
        this.dispatch(s, at, symbols, bound);
        return;
      }
      const symbol = name(s.symbol, `${at}.symbol`);
      if (symbols.has(symbol)) fail(`${at}.symbol`, `'${symbol}' is already a symbol here`);
      expression(s.count, `${at}.count`, symbols);
      flag(s.reverse, `${at}.reverse`);
      this.steps(s.body, `${at}.body`, new Set([...symbols, symbol]), bound, depth + 1);
    });
  }

  private dispatch(d: Json, where: string, symbols: ReadonlySet<string>, bound: readonly number[]): void {
    const k = this.kernels[index(d.kernel, `${where}.kernel`, this.kernels.length, 'kernels')]!;
    text(d.label, `${where}.label`);
    for (const s of k.symbols as string[]) if (!symbols.has(s)) fail(where, `kernel '${k.name}' needs symbol '${s}', which is not known here`);
    const groups = list(d.groups, `${where}.groups`);
    if (groups.length !== 3) fail(`${where}.groups`, `expected three numbers, found ${groups.length}`);
    groups.forEach((g, i) => expression(g, `${where}.groups[${i}]`, symbols));
    const bindings = k.bindings as { access: string }[];
    const args = k.args as { name: string; dtype: PlanDType; binding: number }[];
    const buffers = list(d.buffers, `${where}.buffers`);
    if (buffers.length !== bindings.length) fail(`${where}.buffers`, `kernel '${k.name}' has ${bindings.length} bindings, found ${buffers.length} buffers`);
    buffers.forEach((x, i) => {
      const at = `${where}.buffers[${i}]`;
      const b = this.buffers[index(x, at, this.buffers.length, 'buffers')]!;
      const written = bindings[i]!.access !== 'read';
      if (written && (b.kind === 'constant' || b.kind === 'input')) fail(at, `buffer '${b.name}' of kind ${b.kind} is written by kernel '${k.name}'`);
      if (b.kind === 'input' && !bound.includes(x as number)) fail(at, `no resident input of the program binds buffer '${b.name}'`);
      if (this.webgpu && written && buffers.indexOf(x) !== buffers.lastIndexOf(x))
        fail(at, `buffer '${b.name}' is written and bound twice in one dispatch of kernel '${k.name}', which WebGPU does not allow`);
    });
    const offsets = list(d.offsets, `${where}.offsets`);
    if (offsets.length !== args.length) fail(`${where}.offsets`, `kernel '${k.name}' has ${args.length} arguments, found ${offsets.length} offsets`);
    offsets.forEach((x, i) => {
      const at = `${where}.offsets[${i}]`;
      const offset = count(x, at);
      const b = this.buffers[buffers[args[i]!.binding] as number]!;
      if (offset % storageBytes[args[i]!.dtype] !== 0) fail(at, `${offset} is not aligned for '${args[i]!.name}' of ${args[i]!.dtype}`);
      if (offset > b.bytes && b.kind !== 'input') fail(at, `${offset} lies outside of buffer '${b.name}' of ${b.bytes} bytes`);
    });
    const figures = object(d.figures, `${where}.figures`);
    for (const f of ['flops', 'bytesRead', 'bytesWritten'] as const) expression(figures[f], `${where}.figures.${f}`, symbols);
    flag(d.parallel, `${where}.parallel`);
    if (d.phase === undefined) return;
    const phase = count(d.phase, `${where}.phase`);
    if (phase < 1 || phase > 16 || d.parallel === true) fail(`${where}.phase`, `expected 1 to 16 groups, and parallel: false, found ${phase}`);
  }
}

/** Checks the structure of a plan, such as one read from a file. Throws ModelFormatError that names the field, what was expected and what was found. `blobBytes`: size of its constant blob. */
export function validatePlan(json: unknown, blobBytes: number | null = null): Plan {
  return new Validator(blobBytes).plan(json);
}

/** Checks a plan together with its code. */
export function validateCompiled(compiled: CompiledPlan): void {
  const plan = validatePlan(compiled.plan, compiled.blob.byteLength);
  if (plan.target === 'wasm') {
    if (!compiled.wasm) fail(`plan '${plan.name}'`, 'its WebAssembly module is missing');
    return;
  }
  plan.kernels.forEach((k, i) => {
    if (typeof compiled.wgsl[k.code] !== 'string')
      fail(`plan.kernels[${i}].code`, `kernel '${k.name}' asks for source ${k.code}, the plan has ${compiled.wgsl.length}`);
  });
}
