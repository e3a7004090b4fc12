/**
 * Conv1D/2D/3DTranspose: the transpose of a convolution is a convolution of the input with zeros between its elements (input dilation) and the mirrored kernel, whose
 * channels change places.
 */
import { ValueError } from '../../../ir/errors.js';
import type { Pair } from '../../../ir/op-attrs.js';
import * as ops from '../backend/ops.js';
import type { Tensors } from '../backend/trace.js';
import { type Callable, callable } from '../utils/callable.js';
import { resolveOptions } from '../utils/options.js';
import type { Json, JsonObject } from '../utils/serialization.js';
import { Conv, type ConvConfig, channelAxis, convDefaults, kernelDefaults, spatialAxes, spatialSizes } from './convolutional.js';
import { single } from './layer.js';

export interface ConvTransposeConfig extends ConvConfig {
  /** Added to the size of the output on one side; null: the output is input * stride (same) or input * stride + max(kernel - stride, 0) (valid). */
  outputPadding?: number | readonly number[] | null;
}

/** Transposed convolution with a kernel (…space, filters, in). */
abstract class ConvTranspose extends Conv {
  readonly outputPadding: readonly number[] | null;
  constructor(rank: number, o: ConvTransposeConfig) {
    super(rank, o);
    const given = o.outputPadding ?? null;
    this.outputPadding = typeof given === 'number' ? new Array<number>(rank).fill(given) : given;
    const p = this.outputPadding;
    if (p !== null && !(Array.isArray(p) && p.length === rank && p.every((n, i) => Number.isInteger(n) && n >= 0 && n < this.strides[i]!)))
      throw new ValueError(`${this.name}: 'outputPadding' must be whole numbers below the strides [${this.strides}], got ${JSON.stringify(p)}`);
    if (this.groups !== 1) throw new ValueError(`${this.name}: a transposed convolution has no groups, got ${this.groups}`);
  }
  protected override get allowsCausal(): boolean {
    return false;
  }
  protected override kernelShape(channels: number): number[] {
    return [...this.kernelSize, this.filters, channels];
  }

  /** Size of the output along spatial axis i. */
  private outputSize(size: number, i: number, extent: number): number {
    const stride = this.strides[i]!;
    const same = this.padding === 'same';
    if (!this.outputPadding) return same ? size * stride : size * stride + Math.max(extent - stride, 0);
    return (size - 1) * stride + extent - 2 * (same ? Math.floor(extent / 2) : 0) + this.outputPadding[i]!;
  }

  override call(inputs: Tensors): Tensors {
    let x = single(inputs, this);
    if (x.dtype !== 'float32') x = ops.cast(x, 'float32');
    const spatial = spatialAxes(this.dataFormat, this.rank);
    const sizes = spatialSizes(this, x, spatial);
    const padding = sizes.map((size, i): Pair => {
      const extent = (this.kernelSize[i]! - 1) * this.dilationRate[i]! + 1;
      const out = this.outputSize(size, i, extent);
      const spread = (size - 1) * this.strides[i]! + 1;
      // what the convolution that this one transposes pads in front
      const front = this.padding === 'same' ? Math.floor(Math.max(spread - 1 + extent - out, 0) / 2) : 0;
      const low = extent - 1 - front;
      return [low, out + extent - 1 - spread - low];
    });
    const axes = { batch: 0, feature: channelAxis(this.dataFormat, this.rank), spatial };
    const kernelAxes = spatial.map((_, i) => i);
    const y = ops.conv(x, ops.reverse(x.trace.read(this.kernel), kernelAxes), {
      strides: spatial.map(() => 1),
      padding,
      inputDilation: this.strides,
      kernelDilation: this.dilationRate,
      groups: 1,
      batchGroups: 1,
      dims: { input: axes, kernel: { input: this.rank + 1, output: this.rank, spatial: kernelAxes }, output: axes },
    });
    return this.finish(y);
  }
  override getConfig(): JsonObject {
    const { groups, dilation_rate, ...config } = super.getConfig();
    const keras2 = this.configFor === 'keras2';
    return {
      ...config,
      ...(keras2 && this.rank === 3 ? {} : { dilation_rate: dilation_rate as Json }),
      ...(keras2 ? { groups: groups as Json } : {}),
      output_padding: this.outputPadding,
    };
  }
}

export type ConvTransposeConstructor = new (
  filters: number | ConvTransposeConfig,
  kernelSize?: number | readonly number[],
  options?: Omit<ConvTransposeConfig, 'filters' | 'kernelSize'>,
) => ConvTranspose;

function convTransposeClass(rank: number): ConvTransposeConstructor {
  const className = `Conv${rank}DTranspose`;
  const defaults = { ...convDefaults, ...kernelDefaults, outputPadding: null };
  return class extends ConvTranspose {
    static override readonly className = className;
    constructor(filters: number | ConvTransposeConfig, kernelSize?: number | readonly number[], options?: Omit<ConvTransposeConfig, 'filters' | 'kernelSize'>) {
      super(rank, resolveOptions<ConvTransposeConfig>(className, [filters, kernelSize, options], ['filters', 'kernelSize'], defaults));
    }
  };
}

/** Input (batch, …space, in), output (batch, …space · strides, filters) with padding same. Defaults as for convolutions; outputPadding null. */
export const Conv1DTransposeClass = convTransposeClass(1);
export const Conv2DTransposeClass = convTransposeClass(2);
export const Conv3DTransposeClass = convTransposeClass(3);

export const Conv1DTranspose: Callable<ConvTransposeConstructor> = callable(Conv1DTransposeClass);
export const Conv2DTranspose: Callable<ConvTransposeConstructor> = callable(Conv2DTransposeClass);
export const Conv3DTranspose: Callable<ConvTransposeConstructor> = callable(Conv3DTransposeClass);
export { Conv1DTranspose as Convolution1DTranspose, Conv2DTranspose as Convolution2DTranspose, Conv3DTranspose as Convolution3DTranspose };
