/** The graphs of a model: a training step, an evaluation step, a prediction. */

import { gradients } from '../../../ir/autodiff.js';
import { type Dim, evalDim, isStatic, type Shape, symbol } from '../../../ir/dim.js';
import type { DType } from '../../../ir/dtype.js';
import { UnsupportedError } from '../../../ir/errors.js';
import type { Graph, Value } from '../../../ir/graph.js';
import { programBuilder } from '../backend/eager.js';
import { iterationSlot, listOf, type SymbolicTensor, Trace } from '../backend/trace.js';
import type { Variable } from '../backend/variable.js';
import { symbolOfAxis } from '../layers/layer.js';
import { after } from '../utils/promises.js';
import type { ModelBase } from './base.js';
import type { Compiled } from './compiled.js';
import type { ModelLayout } from './layout.js';
import { lossAndMetrics, ownPrediction, ownStep, type StepTensors } from './steps.js';

/** One array of a data set: dtype, and shape of one sample. */
export interface ArraySpec {
  readonly dtype: DType;
  readonly shape: readonly number[];
}

/** How the user gave several arrays: one alone, a list, or an object with these keys. */
export type Form = 'one' | 'list' | readonly string[];

export interface DataSpec {
  /** One for each input of the model. */
  readonly x: readonly ArraySpec[];
  /** One for each output; null where the output has no target. */
  readonly y: readonly (ArraySpec | null)[];
  /** Sample weights for each output; null where there are none. */
  readonly weights: readonly (ArraySpec | null)[];
  /** As a step of one's own gets them; default: one alone, or a list. */
  readonly forms?: { readonly x: Form; readonly y: Form; readonly weights: Form };
}

export interface ProgramOptions {
  /** Largest batch. */
  readonly batch: number;
  /** The data set lies on the device and has so many samples; null: every run brings its batch. */
  readonly samples: number | null;
}

/** State: number of samples of the data set that the running epoch has seen. */
export const cursorSlot = { train: 'data/cursor', evaluate: 'data/evaluate_cursor', predict: 'data/predict_cursor' } as const;

/** Names of the inputs of programs: `x` alone or `x_0`, `x_1`, …; data sets on the device are always numbered. */
export const inputName = (kind: 'x' | 'y' | 'sample_weight', index: number, count: number, resident: boolean): string =>
  count === 1 && !resident ? kind : `${kind}_${index}`;

export interface Batch {
  readonly x: readonly SymbolicTensor[];
  readonly y: readonly (SymbolicTensor | null)[];
  readonly weights: readonly (SymbolicTensor | null)[];
  readonly size: Dim;
}

/** The graph of a program; a promise of it where the model's call awaits values (eager mode alone). */
export type ProgramGraph = Graph | Promise<Graph>;

/** A program's graph that is compiled: a model that awaits values has none. */
export function compiledGraph(graph: ProgramGraph): Graph {
  if (!(graph instanceof Promise)) return graph;
  throw new UnsupportedError('a model whose call is asynchronous runs eagerly only: it has no graph to compile');
}

/** A dimension, as the number that it is in an eager run. */
const known = (t: Trace, d: Dim): Dim => (t.eager ? evalDim(d, t.eager.symbols) : d);

/** The batch dimension: fixed by the model, or the symbol `batch`. */
function batchDim(t: Trace, model: ModelBase): Dim {
  return known(t, model.feeds[0]!.shape[0] ?? symbolOfAxis(0));
}

/** The inputs of a program: given with each run, or gathered from data sets on the device. */
function inputs(t: Trace, model: ModelBase, spec: DataSpec, mode: keyof typeof cursorSlot, o: ProgramOptions): Batch {
  const { b } = t;
  const size = batchDim(t, model);
  b.declareSymbol('batch', isStatic(size) ? size : o.batch);
  let rows: ((name: string, a: ArraySpec) => Value) | null = null;
  if (o.samples !== null) {
    const samples = known(t, symbol('samples'));
    b.declareSymbol('samples', o.samples);
    const slot = cursorSlot[mode];
    const cursor = b.stateSlot(slot, 'int32', []);
    const positions = b.add(b.iota([size], 0), cursor);
    const index = mode === 'train' ? b.gather(b.input('order', 'int32', [samples], { resident: true }), positions) : positions;
    b.update(slot, b.add(cursor, b.dimSize(size)));
    rows = (name, a) => b.gather(b.input(name, a.dtype, [samples, ...a.shape], { resident: true }), index);
  }
  const direct = (name: string, a: ArraySpec, declared: Shape) => b.input(name, a.dtype, [size, ...declared]);
  const of = (kind: 'x' | 'y' | 'sample_weight', a: ArraySpec, i: number, count: number, declared: Shape) => {
    const name = inputName(kind, i, count, rows !== null);
    return b.withExactOrigin(name, () => (rows ? rows(name, a) : direct(name, a, declared)));
  };
  const x = spec.x.map((a, i) => {
    const s = model.feeds[i]!;
    const declared = declaredShape(t, s.shape, a);
    return t.tensor(b.cast(of('x', a, i, spec.x.length, declared), s.dtype));
  });
  const optional = (kind: 'y' | 'sample_weight', list: readonly (ArraySpec | null)[]) =>
    list.map((a, i) => (a ? t.tensor(of(kind, a, i, list.length, a.shape)) : null));
  return { x, y: optional('y', spec.y), weights: optional('sample_weight', spec.weights), size };
}

