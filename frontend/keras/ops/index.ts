/**
 * `keras.ops` in camelCase: what calls of layers and models are written with. In a call on its tensors an op becomes part of the graph; on outputs of layers it is a layer of the
 * functional model; on arrays and tensors of the host it is computed at once by the reference evaluation. docs/ops.md lists all.
 */
export * from './bitwise.js';
export * from './control.js';
export * from './decompositions.js';
export * from './fourier.js';
export * from './linalg.js';
export * from './math.js';
export * from './nn.js';
export * from './numpy.js';
export * as random from './random.js';
export * from './shape.js';
export * from './solving.js';
export * from './statistics.js';
