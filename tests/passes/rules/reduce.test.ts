/** One case for each rule of reductions: text in, text out. */
import { test } from 'uvu';
import { reduceRules } from '../../../passes/rules/reduce.js';
import { simplifyRules } from '../../../passes/simplify.js';
import { testRules } from '../../support/rule-cases.js';

testRules(simplifyRules, reduceRules, [
  [
    'reduce-nothing',
    ['float32[2,3]'],
    `
      %1 = reduce(%0) {fn=sum, axes=[]}
      output "out" = %1`,
    'output "out" = %0',
  ],
  [
    'reduce-of-ones',
    ['float32[1,3]'],
    `
      %1 = reduce(%0) {fn=max, axes=[0]}
      output "out" = %1`,
    `
      %1 = reshape(%0) {shape=[3]}
      output "out" = %1`,
  ],
  [
    'reduce-of-broadcast',
    ['float32[3]'],
    `
      %1 = broadcast(%0) {shape=[n,3,4], axes=[1]}
      %2 = reduce(%1) {fn=sum, axes=[0,2]}
      output "out" = %2`,
    `
      %1 = dim_size() {dim=n}
      %2 = cast(%1) {dtype=float32}
      %3 = broadcast(%2) {shape=[3], axes=[]}
      %4 = binary(%0, %3) {fn=mul}
      %5 = constant() {value=float32[](4)}
      %6 = broadcast(%5) {shape=[3], axes=[]}
      %7 = binary(%4, %6) {fn=mul}
      output "out" = %7`,
  ],
  [
    'reduce-of-reshape',
    ['float32[2,3,4]'],
    `
      %1 = reshape(%0) {shape=[6,4]}
      %2 = reduce(%1) {fn=sum, axes=[0]}
      output "out" = %2`,
    `
      %1 = reduce(%0) {fn=sum, axes=[0,1]}
      output "out" = %1`,
  ],
  [
    'reduce-of-transpose',
    ['float32[2,3,4]'],
    `
      %1 = transpose(%0) {perm=[2,0,1]}
      %2 = reduce(%1) {fn=max, axes=[1]}
      output "out" = %2`,
    `
      %1 = reduce(%0) {fn=max, axes=[0]}
      %2 = transpose(%1) {perm=[1,0]}
      output "out" = %2`,
  ],
  [
    'reduce-of-reduce',
    ['float32[2,3,4]'],
    `
      %1 = reduce(%0) {fn=sum, axes=[1]}
      %2 = reduce(%1) {fn=sum, axes=[1]}
      output "out" = %2`,
    `
      %1 = reduce(%0) {fn=sum, axes=[1,2]}
      output "out" = %1`,
  ],
]);

test.run();
