/**
 * Models as classes: `class MyModel extends Model` with layers in fields and a `call`. The model has weights once it was called on data or built for a shape; the inputs
 * are those of the first call.
 */
import { GraphBuilder } from '../../../ir/builder.js';
import { ValueError } from '../../../ir/errors.js';
import { type KerasShape, kerasShapeText, listOf, separateLayout, type Tensors, Trace } from '../backend/trace.js';
import type { Variable } from '../backend/variable.js';
import { type CallArguments, type InputShape, type Layer, type LayerOptions, symbolicInputs } from '../layers/layer.js';
import { unique } from '../layers/tracking.js';
import { Tensor, toTensor } from '../tensor.js';
import { isPlainObject } from '../utils/options.js';
import { after } from '../utils/promises.js';
import { type InputSpec, ModelBase } from './base.js';
import type { CompileOptions } from './compiled.js';
import type { Form } from './programs.js';
import type { SummaryRow } from './summary.js';

export class SubclassedClass extends ModelBase {
  private specs: readonly InputSpec[] | null = null;
  private outputsAre: readonly KerasShape[] | null = null;
  private readonly layerShapes = new Map<Layer, readonly KerasShape[]>();

  constructor(options: LayerOptions = {}) {
    super(options, new.target.className || new.target.name || 'Model');
    Object.defineProperty(this, 'build', {
      value: (shape: InputShape | Readonly<Record<string, KerasShape>>) => this.buildFor(shape),
      writable: true,
      configurable: true,
    });
  }

  private unbuilt(what: string): ValueError {
    return new ValueError(`model '${this.name}' (${this.className}) has no ${what} yet: call it on data (fit, predict, model(x)), or call build(inputShape)`);
  }

  // ---- inputs and outputs

  override get inputSpecs(): readonly InputSpec[] {
    if (!this.specs) throw this.unbuilt('inputs');
    return this.specs;
  }
  override get hasInputs(): boolean {
    return this.specs !== null && this.outputsAre !== null;
  }
  override get outputNames(): readonly string[] {
    if (!this.outputsAre) throw this.unbuilt('outputs');
    return this.outputsAre.map((_, i) => this.outputKeys?.[i] ?? `output_${i + 1}`);
  }
  protected override impliedOutputNames(loss: CompileOptions['loss']): readonly string[] {
    if (Array.isArray(loss)) return loss.map((_, i) => `output_${i + 1}`);
    return isPlainObject(loss) && !('class_name' in loss) ? Object.keys(loss) : ['output_1'];
  }
  override outputShapes(): KerasShape[] {
    return this.runEagerly && this.outputsAre ? this.outputsAre.map((s) => s.slice(1)) : super.outputShapes();
  }

  // ---- building

  /** Builds the layers for inputs of this shape (with the batch axis; a list of shapes for several inputs) by tracing `call` once. */
  override buildFor(given: InputShape | Readonly<Record<string, KerasShape>>): void {
    if (isPlainObject(given)) this.keyed(Object.keys(given));
    const shape: InputShape = isPlainObject(given) ? this.inputKeys!.map((k) => (given as Readonly<Record<string, KerasShape>>)[k]!) : (given as InputShape);
    const several = Array.isArray(shape[0]);
    this.describeInputs((several ? shape : [shape]) as readonly KerasShape[]);
    this.ensureBuilt(shape);
    if (this.outputsAre) return;
    if (this.call === ModelBase.prototype.call && (this.hasOwn('trainStep') || this.hasOwn('predictStep'))) {
      // such as a GAN: its steps call the models inside
      this.outputsAre = [];
      return;
    }
    const t = new Trace(new GraphBuilder(this.name), { training: false, layout: separateLayout, shapesOnly: true });
    const specs = this.feeds;
    const xs = symbolicInputs(
      t,
      specs.map((s) => s.shape),
      specs.map((s) => s.dtype),
    );
    t.b.withOrigin(this.name, () => this.invoke(t, several ? xs : xs[0]!, { training: false, mask: null }));
  }

  private describeInputs(shapes: readonly KerasShape[], dtypes: readonly InputSpec['dtype'][] = [], names?: readonly string[]): void {
    this.specs ??= shapes.map((shape, i) => ({
      name: names?.[i] ?? this.inputKeys?.[i] ?? `input_${i + 1}`,
      shape: [null, ...shape.slice(1)],
      dtype: dtypes[i] ?? 'float32',
    }));
  }

  /** The arrays of `x`: one, a list of tensors, or an object by names. */
  private arraysOf(what: string, x: unknown): { readonly arrays: readonly Tensor[]; readonly names?: readonly string[] } {
    const isArray = (v: unknown) => v instanceof Tensor || ArrayBuffer.isView(v) || (isPlainObject(v) && 'data' in v && 'shape' in v);
    if (isPlainObject(x) && !isArray(x)) {
      const names = this.keyed(Object.keys(x));
      return { names, arrays: names.map((n) => toTensor(`${what}: input '${n}'`, (x as Record<string, unknown>)[n])) };
    }
    if (Array.isArray(x) && x.length > 0 && x.every(isArray)) return { arrays: x.map((v, i) => toTensor(`${what}: input ${i}`, v)) };
    return { arrays: [toTensor(`${what}: 'x'`, x)] };
  }

