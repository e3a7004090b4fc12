/**
 * Models from their configurations: Sequential and functional ones, as Keras 2 (`batch_input_shape`, nested lists) and Keras 3 (`batch_shape`, `keras_history`) write them;
 * older ones are brought to the form of Keras 2 first (old-configs.ts).
 */
import { UnsupportedError, ValueError } from '../../../ir/errors.js';
import type { Layer } from '../layers/layer.js';
import type { KerasTensor } from '../layers/node.js';
import { classOf, modelReaders } from '../layers/registry.js';
import { type DeserializeOptions, deserialize } from '../layers/serialization.js';
import { type Call, readCall, tensorsOf } from '../operations/call.js';
import { OperationClass } from '../operations/layer.js';
import { operationKind, withModule } from '../operations/names.js';
import { isPlainObject, toCamel } from '../utils/options.js';
import type { Json, JsonObject, Semantics, SerializedObject } from '../utils/serialization.js';
import type { ModelBase } from './base.js';
import { FunctionalClass, ownNodes } from './functional.js';
import { withoutMaskOperations } from './mask-operations.js';
import { upgraded } from './old-configs.js';
import { SequentialClass } from './sequential.js';

const modelClasses = ['Sequential', 'Functional', 'Model'];

/** Keras 3 marks its configs by policies and `batch_shape`; Keras 2 by `batch_input_shape` and `keras_version`. */
export function semanticsOf(model: SerializedObject): Semantics {
  const version = (model as { keras_version?: unknown }).keras_version;
  if (typeof version === 'string') return version.startsWith('3') ? 'keras3' : 'keras2';
  return JSON.stringify(model.config).includes('"batch_input_shape"') ? 'keras2' : 'keras3';
}

/** Layers in a config whose classes do not exist here, all of them. */
function missingLayers(layers: readonly SerializedObject[], options: DeserializeOptions, depth = 0): { readonly layer: string; readonly className: string }[] {
  if (depth > maxDepth) throw new ValueError(`the model's config has models inside models, more than ${maxDepth} deep`);
  const bare = (name: string) => name.slice(name.indexOf('>') + 1);
  return layers.flatMap((l, i) => {
    if (!isPlainObject(l) || typeof l.class_name !== 'string') throw new ValueError(`entry ${i} of the layers in the model's config has no class_name`);
    const config = isPlainObject(l.config) ? (l.config as JsonObject) : {};
    const className = bare(l.class_name);
    const layer = typeof config.name === 'string' ? config.name : `layer ${i}`;
    if (modelClasses.includes(className)) return missingLayers(listOfLayers(l), options, depth + 1);
    const found = classOf(l, options.customObjects);
    if (!found?.custom && operationKind(l) !== null) return [];
    if (!found) return [{ layer, className }];
    if (found.custom) return [];
    const inner = [config.layer, config.backward_layer, config.cell].filter((x): x is JsonObject => isPlainObject(x) && typeof x.class_name === 'string');
    return missingLayers(inner as unknown as SerializedObject[], options, depth + 1);
  });
}

const maxDepth = 64;

function listOfLayers(model: SerializedObject): readonly SerializedObject[] {
  const layers = (model.config as JsonObject | undefined)?.layers;
  if (!Array.isArray(layers)) throw new ValueError(`the configuration of a ${model.class_name} needs a list of layers`);
  return layers as unknown as SerializedObject[];
}

/**
 * A model from its configuration (an object or JSON text), of Keras 1.2, 2.0 to 2.15 or 3. One error lists all layers whose classes do not exist here: give them in
 * `customObjects`, or register them once with `utils.registerKerasSerializable`. No code in a configuration is run.
 */
export function modelFromConfig(config: string | SerializedObject, options: DeserializeOptions = {}): ModelBase {
  const given = typeof config === 'string' ? parsed(config) : config;
  if (!isPlainObject(given) || !modelClasses.includes((given as { class_name: string }).class_name)) {
    const found = isPlainObject(given) ? JSON.stringify(given.class_name) : 'nothing';
    throw new ValueError(`not the configuration of a Sequential or functional model: class_name is ${found}`);
  }
  const model = withoutMaskOperations(upgraded(given as unknown as SerializedObject));
  if (!isPlainObject(model.config)) throw new ValueError(`the configuration of a ${model.class_name} has no config`);
  const missing = missingLayers([model], options);
  if (missing.length > 0) {
    const list = missing.map((m) => `'${m.layer}' (${m.className})`).join(', ');
    const name = missing[0]!.className;
    throw new UnsupportedError(
      `the model has layers of unknown classes: ${list}. Give the classes: { customObjects: { ${name}: … } }, or register them with utils.registerKerasSerializable before loading`,
    );
  }
  const written = semanticsOf(model);
  return build(model, { ...options, semantics: options.semantics ?? written, written });
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (e) {
    throw new ValueError(`the model's configuration is not JSON: ${e instanceof Error ? e.message : String(e)}`);
  }
}

