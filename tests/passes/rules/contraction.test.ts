/** One case for each rule of dot, conv and windows: text in, text out. */
import { test } from 'uvu';
import { contractionRules } from '../../../passes/rules/contraction.js';
import { simplifyRules } from '../../../passes/simplify.js';
import { testRules } from '../../support/rule-cases.js';

testRules(simplifyRules, contractionRules, [
  [
    'dot-of-left-transpose',
    ['float32[3,2]', 'float32[3,4]'],
    `
      %2 = transpose(%0) {perm=[1,0]}
      %3 = dot(%2, %1) {batchLeft=[], batchRight=[], contractLeft=[1], contractRight=[0]}
      output "out" = %3`,
    `
      %2 = dot(%0, %1) {batchLeft=[], batchRight=[], contractLeft=[0], contractRight=[0]}
      output "out" = %2`,
  ],
  [
    'dot-of-right-transpose',
    ['float32[2,3]', 'float32[4,3]'],
    `
      %2 = transpose(%1) {perm=[1,0]}
      %3 = dot(%0, %2) {batchLeft=[], batchRight=[], contractLeft=[1], contractRight=[0]}
      output "out" = %3`,
    `
      %2 = dot(%0, %1) {batchLeft=[], batchRight=[], contractLeft=[1], contractRight=[1]}
      output "out" = %2`,
  ],
  [
    'transpose-of-dot',
    ['float32[2,3]', 'float32[3,4]'],
    `
      %2 = dot(%0, %1) {batchLeft=[], batchRight=[], contractLeft=[1], contractRight=[0]}
      %3 = transpose(%2) {perm=[1,0]}
      output "out" = %3`,
    `
      %2 = dot(%1, %0) {batchLeft=[], batchRight=[], contractLeft=[0], contractRight=[1]}
      output "out" = %2`,
  ],
  [
    'conv-of-transpose',
    ['float32[3,8,8,2]', 'float32[3,3,3,5]'],
    `
      %2 = transpose(%0) {perm=[3,1,2,0]}
      %3 = conv(%2, %1) {strides=[1,1], padding=[[0,0],[0,0]], inputDilation=[1,1], kernelDilation=[1,1], groups=1, batchGroups=1, dims=b01f_01io->b01f}
      output "out" = %3`,
    `
      %2 = conv(%0, %1) {strides=[1,1], padding=[[0,0],[0,0]], inputDilation=[1,1], kernelDilation=[1,1], groups=1, batchGroups=1, dims=f01b_01io->b01f}
      output "out" = %2`,
  ],
  [
    'conv-of-kernel-transpose',
    ['float32[2,8,8,3]', 'float32[3,3,5,3]'],
    `
      %2 = transpose(%1) {perm=[0,1,3,2]}
      %3 = conv(%0, %2) {strides=[1,1], padding=[[0,0],[0,0]], inputDilation=[1,1], kernelDilation=[1,1], groups=1, batchGroups=1, dims=b01f_01io->b01f}
      output "out" = %3`,
    `
      %2 = conv(%0, %1) {strides=[1,1], padding=[[0,0],[0,0]], inputDilation=[1,1], kernelDilation=[1,1], groups=1, batchGroups=1, dims=b01f_01oi->b01f}
      output "out" = %2`,
  ],
  [
    'transpose-of-conv',
    ['float32[2,8,8,3]', 'float32[3,3,3,5]'],
    `
      %2 = conv(%0, %1) {strides=[1,1], padding=[[0,0],[0,0]], inputDilation=[1,1], kernelDilation=[1,1], groups=1, batchGroups=1, dims=b01f_01io->f01b}
      %3 = transpose(%2) {perm=[3,1,2,0]}
      output "out" = %3`,
    `
      %2 = conv(%0, %1) {strides=[1,1], padding=[[0,0],[0,0]], inputDilation=[1,1], kernelDilation=[1,1], groups=1, batchGroups=1, dims=b01f_01io->b01f}
      output "out" = %2`,
  ],
  [
    'conv-of-pad',
    ['float32[2,8,8,3]', 'float32[3,3,3,5]'],
    `
      %2 = pad(%0) {low=[0,1,1,0], high=[0,1,2,0], interior=[0,1,0,0], value=0}
      %3 = conv(%2, %1) {strides=[1,1], padding=[[0,0],[0,0]], inputDilation=[1,1], kernelDilation=[1,1], groups=1, batchGroups=1, dims=b01f_01io->b01f}
      output "out" = %3`,
    `
      %2 = conv(%0, %1) {strides=[1,1], padding=[[1,1],[1,2]], inputDilation=[2,1], kernelDilation=[1,1], groups=1, batchGroups=1, dims=b01f_01io->b01f}
      output "out" = %2`,
  ],
  [
    'window-of-pad',
    ['float32[4,6]'],
    `
      %1 = pad(%0) {low=[0,1], high=[0,2], interior=[0,0], value=-inf}
      %2 = reduce_window(%1) {fn=max, window=[2,2], strides=[2,2], padding=[[0,0],[0,0]], baseDilation=[1,1], windowDilation=[1,1]}
      output "out" = %2`,
    `
      %1 = reduce_window(%0) {fn=max, window=[2,2], strides=[2,2], padding=[[0,0],[1,2]], baseDilation=[1,1], windowDilation=[1,1]}
      output "out" = %1`,
  ],
]);

test.run();