  /** The inputs come as an object with these keys, and `call` gets one. */
  private keyed(keys: readonly string[]): readonly string[] {
    this.inputKeys = [...keys].sort();
    return this.inputKeys;
  }
  override get inputForm(): Form {
    return this.inputKeys ?? super.inputForm;
  }

  private describeData(what: string, x: unknown): readonly Tensor[] {
    const { arrays, names } = this.arraysOf(what, x);
    const dtypes = arrays.map((t) => (t.dtype === 'int32' || t.dtype === 'uint32' ? 'int32' : 'float32') as InputSpec['dtype']);
    // a vector is a column, as everywhere in Keras
    this.describeInputs(
      arrays.map((t) => (t.rank === 1 ? [null, 1] : [null, ...t.shape.slice(1)])),
      dtypes,
      names,
    );
    return arrays;
  }

  override buildOnData(what: string, x: unknown): boolean {
    const arrays = this.describeData(what, x);
    const shapes = this.inputSpecs.map((s) => s.shape);
    this.buildFor(this.inputKeys ? Object.fromEntries(this.inputKeys.map((k, i) => [k, shapes[i]!])) : arrays.length === 1 ? shapes[0]! : shapes);
    return true;
  }

  /** In eager mode a model is built by a first call on one sample, since its call may read values. */
  protected override async prepare(what: string, x: unknown): Promise<void> {
    if (!this.runEagerly || this.hasInputs || x === null || x === undefined) return;
    const rows = this.describeData(what, x).map((t, i) => (t.rank === this.inputSpecs[i]!.shape.length ? t : t.reshape([...t.shape, 1])).rows(0, 1));
    const keys = this.inputKeys;
    await (keys ? this.apply(Object.fromEntries(keys.map((k, i) => [k, rows[i]!]))) : rows.length === 1 ? this.apply(rows[0]!) : this.apply(rows));
  }

  override ensureBuilt(inputShape: InputShape): void {
    this.describeInputs((Array.isArray(inputShape[0]) ? inputShape : [inputShape]) as readonly KerasShape[]);
    super.ensureBuilt(inputShape);
  }

  override invoke(trace: Trace, inputs: Tensors, args: CallArguments): Tensors | Promise<Tensors> {
    if (!this.built) this.ensureBuilt(this.inputSpecs.length === 1 ? this.inputSpecs[0]!.shape : this.inputSpecs.map((s) => s.shape));
    return after(super.invoke(trace, inputs, args), (out) => {
      const batchFree = (s: readonly (number | null)[]): KerasShape => [null, ...s.slice(1)];
      this.outputsAre ??= listOf(out).map((o) => batchFree(o.shape.map((d) => (typeof d === 'number' ? d : null))));
      for (const l of this.sublayers) {
        const shapes = trace.shapes.get(l);
        if (shapes && !this.layerShapes.has(l)) this.layerShapes.set(l, shapes.map(batchFree));
      }
      return out;
    });
  }

  // ---- weights

  /** Keras 2: those of the layers, then the model's own; Keras 3: its own first. */
  private ordered(own: readonly Variable[], inLayers: readonly Variable[]): Variable[] {
    return unique(this.semantics === 'keras3' ? [...own, ...inLayers] : [...inLayers, ...own]);
  }
  override get weights(): Variable[] {
    return this.ordered(this.ownVariables, super.weights);
  }
  override get trainableWeights(): Variable[] {
    if (!this.trainable) return [];
    return this.ordered(
      this.ownVariables.filter((w) => w.trainable),
      super.trainableWeights,
    );
  }
  /** A model without a call has those of the models in its fields. */
  private get hasWeights(): boolean {
    return this.built || (this.layers.length > 0 && this.layers.every((l) => l.built));
  }
  override getWeights(): Promise<Tensor[]> {
    return this.hasWeights ? super.getWeights() : Promise.reject(this.unbuilt('weights'));
  }
  override setWeights(weights: Parameters<ModelBase['setWeights']>[0]): void {
    if (!this.hasWeights) throw this.unbuilt('weights');
    super.setWeights(weights);
  }

  // ---- description

  override embeddingTables(): { layer: Layer; inputDim: number }[][] {
    // which layer reads which input is known to the call alone
    return this.inputSpecs.map(() => []);
  }
  protected override summaryRows(): SummaryRow[] {
    if (!this.built) throw this.unbuilt('layers with weights');
    return this.sublayers.map((layer) => {
      const shapes = this.layerShapes.get(layer)?.map(kerasShapeText) ?? [];
      return { layer, outputShape: shapes.length === 0 ? '?' : shapes.length === 1 ? shapes[0]! : `[${shapes.join(', ')}]`, connectedTo: [] };
    });
  }
}
