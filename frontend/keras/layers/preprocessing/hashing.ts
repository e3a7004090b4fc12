/** Hashing and HashedCrossing: strings or whole numbers to bins, on the host, with the hashes of TensorFlow. */
import { ShapeError, UnsupportedError, ValueError } from '../../../../ir/errors.js';
import { kerasShapeText } from '../../backend/trace.js';
import { bytesOf, type HostArray, StringTensor } from '../../strings.js';
import { Tensor } from '../../tensor.js';
import { callable } from '../../utils/callable.js';
import { fingerprint64, fingerprintCat, sipHash } from '../../utils/fingerprint.js';
import { describe, oneOf, positiveInteger, resolveOptions } from '../../utils/options.js';
import type { Json, JsonObject } from '../../utils/serialization.js';
import { type LayerOptions, layerDefaults } from '../layer.js';
import { encodedShape, encodeOnHost, HostLayer, type HostSpec } from './host.js';

type HashMode = 'int' | 'one_hot' | 'multi_hot' | 'count';

export interface HashingConfig extends LayerOptions {
  /** Number of bins. */
  numBins: number;
  /** Has bin 0 alone. */
  maskValue?: string | number | null;
  /** Two whole numbers (or one for both): SipHash with this key; default: FarmHash. */
  salt?: number | readonly [number, number] | null;
  outputMode?: HashMode;
  sparse?: false;
}

/** The dtype of a configuration: Keras counts in 64 bits. */
const dtypeText = (mode: string, given: unknown): Json => (given as Json | null) ?? (mode === 'int' ? 'int64' : 'float32');

function encodeBins(layer: HostLayer, ids: Int32Array, shape: readonly number[], bins: number, mode: HashMode): Tensor {
  if (mode === 'int') return new Tensor(ids, shape);
  const rank = shape.length + (mode === 'one_hot' && shape.at(-1) !== 1 ? 1 : 0);
  if (rank > 2 && layer.semantics === 'keras2')
    throw new ShapeError(
      `${layer.name}: outputMode '${mode}' gives rank 2 at most in Keras 2, the input of shape ${kerasShapeText(shape)} would give rank ${rank}`,
    );
  return encodeOnHost(ids, shape, bins, mode, null);
}

/** Values to bins by their hash. Works on the host: see the class HostLayer. */
export class HashingClass extends HostLayer {
  static override readonly className = 'Hashing';
  readonly numBins: number;
  readonly maskValue: string | number | null;
  readonly salt: readonly [number, number] | null;
  readonly outputMode: HashMode;
  private readonly givenDtype: unknown;
  constructor(numBins: number | HashingConfig, options?: Omit<HashingConfig, 'numBins'>) {
    const o = resolveOptions<HashingConfig>('Hashing', [numBins, options], ['numBins'], {
      ...layerDefaults,
      maskValue: null,
      salt: null,
      outputMode: 'int',
      sparse: false,
    });
    super({ ...o, dtype: o.outputMode === 'int' ? 'int32' : o.dtype });
    this.givenDtype = o.outputMode === 'int' ? null : o.dtype;
    this.numBins = positiveInteger('Hashing', 'numBins', o.numBins);
    this.outputMode = oneOf('Hashing', 'outputMode', o.outputMode, ['int', 'one_hot', 'multi_hot', 'count']);
    if (o.sparse) throw new UnsupportedError('Hashing: sparse outputs are not supported');
    const salt = typeof o.salt === 'number' ? ([o.salt, o.salt] as const) : (o.salt ?? null);
    if (salt !== null && !(Array.isArray(salt) && salt.length === 2 && salt.every(Number.isInteger)))
      throw new ValueError(`Hashing: 'salt' must be a whole number or a list of two, got ${describe(o.salt)}`);
    this.salt = salt;
    this.maskValue = o.maskValue ?? null;
  }
  override onHost([x]: readonly HostArray[]): HostArray {
    const masked = this.maskValue !== null && this.numBins > 1;
    const bins = BigInt(masked ? this.numBins - 1 : this.numBins);
    const key = this.salt ? ([BigInt(this.salt[0]), BigInt(this.salt[1])] as const) : null;
    const bin = (v: string | number): number => {
      if (masked && v === this.maskValue) return 0;
      const bytes = bytesOf(String(v));
      return Number((key ? sipHash(bytes, key) : fingerprint64(bytes)) % bins) + (masked ? 1 : 0);
    };
    if (x instanceof Tensor && !x.data.every(Number.isInteger)) throw new ValueError(`${this.name}: Hashing takes strings or whole numbers, got fractions`);
    return encodeBins(this, Int32Array.from(x!.data as ArrayLike<string | number>, bin), x!.shape, this.numBins, this.outputMode);
  }
  override hostSpec([x]: readonly HostSpec[]): HostSpec {
    return { shape: encodedShape(x!.shape, this.numBins, this.outputMode), dtype: this.outputMode === 'int' ? 'int32' : 'float32' };
  }
  override getConfig(): JsonObject {
    return {
      ...super.getConfig(),
      dtype: dtypeText(this.outputMode, this.givenDtype),
      num_bins: this.numBins,
      salt: this.salt,
      mask_value: this.maskValue,
      output_mode: this.outputMode,
      sparse: false,
    };
  }
}

