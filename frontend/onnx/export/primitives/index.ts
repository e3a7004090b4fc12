/** Primitives as ONNX ops: one function for each primitive. What ONNX cannot say is an error that names where it came from. */
import { UnsupportedError } from '../../../../ir/errors.js';
import type { Node, NodeOf } from '../../../../ir/graph.js';
import type { OpName } from '../../../../ir/op-attrs.js';
import type { Writer } from '../writer.js';
import { writeConv, writeDot, writeReduceWindow } from './contraction.js';
import { writeComposite, writeIf, writeScan, writeWhile } from './control.js';
import { writeBinary, writeCast, writeCompare, writeSelect, writeUnary } from './elementwise.js';
import { writeArgReduce, writeCumulative, writeGather, writeReduce, writeScatter } from './indexing.js';
import { writeBroadcast, writeConcat, writeDimSize, writeIota, writePad, writeReshape, writeReverse, writeSlice, writeTranspose } from './shape.js';

type Write<K extends OpName> = (w: Writer, node: NodeOf<K>) => void;

const refuse =
  (why: string) =>
  (_w: Writer, node: Node): never => {
    throw new UnsupportedError(`${node.origin || 'the model'}: ${node.op} cannot be written as ONNX: ${why}`);
  };

const table: { readonly [K in OpName]: Write<K> } = {
  constant: refuse('internal, constants are initializers'),
  iota: writeIota,
  dim_size: writeDimSize,
  random_bits: refuse('random numbers of a call have no op with the same bits'),
  unary: writeUnary,
  binary: writeBinary,
  compare: writeCompare,
  select: writeSelect,
  cast: writeCast,
  bitcast: refuse('no op reads the same bits as another type'),
  broadcast: writeBroadcast,
  reshape: writeReshape,
  transpose: writeTranspose,
  slice: writeSlice,
  pad: writePad,
  concat: writeConcat,
  reverse: writeReverse,
  gather: writeGather,
  scatter: writeScatter,
  reduce: writeReduce,
  arg_reduce: writeArgReduce,
  cumulative: writeCumulative,
  reduce_window: writeReduceWindow,
  select_and_scatter: refuse('it occurs in gradients only'),
  dot: writeDot,
  conv: writeConv,
  scan: writeScan,
  if: writeIf,
  while: writeWhile,
  composite: writeComposite,
};

export function writePrimitive(w: Writer, node: Node) {
  (table[node.op] as Write<OpName>)(w, node as NodeOf<OpName>);
}
