/** The custom layer of the golden files and of interop (tests/interop/files.py has the same class). */
import { type KerasShape, Layer, type LayerOptions, ops, type SymbolicTensor, type Variable } from '../../frontend/keras/index.js';

/** `input * factor + shift`, with one weight `factor` per feature. */
export class Scale extends Layer {
  static override readonly className = 'Scale';
  private factor!: Variable;
  private readonly shift: number;
  constructor(o: LayerOptions & { readonly shift?: number } = {}) {
    super(o);
    this.shift = o.shift ?? 0;
  }
  override build(shape: KerasShape): void {
    this.factor = this.addWeight('factor', [shape.at(-1) ?? null], { initializer: 'ones' });
  }
  override call(x: SymbolicTensor): SymbolicTensor {
    return ops.add(ops.multiply(x, this.factor), this.shift);
  }
  override getConfig() {
    return { ...super.getConfig(), shift: this.shift };
  }
}
