/**
 * The loop behind predict. A call that brings a tensor like that of the call before, in one batch, takes a shortcut on devices where a run is over at once: what depends on the model and the tensor's
 * type alone is kept from then, since for small models it takes longer than the kernels.
 */
import { hostArray, numbersOf } from '../../../ir/dtype.js';
import type { TensorData } from '../../../ir/tensor-data.js';
import { CallbackList } from '../callbacks/index.js';
import { Tensor } from '../tensor.js';
import { positiveInteger, resolveOptions } from '../utils/options.js';
import type { ModelBase } from './base.js';
import { checkEmbeddingIds, checkFinite, type DataArgument, feedArrays } from './data.js';
import type { Program } from './executor.js';
import { batchFor, buildFrom, openSizes } from './feeding.js';
import type { CallbackLike, Verbose } from './loops.js';
import { type ArraySpec, cursorSlot, inputName, predictGraph } from './programs.js';
import { ProgressBar, standardOutput, verbosity } from './progress.js';
import type { ModelSession } from './session.js';
import { DataStream, samplesAtOnce } from './streaming.js';

export interface PredictOptions {
  readonly batchSize?: number;
  readonly verbose?: Verbose;
  readonly callbacks?: readonly CallbackLike[];
  /** Inputs of more bytes are not kept on the device but streamed to it, with the same results; default: what the device holds. */
  readonly residentBytes?: number | null;
}

/** What the last one-batch prediction of a session found out. */
export interface Shortcut {
  /** The batch size that the caller asked for. */
  readonly wanted: number | undefined;
  readonly dtype: Tensor['dtype'];
  readonly shape: readonly number[];
  readonly program: Program;
  readonly symbols: Readonly<Record<string, number>>;
  readonly input: string;
  readonly outputs: readonly string[];
  /** Tables that check the input's ids; null: none. */
  readonly tables: ReturnType<ModelBase['embeddingTables']> | null;
  readonly changesState: boolean;
}

/** The shortcut's result; null where it does not apply. */
export function predictAgain(model: ModelBase, x: DataArgument, options: PredictOptions): Tensor[] | null {
  const session = model.readySession;
  const s = session?.shortcut;
  if (!session || !s?.program.readNow || !(x instanceof Tensor) || x.dtype !== s.dtype || x.shape.length !== s.shape.length || options.batchSize !== s.wanted)
    return null;
  for (let i = 0; i < s.shape.length; i++) if (x.shape[i] !== s.shape[i]) return null;
  for (const key in options) if (key !== 'batchSize' && !(key === 'verbose' && options.verbose === 0)) return null;
  checkFinite("predict: 'x'", x);
  if (s.tables) checkEmbeddingIds('predict', [x], s.tables);
  if (s.changesState) session.markTrained();
  s.program.run({ symbols: s.symbols, inputs: { [s.input]: x } });
  const out: Tensor[] = [];
  for (const name of s.outputs) {
    const t = s.program.readNow(name);
    out.push(new Tensor(numbersOf(t.data), t.shape, t.dtype));
  }
  return out;
}

export async function predict(model: ModelBase, x: DataArgument, options: PredictOptions): Promise<Tensor[]> {
  const o = resolveOptions<Required<PredictOptions>>('predict', [options], [], {
    batchSize: undefined,
    verbose: 0,
    callbacks: [],
    residentBytes: null,
  });
  const limit = o.residentBytes === null ? null : positiveInteger('predict', 'residentBytes', o.residentBytes);
  const verbose = verbosity('predict', o.verbose);
  buildFrom('predict', model, x);
  const inputs = feedArrays('predict', x, model);
  const tables = model.embeddingTables();
  checkEmbeddingIds('predict', inputs, tables);
  const count = inputs[0]!.shape[0]!;
  const batch = batchFor('predict', model, o.batchSize, count);
  const session = await model.session();
  const specs = inputs.map((t) => ({ dtype: t.dtype, shape: t.shape.slice(1) }));
  const steps = Math.ceil(count / batch);
  const feed =
    steps > 1 && !model.runEagerly ? await fromDevice(session, model, inputs, specs, batch, limit) : await fromHost(session, model, inputs, specs, batch);
  const { program, symbols } = feed;
  // in eager mode a step of one's own is traced by its first run
  const outputNames = (model.hasOwn('predictStep') ? model.predictedNames : null) ?? model.outputNames;
  const changesState = model.allState.length > 0;
  if (changesState) session.markTrained();
  const [only] = inputs;
  if (program.readNow && inputs.length === 1 && steps === 1 && only && model.feeds[0]!.compute === null) {
    session.shortcut = {
      wanted: o.batchSize,
      dtype: only.dtype,
      shape: only.shape,
      program,
      symbols: { ...symbols, batch: count },
      input: inputName('x', 0, 1, false),
      outputs: outputNames,
      tables: tables.some((t) => t.length > 0) ? tables : null,
      changesState,
    };
  }
  const callbacks = new CallbackList(o.callbacks, model, { epochs: 1, steps, verbose });
  const bar = new ProgressBar(steps, verbose, standardOutput());
  await callbacks.emit('onPredictBegin', {});
  const parts: TensorData[][] = outputNames.map(() => []);
  try {
    for (let step = 0; step < steps; step++) {
      await callbacks.emit('onPredictBatchBegin', step, {});
      feed.run(step * batch, Math.min(count, (step + 1) * batch));
      for (const [i, name] of outputNames.entries()) parts[i]!.push(await program.read(name));
      await callbacks.emit('onPredictBatchEnd', step, {});
      bar.update(step + 1, {});
    }
  } finally {
    feed.dispose();
  }
  bar.finish({});
  await callbacks.emit('onPredictEnd', {});
  return parts.map(joined);
}

