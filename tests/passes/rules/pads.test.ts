/** Sums of padded parts become concats. */
import { test } from 'uvu';
import { padRules } from '../../../passes/rules/pads.js';
import { simplifyRules } from '../../../passes/simplify.js';
import { testRules } from '../../support/rule-cases.js';

const zeros = 'low=[0,0], high=[0,4], interior=[0,0], value=0';

testRules(simplifyRules, padRules, [
  [
    'add-of-pads',
    ['float32[n,2]', 'float32[n,2]'],
    `
      %2 = pad(%0) {low=[0,0], high=[0,4], interior=[0,0], value=0}
      %3 = pad(%1) {low=[0,3], high=[0,1], interior=[0,0], value=0}
      %4 = binary(%2, %3) {fn=add}
      output "out" = %4`,
    `
      %2 = constant() {value=float32[](0)}
      %3 = broadcast(%2) {shape=[n,1], axes=[]}
      %4 = concat(%0, %3, %1, %3) {axis=1}
      output "out" = %4`,
  ],
  [
    'add-of-concat-and-pad',
    ['float32[n,2]', 'float32[n,2]', 'float32[n,2]'],
    `
      %3 = pad(%0) {${zeros}}
      %4 = pad(%1) {low=[0,4], high=[0,0], interior=[0,0], value=0}
      %5 = pad(%2) {low=[0,2], high=[0,2], interior=[0,0], value=0}
      %6 = binary(%3, %4) {fn=add}
      %7 = binary(%6, %5) {fn=add}
      output "out" = %7`,
    `
      %3 = concat(%0, %2, %1) {axis=1}
      output "out" = %3`,
  ],
  [
    'add-of-pads',
    ['float32[2]', 'float32[3]'],
    `
      %2 = pad(%0) {low=[0], high=[2], interior=[0], value=0}
      %3 = pad(%1) {low=[1], high=[0], interior=[0], value=0}
      %4 = pad(%0) {low=[2], high=[0], interior=[0], value=0}
      %5 = binary(%2, %3) {fn=add}
      %6 = binary(%2, %4) {fn=add}
      output "overlap" = %5
      output "out" = %6`,
    `
      %2 = pad(%0) {low=[0], high=[2], interior=[0], value=0}
      %3 = pad(%1) {low=[1], high=[0], interior=[0], value=0}
      %4 = binary(%2, %3) {fn=add}
      %5 = concat(%0, %0) {axis=0}
      output "overlap" = %4
      output "out" = %5`,
  ],
]);

test.run();
