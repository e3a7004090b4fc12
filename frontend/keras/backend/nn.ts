/** Softmax, cross entropies and the like: composites of the graph, whose names and stable gradients the compiler knows. */
import * as math from '../../../ir/math.js';
import type { SymbolicTensor } from './trace.js';

export const softmax = (x: SymbolicTensor, axis: number): SymbolicTensor => x.trace.tensor(math.softmax(x.trace.b, x.value, axis));
export const gelu = (x: SymbolicTensor, approximate: boolean): SymbolicTensor => x.trace.tensor(math.gelu(x.trace.b, x.value, approximate));
/** max(x, 0); its gradient at exactly 0 is 0, as TensorFlow's. */
export const relu = (x: SymbolicTensor): SymbolicTensor => x.trace.tensor(x.trace.b.relu(x.value));
export const relu6 = (x: SymbolicTensor): SymbolicTensor => x.trace.tensor(math.relu6(x.trace.b, x.value));
export const logSoftmax = (x: SymbolicTensor, axis: number): SymbolicTensor => x.trace.tensor(math.logSoftmax(x.trace.b, x.value, axis));

/** -sum(labels * log_softmax(logits)) along the axis. The gradient is p - labels. */
export const softmaxCrossEntropy = (logits: SymbolicTensor, labels: SymbolicTensor, axis: number): SymbolicTensor =>
  logits.trace.tensor(math.softmaxCrossEntropy(logits.trace.b, logits.value, labels.value, axis));

/** The same for int32 classes. */
export const sparseSoftmaxCrossEntropy = (logits: SymbolicTensor, classes: SymbolicTensor, axis: number): SymbolicTensor =>
  logits.trace.tensor(math.sparseSoftmaxCrossEntropy(logits.trace.b, logits.value, classes.value, axis));

/** max(x, 0) - x * labels + log(1 + exp(-|x|)), element by element. */
export const sigmoidCrossEntropy = (logits: SymbolicTensor, labels: SymbolicTensor): SymbolicTensor =>
  logits.trace.tensor(math.sigmoidCrossEntropy(logits.trace.b, logits.value, labels.value));
