/** What `compile` was given, as H5 files, SavedModels and models of TensorFlow.js have it: losses and metrics, and the optimizer as `optimizer_config`. */
import { ModelFormatError } from '../../../ir/errors.js';
import { isPlainObject } from '../utils/options.js';
import type { JsonObject, Semantics, SerializedObject } from '../utils/serialization.js';
import type { ModelContents, TrainingConfig } from './saved-model.js';
import { lossObjects } from './training-config.js';

/** New optimizers of Keras 2 are `Custom>Adam` in these files, and say that they are not legacy ones. */
export function trainingOfH5(what: string, value: unknown, generation: Semantics | null): TrainingConfig | null {
  if (value === null || value === undefined) return null;
  if (!isPlainObject(value)) throw new ModelFormatError(`${what}: is not an object`);
  const t = value as JsonObject;
  const given = (t.optimizer_config ?? null) as unknown as SerializedObject | null;
  if (given !== null && !isPlainObject(given)) throw new ModelFormatError(`${what}: optimizer_config is not an object`);
  if (given !== null && typeof given.class_name !== 'string') throw new ModelFormatError(`${what}: optimizer_config has no class_name`);
  const config = given?.config ?? {};
  if (!isPlainObject(config)) throw new ModelFormatError(`${what}: the config in optimizer_config is not an object`);
  const modern =
    given !== null && (generation === 'keras3' || given.class_name.includes('>') || config.is_legacy_optimizer === false || 'jit_compile' in config);
  return {
    optimizer: given,
    legacyOptimizer: !modern,
    loss: t.loss,
    lossWeights: t.loss_weights ?? null,
    metrics: t.metrics ?? null,
    weightedMetrics: t.weighted_metrics ?? null,
  };
}

/** The same, to be written; null for a model that is not compiled. */
export function trainingForH5(m: ModelContents): JsonObject | null {
  if (!m.training) return null;
  const { optimizer, ...rest } = m.training;
  const { class_name, config, module } = optimizer as unknown as SerializedObject;
  const legacy = module?.includes('legacy') ?? false;
  const name = m.generation === 'keras2' && !legacy ? `Custom>${class_name}` : class_name;
  const loss = m.generation === 'keras3' ? lossObjects(rest.loss) : rest.loss;
  return { ...rest, loss, optimizer_config: { class_name: name, config } };
}
