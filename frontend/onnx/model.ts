/**
 * ONNX models that run. A model is compiled for the shapes that it is run with (and for the contents of inputs that decide shapes, such as the target of a Reshape); plans are kept,
 * and the weights are shared between them.
 */
import { type CompileOptions, compile } from '../../codegen/compile.js';
import { targetOf } from '../../codegen/target.js';
import { type DType, type HostArray, hostArray, isBigArray, isWide } from '../../ir/dtype.js';
import { ShapeError, ValueError } from '../../ir/errors.js';
import { evaluate, toHost } from '../../ir/evaluate.js';
import type { Graph } from '../../ir/graph.js';
import { sizeOf, type TensorData } from '../../ir/tensor-data.js';
import type { Device, LoadedPlan, Session } from '../../runtime/device.js';
import { type DeviceName, openDevice } from '../../runtime/open.js';
import type { ModelBase } from '../keras/models/base.js';
import { checkSupport } from './check.js';
import { dtypeOf, elementName, elementNumber } from './element-types.js';
import { type Imported, Importer, type InputBinding } from './import.js';
import { ModelData } from './model-data.js';
import { type OnnxSource, type ReadOptions, readModel } from './read.js';
import type { OpEntry } from './registry.js';
import { bigOf, intOf } from './schema/codec.js';
import type { ModelProto, ValueInfoProto } from './schema/types.js';
import { isSmallType, strangerIn } from './small-types.js';
import { NeedsValue } from './static.js';
import { dimsOf } from './tensors.js';
import { type KerasOptions, kerasModel } from './to-keras/index.js';
import { type TrainableOptions, trainableModel } from './trainable.js';

/** Where a model runs: a name, or an open device that several models share. `reference` evaluates on the host, slowly and exactly. */
export type OnnxDevice = DeviceName | 'reference' | Device;

export interface LoadOptions extends ReadOptions {
  /** Default 'auto'. */
  readonly device?: OnnxDevice;
  /** Ops of domains that are not built in (or of the built-in ones, which they then replace). */
  readonly customOps?: readonly OpEntry[];
  /** What becomes of float64 on WebGPU, which has none: 'float32' (the default) computes it in float32, with a warning, and inputs and outputs stay float64; 'refuse' throws UnsupportedError. */
  readonly float64?: 'float32' | 'refuse';
  /** Called with what a user should know, once for the model. Default: console.warn. */
  readonly onWarning?: (message: string) => void;
  /** How many compiled plans are kept. Default 16. */
  readonly maxPlans?: number;
}

/** An input or output. A dimension is a number, the name of a symbol, or null where nothing is known. */
export interface TensorInfo {
  readonly name: string;
  readonly dtype: DType;
  readonly shape: readonly (number | string | null)[] | null;
  /** ONNX's name of the type where it is one that `dtype` carries (float8e4m3fn, int4, ...): elements must be values of it. */
  readonly elementType?: string;
}

/** Data for an input: a tensor, or its elements alone where the model says the shape. */
export type OnnxInput =
  | TensorData
  | { readonly shape: readonly number[]; readonly data: HostArray | readonly number[] }
  | HostArray
  | readonly number[]
  | number;

interface LoadedGraph {
  readonly imported: Imported;
  run(feeds: Readonly<Record<string, TensorData>>): Promise<Record<string, TensorData>>;
  dispose(): void;
}

function infoOf(info: ValueInfoProto, what: string): TensorInfo {
  const name = info.name ?? '';
  const type = info.type?.tensor_type;
  const dims = type?.shape?.dim;
  return {
    name,
    dtype: dtypeOf(type?.elem_type ?? 0, `${what} '${name}'`),
    ...(isSmallType(type?.elem_type ?? 0) ? { elementType: elementName(type!.elem_type!) } : {}),
    shape: dims
      ? dims.map((d) =>
          d.dim_param
            ? d.dim_param
            : d.dim_value === null || d.dim_value === undefined || !Object.hasOwn(d, 'dim_value')
              ? null
              : dimsOf([d.dim_value], `${what} '${name}'`)[0]!,
        )
      : null,
  };
}

