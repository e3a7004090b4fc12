/** One case for each rule of slice, pad, concat, reverse and gather: text in, text out. */
import { test } from 'uvu';
import { selectRules } from '../../../passes/rules/select.js';
import { simplifyRules } from '../../../passes/simplify.js';
import { testRules } from '../../support/rule-cases.js';

testRules(simplifyRules, selectRules, [
  [
    'slice-identity',
    ['float32[n,3]'],
    `
      %1 = slice(%0) {start=[0,0], limit=[n,3], stride=[1,1]}
      output "out" = %1`,
    'output "out" = %0',
  ],
  [
    'slice-of-slice',
    ['float32[20]'],
    `
      %1 = slice(%0) {start=[1], limit=[20], stride=[2]}
      %2 = slice(%1) {start=[2], limit=[9], stride=[3]}
      output "out" = %2`,
    `
      %1 = slice(%0) {start=[5], limit=[18], stride=[6]}
      output "out" = %1`,
  ],
  [
    'slice-of-concat',
    ['float32[n,3]', 'float32[n,4]'],
    `
      %2 = concat(%0, %1) {axis=1}
      %3 = slice(%2) {start=[0,4], limit=[n,6], stride=[1,1]}
      output "out" = %3`,
    `
      %2 = slice(%1) {start=[0,1], limit=[n,3], stride=[1,1]}
      output "out" = %2`,
  ],
  [
    'slice-of-broadcast',
    ['float32[6]'],
    `
      %1 = broadcast(%0) {shape=[9,6], axes=[1]}
      %2 = slice(%1) {start=[2,1], limit=[5,4], stride=[1,2]}
      output "out" = %2`,
    `
      %1 = slice(%0) {start=[1], limit=[4], stride=[2]}
      %2 = broadcast(%1) {shape=[3,2], axes=[1]}
      output "out" = %2`,
  ],
  [
    'slice-of-pad',
    ['float32[6]'],
    `
      %1 = pad(%0) {low=[2], high=[3], interior=[0], value=0}
      %2 = slice(%1) {start=[3], limit=[8], stride=[1]}
      output "out" = %2`,
    `
      %1 = slice(%0) {start=[1], limit=[6], stride=[1]}
      output "out" = %1`,
  ],
  [
    'slice-of-iota',
    [],
    `
      %0 = iota() {shape=[4,6], axis=1, dtype=int32}
      %1 = slice(%0) {start=[1,0], limit=[3,5], stride=[1,1]}
      output "out" = %1`,
    `
      %0 = iota() {shape=[2,5], axis=1, dtype=int32}
      output "out" = %0`,
  ],
  [
    'pad-nothing',
    ['float32[6]'],
    `
      %1 = pad(%0) {low=[0], high=[0], interior=[0], value=3}
      output "out" = %1`,
    'output "out" = %0',
  ],
  [
    'pad-of-pad',
    ['float32[6]'],
    `
      %1 = pad(%0) {low=[1], high=[0], interior=[1], value=0}
      %2 = pad(%1) {low=[2], high=[3], interior=[0], value=0}
      output "out" = %2`,
    `
      %1 = pad(%0) {low=[3], high=[3], interior=[1], value=0}
      output "out" = %1`,
  ],
  [
    'pad-of-same-number',
    [],
    `
      %0 = constant() {value=float32[](2)}
      %1 = broadcast(%0) {shape=[3], axes=[]}
      %2 = pad(%1) {low=[1], high=[1], interior=[0], value=2}
      output "out" = %2`,
    `
      %0 = constant() {value=float32[](2)}
      %1 = broadcast(%0) {shape=[5], axes=[]}
      output "out" = %1`,
  ],
  [
    'concat-of-one',
    ['float32[6]'],
    `
      %1 = concat(%0) {axis=0}
      output "out" = %1`,
    'output "out" = %0',
  ],
  [
    'concat-join',
    ['float32[6]', 'float32[2]'],
    `
      %2 = slice(%0) {start=[0], limit=[2], stride=[1]}
      %3 = slice(%0) {start=[2], limit=[6], stride=[1]}
      %4 = concat(%3, %1) {axis=0}
      %5 = concat(%2, %4) {axis=0}
      output "out" = %5`,
    `
      %2 = concat(%0, %1) {axis=0}
      output "out" = %2`,
  ],
  [
    'concat-of-same-number',
    [],
    `
      %0 = constant() {value=float32[](2)}
      %1 = broadcast(%0) {shape=[3], axes=[]}
      %2 = broadcast(%0) {shape=[4], axes=[]}
      %3 = concat(%1, %2) {axis=0}
      output "out" = %3`,
    `
      %0 = constant() {value=float32[](2)}
      %1 = broadcast(%0) {shape=[7], axes=[]}
      output "out" = %1`,
  ],
  [
    'reverse-of-reverse',
    ['float32[2,3]'],
    `
      %1 = reverse(%0) {axes=[0,1]}
      %2 = reverse(%1) {axes=[1]}
      output "out" = %2`,
    `
      %1 = reverse(%0) {axes=[0]}
      output "out" = %1`,
  ],
  [
    'reverse-of-ones',
    ['float32[1,3]'],
    `
      %1 = reverse(%0) {axes=[0,1]}
      output "out" = %1`,
    `
      %1 = reverse(%0) {axes=[1]}
      output "out" = %1`,
  ],
  [
    'reverse-nothing',
    ['float32[1,3]'],
    `
      %1 = reverse(%0) {axes=[]}
      output "out" = %1`,
    'output "out" = %0',
  ],
  [
    'reverse-of-broadcast',
    ['float32[3]'],
    `
      %1 = broadcast(%0) {shape=[2,3], axes=[1]}
      %2 = reverse(%1) {axes=[0,1]}
      output "out" = %2`,
    `
      %1 = reverse(%0) {axes=[0]}
      %2 = broadcast(%1) {shape=[2,3], axes=[1]}
      output "out" = %2`,
  ],
  [
    'gather-constant',
    ['float32[5,3]'],
    `
      %1 = constant() {value=int32[](7)}
      %2 = gather(%0, %1) {axis=0}
      output "out" = %2`,
    `
      %1 = slice(%0) {start=[4,0], limit=[5,3], stride=[1,1]}
      %2 = reshape(%1) {shape=[3]}
      output "out" = %2`,
  ],
  [
    'gather-all',
    ['float32[5,3]'],
    `
      %1 = iota() {shape=[3], axis=0, dtype=int32}
      %2 = gather(%0, %1) {axis=1}
      output "out" = %2`,
    'output "out" = %0',
  ],
  [
    'gather-of-gather',
    ['float32[5,3]', 'int32[4]', 'int32[2,2]'],
    `
      %3 = gather(%0, %1) {axis=0}
      %4 = gather(%3, %2) {axis=0}
      output "out" = %4`,
    `
      %3 = gather(%1, %2) {axis=0}
      %4 = gather(%0, %3) {axis=0}
      output "out" = %4`,
  ],
  [
    'gather-of-broadcast-axis',
    ['float32[3]', 'int32[2,2]'],
    `
      %2 = broadcast(%0) {shape=[5,3], axes=[1]}
      %3 = gather(%2, %1) {axis=0}
      output "out" = %3`,
    `
      %2 = broadcast(%0) {shape=[2,2,3], axes=[2]}
      output "out" = %2`,
  ],
]);

test.run();
