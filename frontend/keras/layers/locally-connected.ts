/**
 * LocallyConnected1D/2D (Keras 2): convolutions with a kernel of its own at each place of the output. Implementation 1 is one batched product over the places; 2 and 3 are a product
 * with a whole matrix (inputs, outputs), whose elements outside of the windows are 0: they differ in how the kernel is stored.
 */
import { ShapeError, ValueError } from '../../../ir/errors.js';
import { offsets, productsOfPlaces } from '../backend/local.js';
import * as ops from '../backend/ops.js';
import type { SymbolicTensor, Tensors } from '../backend/trace.js';
import { type Callable, callable } from '../utils/callable.js';
import { resolveOptions } from '../utils/options.js';
import type { JsonObject } from '../utils/serialization.js';
import { Conv, type ConvConfig, convDefaults, kernelDefaults, spatialAxes, spatialSizes } from './convolutional.js';
import { type InputShape, knownDim, single, singleShape } from './layer.js';

export interface LocallyConnectedConfig extends ConvConfig {
  /** How Keras 2 stores the kernel. 1 (the default): (places, window · in, filters); 2: (…input, …output); 3: the elements of the windows in a row. 2 and 3 take padding same, too. */
  implementation?: number;
}

/** Weights: kernel (see `implementation`), bias (…output space, filters). */
abstract class LocallyConnected extends Conv {
  readonly implementation: number;
  constructor(rank: number, o: LocallyConnectedConfig) {
    super(rank, o);
    this.implementation = o.implementation ?? 1;
    if (![1, 2, 3].includes(this.implementation)) throw new ValueError(`${this.name}: 'implementation' must be 1, 2 or 3, got ${this.implementation}`);
    if (this.implementation === 1 && this.padding !== 'valid')
      throw new ValueError(`${this.name}: implementation 1 has padding 'valid' only, got '${this.padding}'`);
  }
  protected override get allowsCausal(): boolean {
    return false;
  }
  private places(sizes: readonly number[]): number[] {
    const same = this.padding === 'same';
    const out = sizes.map((n, i) => (same ? Math.ceil(n / this.strides[i]!) : Math.floor((n - this.kernelSize[i]!) / this.strides[i]!) + 1));
    if (out.some((n) => n < 1)) throw new ShapeError(`${this.name}: the kernel of size [${this.kernelSize}] does not fit into an input of size [${sizes}]`);
    return out;
  }
  override build(inputShape: InputShape): void {
    const shape = singleShape(inputShape, this);
    const channels = this.channels(shape);
    const sizes = spatialAxes(this.dataFormat, this.rank).map((a) => knownDim(this, shape, a));
    const out = this.places(sizes);
    if (this.implementation === 2) {
      const [from, to] = [this.flatShape(sizes, channels), this.flatShape(out, this.filters)];
      this.kernel = this.addWeight('kernel', [...from, ...to], this.kernelFields);
    } else if (this.implementation === 3) {
      const connected = this.connections(sizes, out, channels).filter((c) => c >= 0).length;
      this.kernel = this.addWeight('kernel', [connected], this.kernelFields);
    } else this.buildPlaces(out, channels);
    if (this.useBias) this.bias = this.addWeight('bias', [...out, this.filters], this.biasFields);
  }
  private buildPlaces(out: readonly number[], channels: number): void {
    const count = out.reduce((a, n) => a * n, 1);
    const window = this.kernelSize.reduce((a, n) => a * n, channels);
    this.kernel = this.addWeight('kernel', [count, window, this.filters], this.kernelFields);
  }
  /** One sample in the order of its axes. */
  private flatShape(space: readonly number[], channels: number): number[] {
    return this.dataFormat === 'channels_last' ? [...space, channels] : [channels, ...space];
  }
  /**
   * For each output, and each input (both as they lie in memory): the number of their connection, counted in that order, or -1 where the input is outside of the output's window.
   * With padding same a window of size k begins floor(k / 2) before its centre.
   */
  private connections(sizes: readonly number[], out: readonly number[], channels: number): Int32Array {
    const [from, to] = [this.flatShape(sizes, channels), this.flatShape(out, this.filters)];
    const first = this.dataFormat === 'channels_last' ? 0 : 1;
    const [sources, targets] = [offsets(from), offsets(to)];
    const shift = this.kernelSize.map((k) => (this.padding === 'same' ? Math.floor(k / 2) : 0));
    let next = 0;
    return Int32Array.from(
      targets.flatMap((t) =>
        sources.map((s) => {
          const inside = sizes.every((_, i) => {
            const at = s[first + i]! - (t[first + i]! * this.strides[i]! - shift[i]!);
            return at >= 0 && at < this.kernelSize[i]!;
          });
          return inside ? next++ : -1;
        }),
      ),
    );
  }
  override call(inputs: Tensors): Tensors {
    const x = single(inputs, this);
    const sizes = spatialSizes(this, x, spatialAxes(this.dataFormat, this.rank));
    const y = this.implementation === 1 ? this.byPlaces(x) : this.byMatrix(x, sizes);
    if (!this.bias) return this.activation.apply(y);
    // Keras reads the bias in the memory order of the output, also with the channels first
    const first = [this.filters, ...this.places(sizes)];
    return this.activation.apply(ops.add(y, this.dataFormat === 'channels_last' ? this.bias : ops.reshape(this.bias, first, x.trace)));
  }
  private byMatrix(x: SymbolicTensor, sizes: readonly number[]): SymbolicTensor {
    const { trace } = x;
    const out = this.places(sizes);
    const channels = x.shape[this.dataFormat === 'channels_last' ? this.rank + 1 : 1] as number;
    const [from, to] = [this.flatShape(sizes, channels), this.flatShape(out, this.filters)];
    const [inputs, outputs] = [from, to].map((d) => d.reduce((a, n) => a * n, 1)) as [number, number];
    const connections = this.connections(sizes, out, channels);
    const constant = (data: Int32Array) => trace.tensor(trace.b.constant({ dtype: 'int32', shape: [outputs, inputs], data }));
    const connected = ops.greaterEqual(constant(connections), 0);
    const dense =
      this.implementation === 3
        ? ops.take(trace.read(this.kernel), constant(connections.map((c) => Math.max(0, c))), 0)
        : ops.transpose(ops.reshape(this.kernel, [inputs, outputs], trace), [1, 0]);
    const matrix = ops.where(connected, dense, 0);
    const flat = ops.reshape(x, [x.shape[0]!, inputs]);
    return ops.reshape(ops.dot(flat, matrix, { batchLeft: [], batchRight: [], contractLeft: [1], contractRight: [1] }), [x.shape[0]!, ...to]);
  }
  private byPlaces(x: SymbolicTensor): SymbolicTensor {
    const { kernelSize, strides, dataFormat } = this;
    const out = this.places(spatialSizes(this, x, spatialAxes(dataFormat, this.rank)));
    return productsOfPlaces(x, x.trace.read(this.kernel), { kernelSize, strides, out, dataFormat });
  }
  override getConfig(): JsonObject {
    const { dilation_rate: _, groups: __, ...config } = super.getConfig();
    return { ...config, implementation: this.implementation };
  }
}

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
