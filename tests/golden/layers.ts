/** Family `layers`: outputs, gradients, losses, masks and state of single layers. */

import { listOf, SymbolicTensor, separateLayout, Trace } from '../../frontend/keras/backend/trace.js';
import type { CallArguments, Layer } from '../../frontend/keras/layers/layer.js';
import { deserialize } from '../../frontend/keras/layers/serialization.js';
import { toCamel } from '../../frontend/keras/utils/options.js';
import type { SerializedObject } from '../../frontend/keras/utils/serialization.js';
import { gradients } from '../../ir/autodiff.js';
import { GraphBuilder } from '../../ir/builder.js';
import { isFloat, type TypedArray } from '../../ir/dtype.js';
import type { Graph } from '../../ir/graph.js';
import type { TensorData } from '../../ir/tensor-data.js';
import { type ArrayRef, available, type CaseHeader, type Checker, type Target } from './cases.js';

interface Step {
  readonly inputs: readonly ArrayRef[];
  readonly mask: ArrayRef | readonly (ArrayRef | null)[] | null;
  readonly call: Readonly<Record<string, unknown>>;
  readonly outputs: readonly ArrayRef[];
  readonly losses: readonly number[];
  /** Absent, like the gradients, where none were asked for. */
  readonly cotangents?: readonly ArrayRef[];
  readonly input_gradients?: readonly (ArrayRef | null)[];
  readonly weight_gradients?: readonly (ArrayRef | null)[];
  readonly output_mask: ArrayRef | readonly (ArrayRef | null)[] | null;
  readonly state_updates: readonly (ArrayRef & { readonly weight: number })[];
}

interface LayerCase extends CaseHeader {
  readonly layer: SerializedObject;
  readonly training: boolean | null;
  readonly weights: readonly ArrayRef[];
  readonly steps: readonly Step[];
}

const isRef = (x: unknown): x is ArrayRef => typeof x === 'object' && x !== null && 'key' in x;

/** The layer with gradients as a graph; inputs are named by the keys of the case. */
function graphOf(layer: Layer, c: LayerCase, step: Step, check: Checker): { graph: Graph; outputs: string[]; given: Record<string, TensorData> } {
  const b = new GraphBuilder(c.name);
  const t = new Trace(b, { training: c.training ?? false, layout: separateLayout });
  const given: Record<string, TensorData> = {};
  const bring = (ref: ArrayRef, at: string): SymbolicTensor => {
    given[at] = check.array(ref);
    return t.tensor(b.input(at, given[at].dtype, given[at].shape));
  };
  const xs = step.inputs.map((r, i) => bring(r, `input_${i}`));
  const mask: CallArguments['mask'] = isRef(step.mask)
    ? bring(step.mask, 'mask')
    : step.mask === null
      ? undefined
      : step.mask.map((m, i) => (m ? bring(m, `mask_${i}`) : null));
  const extra = Object.fromEntries(
    Object.entries(step.call).map(([k, v]) => {
      const value = isRef(v) ? bring(v, `call_${k}`) : Array.isArray(v) && v.every(isRef) ? v.map((r, i) => bring(r, `call_${k}_${i}`)) : v;
      return [toCamel(k), k === 'initial_state' && value instanceof SymbolicTensor ? [value] : value];
    }),
  );
  const out = listOf(
    layer.compute(xs.length === 1 ? xs[0]! : xs, {
      ...extra,
      ...(mask === undefined ? {} : { mask }),
      ...(c.training === null ? {} : { training: c.training }),
    }),
  );
  const names: string[] = [];
  const output = (name: string, v: SymbolicTensor['value'] | null) => {
    if (!v) return;
    names.push(name);
    b.output(name, v);
  };
  out.forEach((o, i) => {
    output(`output_${i}`, o.value);
    output(`mask_${i}`, o.mask?.value ?? null);
  });
  const penalties = layer.weights.flatMap((w) => (w.regularizer ? [w.regularizer.call(t.read(w))] : []));
  [...penalties, ...t.losses].forEach((l, i) => {
    output(`loss_${i}`, l.value);
  });
  const seeds = (step.cotangents ?? [])
    .map((r, i) => ({ value: out[i]!.value, cotangent: bring(r, `cotangent_${i}`).value }))
    .filter((s) => isFloat(s.value.dtype));
  const wrt = [
    ...xs.map((x, i) => [`input_gradient_${i}`, x.value] as const),
    ...layer.weights.map((w, i) => [`weight_gradient_${i}`, t.firstRead(w)] as const),
  ].flatMap(([name, v]) => (v !== null && isFloat(v.dtype) ? [{ name, value: v }] : []));
  const found = gradients(
    b,
    seeds,
    wrt.map((w) => w.value),
    { missing: 'null' },
  );
  wrt.forEach(({ name }, i) => {
    output(name, found[i]!);
  });
  return { graph: b.build(), outputs: names, given };
}

