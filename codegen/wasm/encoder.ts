/**
 * Writes WebAssembly binaries: a growing byte buffer with LEB128, code buffers with a method for each shape of instruction, and a module builder that puts the
 * sections in order. It checks nothing: tests validate what comes out.
 */
import { InternalError } from '../../ir/errors.js';
import { atomic, op, simd } from './opcodes.js';

export type ValueType = 'i32' | 'i64' | 'f32' | 'f64' | 'v128';
const typeByte: Record<ValueType, number> = { i32: 0x7f, i64: 0x7e, f32: 0x7d, f64: 0x7c, v128: 0x7b };
const emptyBlock = 0x40;

const scratch = new DataView(new ArrayBuffer(8));
const utf8 = new TextEncoder();

export class Bytes {
  private buffer: Uint8Array;
  length = 0;

  constructor(capacity = 64) {
    this.buffer = new Uint8Array(capacity);
  }

  private reserve(extra: number): void {
    if (this.length + extra <= this.buffer.length) return;
    const next = new Uint8Array(Math.max(this.buffer.length * 2, this.length + extra));
    next.set(this.buffer.subarray(0, this.length));
    this.buffer = next;
  }

  byte(v: number): this {
    if (this.length === this.buffer.length) this.reserve(1);
    this.buffer[this.length++] = v;
    return this;
  }

  /** Unsigned LEB128 of an integer below 2^32. */
  unsigned(value: number): this {
    let v = value >>> 0;
    for (; v >= 0x80; v >>>= 7) this.byte((v & 0x7f) | 0x80);
    return this.byte(v);
  }

  /** Signed LEB128 of a 32-bit integer. */
  signed(value: number): this {
    let v = value | 0;
    for (;;) {
      const low = v & 0x7f;
      v >>= 7;
      if ((v === 0 && (low & 0x40) === 0) || (v === -1 && (low & 0x40) !== 0)) return this.byte(low);
      this.byte(low | 0x80);
    }
  }

  /** Signed LEB128 of a 64-bit integer. */
  signedWide(value: bigint): this {
    let v = BigInt.asIntN(64, value);
    for (;;) {
      const low = Number(v & 0x7fn);
      v >>= 7n;
      if ((v === 0n && (low & 0x40) === 0) || (v === -1n && (low & 0x40) !== 0)) return this.byte(low);
      this.byte(low | 0x80);
    }
  }

  f32(v: number): this {
    scratch.setFloat32(0, v, true);
    for (let i = 0; i < 4; i++) this.byte(scratch.getUint8(i));
    return this;
  }

  f64(v: number): this {
    scratch.setFloat64(0, v, true);
    for (let i = 0; i < 8; i++) this.byte(scratch.getUint8(i));
    return this;
  }

  append(other: Bytes | Uint8Array): this {
    this.reserve(other.length);
    this.buffer.set(other instanceof Bytes ? other.view() : other, this.length);
    this.length += other.length;
    return this;
  }

  name(text: string): this {
    const b = utf8.encode(text);
    return this.unsigned(b.length).append(b);
  }

  /** What was written; valid until the next write. */
  view(): Uint8Array {
    return this.buffer.subarray(0, this.length);
  }
}

/** A sequence of instructions. Offsets are those of memory arguments; alignments are log2 of bytes. */
export class Code extends Bytes {
  op(...opcodes: number[]): this {
    for (const o of opcodes) this.byte(o);
    return this;
  }
  simd(opcode: number): this {
    return this.byte(0xfd).unsigned(opcode);
  }
  sat(opcode: number): this {
    return this.byte(0xfc).unsigned(opcode);
  }
  get(local: number): this {
    return this.byte(op.localGet).unsigned(local);
  }
  set(local: number): this {
    return this.byte(op.localSet).unsigned(local);
  }
  tee(local: number): this {
    return this.byte(op.localTee).unsigned(local);
  }
  global(index: number): this {
    return this.byte(op.globalGet).unsigned(index);
  }
  i32(v: number): this {
    return this.byte(op.i32Const).signed(v);
  }
  i64(v: number | bigint): this {
    return this.byte(op.i64Const).signedWide(BigInt(v));
  }
  f32Const(v: number): this {
    return this.byte(op.f32Const).f32(v);
  }
  f64Const(v: number): this {
    return this.byte(op.f64Const).f64(v);
  }
  /** v128.const of 16 bytes. */
  v128Const(bytes: Uint8Array): this {
    return this.simd(simd.const).append(bytes);
  }
  memory(opcode: number, align: number, offset: number): this {
    return this.byte(opcode).unsigned(align).unsigned(offset);
  }
  simdMemory(opcode: number, align: number, offset: number): this {
    return this.simd(opcode).unsigned(align).unsigned(offset);
  }
  atomic(opcode: number, offset: number): this {
    const wide = opcode === atomic.i64Load || opcode === atomic.i64Store || opcode === atomic.i64RmwCmpxchg;
    return this.byte(0xfe)
      .unsigned(opcode)
      .unsigned(wide ? 3 : 2)
      .unsigned(offset);
  }
  lane(opcode: number, lane: number): this {
    return this.simd(opcode).byte(lane);
  }
  /** Structured instructions; close with end(). */
  block(): this {
    return this.op(op.block, emptyBlock);
  }
  loop(): this {
    return this.op(op.loop, emptyBlock);
  }
  if(): this {
    return this.op(op.if, emptyBlock);
  }
  else(): this {
    return this.byte(op.else);
  }
  end(): this {
    return this.byte(op.end);
  }
  br(depth: number): this {
    return this.byte(op.br).unsigned(depth);
  }
  brIf(depth: number): this {
    return this.byte(op.brIf).unsigned(depth);
  }
  call(fn: number): this {
    return this.byte(op.call).unsigned(fn);
  }
  /** Calls a function of the module's one table. */
  callIndirect(type: number): this {
    return this.byte(op.callIndirect).unsigned(type).byte(0);
  }
}

