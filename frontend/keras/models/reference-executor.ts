/** Runs graphs with the reference evaluation: slow, exact, for tests and for finding faults. */
import { type DType, hostArray, numbersOf, type TypedArray } from '../../../ir/dtype.js';
import { ValueError } from '../../../ir/errors.js';
import { evaluate, toHost } from '../../../ir/evaluate.js';
import type { Graph } from '../../../ir/graph.js';
import type { TensorData } from '../../../ir/tensor-data.js';
import type { Executor, Program, ProgramRun, ResidentData } from './executor.js';

export class ReferenceData implements ResidentData {
  constructor(public tensor: TensorData) {}
  dispose(): void {
    // host memory is collected
  }
}

export class ReferenceExecutor implements Executor {
  readonly description = 'reference evaluation (float64 loops)';
  private readonly state = new Map<string, TensorData>();

  load(_name: string, graph: Graph): Promise<Program> {
    for (const s of graph.state) {
      if (this.state.has(s.name)) continue;
      const shape = s.value.shape as readonly number[];
      this.state.set(
        s.name,
        s.initial ?? {
          dtype: s.value.dtype,
          shape,
          data: hostArray(
            s.value.dtype,
            shape.reduce((a, d) => a * d, 1),
          ),
        },
      );
    }
    let outputs: Record<string, TensorData> = {};
    return Promise.resolve({
      compiled: null,
      run: (options = {}) => {
        for (let i = 0; i < (options.repeat ?? 1); i++) outputs = this.step(graph, options);
      },
      read: (output) => {
        const t = outputs[output];
        return t ? Promise.resolve(toHost(t)) : Promise.reject(new ValueError(`the program has no output '${output}', or has not run`));
      },
      dispose: () => {
        outputs = {};
      },
    });
  }

  private step(graph: Graph, options: ProgramRun): Record<string, TensorData> {
    const resident = Object.entries(options.resident ?? {}).map(([name, data]) => [name, (data as ReferenceData).tensor] as const);
    const wanted = new Set(graph.inputs.map((i) => i.name));
    const given = { ...options.inputs, ...Object.fromEntries(resident) };
    const result = evaluate(graph, {
      inputs: Object.fromEntries(Object.entries(given).filter(([name]) => wanted.has(name))),
      state: Object.fromEntries(this.state),
      bindings: options.symbols,
    });
    // state is kept in its own dtype, as on a device: what is read is what the next run sees
    for (const [slot, value] of Object.entries(result.updates)) this.state.set(slot, toHost(value));
    return result.outputs;
  }

  hasState(name: string): boolean {
    return this.state.has(name);
  }
  writeState(name: string, data: TypedArray): void {
    const old = this.state.get(name);
    if (!old) throw new ValueError(`no state '${name}'`);
    this.state.set(name, { ...old, data: hostArray(old.dtype, data) });
  }
  readState(name: string): Promise<TypedArray> {
    const t = this.state.get(name);
    return t ? Promise.resolve(numbersOf(toHost(t).data)) : Promise.reject(new ValueError(`no state '${name}'`));
  }
  upload(dtype: DType, shape: readonly number[], data: TypedArray): ResidentData {
    return new ReferenceData({ dtype, shape: [...shape], data });
  }
  rewrite(data: ResidentData, _dtype: DType, contents: TypedArray): void {
    const d = data as ReferenceData;
    d.tensor = { ...d.tensor, data: contents.slice() };
  }
  readonly residentLimit = { array: Infinity, total: Infinity };
  finish(): Promise<void> {
    return Promise.resolve();
  }
  dispose(): void {
    this.state.clear();
  }
}
