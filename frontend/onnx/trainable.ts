/** An imported model as a Keras model: one layer, whose weights are the initializers and whose call is the graph. */
import { isStatic } from '../../ir/dim.js';
import { UnsupportedError, ValueError } from '../../ir/errors.js';
import type { Value } from '../../ir/graph.js';
import type { TensorData } from '../../ir/tensor-data.js';
import { listOf, type Tensors } from '../keras/backend/trace.js';
import type { Variable } from '../keras/backend/variable.js';
import { Input } from '../keras/layers/core.js';
import { Identity } from '../keras/layers/identity.js';
import { type CallArguments, Layer } from '../keras/layers/layer.js';
import type { KerasTensor } from '../keras/layers/node.js';
import type { ModelBase } from '../keras/models/base.js';
import { FunctionalClass } from '../keras/models/functional.js';
import { Importer } from './import.js';
import type { ModelData } from './model-data.js';
import type { GraphProto } from './schema/types.js';
import { smallTypeOfData } from './small-types.js';
import { NeedsValue } from './static.js';

export interface TrainableOptions {
  /** Which float32 initializers are trained; default: all but moving averages and what configures an op (bounds, scales, constants). */
  readonly trainable?: (name: string) => boolean;
  /** Name of the Keras model; default: the graph's. */
  readonly name?: string;
}

/** What the model says of an input or output. */
interface Info {
  readonly name: string;
  readonly dtype: TensorData['dtype'];
  readonly shape: readonly (number | string | null)[] | null;
}

/** Ops whose tensors beside the first say how to compute, not what with. */
const configured = new Set([
  'Resize',
  'Upsample',
  'Clip',
  'Pad',
  'OneHot',
  'QuantizeLinear',
  'DequantizeLinear',
  'Dropout',
  'NonMaxSuppression',
  'Range',
  'TopK',
]);

/** Initializers by what they are for. */
function rolesOf(graph: GraphProto): { readonly moving: ReadonlySet<string>; readonly fixed: ReadonlySet<string> } {
  const moving = new Set<string>();
  const fixed = new Set<string>();
  for (const n of graph.node ?? [])
    n.input?.forEach((name, i) => {
      if (n.op_type === 'BatchNormalization' && i >= 3) moving.add(name);
      if (configured.has(n.op_type ?? '') && i > 0) fixed.add(name);
    });
  return { moving, fixed };
}

/** A constant that an exporter wrote as an initializer. */
const isConstant = (name: string): boolean => /(^|\/)(const|scales)(_\d+)?$/i.test(name);

class OnnxGraphLayer extends Layer {
  static override readonly className = 'OnnxGraph';
  private readonly byName = new Map<string, Variable>();

  constructor(
    private readonly data: ModelData,
    private readonly names: readonly string[],
    name: string,
    private readonly options: TrainableOptions,
  ) {
    super({ name });
  }

  override build(): void {
    const { moving, fixed } = rolesOf(this.data.graph);
    for (const [name, proto] of this.data.initializers) {
      const data = this.data.tensor(proto, `initializer '${name}'`);
      const asked = this.options.trainable?.(name);
      if (data.dtype !== 'float32' || smallTypeOfData(data) !== undefined || data.data.length === 0 || (fixed.has(name) && !asked)) continue;
      if (asked === undefined && !moving.has(name) && (data.shape.length === 0 || isConstant(name))) continue;
      const weight = this.addWeight(name, data.shape, { initializer: 'zeros', trainable: asked ?? !moving.has(name) });
      weight.assign(data.data as Float32Array);
      this.byName.set(name, weight);
    }
  }

  override call(inputs: Tensors, args: CallArguments): Tensors {
    const list = listOf(inputs);
    const { trace } = list[0]!;
    const variables = new Map<Value, Variable>();
    const embed = {
      builder: trace.b,
      inputs: new Map(this.names.map((name, i) => [name, list[i]!.value])),
      weight: (name: string): Value | null => {
        const v = this.byName.get(name);
        if (!v) return null;
        const { value } = trace.read(v);
        variables.set(value, v);
        return value;
      },
      training: (args.training ?? false) && this.trainable,
      move: (old: Value, now: Value): void => {
        const v = variables.get(old);
        if (v && !v.trainable) trace.assign(v, trace.tensor(now));
      },
    };
    let values: Value[];
    try {
      values = new Importer(this.data, { inputs: {}, embed }).values();
    } catch (e) {
      if (!(e instanceof NeedsValue)) throw e;
      throw new UnsupportedError(
        `${this.name}: shapes depend on the contents of ${e.inputs.map((n) => `'${n}'`).join(', ')}; such a model runs, but cannot be trained`,
      );
    }
    return values.map((v) => {
      // crossentropy goes back to the logits, as behind Keras' own activations
      const p = v.producer;
      if ((p?.op === 'composite' && p.attrs.name === 'softmax') || (p?.op === 'unary' && p.attrs.fn === 'sigmoid'))
        trace.logits.set(v, trace.tensor(p.inputs[0]!));
      return trace.tensor(v);
    });
  }
}

/** Names as Keras takes them. */
const plain = (name: string): string => name.replace(/[^\w.-]+/g, '_') || 'onnx';

export function trainableModel(data: ModelData, inputs: readonly Info[], outputs: readonly Info[], options: TrainableOptions): ModelBase {
  const xs = inputs.map((i): KerasTensor => {
    if (!i.shape || i.shape.length === 0) throw new ValueError(`asTrainable: input '${i.name}' has no batch axis`);
    const batchShape = i.shape.map((d) => (typeof d === 'number' && isStatic(d) ? d : null));
    return Input({ batchShape, dtype: i.dtype === 'int64' ? 'int32' : i.dtype, name: plain(i.name) });
  });
  const layer = new OnnxGraphLayer(
    data,
    inputs.map((i) => i.name),
    plain(options.name ?? (data.graph.name || 'onnx')),
    options,
  );
  const ys = layer(xs) as unknown as readonly KerasTensor[] | KerasTensor;
  const list = Array.isArray(ys) ? (ys as readonly KerasTensor[]) : [ys as KerasTensor];
  const named = list.map((y, i) => Identity({ name: `${plain(outputs[i]!.name)}${xs.some((x) => x.name === plain(outputs[i]!.name)) ? '_output' : ''}` })(y));
  return new FunctionalClass({
    inputs: xs,
    outputs: named.length === 1 ? named[0]! : named,
    name: `${plain(options.name ?? (data.graph.name || 'onnx'))}_model`,
  });
}