/** Shape of one sample; sizes that the model leaves open are symbols. */
function declaredShape(t: Trace, shape: readonly (number | null)[], a: ArraySpec): Shape {
  return shape.slice(1).map((d, i) => {
    if (d !== null) return d;
    const s = symbolOfAxis(i + 1);
    t.b.declareSymbol(`axis${i + 1}`, a.shape[i] ?? 1);
    return known(t, s);
  });
}

function trace(model: ModelBase, name: string, layout: ModelLayout, training: boolean, metrics = true): Trace {
  return new Trace(programBuilder(`${model.name}/${name}`), { training, layout, metrics });
}

/** The model's outputs, handed to `next`. */
function forward<R>(t: Trace, model: ModelBase, x: readonly SymbolicTensor[], next: (outputs: readonly SymbolicTensor[]) => R): R | Promise<Awaited<R>> {
  return after(model.invoke(t, x.length === 1 ? x[0]! : x, { training: t.training, mask: null }), (out) => next(listOf(out)));
}

/** Forward pass, loss, gradients, optimizer update and metrics; or the model's own `trainStep`. */
export function trainGraph(model: ModelBase, layout: ModelLayout, compiled: Compiled, spec: DataSpec, o: ProgramOptions): ProgramGraph {
  const t = trace(model, 'train', layout, true);
  const batch = inputs(t, model, spec, 'train', o);
  if (model.hasOwn('trainStep')) {
    return after(ownStep(t, model, compiled, 'train', spec, batch), (logs) => {
      settle(t, layout, model);
      return finished(t, o, logs);
    });
  }
  return forward(t, model, batch.x, (predictions) => {
    const total = lossAndMetrics(t, model, compiled, batch, predictions);
    const weights = layout.flat.parts.map((p) => t.read(p.variable).value);
    const grads = weights.length > 0 ? gradients(t.b, total.value, weights) : [];
    compiled.optimizer.apply(t, layout.flat, grads, compiled.optimizer.updatesTouchedRowsOnly ? touchedRows(t, layout) : undefined);
    if (o.samples === null) t.b.output('loss', total.value);
    return t.b.build();
  });
}

/** What a step of one's own leaves: weights that were given new values one by one, and the count of steps. */
function settle(t: Trace, layout: ModelLayout, model: ModelBase): void {
  const { b } = t;
  const { flat } = layout;
  if (t.replaced.size > 0) {
    const parts = flat.parts.map((p) => b.reshape(t.read(p.variable).value, [p.variable.size]));
    b.update(flat.slot, b.concat(parts, 0));
  }
  // random numbers follow the count
  const main = model.optimizers[0];
  if (!main || main.counterSlot !== iterationSlot || !t.optimized.has(main)) b.update(iterationSlot, b.add(b.stateSlot(iterationSlot, 'int32', []), 1));
}

/** The graph of a step of one's own: tensors that it gave are outputs where each run brings its batch. */
function finished(t: Trace, o: ProgramOptions, logs: StepTensors): Graph {
  if (o.samples === null) for (const [name, x] of logs) t.b.output(name, x.value);
  return t.b.build();
}

/** Rows of embedding tables that the batch reads. A table that is used otherwise too has a dense gradient. */
function touchedRows(t: Trace, layout: ModelLayout): Map<Variable, SymbolicTensor> {
  const rows = new Map<Variable, SymbolicTensor>();
  for (const { variable } of layout.flat.parts) {
    const reads = t.sparseReads.get(variable);
    const users = t.b.nodes.filter((n) => n.inputs.includes(t.read(variable).value) && n.op === 'gather').length;
    if (!reads || users < reads.length || variable.regularizer) continue;
    const count = variable.shape[0]!;
    const ids = reads.map((r) => t.b.reshape(r.value, [-1]));
    const hits = ids.reduce((acc, i) => t.b.emit('scatter', [acc, i, t.b.full(i.shape, 1)], { axis: 0, fn: 'add' }), t.b.full([count], 0));
    rows.set(variable, t.tensor(t.b.compare('gt', hits, 0)));
  }
  return rows;
}

/** Forward pass without training behaviour, loss and metrics. */
export function evaluateGraph(model: ModelBase, layout: ModelLayout, compiled: Compiled, spec: DataSpec, o: ProgramOptions): ProgramGraph {
  const t = trace(model, 'evaluate', layout, false);
  const batch = inputs(t, model, spec, 'evaluate', o);
  if (model.hasOwn('testStep')) return after(ownStep(t, model, compiled, 'evaluate', spec, batch), (logs) => finished(t, o, logs));
  return forward(t, model, batch.x, (predictions) => {
    const total = lossAndMetrics(t, model, compiled, batch, predictions);
    if (o.samples === null) t.b.output('loss', total.value);
    return t.b.build();
  });
}

/** Forward pass; the outputs are named by the output layers. Or the model's own `predictStep`. */
export function predictGraph(model: ModelBase, layout: ModelLayout, x: readonly ArraySpec[], o: ProgramOptions): ProgramGraph {
  const t = trace(model, 'predict', layout, false, false);
  const given = inputs(t, model, { x, y: [], weights: [] }, 'predict', o);
  if (model.hasOwn('predictStep')) {
    return after(ownPrediction(t, model, given), (outputs) => {
      for (const [name, o] of outputs) t.b.output(name, o.value);
      return t.b.build();
    });
  }
  return forward(t, model, given.x, (outputs) => {
    outputs.forEach((o, i) => {
      t.b.output(model.outputNames[i]!, o.value);
    });
    return t.b.build();
  });
}
