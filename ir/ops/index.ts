/** The registry of primitives: one record per op, and nothing but the list here. */
import type { OpDef } from '../op.js';
import type { OpName } from '../op-attrs.js';
import { composite, ifOp, scan, whileOp } from './control.js';
import { conv } from './conv.js';
import { dot } from './dot.js';
import { binary, bitcast, cast, compare, select, unary } from './elementwise.js';
import { gather, scatter } from './gather.js';
import { argReduce, cumulative, reduce } from './reduce.js';
import { broadcast, concat, pad, reshape, reverse, slice, transpose } from './shape.js';
import { constant, dimSize, iota, randomBits } from './sources.js';
import { reduceWindow, selectAndScatter } from './window.js';

export const ops: { readonly [K in OpName]: OpDef<K> } = {
  constant,
  iota,
  dim_size: dimSize,
  random_bits: randomBits,
  unary,
  binary,
  compare,
  select,
  cast,
  bitcast,
  broadcast,
  reshape,
  transpose,
  slice,
  pad,
  concat,
  reverse,
  gather,
  scatter,
  reduce,
  arg_reduce: argReduce,
  cumulative,
  reduce_window: reduceWindow,
  select_and_scatter: selectAndScatter,
  dot,
  conv,
  scan,
  if: ifOp,
  while: whileOp,
  composite,
};

export const opDef = <K extends OpName>(name: K): OpDef<K> => ops[name];
