/** The graph IR as others use it: build, print, parse, verify, evaluate and differentiate graphs. */
export { gradients } from './autodiff.js';
export { GraphBuilder, type Operand, type StateOptions } from './builder.js';
export { AffineDim, addDim, type Bindings, type Dim, dimToString, evalDim, mulDim, parseDim, type Shape, shapeToString, symbol } from './dim.js';
export { type DType, dtypes, type TypedArray } from './dtype.js';
export { InternalError, ModelFormatError, ShapeError, TenonError, UnsupportedError, ValueError } from './errors.js';
export { type EvaluateArguments, type EvaluateResult, evaluate } from './evaluate.js';
export type { Graph, GraphInput, Node, NodeOf, Port, StateSlot, StateView, SymbolDecl, TensorType, Update, Value } from './graph.js';
export type { OpAttrs, OpName } from './op-attrs.js';
export { composite, type ScanOptions, scan } from './subgraph.js';
export { scalarData, type TensorData, tensorData } from './tensor-data.js';
export { type ParseOptions, type PrintOptions, parse, print } from './text.js';
export { type Stage, stages, verify } from './verify.js';