/** `written`: the generation that wrote the configuration, which need not be the one whose results are wanted. */
type BuildOptions = DeserializeOptions & { readonly written: Semantics };

function build(model: SerializedObject, options: BuildOptions): ModelBase {
  return model.class_name === 'Sequential' ? sequential(model.config, options) : functional(model.config, options);
}

for (const name of modelClasses)
  modelReaders[name] = (serialized, options) => {
    const written = semanticsOf(serialized);
    return build(serialized, { ...options, semantics: options.semantics ?? written, written });
  };

function layerFrom(config: SerializedObject, options: BuildOptions): Layer {
  const operation = classOf(config, options.customObjects)?.custom ? null : operationKind(config);
  if (operation) {
    // what else an entry has (its calls) is no part of the layer
    const { inbound_nodes: _, name: __, build_config: ___, ...own } = config as SerializedObject & Record<string, Json>;
    return new OperationClass(withModule(own as unknown as SerializedObject, operation), operation, options.semantics ?? options.written);
  }
  return modelClasses.includes(config.class_name) ? build(config, options) : deserialize(config, options);
}

function sequential(config: JsonObject, options: BuildOptions): SequentialClass {
  const layers = (config.layers as unknown as SerializedObject[]).map((l) => layerFrom(l, options));
  const model = new SequentialClass({
    layers,
    name: (config.name as string | undefined) ?? null,
    trainable: (config.trainable as boolean | undefined) ?? true,
    semantics: options.semantics,
  });
  const shape = config.build_input_shape as readonly (number | null)[] | undefined;
  if (!model.hasInputs && shape) model.buildFor(shape);
  return model;
}

/** A tensor in a config: layer, call, output. */
type Reference = readonly [layer: string, node: number, index: number];

interface PendingCall {
  readonly layer: Layer;
  readonly references: readonly Reference[];
  readonly single: boolean;
  readonly args: JsonObject;
  /** The call of an operation. */
  readonly operation?: Call;
}

function functional(config: JsonObject, options: BuildOptions): FunctionalClass {
  const list = config.layers as unknown as (SerializedObject & { readonly name: string; readonly inbound_nodes: readonly Json[] })[];
  const layers = new Map<string, Layer>();
  const pending: PendingCall[] = [];
  for (const entry of list) {
    const layer = layerFrom(entry, options);
    layers.set(entry.name ?? layer.name, layer);
    if (!Array.isArray(entry.inbound_nodes)) throw new ValueError(`the layer '${layer.name}' of the model's config has no list inbound_nodes`);
    for (const node of entry.inbound_nodes)
      pending.push({ layer, ...(layer instanceof OperationClass ? operationCall(layer, node) : inboundCall(layer.name, node)) });
  }
  const found = ([name, node, index]: Reference, own: (layer: Layer) => number): KerasTensor | null => {
    const layer = layers.get(name);
    if (!layer) throw new ValueError(`the model's config refers to the layer '${name}', which it does not have`);
    return layer.inboundNodes.at(node - own(layer))?.outputs[index] ?? null;
  };
  const counted = (layer: Layer): number => ownNodes(layer, options.written);
  // early Keras 3 counts a functional model's own node before its calls, as Keras 2 does; later ones do so in output_layers alone
  const fromZero = new Set(
    pending.flatMap((c) =>
      [...c.references, ...stateReferences(c), ...tensorNames.flatMap((n) => argumentReferences(c.args[n]))].filter((r) => r[1] === 0).map((r) => r[0]),
    ),
  );
  const find = (r: Reference): KerasTensor | null => found(r, (layer) => (options.written === 'keras3' && fromZero.has(r[0]) ? 0 : counted(layer)));
  // Calls whose inputs exist are made, in the order of each layer's nodes, until none is left.
  while (pending.length > 0) {
    const blocked = new Set<Layer>();
    let made = 0;
    for (let i = 0; i < pending.length; i++) {
      const call = pending[i]!;
      const tensors = [...call.references, ...stateReferences(call), ...tensorNames.flatMap((name) => argumentReferences(call.args[name]))].map(find);
      if (blocked.has(call.layer) || tensors.some((t) => t === null)) {
        blocked.add(call.layer);
        continue;
      }
      const inputs = tensors.slice(0, call.references.length) as KerasTensor[];
      if (call.operation) (call.layer as OperationClass).applyCall(call.operation, inputs);
      else call.layer.apply(call.single ? inputs[0]! : inputs, callArguments(call, find));
      pending.splice(i--, 1);
      made++;
    }
    if (made === 0) throw new ValueError(`the model's config has calls whose inputs never exist: ${pending.map((c) => c.layer.name).join(', ')}`);
  }
  const ends = (key: string): KerasTensor[] | Record<string, KerasTensor> => {
    const existing = (r: Reference): KerasTensor => {
      const t = found(r, counted);
      if (!t) throw new ValueError(`the model's config names ${JSON.stringify(r)} in ${key}, which does not exist`);
      return t;
    };
    const given = config[key];
    const keyed = isPlainObject(given) ? Object.entries(given as JsonObject).map(([k, r]) => [k, references(r)] as const) : [];
    if (keyed.length > 0 && keyed.every(([, r]) => r.length === 1)) return Object.fromEntries(keyed.map(([k, r]) => [k, existing(r[0]!)]));
    return references(given).map(existing);
  };
  const [inputs, outputs] = [ends('input_layers'), ends('output_layers')];
  return new FunctionalClass({
    inputs,
    outputs: Array.isArray(outputs) && outputs.length === 1 ? outputs[0]! : outputs,
    name: config.name as string,
    trainable: (config.trainable as boolean | undefined) ?? true,
    semantics: options.semantics,
  });
}