export interface HashedCrossingConfig extends LayerOptions {
  numBins: number;
  outputMode?: 'int' | 'one_hot';
  sparse?: false;
}

/** The key that TensorFlow begins crossed hashes with. */
const crossKey = 0xdecafcaffen;

/** Bins of pairs, triples, … of values: a list of inputs of shape (batch) or (batch, 1), strings or whole numbers. Works on the host: see the class HostLayer. */
export class HashedCrossingClass extends HostLayer {
  static override readonly className = 'HashedCrossing';
  readonly numBins: number;
  readonly outputMode: 'int' | 'one_hot';
  private readonly givenDtype: unknown;
  constructor(numBins: number | HashedCrossingConfig, options?: Omit<HashedCrossingConfig, 'numBins'>) {
    const o = resolveOptions<HashedCrossingConfig>('HashedCrossing', [numBins, options], ['numBins'], { ...layerDefaults, outputMode: 'int', sparse: false });
    super({ ...o, dtype: o.outputMode === 'int' ? 'int32' : o.dtype });
    this.givenDtype = o.outputMode === 'int' ? null : o.dtype;
    this.numBins = positiveInteger('HashedCrossing', 'numBins', o.numBins);
    this.outputMode = oneOf('HashedCrossing', 'outputMode', o.outputMode, ['int', 'one_hot']);
    if (o.sparse) throw new UnsupportedError('HashedCrossing: sparse outputs are not supported');
  }
  protected override get takesList(): boolean {
    return true;
  }
  private check(shapes: readonly (readonly (number | null)[])[]): void {
    if (shapes.length < 2) throw new ValueError(`${this.name}: HashedCrossing takes a list of at least two inputs, got ${shapes.length}`);
    const texts = shapes.map((s) => kerasShapeText(s));
    const first = shapes[0]!;
    if (first.length > 2 || (first.length === 2 && first[1] !== 1) || texts.some((t) => t !== texts[0]))
      throw new ShapeError(`${this.name}: HashedCrossing takes inputs of equal shape (batch) or (batch, 1), got ${texts.join(', ')}`);
  }
  override onHost(inputs: readonly HostArray[]): HostArray {
    this.check(inputs.map((x) => x.shape));
    const features = inputs.map((x) => {
      if (x instanceof StringTensor) return x.data.map((s) => fingerprint64(bytesOf(s)));
      if (!x.data.every(Number.isInteger)) throw new ValueError(`${this.name}: HashedCrossing takes strings or whole numbers, got fractions`);
      return Array.from(x.data, (v) => BigInt.asUintN(64, BigInt(v)));
    });
    const bins = BigInt(this.numBins);
    const ids = Int32Array.from({ length: inputs[0]!.size }, (_, i) => Number(features.reduce((h, f) => fingerprintCat(h, f[i]!), crossKey) % bins));
    return encodeBins(this, ids, inputs[0]!.shape, this.numBins, this.outputMode);
  }
  override hostSpec(inputs: readonly HostSpec[]): HostSpec {
    this.check(inputs.map((x) => x.shape));
    return { shape: encodedShape(inputs[0]!.shape, this.numBins, this.outputMode), dtype: this.outputMode === 'int' ? 'int32' : 'float32' };
  }
  override getConfig(): JsonObject {
    const config = super.getConfig();
    const own: JsonObject = { dtype: dtypeText(this.outputMode, this.givenDtype), num_bins: this.numBins, output_mode: this.outputMode, sparse: false };
    // Keras 3 writes no more than this
    return this.configFor === 'keras3' ? { name: config.name, ...own } : { ...config, ...own };
  }
}

export const Hashing = callable(HashingClass);
export const HashedCrossing = callable(HashedCrossingClass);
