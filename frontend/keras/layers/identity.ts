/** Identity and Masking. */
import * as ops from '../backend/ops.js';
import type { Tensors } from '../backend/trace.js';
import { callable } from '../utils/callable.js';
import { finiteNumber, resolveOptions } from '../utils/options.js';
import type { JsonObject } from '../utils/serialization.js';
import { type CallArguments, Layer, type LayerOptions, layerDefaults, single } from './layer.js';

/** Gives its input. */
export class IdentityClass extends Layer {
  static override readonly className = 'Identity';
  constructor(options?: LayerOptions) {
    super(resolveOptions<LayerOptions>('Identity', [options], [], layerDefaults));
    this.supportsMasking = true;
  }
  override call(inputs: Tensors): Tensors {
    return inputs;
  }
}

export interface MaskingConfig extends LayerOptions {
  /** Default 0. */
  maskValue?: number;
}

/** Masks the steps whose features all equal `maskValue`, and sets them to 0. Input (batch, steps, features). */
export class MaskingClass extends Layer {
  static override readonly className = 'Masking';
  readonly maskValue: number;
  constructor(options?: MaskingConfig) {
    const o = resolveOptions<MaskingConfig>('Masking', [options], [], { ...layerDefaults, maskValue: 0 });
    super(o);
    this.maskValue = finiteNumber('Masking', 'maskValue', o.maskValue);
    this.supportsMasking = true;
  }
  override call(inputs: Tensors): Tensors {
    const x = single(inputs, this);
    return ops.multiply(x, ops.cast(ops.any(ops.notEqual(x, this.maskValue), [-1], true), x.dtype));
  }
  override computeMask(inputs: Tensors): CallArguments['mask'] {
    return ops.any(ops.notEqual(single(inputs, this), this.maskValue), [-1]);
  }
  override getConfig(): JsonObject {
    return { ...super.getConfig(), mask_value: this.maskValue };
  }
}

export const Identity = callable(IdentityClass);
export const Masking = callable(MaskingClass);
