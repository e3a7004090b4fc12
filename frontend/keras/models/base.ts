/** What all models have in common: fit, evaluate, predict, weights, programs, files. */
import { GraphBuilder } from '../../../ir/builder.js';
import { isStatic } from '../../../ir/dim.js';
import type { TypedArray } from '../../../ir/dtype.js';
import { ShapeError, UnsupportedError, ValueError } from '../../../ir/errors.js';
import type { Graph } from '../../../ir/graph.js';
import type { TensorData } from '../../../ir/tensor-data.js';
import type { FileTarget } from '../../formats/sink.js';
import type { FileSource } from '../../formats/source.js';
import type { ExportOptions } from '../../onnx/export/index.js';
import type { SaveOptions as OnnxSaveOptions } from '../../onnx/save.js';
import { type KerasShape, listOf, SymbolicTensor, separateLayout, type TensorStructure, type Tensors, Trace } from '../backend/trace.js';
import { EmbeddingClass } from '../layers/embedding.js';
import { type CallArguments, type Layer, symbolicInputs } from '../layers/layer.js';
import { HostLayer, isHostTensor } from '../layers/preprocessing/host.js';
import type { Metric } from '../metrics/index.js';
import type { LoadWeightsOptions, SaveOptions } from '../saving/options.js';
import { type ArrayLikeInput, Tensor, toTensor } from '../tensor.js';
import { describe, resolveOptions } from '../utils/options.js';
import { type Semantics, type SerializedObject, writtenFor } from '../utils/serialization.js';
import type { DataArgument } from './data.js';
import * as loops from './loops.js';
import { ModelCore } from './model-core.js';
import { type PredictOptions, predict, predictAgain } from './predict.js';
import { type ArraySpec, compiledGraph, type DataSpec, evaluateGraph, type Form, predictGraph, trainGraph } from './programs.js';
import { initialContents } from './session.js';
import { type AnyStepData, computeLoss, computeMetrics, defaultStep, type LossArguments, type StepLogs, type StepTensor } from './steps.js';
import { printSummary, type SummaryOptions, type SummaryRow } from './summary.js';

export type { Feed, InputSpec, ModelState } from './model-core.js';

export interface ProgramsOptions {
  /** Largest batch; default 32. */
  readonly batchSize?: number;
  /** Shapes of one target of each output; default: what the loss and the output's shape imply. */
  readonly targets?: readonly ArraySpec[];
  /** Which programs; default: all that can be made (train and evaluate need `compile`). */
  readonly only?: readonly ('train' | 'evaluate' | 'predict')[];
}

export abstract class ModelBase extends ModelCore {
  /** The records of the last `fit`. */
  history: loops.FitHistory | null = null;

  /**
   * Trains. `x` and `y` are arrays (one, a list, or an object by names). Defaults: batchSize 32, epochs 1, shuffle true, verbose 'auto'.
   * Resolves to the History of the epochs.
   */
  async fit(x: DataArgument, y?: DataArgument | null, options: loops.FitOptions = {}): Promise<loops.FitHistory> {
    await this.prepare('fit', x);
    this.history = await loops.fit(this, x, y ?? null, options);
    return this.history;
  }

  /** Loss and metrics on data: the loss alone, or a list in the order of `metricsNames`; an object with returnDict. */
  evaluate(x: DataArgument, y: DataArgument | null | undefined, options: loops.EvaluateOptions & { returnDict: true }): Promise<Record<string, number>>;
  evaluate(x: DataArgument, y?: DataArgument | null, options?: loops.EvaluateOptions): Promise<number | number[]>;
  async evaluate(x: DataArgument, y?: DataArgument | null, options: loops.EvaluateOptions = {}): Promise<number | number[] | Record<string, number>> {
    await this.prepare('evaluate', x);
    const logs = await loops.evaluate(this, x, y ?? null, options);
    if (options.returnDict) return logs;
    return loops.listOfLogs(this, logs);
  }

  /** Outputs for inputs, in batches of 32 by default; a list of tensors for models with several outputs. */
  async predict(x: DataArgument, options: PredictOptions = {}): Promise<Tensor> {
    const outputs = predictAgain(this, x, options) ?? (await this.predictAll(x, options));
    if (outputs.length !== 1) throw new ValueError(`model '${this.name}' has ${outputs.length} outputs: use predictAll`);
    return outputs[0]!;
  }
  /** Like predict, a list with one tensor for each output. */
  async predictAll(x: DataArgument, options: PredictOptions = {}): Promise<Tensor[]> {
    const again = predictAgain(this, x, options);
    if (again) return again;
    await this.prepare('predict', x);
    return predict(this, x, options);
  }

