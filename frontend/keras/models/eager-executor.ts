/** `runEagerly`: the step is traced anew for every batch, and each op is run by the reference evaluation when it is met. Runs wait in a queue, since a call may await values. */
import { type DType, numbersOf, type TypedArray } from '../../../ir/dtype.js';
import { InternalError, ValueError } from '../../../ir/errors.js';
import type { Graph } from '../../../ir/graph.js';
import type { TensorData } from '../../../ir/tensor-data.js';
import { type EagerRun, startEagerly } from '../backend/eager.js';
import type { Executor, Program, ProgramRun, ResidentData } from './executor.js';
import { ReferenceData } from './reference-executor.js';

export class EagerExecutor implements Executor {
  readonly description = 'eager: op by op with the reference evaluation';
  private readonly state = new Map<string, TensorData>();
  private queue: Promise<void> = Promise.resolve();

  load(): Promise<Program> {
    return Promise.reject(new InternalError('eager mode has no compiled programs'));
  }

  loadEager(build: () => Graph | Promise<Graph>, initial: (slot: string, dtype: DType, shape: readonly number[]) => TypedArray): Program {
    let outputs: Record<string, TensorData> = {};
    const step = async (options: ProgramRun): Promise<void> => {
      const resident = Object.entries(options.resident ?? {}).map(([name, data]) => [name, (data as ReferenceData).tensor] as const);
      const run: EagerRun = {
        builder: null,
        inputs: { ...options.inputs, ...Object.fromEntries(resident) },
        symbols: options.symbols ?? {},
        state: (slot, dtype, shape) => {
          const old = this.state.get(slot) ?? { dtype, shape, data: initial(slot, dtype, shape) };
          this.state.set(slot, old);
          return old;
        },
      };
      const graph = await startEagerly(run, build);
      const b = run.builder!;
      for (const [slot, data] of b.newState()) this.state.set(slot, data);
      outputs = Object.fromEntries(graph.outputs.map((o) => [o.name, b.data(o.value)]));
    };
    return {
      compiled: null,
      run: (options = {}) => {
        for (let i = 0; i < (options.repeat ?? 1); i++) this.queue = this.queue.then(() => step(options));
        // the error is thrown by `finish`; without this Node would take it for one that nobody waits for
        this.queue.catch(() => undefined);
      },
      read: async (output) => {
        await this.finish();
        const t = outputs[output];
        if (!t) throw new ValueError(`the program has no output '${output}', or has not run`);
        return t;
      },
      dispose: () => {
        outputs = {};
      },
    };
  }

  hasState(name: string): boolean {
    return this.state.has(name);
  }
  writeState(name: string, data: TypedArray): void {
    const old = this.state.get(name);
    if (!old) throw new ValueError(`no state '${name}'`);
    this.state.set(name, { ...old, data });
  }
  async readState(name: string): Promise<TypedArray> {
    await this.finish();
    const t = this.state.get(name);
    if (!t) throw new ValueError(`no state '${name}'`);
    return numbersOf(t.data);
  }
  rewrite(data: ResidentData, _dtype: DType, contents: TypedArray): void {
    const d = data as ReferenceData;
    d.tensor = { ...d.tensor, data: contents.slice() };
  }
  readonly residentLimit = { array: Infinity, total: Infinity };
  upload(dtype: DType, shape: readonly number[], data: TypedArray): ResidentData {
    return new ReferenceData({ dtype, shape: [...shape], data });
  }
  async finish(): Promise<void> {
    const { queue } = this;
    try {
      await queue;
    } catch (e) {
      this.queue = Promise.resolve();
      throw e;
    }
  }
  dispose(): void {
    this.state.clear();
  }
}
