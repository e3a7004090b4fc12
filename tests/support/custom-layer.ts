/** A layer of one's own, as a module for `--custom`. */
import { type KerasShape, Layer, ops, type SymbolicTensor, type Variable } from '../../frontend/keras/index.js';

/** `input * factor`. */
export class Scale extends Layer {
  static override readonly className = 'Scale';
  private factor!: Variable;
  override build(shape: KerasShape): void {
    this.factor = this.addWeight('factor', [shape.at(-1) ?? null], { initializer: 'ones' });
  }
  override call(x: SymbolicTensor): SymbolicTensor {
    return ops.multiply(x, this.factor);
  }
}