const isReference = (x: Json): x is [string, number, number] => Array.isArray(x) && typeof x[0] === 'string' && typeof x[1] === 'number';

/** One reference, a list of them, or an object of them. */
function references(x: Json): Reference[] {
  if (isReference(x)) return [[x[0], x[1], x[2]]];
  if (Array.isArray(x)) return x.flatMap(references);
  return isPlainObject(x) ? Object.values(x as JsonObject).flatMap(references) : [];
}

/** References in Keras 3's tree of arguments. */
function treeReferences(x: Json): Reference[] {
  if (Array.isArray(x)) return x.flatMap(treeReferences);
  if (!isPlainObject(x)) return [];
  const o = x as JsonObject;
  if (o.class_name === '__keras_tensor__') return references((o.config as JsonObject).keras_history);
  return Object.values(o).flatMap(treeReferences);
}

/** A node of a config: Keras 3 has args and kwargs, Keras 2 a list of references (or one). */
function inboundCall(layer: string, node: Json): Omit<PendingCall, 'layer'> {
  const bad = () => new ValueError(`the layer '${layer}' of the model's config has a call that is none: ${(JSON.stringify(node) ?? 'nothing').slice(0, 200)}`);
  if (isPlainObject(node)) {
    const { args, kwargs } = node as unknown as { args: readonly Json[]; kwargs: JsonObject };
    const given = [...treeReferences(args as Json), ...inputNames.flatMap((name) => argumentReferences(kwargs?.[name]))];
    if (!Array.isArray(args)) throw bad();
    return { references: given, single: !Array.isArray(args[0]) && given.length === 1, args: kwargs ?? {} };
  }
  const list = isReference(node) ? [node] : (node as readonly Json[]);
  if (!Array.isArray(list) || !Array.isArray(list[0])) throw bad();
  const kwargs = (list[0] as readonly Json[])[3];
  const args = (kwargs as JsonObject | undefined) ?? {};
  const given = [...list.flatMap((r) => references(r)), ...inputNames.flatMap((name) => argumentReferences(args[name]))];
  return { references: given, single: given.length === 1, args };
}

/** A node of an operation, all of whose tensors are among its arguments. */
function operationCall(layer: OperationClass, node: Json): Omit<PendingCall, 'layer'> {
  const operation = readCall(layer.name, node, layer.written);
  return { references: tensorsOf(operation), single: false, args: {}, operation };
}

/** Inputs that Keras takes as arguments, in our order. */
const inputNames = ['value', 'key'] as const;
/** Arguments that are tensors and stay arguments. */
const tensorNames = ['attention_mask', 'count_weights'] as const;
/** Arguments that are plain values. */
const plainNames = ['training', 'use_causal_mask', 'return_attention_scores'] as const;

/** The tensors that an argument of a call refers to. */
function argumentReferences(x: Json): Reference[] {
  if (x === undefined || x === null) return [];
  const tree = treeReferences(x);
  return tree.length > 0 ? tree : references(x);
}

/** The initial states of a recurrent layer's call. */
const stateReferences = (call: PendingCall): Reference[] => argumentReferences(call.args.initial_state);

/** Arguments of a call: plain ones as they are, states as tensors. */
function callArguments(call: PendingCall, find: (r: Reference) => KerasTensor | null): Parameters<Layer['apply']>[1] {
  for (const [name, value] of Object.entries(call.args)) {
    const known = ['initial_state', ...inputNames, ...tensorNames].includes(name);
    if (!known && argumentReferences(value).length > 0) throw new UnsupportedError(`${call.layer.name}: a tensor as the argument ${name} is not supported`);
  }
  const states = stateReferences(call).map((r) => find(r)!);
  const plain = plainNames.filter((name) => typeof call.args[name] === 'boolean').map((name) => [toCamel(name), call.args[name]]);
  const tensors = tensorNames.flatMap((name) => argumentReferences(call.args[name]).map((r) => [toCamel(name), find(r)!]));
  return { ...Object.fromEntries([...plain, ...tensors]), ...(states.length > 0 ? { initialState: states } : {}) };
}