/** How the batches come to the program. */
interface Feed {
  readonly program: Program;
  readonly symbols: Readonly<Record<string, number>>;
  /** Runs the program for samples [from, to); called in order. */
  run(from: number, to: number): void;
  dispose(): void;
}

/** Each run brings its batch. */
async function fromHost(session: ModelSession, model: ModelBase, inputs: readonly Tensor[], specs: readonly ArraySpec[], batch: number): Promise<Feed> {
  const key = `predict ${JSON.stringify(specs)} ${batch}`;
  const program = await session.program(key, 'predict', () => predictGraph(model, session.layout, specs, { batch, samples: null }));
  const symbols = openSizes(model, { x: inputs });
  return {
    program,
    symbols,
    run: (from, to) => {
      const rows = inputs.map((t) => t.rows(from, to));
      program.run({ symbols: { ...symbols, batch: to - from }, inputs: Object.fromEntries(rows.map((t, i) => [inputName('x', i, rows.length, false), t])) });
    },
    dispose: () => undefined,
  };
}

/** The inputs are uploaded once, or in pieces where they do not fit; the device counts the samples, as in evaluation. */
async function fromDevice(
  session: ModelSession,
  model: ModelBase,
  inputs: readonly Tensor[],
  specs: readonly ArraySpec[],
  batch: number,
  limit: number | null,
): Promise<Feed> {
  const { executor } = session;
  const count = inputs[0]!.shape[0]!;
  const arrays = inputs.map((t, i): [string, Tensor] => [inputName('x', i, inputs.length, true), t]);
  const samples = samplesAtOnce(arrays, count, batch, executor.residentLimit, limit);
  // one program for sets of like sizes
  const most = 2 ** Math.ceil(Math.log2(samples));
  const key = `predict ${JSON.stringify(specs)} ${batch} of ${most}`;
  const program = await session.program(key, 'predict', () => predictGraph(model, session.layout, specs, { batch, samples: most }));
  const symbols = { ...openSizes(model, { x: inputs }), samples };
  const stream = samples < count ? new DataStream(executor, arrays, count, samples, false) : null;
  const whole = stream ? {} : Object.fromEntries(arrays.map(([name, t]) => [name, executor.upload(t.dtype, t.shape, t.data)]));
  stream?.stage(0);
  return {
    program,
    symbols,
    run: (from, to) => {
      const piece = Math.floor(from / samples);
      const first = from === piece * samples;
      if (first) session.zero([{ name: cursorSlot.predict, dtype: 'int32', size: 1 }]);
      program.run({ symbols: { ...symbols, batch: to - from }, resident: stream ? stream.at(piece) : whole });
      if (first && stream && piece + 1 < stream.pieces) stream.stage(piece + 1);
    },
    dispose: () => {
      stream?.dispose();
      for (const r of Object.values(whole)) r.dispose();
    },
  };
}

/** Batches one after the other. */
function joined(parts: readonly TensorData[]): Tensor {
  const first = parts[0]!;
  if (parts.length === 1) return new Tensor(numbersOf(first.data), first.shape, first.dtype);
  const data = numbersOf(
    hostArray(
      first.dtype,
      parts.reduce((n, p) => n + p.data.length, 0),
    ),
  );
  let at = 0;
  for (const p of parts) {
    data.set(numbersOf(p.data), at);
    at += p.data.length;
  }
  return new Tensor(data, [parts.reduce((n, p) => n + p.shape[0]!, 0), ...first.shape.slice(1)], first.dtype);
}
