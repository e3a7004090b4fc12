/** Types that kernels do not compute in, text in and text out. That results agree with the reference evaluation is in tests/codegen/dtypes.test.ts. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { parse, print } from '../../ir/text.js';
import { carryElementTypes } from '../../passes/element-types.js';

const carried = (text: string, target: 'wasm' | 'webgpu') => {
  const c = carryElementTypes(parse(text), target, new Set());
  return { ...c, text: print(c.graph) };
};

test('8-bit integers are carried by 32 bits and wrapped', () => {
  const { text, ports } = carried(
    `graph "small"
  %0 = input "i" : int8[4]
  %1 = binary(%0, %0) {fn=add} : int8[4]
  output "j" = %1
`,
    'wasm',
  );
  assert.is(
    text,
    `graph "small"
  %0 = input "i" : int8[4]
  %1 = cast(%0) {dtype=int32} : int32[4]
  %2 = binary(%1, %1) {fn=add} : int32[4]
  %3 = constant() {value=int32[](24)} : int32[]
  %4 = broadcast(%3) {shape=[4], axes=[]} : int32[4]
  %5 = binary(%2, %4) {fn=shift_left} : int32[4]
  %6 = constant() {value=int32[](24)} : int32[]
  %7 = broadcast(%6) {shape=[4], axes=[]} : int32[4]
  %8 = binary(%5, %7) {fn=shift_right} : int32[4]
  output "j" = %8
`,
  );
  assert.equal([...ports], [['out:j', 'int8']]);
});

const wide = `graph "wide"
  %0 = input "n" : int64[4]
  %1 = input "d" : float64[4]
  %2 = binary(%0, %0) {fn=mul} : int64[4]
  %3 = unary(%1) {fn=sqrt} : float64[4]
  output "m" = %2
  output "r" = %3
`;

test('64 bits: as they are on WebAssembly, in 32 on WebGPU, with a note of where', () => {
  assert.is(carried(wide, 'wasm').text, wide);
  const { text, ports, doubles } = carried(wide, 'webgpu');
  assert.is(text, wide.replaceAll('64', '32'));
  assert.equal([...ports].sort(), [
    ['in:d', 'float64'],
    ['in:n', 'int64'],
    ['out:m', 'int64'],
    ['out:r', 'float64'],
  ]);
  assert.is(doubles.first, "input 'd'");
  assert.throws(() => carryElementTypes(parse(wide), 'webgpu', new Set(), 'refuse'), /float64/);
});

test('float16 lies in memory as 16 bits and is computed in float32, rounded where it leaves', () => {
  const { graph, ports } = carried(
    `graph "half"
  %0 = input "x" : float16[4]
  %1 = unary(%0) {fn=exp} : float16[4]
  output "y" = %1
`,
    'webgpu',
  );
  assert.is(graph.inputs[0]!.value.dtype, 'uint16');
  assert.equal(
    [...ports],
    [
      ['in:x', 'float16'],
      ['out:y', 'float16'],
    ],
  );
  const exp = graph.nodes.find((n) => n.op === 'unary' && n.attrs.fn === 'exp')!;
  assert.is(exp.outputs[0]!.dtype, 'float32');
  assert.not.ok(graph.nodes.some((n) => n.outputs.some((v) => v.dtype === 'float16')));
});

test('a graph without such types is left alone', () => {
  const g = parse('graph "plain"\n  %0 = input "x" : float32[4]\n  %1 = unary(%0) {fn=exp} : float32[4]\n  output "y" = %1\n');
  assert.is(carryElementTypes(g, 'webgpu', new Set()).graph, g);
});

test.run();
