/** Remembers which values are results of layers and of named activations while a model is traced. */
import type { Value } from '../../../ir/graph.js';
import { SymbolicTensor, type TraceObserver } from '../../keras/backend/trace.js';
import type { Layer } from '../../keras/layers/layer.js';

/** One call of a layer in a trace. */
export interface LayerCall {
  readonly layer: Layer;
  readonly inputs: readonly Value[];
  readonly outputs: readonly Value[];
  /** Whether the layer was given a mask. */
  readonly masked: boolean;
  /** States to start from, of recurrent layers. */
  readonly states: readonly Value[];
}

export interface ActivationCall {
  readonly name: string;
  readonly x: Value;
}

export class CallRecorder implements TraceObserver {
  readonly calls = new Map<Value, LayerCall>();
  readonly activations = new Map<Value, ActivationCall>();

  called(layer: object, inputs: readonly SymbolicTensor[], args: Readonly<Record<string, unknown>>, outputs: readonly SymbolicTensor[]): void {
    const { mask } = args;
    const masked = Array.isArray(mask) ? mask.some((m) => m !== null) : mask !== null && mask !== undefined;
    const states = ((args.initialState ?? []) as readonly unknown[]).filter((s): s is SymbolicTensor => s instanceof SymbolicTensor);
    const call: LayerCall = {
      layer: layer as Layer,
      inputs: inputs.map((x) => x.value),
      outputs: outputs.map((x) => x.value),
      masked,
      states: states.map((s) => s.value),
    };
    // the innermost layer knows best; what a layer only passes on is not its result
    for (const o of call.outputs) if (!this.calls.has(o) && !call.inputs.includes(o)) this.calls.set(o, call);
  }

  activated(name: string, x: SymbolicTensor, y: SymbolicTensor): void {
    if (x.value !== y.value) this.activations.set(y.value, { name, x: x.value });
  }
}