/** Reads a model and opens its device. Throws FormatError for damaged files, UnsupportedError with every node that is not supported. */
export async function load(source: OnnxSource, options: LoadOptions = {}): Promise<OnnxModel> {
  const proto = await readModel(source, options);
  return OnnxModel.create(proto, options);
}

export class OnnxModel {
  readonly inputs: readonly TensorInfo[];
  /** Inputs that need not be given: initializers of the same names are their defaults, as the states of stateful layers are. */
  readonly optionalInputs: readonly TensorInfo[];
  readonly outputs: readonly TensorInfo[];
  private readonly plans = new Map<string, LoadedGraph>();
  /** Inputs whose contents decide shapes, as far as they are known by now. */
  private readonly decisive = new Set<string>();
  private disposed = false;

  private constructor(
    readonly data: ModelData,
    private readonly device: Device | null,
    private readonly session: Session | null,
    private readonly release: () => void,
    private readonly maxPlans: number,
    private readonly compileOptions: Pick<CompileOptions, 'float64' | 'onWarning'>,
  ) {
    const ports = data.graph.input ?? [];
    this.inputs = ports.filter((i) => !data.initializers.has(i.name ?? '')).map((i) => infoOf(i, 'input'));
    // before IR version 4 every initializer had to be an input, too
    this.optionalInputs = ports.filter((i) => intOf(data.proto.ir_version) >= 4 && data.initializers.has(i.name ?? '')).map((i) => infoOf(i, 'input'));
    this.outputs = (data.graph.output ?? []).map((o) => infoOf(o, 'output'));
  }

  /** A model from its message. */
  static async create(proto: ModelProto, options: LoadOptions = {}): Promise<OnnxModel> {
    const data = new ModelData(proto, options.customOps);
    checkSupport(data);
    const option = options.device ?? 'auto';
    const own = typeof option === 'string' && option !== 'reference';
    const device = option === 'reference' ? null : typeof option === 'string' ? await openDevice(option) : option;
    const session = device?.createSession() ?? null;
    const release = (): void => {
      session?.dispose();
      if (own) device?.dispose();
    };
    try {
      const { float64, onWarning = (m: string) => console.warn(m) } = options;
      if (float64 !== undefined && float64 !== 'float32' && float64 !== 'refuse')
        throw new ValueError(`option 'float64' must be 'float32' or 'refuse', found '${String(float64)}'`);
      let warned = false;
      const warnOnce = (message: string): void => {
        if (!warned) onWarning(message);
        warned = true;
      };
      return new OnnxModel(data, device, session, release, Math.max(options.maxPlans ?? 16, 1), { float64, onWarning: warnOnce });
    } catch (e) {
      release();
      throw e;
    }
  }

  /** Name and version of the default domain's opset, and other facts of the file. */
  get info(): {
    readonly irVersion: number;
    readonly opsets: Readonly<Record<string, number>>;
    readonly producer: string;
    readonly modelVersion: bigint;
    readonly metadata: Readonly<Record<string, string>>;
  } {
    const { proto } = this.data;
    return {
      irVersion: intOf(proto.ir_version),
      opsets: Object.fromEntries(this.data.opsets),
      producer: proto.producer_name ?? '',
      modelVersion: bigOf(proto.model_version),
      metadata: Object.fromEntries((proto.metadata_props ?? []).map((e) => [e.key ?? '', e.value ?? ''])),
    };
  }

  /** The graph for inputs of these shapes (and contents), as it would be compiled. Throws NeedsValue where contents are missing. */
  trace(inputs: Readonly<Record<string, InputBinding>>): Imported {
    return new Importer(this.data, { inputs }).run();
  }

  /**
   * The model as a Keras model that can be compiled and trained: its float32 initializers are weights. Batch normalizations use the batch's statistics in training, and move
   * their averages. The weights are copies: this model stays as it is.
   */
  asTrainable(options: TrainableOptions = {}): ModelBase {
    return trainableModel(this.data, this.inputs, this.outputs, options);
  }

