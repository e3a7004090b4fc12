/** One case for each rule of reshape, transpose and broadcast: text in, text out. */
import { test } from 'uvu';
import { shapeRules } from '../../../passes/rules/shape.js';
import { simplifyRules } from '../../../passes/simplify.js';
import { testRules } from '../../support/rule-cases.js';

testRules(simplifyRules, shapeRules, [
  [
    'transpose-identity',
    ['float32[2,3]'],
    `
      %1 = transpose(%0) {perm=[0,1]}
      output "out" = %1`,
    'output "out" = %0',
  ],
  [
    'transpose-of-transpose',
    ['float32[2,3,4]'],
    `
      %1 = transpose(%0) {perm=[1,2,0]}
      %2 = transpose(%1) {perm=[1,0,2]}
      output "out" = %2`,
    `
      %1 = transpose(%0) {perm=[2,1,0]}
      output "out" = %1`,
  ],
  [
    'transpose-of-broadcast',
    ['float32[3,4]'],
    `
      %1 = broadcast(%0) {shape=[2,3,4], axes=[1,2]}
      %2 = transpose(%1) {perm=[2,0,1]}
      output "out" = %2`,
    `
      %1 = transpose(%0) {perm=[1,0]}
      %2 = broadcast(%1) {shape=[4,2,3], axes=[0,2]}
      output "out" = %2`,
  ],
  [
    'transpose-of-ones',
    ['float32[2,1,3]'],
    `
      %1 = transpose(%0) {perm=[1,0,2]}
      output "out" = %1`,
    `
      %1 = reshape(%0) {shape=[1,2,3]}
      output "out" = %1`,
  ],
  [
    'transpose-of-iota',
    [],
    `
      %0 = iota() {shape=[2,3], axis=1, dtype=int32}
      %1 = transpose(%0) {perm=[1,0]}
      output "out" = %1`,
    `
      %0 = iota() {shape=[3,2], axis=0, dtype=int32}
      output "out" = %0`,
  ],
  [
    'reshape-identity',
    ['float32[2,3]'],
    `
      %1 = reshape(%0) {shape=[2,3]}
      output "out" = %1`,
    'output "out" = %0',
  ],
  [
    'reshape-of-reshape',
    ['float32[2,6]'],
    `
      %1 = reshape(%0) {shape=[12]}
      %2 = reshape(%1) {shape=[3,4]}
      output "out" = %2`,
    `
      %1 = reshape(%0) {shape=[3,4]}
      output "out" = %1`,
  ],
  [
    'reshape-of-broadcast',
    ['float32[6]'],
    `
      %1 = broadcast(%0) {shape=[4,5,6], axes=[2]}
      %2 = reshape(%1) {shape=[20,2,3]}
      output "out" = %2`,
    `
      %1 = reshape(%0) {shape=[2,3]}
      %2 = broadcast(%1) {shape=[20,2,3], axes=[1,2]}
      output "out" = %2`,
  ],
  [
    'broadcast-as-reshape',
    ['float32[2,3]'],
    `
      %1 = broadcast(%0) {shape=[2,1,3], axes=[0,2]}
      output "out" = %1`,
    `
      %1 = reshape(%0) {shape=[2,1,3]}
      output "out" = %1`,
  ],
  [
    'broadcast-of-broadcast',
    ['float32[3]'],
    `
      %1 = broadcast(%0) {shape=[2,3], axes=[1]}
      %2 = broadcast(%1) {shape=[2,3,4], axes=[0,1]}
      output "out" = %2`,
    `
      %1 = broadcast(%0) {shape=[2,3,4], axes=[1]}
      output "out" = %1`,
  ],
  [
    'broadcast-of-ones',
    ['float32[1,3]'],
    `
      %1 = broadcast(%0) {shape=[2,3], axes=[0,1]}
      output "out" = %1`,
    `
      %1 = reshape(%0) {shape=[3]}
      %2 = broadcast(%1) {shape=[2,3], axes=[1]}
      output "out" = %2`,
  ],
  [
    'unary-of-broadcasts',
    ['float32[3]'],
    `
      %1 = broadcast(%0) {shape=[2,3], axes=[1]}
      %2 = unary(%1) {fn=exp}
      output "out" = %2`,
    `
      %1 = unary(%0) {fn=exp}
      %2 = broadcast(%1) {shape=[2,3], axes=[1]}
      output "out" = %2`,
  ],
  [
    'binary-of-broadcasts',
    ['float32[3]', 'float32[3]'],
    `
      %2 = broadcast(%0) {shape=[2,3], axes=[1]}
      %3 = broadcast(%1) {shape=[2,3], axes=[1]}
      %4 = binary(%2, %3) {fn=add}
      output "out" = %4`,
    `
      %2 = binary(%0, %1) {fn=add}
      %3 = broadcast(%2) {shape=[2,3], axes=[1]}
      output "out" = %3`,
  ],
  [
    'compare-of-broadcasts',
    ['float32[3]'],
    `
      %1 = broadcast(%0) {shape=[2,3], axes=[1]}
      %2 = constant() {value=float32[](5)}
      %3 = broadcast(%2) {shape=[2,3], axes=[]}
      %4 = compare(%1, %3) {fn=gt}
      output "out" = %4`,
    `
      %1 = constant() {value=float32[](5)}
      %2 = broadcast(%1) {shape=[3], axes=[]}
      %3 = compare(%0, %2) {fn=gt}
      %4 = broadcast(%3) {shape=[2,3], axes=[1]}
      output "out" = %4`,
  ],
  [
    'select-of-broadcasts',
    ['bool[3]', 'float32[3]'],
    `
      %2 = broadcast(%1) {shape=[2,3], axes=[1]}
      %3 = broadcast(%0) {shape=[2,3], axes=[1]}
      %4 = unary(%1) {fn=exp}
      %5 = broadcast(%4) {shape=[2,3], axes=[1]}
      %6 = select(%3, %2, %5)
      output "out" = %6`,
    `
      %2 = unary(%1) {fn=exp}
      %3 = select(%0, %1, %2)
      %4 = broadcast(%3) {shape=[2,3], axes=[1]}
      output "out" = %4`,
  ],
  [
    'cast-of-broadcasts',
    ['int32[3]'],
    `
      %1 = broadcast(%0) {shape=[2,3], axes=[1]}
      %2 = cast(%1) {dtype=float32}
      output "out" = %2`,
    `
      %1 = cast(%0) {dtype=float32}
      %2 = broadcast(%1) {shape=[2,3], axes=[1]}
      output "out" = %2`,
  ],
  [
    'bitcast-of-broadcasts',
    ['int32[3]'],
    `
      %1 = broadcast(%0) {shape=[2,3], axes=[1]}
      %2 = bitcast(%1) {dtype=float32}
      output "out" = %2`,
    `
      %1 = bitcast(%0) {dtype=float32}
      %2 = broadcast(%1) {shape=[2,3], axes=[1]}
      output "out" = %2`,
  ],
  [
    'unary-of-reshapes',
    ['float32[6]'],
    `
      %1 = reshape(%0) {shape=[2,3]}
      %2 = unary(%1) {fn=exp}
      output "out" = %2`,
    `
      %1 = unary(%0) {fn=exp}
      %2 = reshape(%1) {shape=[2,3]}
      output "out" = %2`,
  ],
  [
    'binary-of-reshapes',
    ['float32[6]', 'float32[6]'],
    `
      %2 = reshape(%0) {shape=[2,3]}
      %3 = reshape(%1) {shape=[2,3]}
      %4 = binary(%2, %3) {fn=mul}
      output "out" = %4`,
    `
      %2 = binary(%0, %1) {fn=mul}
      %3 = reshape(%2) {shape=[2,3]}
      output "out" = %3`,
  ],
  [
    'compare-of-reshapes',
    ['float32[6]', 'float32[6]'],
    `
      %2 = reshape(%0) {shape=[2,3]}
      %3 = reshape(%1) {shape=[2,3]}
      %4 = compare(%2, %3) {fn=lt}
      output "out" = %4`,
    `
      %2 = compare(%0, %1) {fn=lt}
      %3 = reshape(%2) {shape=[2,3]}
      output "out" = %3`,
  ],
  [
    'select-of-reshapes',
    ['bool[6]', 'float32[6]', 'float32[6]'],
    `
      %3 = reshape(%1) {shape=[2,3]}
      %4 = reshape(%2) {shape=[2,3]}
      %5 = reshape(%0) {shape=[2,3]}
      %6 = select(%5, %3, %4)
      output "out" = %6`,
    `
      %3 = select(%0, %1, %2)
      %4 = reshape(%3) {shape=[2,3]}
      output "out" = %4`,
  ],
  [
    'cast-of-reshapes',
    ['int32[6]'],
    `
      %1 = reshape(%0) {shape=[2,3]}
      %2 = cast(%1) {dtype=float32}
      output "out" = %2`,
    `
      %1 = cast(%0) {dtype=float32}
      %2 = reshape(%1) {shape=[2,3]}
      output "out" = %2`,
  ],
  [
    'bitcast-of-reshapes',
    ['int32[6]'],
    `
      %1 = reshape(%0) {shape=[2,3]}
      %2 = bitcast(%1) {dtype=float32}
      output "out" = %2`,
    `
      %1 = bitcast(%0) {dtype=float32}
      %2 = reshape(%1) {shape=[2,3]}
      output "out" = %2`,
  ],
]);

test.run();
