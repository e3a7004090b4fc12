/** The graph IR as others use it: build, print, parse, verify, evaluate and differentiate graphs. */
export { gradients } from './autodiff.js';
export { GraphBuilder, type Operand, type StateOptions } from './builder.js';
export { addDim, AffineDim, type Bindings, type Dim, dimToString, evalDim, mulDim, parseDim, type Shape, shapeToString, symbol } from './dim.js';
export { type DType, dtypes, type TypedArray } from './dtype.js';
export { InternalError, ShapeError, TenonError, UnsupportedError, ValueError } from './errors.js';
export { evaluate, type EvaluateArguments, type EvaluateResult } from './evaluate.js';
export type { Graph, GraphInput, Node, NodeOf, Port, StateSlot, StateView, SymbolDecl, TensorType, Update, Value } from './graph.js';
export type { OpAttrs, OpName } from './op-attrs.js';
export { composite, scan, type ScanOptions } from './subgraph.js';
export { scalarData, type TensorData, tensorData } from './tensor-data.js';
export { parse, type ParseOptions, print, type PrintOptions } from './text.js';
export { type Stage, stages, verify } from './verify.js';
