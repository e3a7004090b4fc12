/** Names of the functions of `ops` that tests/keras/numpy-ops.test.ts has cases for. */
import * as bitwise from '../../frontend/keras/ops/bitwise.js';
import * as decompositions from '../../frontend/keras/ops/decompositions.js';
import * as fourier from '../../frontend/keras/ops/fourier.js';
import * as numpy from '../../frontend/keras/ops/numpy.js';

export const numpyOps: readonly string[] = [...Object.keys(numpy), ...Object.keys(fourier), ...Object.keys(bitwise), ...Object.keys(decompositions)];
