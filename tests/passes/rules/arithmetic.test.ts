/** One case for each rule of elementwise ops: text in, text out. */
import { test } from 'uvu';
import { arithmeticRules } from '../../../passes/rules/arithmetic.js';
import { simplifyRules } from '../../../passes/simplify.js';
import { testRules } from '../../support/rule-cases.js';

testRules(simplifyRules, arithmeticRules, [
  [
    'constant-to-right',
    ['float32[3]'],
    `
      %1 = constant() {value=float32[](2)}
      %2 = broadcast(%1) {shape=[3], axes=[]}
      %3 = binary(%2, %0) {fn=add}
      output "out" = %3`,
    `
      %1 = constant() {value=float32[](2)}
      %2 = broadcast(%1) {shape=[3], axes=[]}
      %3 = binary(%0, %2) {fn=add}
      output "out" = %3`,
  ],
  [
    'compare-constant-to-right',
    ['float32[3]'],
    `
      %1 = constant() {value=float32[](2)}
      %2 = broadcast(%1) {shape=[3], axes=[]}
      %3 = compare(%2, %0) {fn=lt}
      output "out" = %3`,
    `
      %1 = constant() {value=float32[](2)}
      %2 = broadcast(%1) {shape=[3], axes=[]}
      %3 = compare(%0, %2) {fn=gt}
      output "out" = %3`,
  ],
  [
    'add-zero',
    ['float32[3]'],
    `
      %1 = constant() {value=float32[](0)}
      %2 = broadcast(%1) {shape=[3], axes=[]}
      %3 = binary(%0, %2) {fn=add}
      output "out" = %3`,
    'output "out" = %0',
  ],
  [
    'sub-zero',
    ['float32[3]'],
    `
      %1 = constant() {value=float32[](0)}
      %2 = broadcast(%1) {shape=[3], axes=[]}
      %3 = binary(%0, %2) {fn=sub}
      output "out" = %3`,
    'output "out" = %0',
  ],
  [
    'zero-sub',
    ['float32[3]'],
    `
      %1 = constant() {value=float32[](0)}
      %2 = broadcast(%1) {shape=[3], axes=[]}
      %3 = binary(%2, %0) {fn=sub}
      output "out" = %3`,
    `
      %1 = unary(%0) {fn=neg}
      output "out" = %1`,
  ],
  [
    'mul-one',
    ['float32[3]'],
    `
      %1 = constant() {value=float32[](1)}
      %2 = broadcast(%1) {shape=[3], axes=[]}
      %3 = binary(%2, %0) {fn=mul}
      output "out" = %3`,
    'output "out" = %0',
  ],
  [
    'mul-minus-one',
    ['float32[3]'],
    `
      %1 = constant() {value=float32[](-1)}
      %2 = broadcast(%1) {shape=[3], axes=[]}
      %3 = binary(%0, %2) {fn=mul}
      output "out" = %3`,
    `
      %1 = unary(%0) {fn=neg}
      output "out" = %1`,
  ],
  [
    'div-one',
    ['float32[3]'],
    `
      %1 = constant() {value=float32[](1)}
      %2 = broadcast(%1) {shape=[3], axes=[]}
      %3 = binary(%0, %2) {fn=div}
      output "out" = %3`,
    'output "out" = %0',
  ],
  [
    'mul-zero',
    ['int32[3]'],
    `
      %1 = constant() {value=int32[](0)}
      %2 = broadcast(%1) {shape=[3], axes=[]}
      %3 = binary(%0, %2) {fn=mul}
      output "out" = %3`,
    `
      %1 = constant() {value=int32[](0)}
      %2 = broadcast(%1) {shape=[3], axes=[]}
      output "out" = %2`,
  ],
  [
    'sub-self',
    ['int32[3]'],
    `
      %1 = binary(%0, %0) {fn=sub}
      output "out" = %1`,
    `
      %1 = constant() {value=int32[](0)}
      %2 = broadcast(%1) {shape=[3], axes=[]}
      output "out" = %2`,
  ],
  [
    'max-self',
    ['float32[3]'],
    `
      %1 = binary(%0, %0) {fn=max}
      output "out" = %1`,
    'output "out" = %0',
  ],
  [
    'min-self',
    ['float32[3]'],
    `
      %1 = binary(%0, %0) {fn=min}
      output "out" = %1`,
    'output "out" = %0',
  ],
  [
    'and-self',
    ['bool[3]'],
    `
      %1 = binary(%0, %0) {fn=and}
      output "out" = %1`,
    'output "out" = %0',
  ],
  [
    'or-self',
    ['bool[3]'],
    `
      %1 = binary(%0, %0) {fn=or}
      output "out" = %1`,
    'output "out" = %0',
  ],
  [
    'and-true',
    ['bool[3]'],
    `
      %1 = constant() {value=bool[](1)}
      %2 = broadcast(%1) {shape=[3], axes=[]}
      %3 = binary(%0, %2) {fn=and}
      output "out" = %3`,
    'output "out" = %0',
  ],
  [
    'or-false',
    ['bool[3]'],
    `
      %1 = constant() {value=bool[](0)}
      %2 = broadcast(%1) {shape=[3], axes=[]}
      %3 = binary(%0, %2) {fn=or}
      output "out" = %3`,
    'output "out" = %0',
  ],
  [
    'neg-neg',
    ['float32[3]'],
    `
      %1 = unary(%0) {fn=neg}
      %2 = unary(%1) {fn=neg}
      output "out" = %2`,
    'output "out" = %0',
  ],
  [
    'not-not',
    ['bool[3]'],
    `
      %1 = unary(%0) {fn=not}
      %2 = unary(%1) {fn=not}
      output "out" = %2`,
    'output "out" = %0',
  ],
  [
    'add-neg',
    ['float32[3]', 'float32[3]'],
    `
      %2 = unary(%1) {fn=neg}
      %3 = binary(%2, %0) {fn=add}
      output "out" = %3`,
    `
      %2 = binary(%0, %1) {fn=sub}
      output "out" = %2`,
  ],
  [
    'sub-neg',
    ['float32[3]', 'float32[3]'],
    `
      %2 = unary(%1) {fn=neg}
      %3 = binary(%0, %2) {fn=sub}
      output "out" = %3`,
    `
      %2 = binary(%0, %1) {fn=add}
      output "out" = %2`,
  ],
  [
    'neg-sub',
    ['float32[3]', 'float32[3]'],
    `
      %2 = binary(%0, %1) {fn=sub}
      %3 = unary(%2) {fn=neg}
      output "out" = %3`,
    `
      %2 = binary(%1, %0) {fn=sub}
      output "out" = %2`,
  ],
  [
    'abs-neg',
    ['float32[3]'],
    `
      %1 = unary(%0) {fn=neg}
      %2 = unary(%1) {fn=abs}
      output "out" = %2`,
    `
      %1 = unary(%0) {fn=abs}
      output "out" = %1`,
  ],
  [
    'abs-abs',
    ['float32[3]'],
    `
      %1 = unary(%0) {fn=abs}
      %2 = unary(%1) {fn=abs}
      output "out" = %2`,
    `
      %1 = unary(%0) {fn=abs}
      output "out" = %1`,
  ],
  [
    'div-power-of-two',
    ['float32[3]'],
    `
      %1 = constant() {value=float32[](8)}
      %2 = broadcast(%1) {shape=[3], axes=[]}
      %3 = binary(%0, %2) {fn=div}
      output "out" = %3`,
    `
      %1 = constant() {value=float32[](0.125)}
      %2 = broadcast(%1) {shape=[3], axes=[]}
      %3 = binary(%0, %2) {fn=mul}
      output "out" = %3`,
  ],
  [
    'pow-zero',
    ['float32[3]'],
    `
      %1 = constant() {value=float32[](0)}
      %2 = broadcast(%1) {shape=[3], axes=[]}
      %3 = binary(%0, %2) {fn=pow}
      output "out" = %3`,
    `
      %1 = constant() {value=float32[](1)}
      %2 = broadcast(%1) {shape=[3], axes=[]}
      output "out" = %2`,
  ],
  [
    'pow-one',
    ['float32[3]'],
    `
      %1 = constant() {value=float32[](1)}
      %2 = broadcast(%1) {shape=[3], axes=[]}
      %3 = binary(%0, %2) {fn=pow}
      output "out" = %3`,
    'output "out" = %0',
  ],
  [
    'pow-two',
    ['float32[3]'],
    `
      %1 = constant() {value=float32[](2)}
      %2 = broadcast(%1) {shape=[3], axes=[]}
      %3 = binary(%0, %2) {fn=pow}
      output "out" = %3`,
    `
      %1 = binary(%0, %0) {fn=mul}
      output "out" = %1`,
  ],
  [
    'pow-three',
    ['float32[3]'],
    `
      %1 = constant() {value=float32[](3)}
      %2 = broadcast(%1) {shape=[3], axes=[]}
      %3 = binary(%0, %2) {fn=pow}
      output "out" = %3`,
    `
      %1 = binary(%0, %0) {fn=mul}
      %2 = binary(%1, %0) {fn=mul}
      output "out" = %2`,
  ],
  [
    'pow-half',
    ['float32[3]'],
    `
      %1 = constant() {value=float32[](0.5)}
      %2 = broadcast(%1) {shape=[3], axes=[]}
      %3 = binary(%0, %2) {fn=pow}
      output "out" = %3`,
    `
      %1 = unary(%0) {fn=sqrt}
      output "out" = %1`,
  ],
  [
    'pow-minus-half',
    ['float32[3]'],
    `
      %1 = constant() {value=float32[](-0.5)}
      %2 = broadcast(%1) {shape=[3], axes=[]}
      %3 = binary(%0, %2) {fn=pow}
      output "out" = %3`,
    `
      %1 = unary(%0) {fn=rsqrt}
      output "out" = %1`,
  ],
  [
    'pow-minus-one',
    ['float32[3]'],
    `
      %1 = constant() {value=float32[](-1)}
      %2 = broadcast(%1) {shape=[3], axes=[]}
      %3 = binary(%0, %2) {fn=pow}
      output "out" = %3`,
    `
      %1 = unary(%0) {fn=reciprocal}
      output "out" = %1`,
  ],
  [
    'one-div',
    ['float32[3]'],
    `
      %1 = constant() {value=float32[](1)}
      %2 = broadcast(%1) {shape=[3], axes=[]}
      %3 = binary(%2, %0) {fn=div}
      output "out" = %3`,
    `
      %1 = unary(%0) {fn=reciprocal}
      output "out" = %1`,
  ],
  [
    'select-same',
    ['bool[3]', 'float32[3]'],
    `
      %2 = select(%0, %1, %1)
      output "out" = %2`,
    'output "out" = %1',
  ],
  [
    'select-constant',
    ['float32[3]', 'float32[3]'],
    `
      %2 = constant() {value=bool[](0)}
      %3 = broadcast(%2) {shape=[3], axes=[]}
      %4 = select(%3, %0, %1)
      output "out" = %4`,
    'output "out" = %1',
  ],
  [
    'select-not',
    ['bool[3]', 'float32[3]', 'float32[3]'],
    `
      %3 = unary(%0) {fn=not}
      %4 = select(%3, %1, %2)
      output "out" = %4`,
    `
      %3 = select(%0, %2, %1)
      output "out" = %3`,
  ],
  [
    'select-bool',
    ['bool[3]'],
    `
      %1 = constant() {value=bool[](1)}
      %2 = broadcast(%1) {shape=[3], axes=[]}
      %3 = constant() {value=bool[](0)}
      %4 = broadcast(%3) {shape=[3], axes=[]}
      %5 = select(%0, %2, %4)
      output "out" = %5`,
    'output "out" = %0',
  ],
  [
    'not-compare',
    ['float32[3]', 'float32[3]'],
    `
      %2 = compare(%0, %1) {fn=eq}
      %3 = unary(%2) {fn=not}
      output "out" = %3`,
    `
      %2 = compare(%0, %1) {fn=ne}
      output "out" = %2`,
  ],
  [
    'compare-self',
    ['int32[3]'],
    `
      %1 = compare(%0, %0) {fn=le}
      output "out" = %1`,
    `
      %1 = constant() {value=bool[](1)}
      %2 = broadcast(%1) {shape=[3], axes=[]}
      output "out" = %2`,
  ],
  [
    'compare-bool-with-false',
    ['bool[3]'],
    `
      %1 = constant() {value=bool[](0)}
      %2 = broadcast(%1) {shape=[3], axes=[]}
      %3 = compare(%0, %2) {fn=eq}
      output "out" = %3`,
    `
      %1 = unary(%0) {fn=not}
      output "out" = %1`,
  ],
  [
    'cast-same',
    ['float32[3]'],
    `
      %1 = cast(%0) {dtype=float32}
      output "out" = %1`,
    'output "out" = %0',
  ],
  [
    'bitcast-same',
    ['float32[3]'],
    `
      %1 = bitcast(%0) {dtype=float32}
      output "out" = %1`,
    'output "out" = %0',
  ],
  [
    'cast-of-widening',
    ['int8[3]'],
    `
      %1 = cast(%0) {dtype=int32}
      %2 = cast(%1) {dtype=float32}
      output "out" = %2`,
    `
      %1 = cast(%0) {dtype=float32}
      output "out" = %1`,
  ],
  [
    'cast-to-bool-of-compare',
    ['bool[3]'],
    `
      %1 = cast(%0) {dtype=float32}
      %2 = constant() {value=float32[](0)}
      %3 = broadcast(%2) {shape=[3], axes=[]}
      %4 = compare(%1, %3) {fn=ne}
      output "out" = %4`,
    'output "out" = %0',
  ],
]);

test.run();