  /**
   * The model as a Keras model of layers, which saves to Keras' files. Images have their channels last in it; inputs and outputs are as in the file. Throws UnsupportedError with every node that
   * is no layer.
   */
  asLayers(options: KerasOptions = {}): ModelBase {
    return kerasModel(this.data, this.inputs, this.outputs, options);
  }

  /** Runs the model. Throws ShapeError or ValueError where the data does not fit the inputs. */
  async run(feeds: Readonly<Record<string, OnnxInput>>): Promise<Record<string, TensorData>> {
    if (this.disposed) throw new ValueError('the model was disposed');
    const given = this.accept(feeds);
    const plan = await this.planFor(given);
    return plan.run(given);
  }

  dispose(): void {
    if (this.disposed) return;
    this.disposed = true;
    for (const p of this.plans.values()) p.dispose();
    this.plans.clear();
    this.release();
  }

  private accept(feeds: Readonly<Record<string, OnnxInput>>): Record<string, TensorData> {
    for (const name of Object.keys(feeds))
      if (![...this.inputs, ...this.optionalInputs].some((i) => i.name === name))
        throw new ValueError(
          `the model has no input '${name}'; it has ${[...this.inputs, ...this.optionalInputs].map((i) => `'${i.name}'`).join(', ') || 'none'}`,
        );
    return Object.fromEntries(
      [...this.inputs, ...this.optionalInputs.filter((i) => Object.hasOwn(feeds, i.name))].map((info) => {
        const given = Object.hasOwn(feeds, info.name) ? feeds[info.name] : undefined;
        if (given === undefined) throw new ValueError(`input '${info.name}' (${info.dtype}[${info.shape?.join(',') ?? '...'}]) is missing`);
        return [info.name, tensorFor(info, given)];
      }),
    );
  }

  private async planFor(given: Readonly<Record<string, TensorData>>): Promise<LoadedGraph> {
    for (;;) {
      const key = signatureOf(given, this.decisive);
      const old = this.plans.get(key);
      if (old) {
        // The last used stands last.
        this.plans.delete(key);
        this.plans.set(key, old);
        return old;
      }
      let imported: Imported;
      try {
        imported = this.trace(Object.fromEntries(Object.entries(given).map(([n, t]) => [n, { shape: t.shape, ...(this.decisive.has(n) ? { data: t } : {}) }])));
      } catch (e) {
        if (!(e instanceof NeedsValue) || e.inputs.every((n) => this.decisive.has(n))) throw e;
        for (const n of e.inputs) this.decisive.add(n);
        continue;
      }
      const plan = await this.compile(imported);
      this.plans.set(key, plan);
      if (this.plans.size > this.maxPlans) {
        const [first, dropped] = this.plans.entries().next().value as [string, LoadedGraph];
        this.plans.delete(first);
        dropped.dispose();
      }
      return plan;
    }
  }

  private async compile(imported: Imported): Promise<LoadedGraph> {
    const { graph } = imported;
    if (!this.device || !this.session) return referencePlan(imported);
    const name = 'run';
    const plan = await this.session.load(compile({ [name]: graph }, { ...this.compileOptions, target: targetOf(this.device.info), name: graph.name }));
    return {
      imported,
      run: (feeds) => runPlan(plan, name, imported, feeds),
      dispose: () => plan.dispose(),
    };
  }
}

async function runPlan(plan: LoadedPlan, name: string, imported: Imported, feeds: Readonly<Record<string, TensorData>>): Promise<Record<string, TensorData>> {
  plan.run(name, { inputs: Object.fromEntries(imported.graph.inputs.map((i) => [i.name, feeds[i.name]!.data])) });
  const read = async (output: string): Promise<TensorData> => plan.read(name, output);
  return collect(imported, read);
}

function referencePlan(imported: Imported): LoadedGraph {
  const { graph } = imported;
  return {
    imported,
    run: (feeds) => {
      const { outputs } = evaluate(graph, { inputs: pick(graph, feeds), precision: 'dtype' });
      return collect(imported, async (output) => toHost(outputs[output]!));
    },
    dispose: () => undefined,
  };
}

