/** LocallyConnected1D/2D (Keras 2): convolutions with a kernel of its own at each place of the output, as one batched product over the places. */
import { ShapeError, UnsupportedError } from '../../../ir/errors.js';
import * as ops from '../backend/ops.js';
import type { SymbolicTensor, Tensors } from '../backend/trace.js';
import { type Callable, callable } from '../utils/callable.js';
import { resolveOptions } from '../utils/options.js';
import type { JsonObject } from '../utils/serialization.js';
import { Conv, type ConvConfig, convDefaults, kernelDefaults, spatialAxes, spatialSizes } from './convolutional.js';
import { type InputShape, knownDim, single, singleShape } from './layer.js';

export interface LocallyConnectedConfig extends ConvConfig {
  /** How Keras 2 lays out the kernel; only 1 (the default) is supported. */
  implementation?: number;
}

/** Weights: kernel (places, window · in, filters), bias (…output space, filters). */
abstract class LocallyConnected extends Conv {
  readonly implementation: number;
  constructor(rank: number, o: LocallyConnectedConfig) {
    super(rank, o);
    this.implementation = o.implementation ?? 1;
    if (this.implementation !== 1) throw new UnsupportedError(`${this.name}: only implementation 1 is supported, got ${this.implementation}`);
    if (this.padding !== 'valid') throw new UnsupportedError(`${this.name}: implementation 1 has padding 'valid' only, got '${this.padding}'`);
  }
  protected override get allowsCausal(): boolean {
    return false;
  }
  private places(sizes: readonly number[]): number[] {
    const out = sizes.map((n, i) => Math.floor((n - this.kernelSize[i]!) / this.strides[i]!) + 1);
    if (out.some((n) => n < 1)) throw new ShapeError(`${this.name}: the kernel of size [${this.kernelSize}] does not fit into an input of size [${sizes}]`);
    return out;
  }
  override build(inputShape: InputShape): void {
    const shape = singleShape(inputShape, this);
    const channels = this.channels(shape);
    const out = this.places(spatialAxes(this.dataFormat, this.rank).map((a) => knownDim(this, shape, a)));
    const count = out.reduce((a, n) => a * n, 1);
    const window = this.kernelSize.reduce((a, n) => a * n, channels);
    this.kernel = this.addWeight('kernel', [count, window, this.filters], this.kernelFields);
    if (this.useBias) this.bias = this.addWeight('bias', [...out, this.filters], this.biasFields);
  }
  override call(inputs: Tensors): Tensors {
    const x = single(inputs, this);
    const last = this.dataFormat === 'channels_last';
    const spatial = spatialAxes(this.dataFormat, this.rank);
    const out = this.places(spatialSizes(this, x, spatial));
    const count = out.reduce((a, n) => a * n, 1);
    const channels = x.shape[last ? this.rank + 1 : 1]!;
    // for each element of the window the input at all places: (batch, places, 1, channels)
    const parts = offsets(this.kernelSize).map((offset) => {
      const start = x.shape.map((_, a) => offset[spatial.indexOf(a)] ?? 0);
      const limit = x.shape.map((d, a) => {
        const i = spatial.indexOf(a);
        return i < 0 ? d : offset[i]! + (out[i]! - 1) * this.strides[i]! + 1;
      });
      const stride = x.shape.map((_, a) => this.strides[spatial.indexOf(a)] ?? 1);
      const part = x.trace.tensor(x.trace.b.slice(x.value, start, limit, stride));
      const moved = last ? part : ops.transpose(part, [0, ...spatial, 1]);
      return ops.reshape(moved, [x.shape[0]!, count, ...(last ? [1, channels] : [channels, 1])]);
    });
    // windows are flattened with the channels last, or first
    const windows = ops.reshape(ops.concatenate(parts, last ? 2 : 3), [x.shape[0]!, count, this.kernel.shape[1]!]);
    const product = ops.dot(windows, this.kernel, { batchLeft: [1], batchRight: [0], contractLeft: [2], contractRight: [1] });
    let y: SymbolicTensor = ops.reshape(ops.transpose(product, [1, 0, 2]), [x.shape[0]!, ...out, this.filters]);
    if (!last) y = ops.transpose(y, [0, this.rank + 1, ...spatial.map((a) => a - 1)]);
    if (!this.bias) return this.activation.apply(y);
    // Keras reads the bias in the memory order of the output, also with the channels first
    return this.activation.apply(ops.add(y, last ? this.bias : ops.reshape(this.bias, [this.filters, ...out], x.trace)));
  }
  override getConfig(): JsonObject {
    const { dilation_rate: _, groups: __, ...config } = super.getConfig();
    return { ...config, implementation: this.implementation };
  }
}

/** All positions in a window, the last axis fastest. */
const offsets = (sizes: readonly number[]): number[][] =>
  sizes.reduce<number[][]>((all, n) => all.flatMap((o) => Array.from({ length: n }, (_, i) => [...o, i])), [[]]);

export type LocallyConnectedConstructor = new (
  filters: number | LocallyConnectedConfig,
  kernelSize?: number | readonly number[],
  options?: Omit<LocallyConnectedConfig, 'filters' | 'kernelSize'>,
) => LocallyConnected;

function locallyConnectedClass(rank: number): LocallyConnectedConstructor {
  const className = `LocallyConnected${rank}D`;
  const defaults = { ...convDefaults, ...kernelDefaults, implementation: 1 };
  return class extends LocallyConnected {
    static override readonly className = className;
    constructor(
      filters: number | LocallyConnectedConfig,
      kernelSize?: number | readonly number[],
      options?: Omit<LocallyConnectedConfig, 'filters' | 'kernelSize'>,
    ) {
      super(rank, resolveOptions<LocallyConnectedConfig>(className, [filters, kernelSize, options], ['filters', 'kernelSize'], defaults));
    }
  };
}

/** Input (batch, …space, in), output (batch, …space', filters). Defaults: strides 1, padding valid, kernel glorot_uniform, bias zeros. */
export const LocallyConnected1DClass = locallyConnectedClass(1);
export const LocallyConnected2DClass = locallyConnectedClass(2);

export const LocallyConnected1D: Callable<LocallyConnectedConstructor> = callable(LocallyConnected1DClass);
export const LocallyConnected2D: Callable<LocallyConnectedConstructor> = callable(LocallyConnected2DClass);
