/** Family `architectures`: whole networks of keras.applications from their configurations, with weights and inputs from a hash. */
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { Model, modelFromConfig, tensor } from '../../frontend/keras/index.js';
import type { SerializedObject } from '../../frontend/keras/utils/serialization.js';
import { type ArrayRef, available, type CaseHeader, type Checker, Skip, type Target } from './cases.js';

export interface ArchitectureCase extends CaseHeader {
  readonly architecture: string;
  readonly gain: number;
  readonly input: { readonly index: number; readonly shape: readonly number[]; readonly offset: number; readonly scale: number };
  readonly weights: readonly { readonly name: string; readonly shape: readonly number[] }[];
  readonly parameters: number;
  readonly first_numbers: Readonly<Record<string, readonly number[]>>;
  readonly output: ArrayRef;
  readonly intermediate: readonly {
    readonly layer: string;
    readonly shape: readonly number[];
    readonly mean: number;
    readonly std: number;
    readonly first: readonly number[];
  }[];
}

/** Number j of tensor i, in [-1, 1]. */
function hashed(i: number, j: number): number {
  let h = (Math.imul(j + 1, 0x9e3779b1) + Math.imul(i + 1, 0x85ebca77)) >>> 0;
  h = Math.imul(h ^ (h >>> 16), 0x21f0aaad) >>> 0;
  h = Math.imul(h ^ (h >>> 15), 0x735a2d97) >>> 0;
  return ((h ^ (h >>> 15)) >>> 0) / 2 ** 31 - 1;
}

function weightValues(i: number, name: string, shape: readonly number[], gain: number): Float32Array {
  const size = shape.reduce((a, d) => a * d, 1);
  const last = name.replace(/:0$/, '').split('/').at(-1)!;
  const fan = shape.slice(0, name.includes('depthwise') ? -2 : -1).reduce((a, d) => a * d, 1);
  const value = (u: number): number => {
    if (last === 'count') return 0;
    if (last === 'gamma') return 1 + 0.1 * u;
    if (last.includes('variance')) return 1 + 0.1 * Math.abs(u);
    return shape.length < 2 ? 0.1 * u : u * gain * Math.sqrt(3 / fan);
  };
  return Float32Array.from({ length: size }, (_, j) => value(hashed(i, j)));
}

/** The network of a case with the weights of the case, and its input. */
export function architectureModel(c: ArchitectureCase, folder: string) {
  const config = JSON.parse(readFileSync(path.join(folder, c.architecture), 'utf8')) as SerializedObject;
  const model = available(() => modelFromConfig(config, { semantics: c.semantics }));
  const assign = (): void =>
    model.weights.forEach((w, i) => {
      w.assign(weightValues(i, c.weights[i]!.name, w.shape, c.gain));
    });
  const { index, shape, offset, scale } = c.input;
  const input = tensor(
    Float32Array.from({ length: shape.reduce((a, d) => a * d, 1) }, (_, j) => offset + scale * hashed(index, j)),
    shape,
  );
  return { model, assign, input };
}

export async function runArchitectureCase(json: CaseHeader, check: Checker, target: Target, folder: string): Promise<void> {
  const c = json as ArchitectureCase;
  if (target.device === 'reference') throw new Skip('whole networks take minutes in the reference evaluation');
  for (const [i, numbers] of Object.entries(c.first_numbers))
    check.numbers(
      `hash of tensor ${i}`,
      numbers.map((_, j) => hashed(Number(i), j)),
      numbers,
    );
  const { model, assign, input } = architectureModel(c, folder);
  check.truth(
    'weights',
    model.weights.map((w) => [w.path, w.shape]),
    c.weights.map((w) => [w.name.replace(/:0$/, ''), w.shape]),
  );
  check.truth('number of parameters', model.countParams(), c.parameters);
  assign();
  const outputs = c.intermediate.map(({ layer }) => model.getLayer(layer).inboundNodes[0]!.outputs[0]!);
  const last = model.layers.at(-1)!.inboundNodes[0]!.outputs[0]!;
  const first = model.layers[0]!.inboundNodes[0]!.outputs[0]!;
  const whole = Model({ inputs: first, outputs: [...outputs, last], semantics: c.semantics });
  whole.compile({ optimizer: 'sgd', loss: 'mse', device: target.device });
  const list = await whole.predictAll(input, { batchSize: c.input.shape[0]! });
  c.intermediate.forEach((want, i) => {
    const data = Float64Array.from(list[i]!.data);
    const mean = data.reduce((a, v) => a + v, 0) / data.length;
    const std = Math.sqrt(data.reduce((a, v) => a + (v - mean) ** 2, 0) / data.length);
    check.truth(`shape of ${want.layer}`, list[i]!.shape, want.shape);
    check.numbers(`mean, deviation and first values of ${want.layer}`, [mean, std, ...data.slice(0, want.first.length)], [want.mean, want.std, ...want.first]);
  });
  const output = list.at(-1)!;
  check.equal('output', { dtype: 'float32', shape: output.shape, data: output.data }, c.output);
  whole.dispose();
}
