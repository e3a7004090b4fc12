/** The types around layers: options, call arguments, weights, what a call takes and gives. */
import { type DType, dtypes } from '../../../ir/dtype.js';
import { ValueError } from '../../../ir/errors.js';
import type { KerasShape, SymbolicTensor, Tensors } from '../backend/trace.js';
import type * as constraints from '../constraints.js';
import type * as initializers from '../initializers/index.js';
import type * as regularizers from '../regularizers.js';
import type { Tensor } from '../tensor.js';
import { describe } from '../utils/options.js';
import type { Semantics } from '../utils/serialization.js';
import type { KerasTensor, KerasTensors } from './node.js';

export type InputShape = KerasShape | readonly KerasShape[];

/** Arguments of a layer call beside the inputs. */
export interface CallArguments {
  readonly training?: boolean | null;
  readonly mask?: SymbolicTensor | null | readonly (SymbolicTensor | null)[];
  /** Recurrent layers: the states to start from. */
  readonly initialState?: readonly SymbolicTensor[] | readonly KerasTensor[];
  /** Attention: which keys (last axis) each query may look at; (batch, queries, keys). */
  readonly attentionMask?: SymbolicTensor | KerasTensor | null;
  /** Multi-head attention called on the query alone: the value, and the key where it is another tensor. */
  readonly value?: SymbolicTensor | KerasTensor;
  readonly key?: SymbolicTensor | KerasTensor;
  /** Attention: no query looks at a key after it. */
  readonly useCausalMask?: boolean;
  /** Attention: the weights after the output. */
  readonly returnAttentionScores?: boolean;
  /** CategoryEncoding: what each input counts. */
  readonly countWeights?: SymbolicTensor | KerasTensor | null;
  /** Arguments of a layer of one's own. */
  readonly [argument: string]: unknown;
}

/** Options that every layer takes. */
export interface LayerOptions {
  /** Default: the class in snake_case, numbered. */
  readonly name?: string | null;
  /** Default true. */
  readonly trainable?: boolean;
  /** float32. */
  readonly dtype?: string | null | object;
  /** Shape of one sample, for the first layer of a Sequential. */
  readonly inputShape?: KerasShape | null;
  /** Shape with the batch axis. */
  readonly batchInputShape?: KerasShape | null;
  readonly activityRegularizer?: regularizers.RegularizerIdentifier | null;
  /** Which generation of Keras decides where the two differ: default keras3; files of Keras 2 set keras2. */
  readonly semantics?: Semantics;
}

export const layerDefaults: LayerOptions = {
  name: null,
  trainable: true,
  dtype: null,
  inputShape: null,
  batchInputShape: null,
  activityRegularizer: null,
  semantics: 'keras3',
};

export interface WeightOptions {
  /** Default glorot_uniform, as in Keras. */
  readonly initializer?: initializers.InitializerIdentifier;
  readonly regularizer?: regularizers.RegularizerIdentifier | null;
  readonly constraint?: constraints.ConstraintIdentifier | null;
  readonly trainable?: boolean;
  readonly dtype?: DType;
}

/** A weight as `addWeight({ … })` takes it. */
export interface NamedWeight extends WeightOptions {
  /** Default `variable`. */
  readonly name?: string;
  /** Default a scalar. */
  readonly shape?: KerasShape;
}

/** A loss in a call: one tensor (its sum counts), or a function of weights that gives one. */
export type AddedLoss = SymbolicTensor | (() => SymbolicTensor);

/** What a layer is called on, and what it gives. */
export type LayerData =
  | KerasTensors
  | Tensors
  | Tensor
  | readonly Tensor[]
  | Readonly<Record<string, KerasTensor>>
  | Readonly<Record<string, SymbolicTensor>>
  | Readonly<Record<string, Tensor>>;

/** The name of a policy of mixed precision, which configurations keep; null for any other dtype. */
export function mixedPolicyOf(dtype: unknown): string | null {
  const name = typeof dtype === 'object' && dtype !== null ? (dtype as { config?: { name?: unknown } }).config?.name : dtype;
  return name === 'mixed_float16' || name === 'mixed_bfloat16' ? name : null;
}

/** The dtype that an option stands for: a name, or a policy of a Keras file. */
export function dtypeOf(what: string, dtype: unknown): DType {
  if (dtype === null || dtype === undefined) return 'float32';
  if (typeof dtype === 'string' && (dtypes as readonly string[]).includes(dtype)) return dtype as DType;
  if (dtype === 'int64') return 'int32';
  // weights of mixed precision are float32, and so is what is computed here: a difference is one of rounding
  if (typeof dtype === 'string' && mixedPolicyOf(dtype)) return 'float32';
  if (typeof dtype === 'object') return dtypeOf(what, (dtype as { config?: { name?: unknown } }).config?.name ?? null);
  throw new ValueError(`${what}: unknown dtype ${describe(dtype)}. Known: ${dtypes.join(', ')}`);
}
