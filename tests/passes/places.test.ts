/** What gives results a place of their own, text in and text out: roots that share a value, and operands of large concats. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { parse, print } from '../../ir/text.js';
import { copyIntoConcat } from '../../passes/copy-into-concat.js';
import { isolateRoots } from '../../passes/isolate-roots.js';

test('isolate-roots: an input, a second use and a view of a root are copied', () => {
  const before = `graph "roots"
  %0 = input "p" : float32[4]
  %1 = unary(%0) {fn=exp} : float32[4]
  %2 = reshape(%1) {shape=[2,2]} : float32[2,2]
  output "same" = %0
  output "a" = %1
  output "b" = %1
  output "view" = %2
`;
  assert.is(
    print(isolateRoots(parse(before))),
    `graph "roots"
  %0 = input "p" : float32[4]
  %1 = unary(%0) {fn=exp} : float32[4]
  %2 = reshape(%1) {shape=[2,2]} : float32[2,2]
  %3 = cast(%0) {dtype=float32} : float32[4]
  %4 = cast(%1) {dtype=float32} : float32[4]
  %5 = cast(%2) {dtype=float32} : float32[2,2]
  output "same" = %3
  output "a" = %1
  output "b" = %4
  output "view" = %5
`,
  );
});

test('isolate-roots: a graph whose roots are its own is left alone', () => {
  const g = parse('graph "own"\n  %0 = input "p" : float32[4]\n  %1 = unary(%0) {fn=exp} : float32[4]\n  output "a" = %1\n');
  assert.is(isolateRoots(g), g);
});

const flat = (n: number) => `graph "flat"
  %0 = input "u" : float32[${n},${n}]
  %1 = input "v" : float32[${n},${n}]
  %2 = unary(%0) {fn=exp} : float32[${n},${n}]
  %3 = unary(%1) {fn=exp} : float32[${n},${n}]
  %4 = transpose(%2) {perm=[1,0]} : float32[${n},${n}]
  %5 = reshape(%4) {shape=[${n * n}]} : float32[${n * n}]
  %6 = reshape(%3) {shape=[${n * n}]} : float32[${n * n}]
`;

test('copy-into-concat: an operand that is a transposed view is copied, one that a kernel can write there is not', () => {
  assert.is(
    print(copyIntoConcat(parse(`${flat(32)}  %7 = concat(%5, %6) {axis=0} : float32[2048]\n  output "y" = %7\n`))),
    `${flat(32)}  %7 = cast(%5) {dtype=float32} : float32[1024]\n  %8 = concat(%7, %6) {axis=0} : float32[2048]\n  output "y" = %8\n`,
  );
});

test('copy-into-concat: small concats are left alone', () => {
  const g = parse(`${flat(4)}  %7 = concat(%5, %6) {axis=0} : float32[32]\n  output "y" = %7\n`);
  assert.is(copyIntoConcat(g), g);
});

test.run();
