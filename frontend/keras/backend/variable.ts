/** Variables: the weights of layers, the state of metrics and optimizers. The host holds a value; while a model runs, the device holds the truth. */

import { equalShape, shapeToString } from '../../../ir/dim.js';
import { type DType, hostArray, numbersOf, type TypedArray } from '../../../ir/dtype.js';
import { ShapeError, ValueError } from '../../../ir/errors.js';
import { sizeOf } from '../../../ir/tensor-data.js';
import type { Constraint } from '../constraints.js';
import type { Initializer } from '../initializers/index.js';
import type { Regularizer } from '../regularizers.js';
import { runningTrace } from './context.js';
import { SymbolicTensor } from './trace.js';

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

/** Where the value lies while a model runs. */
export interface VariableHome {
  /** Whether the device has changed values that the host does not have yet. */
  readonly newer: boolean;
  /** Device to host. */
  pull(): Promise<void>;
  /** Host to device. */
  push(): void;
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
  /** The device that may hold a newer value; set when a model starts to run. */
  home: VariableHome | null = null;

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
    try {
      this.data ??= numbersOf(hostArray(this.dtype, this.initializer ? this.initializer.values(this.shape) : this.size));
    } catch (e) {
      // an array that is longer than arrays may be, or than there is memory
      if (!(e instanceof RangeError)) throw e;
      throw new ShapeError(`${this.path}: there is no room for a weight of shape [${this.shape.join(',')}]: ${e.message}`);
    }
    return this.data;
  }
  /** In a call: the tensor becomes the new value, which later reads in the call and later runs see. Else sets the value on the host; a copy is taken. */
  assign(value: ArrayLike<number> | SymbolicTensor | number): void {
    if (value instanceof SymbolicTensor) {
      this.assignIn(value);
      return;
    }
    const trace = runningTrace();
    if (trace && typeof value === 'number') {
      this.assignIn(trace.tensor(trace.b.full(this.shape, value, this.dtype)));
      return;
    }
    const data = typeof value === 'number' ? new Float64Array(this.size).fill(value) : value;
    if (data.length !== this.size)
      throw new ShapeError(`${this.path}: expected shape [${this.shape.join(',')}], which has ${this.size} elements, got ${data.length}`);
    this.data = numbersOf(hostArray(this.dtype, data));
  }
  private assignIn(x: SymbolicTensor): void {
    if (!equalShape(x.shape, this.shape)) throw new ShapeError(`${this.path}: expected shape ${shapeToString(this.shape)}, assigned ${shapeToString(x.shape)}`);
    x.trace.assign(this, x.trace.tensor(x.trace.b.cast(x.value, this.dtype)));
  }
  /** Adds to the value: a number or tensor in a call, a number or array outside. */
  assignAdd(x: SymbolicTensor | number | ArrayLike<number>): void {
    this.change(x, 1);
  }
  /** Takes from the value. */
  assignSub(x: SymbolicTensor | number | ArrayLike<number>): void {
    this.change(x, -1);
  }
  private change(x: SymbolicTensor | number | ArrayLike<number>, sign: 1 | -1): void {
    const trace = x instanceof SymbolicTensor ? x.trace : runningTrace();
    if (trace && (x instanceof SymbolicTensor || typeof x === 'number')) {
      const old = trace.read(this).value;
      const by = x instanceof SymbolicTensor ? trace.b.cast(x.value, this.dtype) : x;
      this.assignIn(trace.tensor(sign === 1 ? trace.b.add(old, by) : trace.b.sub(old, by)));
      return;
    }
    if (x instanceof SymbolicTensor) throw new ValueError(`${this.path}: a tensor of a call can be added within the call only`);
    this.assign(Float64Array.from(this.value, (v, i) => v + sign * (typeof x === 'number' ? x : x[i]!)));
  }
  /** Takes an array over as the value on the host, without a copy: the caller gives it away. */
  adopt(value: TypedArray): void {
    if (value.length !== this.size)
      throw new ShapeError(`${this.path}: expected shape [${this.shape.join(',')}], which has ${this.size} elements, got ${value.length}`);
    this.data = value.constructor === hostArray(this.dtype, 0).constructor ? value : numbersOf(hostArray(this.dtype, value));
  }
}
