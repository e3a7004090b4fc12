/** Identity, Masking, and Lambda. */
import { UnsupportedError, ValueError } from '../../../ir/errors.js';
import * as ops from '../backend/ops.js';
import type { SymbolicTensor, Tensors } from '../backend/trace.js';
import { callable } from '../utils/callable.js';
import { describe, finiteNumber, resolveOptions } from '../utils/options.js';
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

/** What a Lambda layer applies: written with `ops`, on one symbolic tensor or a list of them. */
export type LambdaFunction = (inputs: never) => Tensors;

export interface LambdaConfig extends LayerOptions {
  function: LambdaFunction;
  /** The mask of the output: a tensor, or a function of inputs and mask; default: none. */
  mask?: SymbolicTensor | ((inputs: Tensors, mask: CallArguments['mask']) => CallArguments['mask']) | null;
}

/** Applies a function: `Lambda((x) => ops.square(x))`. It has no weights; a layer with weights is a class of its own. Its function cannot be saved. */
export class LambdaClass extends Layer {
  static override readonly className = 'Lambda';
  readonly function: LambdaFunction;
  private readonly mask: LambdaConfig['mask'];
  constructor(fn: LambdaFunction | LambdaConfig, options?: Omit<LambdaConfig, 'function'>) {
    const o = resolveOptions<LambdaConfig>('Lambda', [fn, options], ['function'], { ...layerDefaults, mask: null });
    super(o);
    if (typeof o.function !== 'function') throw new ValueError(`Lambda: expected a function such as (x) => ops.square(x), got ${describe(o.function)}`);
    this.function = o.function;
    this.mask = o.mask ?? null;
  }
  override call(inputs: Tensors): Tensors {
    return this.function(inputs as never);
  }
  override computeMask(inputs: Tensors, mask: CallArguments['mask']): CallArguments['mask'] {
    return typeof this.mask === 'function' ? this.mask(inputs, mask) : (this.mask ?? null);
  }
  override getConfig(): JsonObject {
    throw new UnsupportedError(`${this.name}: the function of a Lambda layer cannot be written to a configuration; make it a class that extends Layer`);
  }
}

export const Lambda = callable(LambdaClass);
export const Identity = callable(IdentityClass);
export const Masking = callable(MaskingClass);