  /** Like predict, an object of tensors by the names of the outputs. */
  async predictByName(x: DataArgument, options: PredictOptions = {}): Promise<Record<string, Tensor>> {
    const outputs = await this.predictAll(x, options);
    const names = (this.hasOwn('predictStep') ? this.predictedNames : null) ?? this.outputNames;
    return Object.fromEntries(outputs.map((t, i) => [names[i]!, t]));
  }

  /** One step on one batch: loss and metrics of that batch. */
  async trainOnBatch(x: DataArgument, y?: DataArgument | null, options: loops.BatchOptions = {}): Promise<number | number[] | Record<string, number>> {
    await this.prepare('trainOnBatch', x);
    return loops.onBatch(this, 'train', x, y ?? null, options);
  }
  /** Loss and metrics of one batch, without an update. */
  async testOnBatch(x: DataArgument, y?: DataArgument | null, options: loops.BatchOptions = {}): Promise<number | number[] | Record<string, number>> {
    await this.prepare('testOnBatch', x);
    return loops.onBatch(this, 'evaluate', x, y ?? null, options);
  }

  // ---- steps of one's own

  /**
   * To override: what a training step does with a batch. It calls the model (`this(x, { training: true })`), takes `computeLoss`, `ops.gradients` and `optimizer.applyGradients`, updates metrics, and
   * gives what is shown: metrics, or scalars, by name. It is traced once and compiled into one graph. The default does what `compile` was given.
   */
  trainStep(data: AnyStepData): StepLogs | Promise<StepLogs> {
    return defaultStep(this, 'train', data);
  }
  /** To override: what an evaluation step does with a batch; as `trainStep`, without an update. */
  testStep(data: AnyStepData): StepLogs | Promise<StepLogs> {
    return defaultStep(this, 'evaluate', data);
  }
  /** To override: the outputs of `predict` for `data.x`; default: those of the model. */
  predictStep(data: AnyStepData): StepTensor | Promise<StepTensor> {
    const list = data.x instanceof SymbolicTensor ? data.x : Array.isArray(data.x) ? (data.x as readonly SymbolicTensor[]) : Object.values(data.x);
    return this.invoke(listOf(list)[0]!.trace, list, { training: false, mask: null });
  }
  /** Whether the model has a step of its own. */
  hasOwn(step: 'trainStep' | 'testStep' | 'predictStep'): boolean {
    return this[step] !== ModelBase.prototype[step];
  }
  /** How the inputs are given to steps. */
  get inputForm(): Form {
    return this.feeds.length === 1 ? 'one' : 'list';
  }
  /** Names of what `predictStep` gave. */
  predictedNames: readonly string[] | null = null;

  /** In a step: the loss of the batch: what `compile` was given for each output, losses that layers added in this step, and those of weights. A scalar. */
  computeLoss(given: LossArguments): SymbolicTensor {
    return computeLoss(this, given);
  }
  /** In a step: updates the metrics that `compile` was given (not the mean of the loss). Gives all metrics by name. */
  computeMetrics(given: LossArguments): Readonly<Record<string, Metric>> {
    return computeMetrics(this, given);
  }
  /** In a step, as Keras 2: the loss for targets and predictions; updates its mean, too. */
  compiledLoss(y: StepTensor | null, yPred: StepTensor, sampleWeight: StepTensor | null = null): SymbolicTensor {
    const loss = this.computeLoss({ y, yPred, sampleWeight });
    this.compiled.resolved!.loss.updateState(loss);
    return loss;
  }
  /** The mean of the loss, the metrics that `compile` was given (from the first batch on), and those of layers and fields. All are reset at the start of an epoch and of an evaluation. */
  get metrics(): readonly Metric[] {
    const found = this.compiledWith?.resolved;
    const own = this.layerMetrics;
    if (!found) return own;
    const first = [found.loss, ...found.outputLosses.flatMap((m) => (m ? [m] : [])), ...found.metrics.map((m) => m.metric)];
    return [...new Set([...first, ...own])];
  }

  // ---- weights

