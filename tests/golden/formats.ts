/** Family `formats`: files that the real Keras wrote: each loads, predicts what the saved model predicted, and training goes on from it along the same way. */

import path from 'node:path';
import { loadModel, type ModelBase, modelFromConfig } from '../../frontend/keras/index.js';
import type { CompileOptions } from '../../frontend/keras/models/compiled.js';
import { compileOptions } from '../../frontend/keras/saving/training-config.js';
import { Tensor } from '../../frontend/keras/tensor.js';
import type { Json, JsonObject, SerializedObject } from '../../frontend/keras/utils/serialization.js';
import { UnsupportedError } from '../../ir/errors.js';
import { Scale } from '../support/scale-layer.js';
import type { ArrayRef, CaseHeader, Checker, Target } from './cases.js';

interface FileEntry {
  readonly kind: string;
  readonly file: string;
  readonly optimizer_state?: boolean;
  readonly resumes_exactly?: boolean;
}

interface FormatCase extends CaseHeader {
  readonly files: readonly FileEntry[];
  readonly model: SerializedObject;
  readonly weights: readonly ArrayRef[];
  readonly inputs: readonly ArrayRef[];
  readonly outputs: readonly ArrayRef[];
  readonly compile?: JsonObject & { readonly optimizer: SerializedObject & { readonly api?: string } };
  readonly resume?: {
    readonly inputs: readonly (readonly ArrayRef[])[];
    readonly targets: readonly (readonly ArrayRef[])[];
    readonly logs_per_step: readonly (readonly number[])[];
    readonly final_weights: readonly ArrayRef[];
  };
}

const customObjects = { Scale: Scale as never };

/** Kinds that hold weights alone. */
const weightKinds = ['h5_weights', 'keras_weights', 'tf_checkpoint'];
const modelKinds = ['h5_model', 'keras_archive', 'saved_model'];

export async function runFormatCase(json: CaseHeader, check: Checker, target: Target, folder: string): Promise<void> {
  const c = json as FormatCase;
  const tensors = (refs: readonly ArrayRef[]) =>
    refs.map((r) => {
      const t = check.array(r);
      return new Tensor(t.data, t.shape, t.dtype);
    });
  const fresh = (): ModelBase => modelFromConfig(c.model, { semantics: c.semantics, customObjects });
  const compile = (model: ModelBase): void => {
    const t = c.compile!;
    const training = {
      optimizer: t.optimizer,
      legacyOptimizer: c.name.startsWith('legacy_'),
      loss: t.loss,
      lossWeights: t.loss_weights,
      metrics: t.metrics,
      weightedMetrics: t.weighted_metrics,
    };
    model.compile({ ...(compileOptions(training as never, c.semantics, {}) as CompileOptions), device: target.device });
  };
  const predicts = async (what: string, model: ModelBase): Promise<void> => {
    const outputs = await model.predictAll(tensors(c.inputs), { batchSize: check.array(c.inputs[0]!).shape[0]! });
    for (const [i, ref] of c.outputs.entries()) check.equal(`${what}: output ${i}`, outputs[i] ?? null, ref);
  };
  const resumes = async (what: string, model: ModelBase, exactly: boolean): Promise<void> => {
    const r = c.resume!;
    for (const [i, inputs] of r.inputs.entries()) {
      const logs = [await model.trainOnBatch(tensors(inputs), tensors(r.targets[i]!))].flat() as number[];
      // Keras 3 reports means since the file was saved where metrics were not reset: the first step's loss is that of its batch alone
      if (exactly && c.semantics === 'keras2') check.numbers(`${what}: step ${i}`, logs, r.logs_per_step[i]!);
    }
    if (!exactly) return;
    const weights = await model.getWeights();
    for (const [i, ref] of r.final_weights.entries()) check.equal(`${what}: resumed ${model.weights[i]?.path}`, weights[i] ?? null, ref);
  };
  const sameWeights = async (what: string, model: ModelBase): Promise<void> => {
    const weights = await model.getWeights();
    for (const [i, ref] of c.weights.entries()) check.equal(`${what}: ${model.weights[i]?.path}`, weights[i] ?? null, ref);
  };
  const run = async (entry: FileEntry): Promise<void> => {
    const file = path.join(folder, entry.file);
    const what = path.basename(file);
    if (modelKinds.includes(entry.kind)) {
      const model = await loadModel(file, { customObjects, device: target.device });
      if (!c.compile) model.compile({ device: target.device });
      await sameWeights(what, model);
      await predicts(what, model);
      if (c.resume && entry.optimizer_state !== false) await resumes(what, model, entry.resumes_exactly ?? false);
      model.dispose();
    } else if (weightKinds.includes(entry.kind)) {
      const model = fresh();
      if (c.compile) compile(model);
      else model.compile({ device: target.device });
      await model.loadWeights(file);
      await sameWeights(what, model);
      await predicts(what, model);
      if (c.resume && entry.resumes_exactly) await resumes(what, model, true);
      model.dispose();
    } else if (entry.kind === 'json' || entry.kind === 'yaml') {
      const model = await loadModel(file, { customObjects, device: target.device, ...(c.semantics === 'keras3' ? {} : { semantics: 'keras2' as const }) });
      model.compile({ device: target.device });
      model.setWeights(tensors(c.weights));
      await predicts(what, model);
      const again = modelFromConfig(model.toJson({ keras: c.semantics === 'keras2' ? 2 : 3 }), { customObjects });
      check.truth(`${what}: configuration after a round trip`, again.getConfig() as Json, model.getConfig() as Json);
      model.dispose();
    } else throw new UnsupportedError(`files of kind ${entry.kind} are not read yet`);
  };
  for (const entry of c.files) {
    try {
      await run(entry);
    } catch (e) {
      check.problems.push(`${entry.file}: ${e instanceof Error ? e.message : String(e)}`);
    }
  }
}
