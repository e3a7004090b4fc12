/** Runs graphs as compiled plans on a device. */
import { compile } from '../../../codegen/compile.js';
import { type TargetInfo, targetOf } from '../../../codegen/target.js';
import { type DType, type HostArray, hostArray, isBigArray, isWide, numbersOf, type TypedArray } from '../../../ir/dtype.js';
import type { Graph } from '../../../ir/graph.js';
import type { Device, ResidentArray, Session } from '../../../runtime/device.js';
import type { Executor, Program, ProgramRun, ResidentData } from './executor.js';

/** 64-bit integers travel as bigints. */
const hostData = (dtype: DType, data: HostArray): HostArray => (isWide(dtype) && !isBigArray(data) ? hostArray(dtype, data) : data);

/** The data of the inputs that the graph still has. */
function inputsOf(names: readonly string[], inputs: ProgramRun['inputs']): Record<string, HostArray> {
  const out: Record<string, HostArray> = {};
  for (const n of names) {
    const t = inputs?.[n];
    if (t) out[n] = hostData(t.dtype, t.data);
  }
  return out;
}

/** Bytes of a data set that are kept on the device. */
const mostResident = 2 ** 30;

export class CompiledExecutor implements Executor {
  readonly description: string;
  private readonly session: Session;

  constructor(
    readonly device: Device,
    private readonly target: TargetInfo = targetOf(device.info),
  ) {
    this.description = device.info.description;
    this.session = device.createSession();
  }

  async load(name: string, graph: Graph): Promise<Program> {
    const plan = await this.session.load(compile({ [name]: graph }, { target: this.target, name }));
    const given = graph.inputs.filter((i) => !i.resident).map((i) => i.name);
    return {
      compiled: plan.compiled,
      run: (options = {}) =>
        plan.run(name, {
          symbols: options.symbols,
          inputs: inputsOf(given, options.inputs),
          resident: options.resident as Readonly<Record<string, ResidentArray>> | undefined,
          repeat: options.repeat,
        }),
      read: (output) => plan.read(name, output),
      ...(plan.readNow ? { readNow: (output: string) => plan.readNow!(name, output) } : {}),
      dispose: () => plan.dispose(),
    };
  }

  hasState(name: string): boolean {
    return this.session.hasState(name);
  }
  writeState(name: string, data: TypedArray): void {
    this.session.writeState(name, data);
  }
  readState(name: string): Promise<TypedArray> {
    return this.session.readState(name).then(numbersOf);
  }
  upload(dtype: DType, shape: readonly number[], data: TypedArray): ResidentData {
    return this.session.upload(dtype, shape, hostData(dtype, data));
  }
  rewrite(data: ResidentData, dtype: DType, contents: TypedArray): void {
    this.session.rewrite(data as ResidentArray, hostData(dtype, contents));
  }
  /** One array is one binding; of the memory, a part is left for the model. */
  get residentLimit(): { readonly array: number; readonly total: number } {
    return { array: Math.min(this.target.maxBindingSize, mostResident), total: mostResident };
  }
  finish(): Promise<void> {
    return this.session.finish();
  }
  dispose(): void {
    this.session.dispose();
  }
}