  /** Values of all weights, in the order of `weights`. */
  override async getWeights(): Promise<Tensor[]> {
    await this.settle();
    await this.current?.pull();
    return this.weights.map((w) => new Tensor(w.value.slice(), w.shape));
  }
  /** Sets all weights, in the order of `weights`. */
  setWeights(weights: readonly ArrayLikeInput[]): void {
    if (!Array.isArray(weights)) throw new ValueError(`setWeights: expected a list of arrays as getWeights gives it, got ${describe(weights)}`);
    const values = weights.map((w, i) => toTensor(`setWeights: weights[${i}]`, w));
    const mine = this.weights;
    if (values.length !== mine.length) throw new ValueError(`setWeights: model '${this.name}' has ${mine.length} weights, got ${values.length}`);
    mine.forEach((w, i) => {
      const t = values[i]!;
      if (t.size !== w.size || (t.rank > 0 && t.shape.join() !== w.shape.join() && t.rank !== 1))
        throw new ShapeError(`${w.path}: expected shape [${w.shape.join(',')}], got [${t.shape.join(',')}]`);
    });
    // what the device holds beside the weights (states of layers) must not be lost
    mine.forEach((w, i) => {
      w.assign(values[i]!.data);
    });
    this.current?.push();
  }
  /** Sets the states of stateful layers back to zero. */
  resetStates(): void {
    for (const v of this.allState) v.assign(new Float32Array(v.size));
    this.current?.zeroVariables(this.allState);
  }

  // ---- ahead of time

  /** Shapes of the outputs without the batch; null where a size is unknown. */
  outputShapes(): KerasShape[] {
    const t = new Trace(new GraphBuilder(this.name), { training: false, layout: separateLayout, shapesOnly: true });
    const x = symbolicInputs(
      t,
      this.feeds.map((s) => s.shape),
      this.feeds.map((s) => s.dtype),
    );
    const out = this.invoke(t, x.length === 1 ? x[0]! : x, { training: false, mask: null }) as Tensors;
    return listOf(out).map((o) => o.shape.slice(1).map((d) => (isStatic(d) ? d : null)));
  }

  /** What `fit` would be given when nothing else is known: targets of the outputs' shapes, class numbers for sparse losses. */
  private impliedData(options: ProgramsOptions): DataSpec {
    const fixed = (shape: KerasShape): number[] => shape.map((d) => d ?? 1);
    const y = this.outputShapes().map((shape, i): ArraySpec | null => {
      if (options.targets?.[i]) return options.targets[i]!;
      if (!this.compiledWith?.losses[i]) return null;
      const sparse = this.compiledWith.losses[i]!.className === 'SparseCategoricalCrossentropy';
      return sparse ? { dtype: 'int32', shape: shape.length === 1 ? [1] : fixed(shape.slice(0, -1)) } : { dtype: 'float32', shape: fixed(shape) };
    });
    return { x: this.feeds.map((s) => ({ dtype: s.dtype, shape: fixed(s.shape.slice(1)) })), y, weights: y.map(() => null) };
  }

  /** The graphs of the model with inputs given at each run: `predict`, and `train` and `evaluate` when it is compiled. They share state by slot name. */
  programs(options: ProgramsOptions = {}): Record<string, Graph> {
    const { batchSize: batch = 32, only } = options;
    const layout = this.layout();
    const data = this.impliedData(options);
    const wanted = (name: 'train' | 'evaluate' | 'predict') => only?.includes(name) ?? (name === 'predict' || this.compiledWith !== null);
    const graphs: Record<string, Graph> = {};
    if (wanted('train')) graphs.train = compiledGraph(trainGraph(this, layout, this.compiled, data, { batch, samples: null }));
    if (wanted('evaluate')) graphs.evaluate = compiledGraph(evaluateGraph(this, layout, this.compiled, data, { batch, samples: null }));
    if (wanted('predict')) graphs.predict = compiledGraph(predictGraph(this, layout, data.x, { batch, samples: null }));
    return graphs;
  }

  /** First contents of the state slots of `graphs` that do not start at zero, by slot name: weights as they are on the host (await getWeights first after training). */
  initialState(graphs: Readonly<Record<string, Graph>> = this.programs()): Record<string, TensorData> {
    const layout = this.layout();
    const out: Record<string, TensorData> = {};
    for (const graph of Object.values(graphs)) {
      for (const s of graph.state) {
        const data: TypedArray | null = out[s.name] ? null : initialContents(s.name, layout, this.optimizers, this.randomSeed());
        if (data) out[s.name] = { dtype: s.value.dtype, shape: s.value.shape as readonly number[], data };
      }
    }
    return out;
  }

  /** Embedding tables that read each input directly, for checks of ids. */
  embeddingTables(): { layer: Layer; inputDim: number }[][] {
    const first = this.layers.find((l) => !(l instanceof HostLayer));
    return this.feeds.map((s, i) =>
      this.layers
        .filter((l): l is EmbeddingClass => l instanceof EmbeddingClass)
        .filter((l) =>
          l.inboundNodes.length > 0 ? l.inboundNodes.some((n) => n.inputs.some((t) => t.name === s.name && isHostTensor(t))) : i === 0 && first === l,
        )
        .map((layer) => ({ layer, inputDim: layer.inputDim })),
    );
  }

