/** Fusion: graphs in as text, regions out as text. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { parse } from '../../ir/text.js';
import { defaultFuseOptions, fuse } from '../../passes/fuse.js';
import { fuseTails } from '../../passes/fuse-tails.js';
import { printRegions } from '../../passes/print-regions.js';

const regions = (text: string, options = defaultFuseOptions): string[] => printRegions(fuse(parse(text), options)).split('\n');

const dense = `
graph "dense"
  symbol batch <= 8
  %0 = input "x" : float32[batch,12]
  %1 = state "w" : float32[12,10]
  %2 = state "b" : float32[10]
  %3 = dot(%0, %1) {batchLeft=[], batchRight=[], contractLeft=[1], contractRight=[0]} : float32[batch,10]
  %4 = broadcast(%2) {shape=[batch,10], axes=[1]} : float32[batch,10]
  %5 = binary(%3, %4) {fn=add} : float32[batch,10]
`;
const softmax = `
  %6 = reduce(%5) {fn=max, axes=[1]} : float32[batch]
  %7 = broadcast(%6) {shape=[batch,10], axes=[0]} : float32[batch,10]
  %8 = binary(%5, %7) {fn=sub} : float32[batch,10]
  %9 = unary(%8) {fn=exp} : float32[batch,10]
  %10 = reduce(%9) {fn=sum, axes=[1]} : float32[batch]
  %11 = broadcast(%10) {shape=[batch,10], axes=[0]} : float32[batch,10]
  %12 = binary(%9, %11) {fn=div} : float32[batch,10]
  output "p" = %12
`;

test('a product takes bias and activation; softmax is one row region', () => {
  assert.equal(regions(dense + softmax), ['contraction dot, add: reads %0 %1 %2, writes %5', 'row max, sub, exp, sum, div: reads %5, writes %12']);
});

test('a row longer than the limit is not walked again in the same kernel', () => {
  assert.equal(regions(dense + softmax, { ...defaultFuseOptions, maxRow: 8 }), [
    'contraction dot, add: reads %0 %1 %2, writes %5',
    'row max: reads %5, writes %6',
    'row sub, exp, sum: reads %5 %6, writes %10 %9',
    'map div: reads %9 %10, writes %12',
  ]);
});

test('the row region behind a small product joins it as a tail', () => {
  const fused = fuseTails(fuse(parse(dense + softmax)), { maxBuffers: 8 });
  assert.equal(printRegions(fused), 'sequence dot, add, max, sub, exp, sum, div: reads %0 %1 %2, writes %5 %12');
});

test('an update whose old contents are read again behind the new ones is one kernel with its readers', () => {
  const text = `
graph "ftrl"
  %0 = input "g" : float32[64]
  %1 = state "sum" : float32[64]
  %2 = state "w" : float32[64]
  %3 = binary(%0, %0) {fn=mul} : float32[64]
  %4 = binary(%1, %3) {fn=add} : float32[64]
  %5 = unary(%4) {fn=sqrt} : float32[64]
  %6 = unary(%1) {fn=sqrt} : float32[64]
  %7 = binary(%5, %6) {fn=sub} : float32[64]
  %8 = binary(%7, %2) {fn=mul} : float32[64]
  %9 = binary(%2, %8) {fn=sub} : float32[64]
  %10 = binary(%9, %5) {fn=div} : float32[64]
  update "sum" = %4
  update "w" = %10
`;
  const found = regions(text);
  assert.is(found.length, 1, found.join('\n'));
});

test('an elementwise producer that is also used elsewhere becomes a second output', () => {
  const text = `
graph "two"
  %0 = input "x" : float32[4,6]
  %1 = unary(%0) {fn=exp} : float32[4,6]
  %2 = reduce(%1) {fn=sum, axes=[1]} : float32[4]
  output "e" = %1
  output "s" = %2
`;
  assert.equal(regions(text), ['row exp, sum: reads %0, writes %2 %1']);
});

test('cheap producers are copied into their consumers, costly ones with several consumers are stored', () => {
  const text = (fn: string) => `
graph "prologue"
  %0 = input "x" : float32[8,8]
  %1 = unary(%0) {fn=${fn}} : float32[8,8]
  %2 = transpose(%1) {perm=[1,0]} : float32[8,8]
  %3 = dot(%1, %0) {batchLeft=[], batchRight=[], contractLeft=[1], contractRight=[0]} : float32[8,8]
  %4 = dot(%2, %0) {batchLeft=[], batchRight=[], contractLeft=[1], contractRight=[0]} : float32[8,8]
  output "a" = %3
  output "b" = %4
`;
  assert.equal(regions(text('neg')), ['contraction neg, dot: reads %0, writes %3', 'contraction neg, dot: reads %0, writes %4']);
  assert.equal(regions(text('exp')), ['map exp: reads %0, writes %1', 'contraction dot: reads %1 %0, writes %3', 'contraction dot: reads %1 %0, writes %4']);
});

test('an epilogue does not take what depends on the product by another way', () => {
  const text = `
graph "cycle"
  %0 = input "x" : float32[8,8]
  %1 = dot(%0, %0) {batchLeft=[], batchRight=[], contractLeft=[1], contractRight=[0]} : float32[8,8]
  %2 = dot(%1, %0) {batchLeft=[], batchRight=[], contractLeft=[1], contractRight=[0]} : float32[8,8]
  %3 = binary(%1, %2) {fn=add} : float32[8,8]
  output "y" = %3
`;
  assert.equal(regions(text), ['contraction dot: reads %0, writes %1', 'contraction dot, add: reads %1 %0, writes %3']);
});

test('a transposed use is no epilogue', () => {
  const text = `
graph "transposed"
  %0 = input "x" : float32[8,8]
  %1 = dot(%0, %0) {batchLeft=[], batchRight=[], contractLeft=[1], contractRight=[0]} : float32[8,8]
  %2 = transpose(%1) {perm=[1,0]} : float32[8,8]
  %3 = binary(%1, %2) {fn=add} : float32[8,8]
  output "y" = %3
`;
  assert.equal(regions(text), ['contraction dot: reads %0, writes %1', 'map add: reads %1, writes %3']);
});

test('sibling reductions over the same domain share a pass', () => {
  const text = `
graph "siblings"
  %0 = input "x" : float32[64,16]
  %1 = binary(%0, %0) {fn=mul} : float32[64,16]
  %2 = reduce(%0) {fn=sum, axes=[0]} : float32[16]
  %3 = reduce(%1) {fn=sum, axes=[0]} : float32[16]
  output "s" = %2
  output "q" = %3
`;
  assert.equal(regions(text), ['row mul, sum, sum: reads %0, writes %2 %3']);
});

test('operands of a contiguous concat are written in place', () => {
  const text = `
graph "concat"
  %0 = input "x" : float32[4,6]
  %1 = unary(%0) {fn=exp} : float32[4,6]
  %2 = unary(%0) {fn=sin} : float32[4,6]
  %3 = concat(%1, %2) {axis=0} : float32[8,6]
  output "y" = %3
`;
  assert.equal(regions(text), ['map exp, sin: reads %0, writes %1 %2', '%1 is %3 from element 0', '%2 is %3 from element 24']);
});

test('a kernel touches no more buffers than the device binds', () => {
  const inputs = Array.from({ length: 6 }, (_, i) => `  %${i} = input "x${i}" : float32[4]`).join('\n');
  const sums = Array.from({ length: 5 }, (_, i) => `  %${6 + i} = binary(${i === 0 ? '%0' : `%${5 + i}`}, %${i + 1}) {fn=add} : float32[4]`).join('\n');
  const text = `graph "many"\n${inputs}\n${sums}\n  output "y" = %10\n`;
  assert.is(regions(text).length, 1);
  const few = regions(text, { ...defaultFuseOptions, maxBuffers: 4 });
  assert.ok(few.length >= 2);
  for (const line of few) assert.ok(line.split('reads ')[1]!.split(', writes')[0]!.split(' ').length <= 3, line);
});

test('an output that is a view counts as a buffer of its own for the kernel that writes the value behind it', () => {
  const sums = Array.from(
    { length: 4 },
    (_, i) => `
  %${3 * i + 1} = binary(%0, %0) {fn=${['add', 'mul', 'sub', 'div'][i]}} : float32[4,6]
  %${3 * i + 2} = reduce(%${3 * i + 1}) {fn=sum, axes=[1]} : float32[4]
  %${3 * i + 3} = reshape(%${3 * i + 2}) {shape=[2,2]} : float32[2,2]`,
  ).join('');
  const text = `
graph "views"
  %0 = input "x" : float32[4,6]${sums}
${[3, 6, 9, 12].map((v) => `  output "y${v}" = %${v}\n`).join('')}`;
  for (const line of regions(text, { ...defaultFuseOptions, maxBuffers: 3 }).filter((l) => l.includes(': reads')))
    assert.ok(line.split('writes')[1]!.trim().split(' ').length <= 2, line);
});

test.run();