/** A configuration with its keys in order and numbers as float32; module paths, policies and what only Keras needs are left out. */
export function comparable(x: unknown): unknown {
  if (Array.isArray(x)) return x.map(comparable);
  if (typeof x === 'number') return Math.fround(x);
  if (typeof x !== 'object' || x === null) return x;
  const o = x as Record<string, unknown>;
  if (o.class_name === 'DTypePolicy') return comparable((o.config as Record<string, unknown>).name);
  const keys = Object.keys(o).filter(
    (k) => !['module', 'registered_name', 'build_config', 'sparse', 'quantization_config', 'input_axes', 'output_axes'].includes(k),
  );
  return Object.fromEntries(keys.sort().map((k) => [k, comparable(o[k])]));
}

export async function runLayerCase(json: CaseHeader, check: Checker, target: Target): Promise<void> {
  const c = json as LayerCase;
  const layer = available(() => deserialize(c.layer, { semantics: c.semantics }));
  const executor = target.executor();
  try {
    for (const [s, step] of c.steps.entries()) {
      const { graph, outputs, given } = graphOf(layer, c, step, check);
      const program = await executor.load(c.name, graph);
      if (s === 0) {
        check.truth('configuration', comparable(layer.getConfig()), comparable(c.layer.config));
        check.truth('number of weights', layer.weights.length, c.weights.length);
        check.truth(
          'shapes of weights',
          layer.weights.map((w) => w.shape),
          c.weights.map((w) => w.shape),
        );
        check.truth(
          'names of weights',
          layer.weights.map((w) => w.path),
          c.weights.map((w) => w.name?.replace(/:0$/, '')),
        );
        layer.weights.forEach((w, i) => {
          if (executor.hasState(w.path)) executor.writeState(w.path, check.array(c.weights[i]!).data);
        });
      }
      program.run({ inputs: given });
      const read = async (name: string): Promise<TensorData | null> => (outputs.includes(name) ? program.read(name) : null);
      const label = c.steps.length > 1 ? `step ${s} ` : '';
      for (const [i, ref] of step.outputs.entries()) check.equal(`${label}output ${i}`, await read(`output_${i}`), ref);
      for (const [i, ref] of (step.input_gradients ?? []).entries())
        if (ref) check.equal(`${label}gradient of input ${i}`, (await read(`input_gradient_${i}`)) ?? zeros(ref), ref);
      for (const [i, ref] of (step.weight_gradients ?? []).entries())
        if (ref) check.equal(`${label}gradient of ${layer.weights[i]!.path}`, (await read(`weight_gradient_${i}`)) ?? zeros(ref), ref);
      const losses: number[] = [];
      for (const name of outputs.filter((n) => n.startsWith('loss_'))) losses.push(Number((await program.read(name)).data[0]));
      check.numbers(
        `${label}losses`,
        losses.sort((x, y) => x - y),
        [...step.losses].sort((x, y) => x - y),
      );
      const masks = isRef(step.output_mask) ? [step.output_mask] : (step.output_mask ?? []);
      for (const [i, ref] of masks.entries()) if (ref) check.equal(`${label}mask of output ${i}`, await read(`mask_${i}`), ref);
      for (const u of step.state_updates) {
        const w = layer.weights[u.weight]!;
        check.equal(`${label}new ${w.path}`, { dtype: 'float32', shape: w.shape, data: (await executor.readState(w.path)) as TypedArray }, u);
      }
    }
  } finally {
    executor.dispose();
  }
}

const zeros = (ref: ArrayRef): TensorData => ({ dtype: 'float32', shape: ref.shape, data: new Float32Array(ref.shape.reduce((a, d) => a * d, 1)) });