  /** Prints the table of layers. */
  summary(options: SummaryOptions = {}): void {
    const o = resolveOptions<SummaryOptions>('summary', [options], [], { lineLength: undefined, printFn: undefined });
    const slots = this.optimizer && this.compiledWith?.resolved ? this.optimizer.stateSize(this.trainableWeights) : 0;
    printSummary(this.name, this.summaryRows(), { trainable: this.trainableWeights, other: this.nonTrainableWeights, optimizer: slots }, o);
  }
  protected summaryRows(): SummaryRow[] {
    throw this.lacks('layers');
  }
  override call(_inputs: TensorStructure, _args: CallArguments): TensorStructure | Promise<TensorStructure> {
    throw new UnsupportedError(`the model class ${this.className} has no call: write call(inputs, { training }) { … } in it, or give Model inputs and outputs`);
  }

  /** The architecture as Keras serializes it: for Keras 2 or Keras 3, whatever the model was made as. */
  serialized(generation: Semantics): SerializedObject {
    return writtenFor(generation, () => {
      // Keras finds Sequential by its public name alone, and functional models by their module.
      const functional = this.className === 'Functional';
      const module = generation === 'keras2' ? 'keras.src.engine.functional' : 'keras.src.models.functional';
      const shapes = this.hasInputs ? this.inputSpecs.map((s) => s.shape) : null;
      return {
        module: functional ? module : 'keras',
        class_name: this.className,
        config: this.getConfig(),
        registered_name: functional ? 'Functional' : null,
        ...(shapes ? { build_config: { input_shape: shapes.length === 1 ? shapes[0]! : shapes } } : {}),
      };
    });
  }

  /** The architecture as JSON. `keras`: which Keras reads it, 2 (default) or 3. */
  toJson(options: { readonly keras?: 2 | 3 } = {}): string {
    return JSON.stringify(this.configFile(options.keras ?? 2));
  }
  /** The architecture as YAML 1.1, as Keras 2 wrote it until 2.5. `keras`: 2 (default) or 3. */
  async toYaml(options: { readonly keras?: 2 | 3 } = {}): Promise<string> {
    const { writeYaml } = await import('../../formats/text.js');
    return writeYaml(JSON.parse(this.toJson(options)));
  }
  private configFile(keras: 2 | 3): object {
    if (keras === 3) return this.serialized('keras3');
    const { class_name, config } = this.serialized('keras2');
    return { class_name, config, keras_version: '2.15.0', backend: 'tensorflow' };
  }

  /**
   * Saves the model: architecture, weights, what `compile` was given, and the optimizer's state. The ending of the target gives the format (`.h5`, `.keras`); a path (Node), or a
   * target such as `download('m.keras')`. On a disk saving is atomic: the old file or the new one is there, whole.
   */
  async save(target: FileTarget, options: SaveOptions = {}): Promise<void> {
    const { saveModel } = await import('../saving/index.js');
    await saveModel(this, target, options);
  }
  /**
   * Writes the model's inference as an ONNX file: a path (Node), or a target such as `download('m.onnx')`. `opset`: 13 to 28, default 17. Weights beyond 1.9 GB go to a second
   * file, `NAME.data`. Atomic, as `save`. Throws UnsupportedError with the layer that ONNX cannot say.
   */
  async export(target: FileTarget, options: ExportOptions & OnnxSaveOptions & { readonly format?: 'onnx' } = {}): Promise<void> {
    if ((options.format ?? 'onnx') !== 'onnx') throw new ValueError(`export: the format must be 'onnx', got ${JSON.stringify(options.format)}`);
    const [{ exportModel }, { saveProto }] = await Promise.all([import('../../onnx/export/index.js'), import('../../onnx/save.js')]);
    await saveProto(await exportModel(this, options), target, options);
  }
  /** Saves the weights alone: `.h5` in the layout of Keras 2, `.weights.h5` in that of Keras 3; `.safetensors`, `.npz`; a path without such an ending is a checkpoint of TensorFlow. */
  async saveWeights(target: FileTarget, options: SaveOptions = {}): Promise<void> {
    const { saveWeights } = await import('../saving/index.js');
    await saveWeights(this, target, options);
  }
  /** Loads weights that a file holds for a model like this one. Throws, and changes nothing, when they do not fit; see the options. */
  async loadWeights(source: FileSource, options: LoadWeightsOptions = {}): Promise<void> {
    const { loadWeights } = await import('../saving/index.js');
    await loadWeights(this, source, options);
  }

  /** Gives all device memory back. The model stays usable: it starts from the host's weights. */
  dispose(): void {
    this.retired?.dispose();
    this.current?.dispose();
    this.retired = null;
    this.current = null;
  }
}
