/** Variables: the weights of layers, the state of metrics and optimizers. The host holds a value; while a model runs, the device holds the truth. */
import { type DType, hostArray, numbersOf, type TypedArray } from '../../../ir/dtype.js';
import { ShapeError } from '../../../ir/errors.js';
import { sizeOf } from '../../../ir/tensor-data.js';
import type { Constraint } from '../constraints.js';
import type { Initializer } from '../initializers/index.js';
import type { Regularizer } from '../regularizers.js';

export interface VariableOptions {
  /** Path such as `dense/kernel`: unique in a model. */
  readonly path: string;
  readonly shape: readonly number[];
  readonly dtype?: DType;
  readonly trainable?: boolean;
  readonly initializer?: Initializer | null;
  readonly regularizer?: Regularizer | null;
  readonly constraint?: Constraint | null;
}

let nextId = 0;

export class Variable {
  readonly id = nextId++;
  /** Layer path and name, such as `dense/kernel`. */
  path: string;
  readonly shape: readonly number[];
  readonly dtype: DType;
  trainable: boolean;
  readonly initializer: Initializer | null;
  readonly regularizer: Regularizer | null;
  readonly constraint: Constraint | null;
  private data: TypedArray | null = null;

  constructor(options: VariableOptions) {
    this.path = options.path;
    this.shape = [...options.shape];
    this.dtype = options.dtype ?? 'float32';
    this.trainable = options.trainable ?? true;
    this.initializer = options.initializer ?? null;
    this.regularizer = options.regularizer ?? null;
    this.constraint = options.constraint ?? null;
  }

  /** The last part of the path: `kernel`. */
  get name(): string {
    return this.path.slice(this.path.lastIndexOf('/') + 1);
  }
  get size(): number {
    return sizeOf(this.shape);
  }
  /** The value on the host, made by the initializer at first use. */
  get value(): TypedArray {
    this.data ??= numbersOf(hostArray(this.dtype, this.initializer ? this.initializer.values(this.shape) : this.size));
    return this.data;
  }
  /** Sets the value on the host; a copy is taken. */
  assign(value: ArrayLike<number>): void {
    if (value.length !== this.size)
      throw new ShapeError(`${this.path}: expected shape [${this.shape.join(',')}], which has ${this.size} elements, got ${value.length}`);
    this.data = numbersOf(hostArray(this.dtype, value));
  }
}
