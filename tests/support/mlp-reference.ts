/** What the model of mlp.ts must do, by the reference evaluation of its graphs. */
import { evaluate, toFloat64 } from '../../ir/evaluate.js';
import { tensorData } from '../../ir/tensor-data.js';
import { mlp } from './mlp.js';

export const rows = 5;
export const x = Float32Array.from({ length: rows * 3 }, (_, i) => Math.cos(i));
export const target = Float32Array.from({ length: rows * 2 }, (_, i) => Math.sin(2 * i));

/** Losses of so many training steps from the initial weights, and the prediction after them. */
export function reference(steps: number): { losses: number[]; y: number[] } {
  const { predict, train } = mlp.programs();
  const bindings = { batch: rows };
  const inputs = { x: toFloat64(tensorData('float32', [rows, 3], x)), target: toFloat64(tensorData('float32', [rows, 2], target)) };
  let state = Object.fromEntries(
    train!.state.map((s) => {
      const shape = s.value.shape as number[];
      const size = shape.reduce((a, d) => a * d, 1);
      return [s.name, toFloat64(s.initial ?? tensorData(s.value.dtype, shape, new Array<number>(size).fill(0)))];
    }),
  );
  const losses: number[] = [];
  for (let i = 0; i < steps; i++) {
    const { outputs, updates } = evaluate(train!, { inputs, state, bindings });
    losses.push(Number(outputs.loss!.data[0]));
    state = { ...state, ...updates };
  }
  const { outputs } = evaluate(predict!, { inputs: { x: inputs.x }, state: { weights: state.weights! }, bindings });
  return { losses, y: [...outputs.y!.data].map(Number) };
}
