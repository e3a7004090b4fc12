/** The WASM encoder: number encodings, and modules that engines and binaryen accept. */
import binaryen from 'binaryen';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { Bytes, Code, ModuleBuilder } from '../../../codegen/wasm/encoder.js';
import { op, simd } from '../../../codegen/wasm/opcodes.js';

const hex = (b: Bytes): string => [...b.view()].map((x) => x.toString(16).padStart(2, '0')).join(' ');

test('LEB128 as in the specification', () => {
  assert.is(hex(new Bytes().unsigned(0)), '00');
  assert.is(hex(new Bytes().unsigned(127)), '7f');
  assert.is(hex(new Bytes().unsigned(128)), '80 01');
  assert.is(hex(new Bytes().unsigned(624485)), 'e5 8e 26');
  assert.is(hex(new Bytes().unsigned(0xffffffff)), 'ff ff ff ff 0f');
  assert.is(hex(new Bytes().signed(0)), '00');
  assert.is(hex(new Bytes().signed(63)), '3f');
  assert.is(hex(new Bytes().signed(64)), 'c0 00');
  assert.is(hex(new Bytes().signed(-1)), '7f');
  assert.is(hex(new Bytes().signed(-64)), '40');
  assert.is(hex(new Bytes().signed(-65)), 'bf 7f');
  assert.is(hex(new Bytes().signed(-123456)), 'c0 bb 78');
  assert.is(hex(new Bytes().signed(-2147483648)), '80 80 80 80 78');
});

test('the buffer grows and keeps what was written', () => {
  const b = new Bytes(1);
  for (let i = 0; i < 1000; i++) b.byte(i & 255);
  assert.is(b.length, 1000);
  assert.ok(b.view().every((x, i) => x === (i & 255)));
  assert.is(hex(new Bytes().f32(1).f64(-0)), '00 00 80 3f 00 00 00 00 00 00 00 80');
  assert.is(hex(new Bytes().name('é')), '02 c3 a9');
});

test('a module with every section runs and binaryen accepts it', () => {
  const m = new ModuleBuilder();
  m.importMemory('env', 'memory', { initial: 1, maximum: 2, shared: false });
  const g = m.importGlobal('env', 'base', 'i32');
  const twice = m.importFunction('env', 'twice', m.type(['i32'], ['i32']));
  const binary = m.type(['i32', 'i32'], ['i32']);
  const sum = m.function(binary, { locals: [], code: new Code().get(0).get(1).op(op.i32Add) });
  const pick = m.function(binary, {
    locals: ['i32', 'v128', 'v128', 'f64'],
    code: new Code().get(0).get(1).op(op.i32Const).signed(0).callIndirect(binary).call(twice).global(g).op(op.i32Add),
  });
  m.setTable([sum]);
  m.exportFunction('pick', pick);
  const bytes = m.finish();
  assert.ok(WebAssembly.validate(bytes as BufferSource));
  const { exports } = new WebAssembly.Instance(new WebAssembly.Module(bytes as BufferSource), {
    env: { memory: new WebAssembly.Memory({ initial: 1, maximum: 2 }), base: 1000, twice: (x: number) => 2 * x },
  });
  assert.is((exports.pick as (a: number, b: number) => number)(20, 1), 1042);
  const parsed = binaryen.readBinary(bytes);
  parsed.setFeatures(binaryen.Features.All);
  assert.ok(parsed.validate());
  parsed.dispose();
});

test('opcodes are what binaryen takes them for', () => {
  // One function per instruction of type (v128, v128) -> v128; the printed names are compared.
  const names = {
    f32x4Add: 'f32x4.add',
    f32x4Mul: 'f32x4.mul',
    f32x4Pmin: 'f32x4.pmin',
    f32x4Pmax: 'f32x4.pmax',
    i32x4MaxU: 'i32x4.max_u',
    i32x4GeU: 'i32x4.ge_u',
    f32x4Ge: 'f32x4.ge',
    andnot: 'v128.andnot',
    i32x4Mul: 'i32x4.mul',
    f32x4Div: 'f32x4.div',
  } as const;
  const m = new ModuleBuilder();
  const t = m.type(['v128', 'v128'], ['v128']);
  for (const name of Object.keys(names))
    m.exportFunction(
      name,
      m.function(t, {
        locals: [],
        code: new Code()
          .get(0)
          .get(1)
          .simd(simd[name as keyof typeof names]),
      }),
    );
  const parsed = binaryen.readBinary(m.finish());
  parsed.setFeatures(binaryen.Features.All);
  const text = parsed.emitText();
  for (const name of Object.values(names)) assert.ok(text.includes(`(${name}\n`), name);
  parsed.dispose();
});

test('a shared memory needs a maximum', () => {
  assert.throws(() => new ModuleBuilder().importMemory('env', 'memory', { initial: 1, shared: true }), /maximum/);
});

test.run();