/** A function body: locals after the parameters, and code without the final end. */
export interface FunctionBody {
  readonly locals: readonly ValueType[];
  readonly code: Code;
}

export interface MemoryType {
  readonly initial: number;
  /** Required when shared. */
  readonly maximum?: number;
  readonly shared: boolean;
}

export class ModuleBuilder {
  private readonly typeIndex = new Map<string, number>();
  private readonly types = new Bytes();
  private readonly imports = new Bytes();
  private readonly functions: { type: number; body: FunctionBody }[] = [];
  private readonly exports = new Bytes();
  private counts = { imports: 0, importedFunctions: 0, globals: 0, exports: 0 };
  private table: readonly number[] | null = null;

  /** Index of a function type. */
  type(params: readonly ValueType[], results: readonly ValueType[]): number {
    const key = `${params.join()}:${results.join()}`;
    let i = this.typeIndex.get(key);
    if (i === undefined) {
      i = this.typeIndex.size;
      this.typeIndex.set(key, i);
      this.types.byte(0x60);
      for (const list of [params, results]) {
        this.types.unsigned(list.length);
        for (const t of list) this.types.byte(typeByte[t]);
      }
    }
    return i;
  }

  importMemory(module: string, name: string, m: MemoryType): void {
    if (m.shared && m.maximum === undefined) throw new InternalError('a shared memory needs a maximum');
    this.imports
      .name(module)
      .name(name)
      .byte(0x02)
      .byte((m.shared ? 2 : 0) | (m.maximum === undefined ? 0 : 1))
      .unsigned(m.initial);
    if (m.maximum !== undefined) this.imports.unsigned(m.maximum);
    this.counts.imports++;
  }

  /** An immutable global; returns its index. */
  importGlobal(module: string, name: string, type: ValueType): number {
    this.imports.name(module).name(name).byte(0x03).byte(typeByte[type]).byte(0);
    this.counts.imports++;
    return this.counts.globals++;
  }

  /** Returns the function's index. Imported functions come before all others. */
  importFunction(module: string, name: string, type: number): number {
    if (this.functions.length > 0) throw new InternalError('imports come before functions');
    this.imports.name(module).name(name).byte(0x00).unsigned(type);
    this.counts.imports++;
    return this.counts.importedFunctions++;
  }

  /** Adds a function; returns its index. */
  function(type: number, body: FunctionBody): number {
    this.functions.push({ type, body });
    return this.counts.importedFunctions + this.functions.length - 1;
  }

  exportFunction(name: string, index: number): void {
    this.exports.name(name).byte(0x00).unsigned(index);
    this.counts.exports++;
  }

  /** The one table: these functions, in order. */
  setTable(functions: readonly number[]): void {
    this.table = functions;
  }

  finish(): Uint8Array {
    const out = new Bytes(1024);
    out.append(new Uint8Array([0, 0x61, 0x73, 0x6d, 1, 0, 0, 0]));
    const section = (id: number, count: number, content: Bytes): void => {
      if (count === 0) return;
      const head = new Bytes(8).unsigned(count);
      out
        .byte(id)
        .unsigned(head.length + content.length)
        .append(head)
        .append(content);
    };
    section(1, this.typeIndex.size, this.types);
    section(2, this.counts.imports, this.imports);
    const declarations = new Bytes();
    for (const f of this.functions) declarations.unsigned(f.type);
    section(3, this.functions.length, declarations);
    if (this.table) {
      const n = this.table.length;
      section(4, 1, new Bytes().byte(0x70).byte(1).unsigned(n).unsigned(n));
    }
    section(7, this.counts.exports, this.exports);
    if (this.table && this.table.length > 0) {
      const elements = new Bytes().byte(0).byte(op.i32Const).signed(0).byte(op.end).unsigned(this.table.length);
      for (const f of this.table) elements.unsigned(f);
      section(9, 1, elements);
    }
    const code = new Bytes(4096);
    for (const { body } of this.functions) {
      const runs: { type: ValueType; count: number }[] = [];
      for (const t of body.locals) {
        const last = runs.at(-1);
        if (last?.type === t) last.count++;
        else runs.push({ type: t, count: 1 });
      }
      const head = new Bytes(16).unsigned(runs.length);
      for (const r of runs) head.unsigned(r.count).byte(typeByte[r.type]);
      code
        .unsigned(head.length + body.code.length + 1)
        .append(head)
        .append(body.code)
        .byte(op.end);
    }
    section(10, this.functions.length, code);
    return out.view().slice();
  }
}