const pick = (graph: Graph, feeds: Readonly<Record<string, TensorData>>): Record<string, TensorData> =>
  Object.fromEntries(graph.inputs.map((i) => [i.name, feeds[i.name]!]));

/** Reads the outputs and cuts those whose size depends on the data. */
async function collect(imported: Imported, read: (output: string) => Promise<TensorData>): Promise<Record<string, TensorData>> {
  const results: [string, TensorData][] = [];
  for (const { name, padding } of imported.outputs) {
    const t = await read(name);
    results.push([name, padding ? cut(t, padding.axis, Number((await read(padding.count)).data[0])) : t]);
  }
  return Object.fromEntries(results);
}

/** The first `count` entries along one axis. */
function cut(t: TensorData, axis: number, count: number): TensorData {
  const shape = t.shape.map((d, i) => (i === axis ? count : d));
  const inner = sizeOf(t.shape.slice(axis + 1));
  const [from, to] = [t.shape[axis]! * inner, count * inner];
  const data = hostArray(t.dtype, sizeOf(shape)) as HostArray;
  for (let o = 0; o < sizeOf(shape.slice(0, axis)); o++) for (let i = 0; i < to; i++) data[o * to + i] = t.data[o * from + i]!;
  return { dtype: t.dtype, shape, data };
}

/** What a plan is compiled for. */
function signatureOf(given: Readonly<Record<string, TensorData>>, decisive: ReadonlySet<string>): string {
  return Object.entries(given)
    .map(([name, t]) => `${name}[${t.shape.join(',')}]${decisive.has(name) ? `=${Array.from(t.data as ArrayLike<number | bigint>, String).join(',')}` : ''}`)
    .join(';');
}

function tensorFor(info: TensorInfo, given: OnnxInput): TensorData {
  const { name, dtype } = info;
  const expected = `${dtype}[${info.shape?.map((d) => d ?? '?').join(',') ?? '...'}]`;
  const bare = typeof given === 'number' ? [given] : Array.isArray(given) || ArrayBuffer.isView(given) ? (given as HostArray | readonly number[]) : null;
  let shape: readonly number[];
  let data: HostArray | readonly number[];
  if (bare) {
    data = bare;
    if (!info.shape) throw new ShapeError(`input '${name}': the model does not say its rank; pass { shape, data }`);
    const open = info.shape.flatMap((d, i) => (typeof d === 'number' ? [] : [i]));
    if (open.length > 1) throw new ShapeError(`input '${name}' is ${expected}; pass { shape, data }`);
    const known = info.shape.reduce<number>((p, d) => (typeof d === 'number' ? p * d : p), 1);
    shape = info.shape.map((d) => (typeof d === 'number' ? d : data.length / Math.max(known, 1)));
  } else {
    const t = given as { readonly dtype?: DType; readonly shape: readonly number[]; readonly data: HostArray | readonly number[] };
    if (t.dtype !== undefined && t.dtype !== dtype) throw new ValueError(`input '${name}': expected ${expected}, found ${t.dtype}[${t.shape.join(',')}]`);
    ({ shape, data } = t);
  }
  const fits = !info.shape || (info.shape.length === shape.length && info.shape.every((d, i) => typeof d !== 'number' || d === shape[i]));
  if (!fits || shape.some((d) => !Number.isSafeInteger(d) || d < 0))
    throw new ShapeError(`input '${name}': expected ${expected}, found shape [${shape.join(',')}]`);
  if (data.length !== sizeOf(shape))
    throw new ShapeError(`input '${name}': shape [${shape.join(',')}] has ${sizeOf(shape)} elements, the data has ${data.length}`);
  const host =
    ArrayBuffer.isView(data) && data.constructor === hostArray(dtype, 0).constructor && isWide(dtype) === isBigArray(data as HostArray)
      ? (data as HostArray)
      : (hostArray(dtype, data as ArrayLike<number>) as HostArray);
  const strange = info.elementType === undefined ? null : strangerIn(elementNumber(info.elementType), host);
  if (strange !== null) throw new ValueError(`input '${name}': ${strange} is not a value of ${info.elementType}`);
  return { dtype, shape, data: host };
}
