/** `cloneModel`: the same architecture with new layers and new weights. */
import { UnsupportedError, ValueError } from '../../../ir/errors.js';
import { InputLayerClass } from '../layers/core.js';
import { LambdaClass } from '../layers/identity.js';
import type { CallArguments, Layer } from '../layers/layer.js';
import { KerasTensor } from '../layers/node.js';
import { deserialize, serialize } from '../layers/serialization.js';
import { OperationClass } from '../operations/layer.js';
import { describe } from '../utils/options.js';
import type { ModelBase } from './base.js';
import { FunctionalClass } from './functional.js';
import { SequentialClass } from './sequential.js';

export interface CloneOptions {
  /** Makes the new layer for each layer but inputs; default: one with the same configuration. Layers that are models inside are cloned unless it is given. */
  readonly cloneFunction?: (layer: Layer) => Layer;
  /** The inputs of a functional model's clone, instead of new ones. */
  readonly inputTensors?: readonly KerasTensor[];
}

/** A model with layers of the same configurations and weights of its own. Throws UnsupportedError for subclassed models, whose call cannot be copied. */
export function cloneModel(model: ModelBase, options: CloneOptions = {}): ModelBase {
  if (model instanceof SequentialClass) return sequential(model, options);
  if (model instanceof FunctionalClass) return functional(model, options);
  throw new UnsupportedError(`cloneModel: '${model.name}' is a subclassed model: make another with new ${model.className}(…)`);
}

function cloned(layer: Layer, options: CloneOptions): Layer {
  if (options.cloneFunction) {
    const made = options.cloneFunction(layer);
    if (typeof (made as Layer | undefined)?.apply !== 'function')
      throw new ValueError(`cloneModel: cloneFunction must give a layer for '${layer.name}', it gave ${describe(made)}`);
    return made;
  }
  if (layer instanceof SequentialClass || layer instanceof FunctionalClass) return cloneModel(layer);
  // its function cannot be written to a configuration, but it can be shared
  if (layer instanceof LambdaClass) return new LambdaClass(layer.function, { name: layer.name, trainable: layer.trainable, semantics: layer.semantics });
  if (layer instanceof OperationClass) return layer.again();
  const serialized = serialize(layer);
  return deserialize(serialized, { semantics: layer.semantics, customObjects: { [serialized.class_name]: layer.constructor as never } });
}

function sequential(model: SequentialClass, options: CloneOptions): SequentialClass {
  const first = model.hasInputs
    ? [new InputLayerClass({ batchShape: model.inputSpecs[0]!.shape, dtype: model.inputSpecs[0]!.dtype, name: model.inputSpecs[0]!.name })]
    : [];
  return new SequentialClass({
    layers: [...first, ...model.layers.map((l) => cloned(l, options))],
    name: model.name,
    trainable: model.trainable,
    semantics: model.semantics,
  });
}

function functional(model: FunctionalClass, options: CloneOptions): FunctionalClass {
  const given = options.inputTensors;
  if (given && given.length !== model.inputs.length)
    throw new ValueError(`cloneModel: the model has ${model.inputs.length} inputs, inputTensors has ${given.length}`);
  const tensors = new Map<KerasTensor, KerasTensor>();
  model.inputs.forEach((t, i) => {
    const of = new InputLayerClass({ batchShape: t.shape, dtype: t.dtype, name: t.name, semantics: model.semantics });
    tensors.set(t, given?.[i] ?? of.output);
  });
  const copies = new Map<Layer, Layer>();
  const at = (t: KerasTensor): KerasTensor => tensors.get(t)!;
  for (const node of model.nodes) {
    if (node.outputs.every((o) => tensors.has(o))) continue;
    const copy = copies.get(node.layer) ?? cloned(node.layer, options);
    copies.set(node.layer, copy);
    const { inputs, named } = node.split(node.inputs.map(at));
    const own = inputs.slice(0, inputs.length - node.states);
    const args: CallArguments = { ...node.args, ...named, ...(node.states > 0 ? { initialState: inputs.slice(own.length) } : {}) };
    const single = node.singleInput || (node.states > 0 && own.length === 1);
    const out = copy.apply(single ? own[0]! : own, args);
    const list = out instanceof KerasTensor ? [out] : (out as readonly KerasTensor[]);
    node.outputs.forEach((o, i) => {
      tensors.set(o, list[i]!);
    });
  }
  const outputs = model.outputs.map(at);
  const keyed = (keys: readonly string[], list: readonly KerasTensor[]) => Object.fromEntries(keys.map((k, i) => [k, list[i]!]));
  const inputs = model.inputs.map(at);
  return new FunctionalClass({
    inputs: model.givenKeys ? keyed(model.givenKeys, inputs) : inputs,
    outputs: model.outputKeys ? keyed(model.outputKeys, outputs) : outputs.length === 1 ? outputs[0]! : outputs,
    name: model.name,
    trainable: model.trainable,
    semantics: model.semantics,
  });
}
