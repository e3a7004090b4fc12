/**
 * The loops behind fit and evaluate. The data set is uploaded once, or streamed where it does not fit; several steps are queued at a time; loss and metrics are read where they are shown.
 */
import { ValueError } from '../../../ir/errors.js';
import { type CallbackClass, CallbackList, History, type Logs } from '../callbacks/index.js';
import type { Tensor } from '../tensor.js';
import { describe, numberBetween, positiveInteger, resolveOptions, truth } from '../utils/options.js';
import type { ModelBase } from './base.js';
import { type DataArgument, type DataSet, dataSpec, rowsOf } from './data.js';
import type { ResidentData } from './executor.js';
import { batchFor, dataSet, type Loaded, loadData, openSizes, release } from './feeding.js';
import { cursorSlot, evaluateGraph, inputName, trainGraph } from './programs.js';
import { ProgressBar, standardOutput, verbosity } from './progress.js';
import type { ModelSession } from './session.js';

export type FitHistory = History;
export type Verbose = 0 | 1 | 2 | 'auto' | boolean;
export type CallbackLike = CallbackClass | Partial<CallbackClass>;

export interface FitOptions {
  readonly batchSize?: number;
  readonly epochs?: number;
  /** 0: silent, 1: a bar, 2: a line for each epoch. */
  readonly verbose?: Verbose;
  readonly callbacks?: readonly CallbackLike[];
  /** The last share of the samples is kept for validation. */
  readonly validationSplit?: number;
  /** [x, y] or [x, y, sampleWeight]. */
  readonly validationData?: readonly [DataArgument, DataArgument | null, (DataArgument | null)?] | null;
  readonly validationBatchSize?: number | null;
  readonly validationFreq?: number;
  readonly shuffle?: boolean;
  /** Weights of classes, by class number. */
  readonly classWeight?: Readonly<Record<number, number>> | null;
  readonly sampleWeight?: DataArgument | null;
  /** The epoch to begin with, counted from 0. */
  readonly initialEpoch?: number;
  /** Data sets of more bytes are not kept on the device but streamed to it, with the same numbers; default: what the device holds. */
  readonly residentBytes?: number | null;
}

export interface EvaluateOptions {
  readonly batchSize?: number;
  readonly verbose?: Verbose;
  readonly sampleWeight?: DataArgument | null;
  readonly callbacks?: readonly CallbackLike[];
  readonly returnDict?: boolean;
  /** As for fit. */
  readonly residentBytes?: number | null;
}

export interface BatchOptions {
  readonly sampleWeight?: DataArgument | null;
  readonly classWeight?: Readonly<Record<number, number>> | null;
  readonly returnDict?: boolean;
  /** Whether the metrics begin anew; default true. */
  readonly resetMetrics?: boolean;
}

/** Loss and metrics as they are on the device now. */
async function readLogs(session: ModelSession, model: ModelBase, mode: 'train' | 'evaluate'): Promise<Record<string, number>> {
  const logs: Record<string, number> = {};
  for (const [name, m] of model.compiled.shown(mode)!) {
    if (m.variables.every((v) => session.has(v))) logs[name] = m.resultOf(await Promise.all(m.variables.map((v) => session.read(v))));
  }
  return logs;
}

const resetMetrics = (session: ModelSession, model: ModelBase): void => {
  const all = new Set([...model.compiled.counting, ...model.metrics]);
  session.zeroVariables([...all].flatMap((m) => m.variables));
};

const bytesLimit = (what: string, bytes: number | null | undefined): number | null =>
  bytes === null || bytes === undefined ? null : positiveInteger(what, 'residentBytes', bytes);

/** How long one queue of steps may take: progress shows and the event loop breathes between them. */
const slice = 100;

interface PassHooks {
  /** Called around each batch; its presence makes every batch a run of its own. */
  readonly begin?: (batch: number) => Promise<void>;
  readonly end?: (batch: number) => Promise<void>;
  readonly progress: (steps: number) => Promise<void>;
}

/** Runs the program over the whole data set once: as it lies on the device, or piece by piece, the next one being brought while the device works. `cursor`: the state that counts samples. */
async function pass(session: ModelSession, loaded: Loaded, cursor: string, hooks: PassHooks): Promise<void> {
  const { program, count, batch, symbols, resident, stream } = loaded;
  const { executor } = session;
  const single = hooks.begin !== undefined || hooks.end !== undefined;
  let [queue, done] = [1, 0];
  /** `n` batches of the given size; `meanwhile` runs on the host while the device works. */
  const run = async (data: Record<string, ResidentData>, size: number, n: number, meanwhile: (() => void) | null): Promise<void> => {
    await hooks.begin?.(done);
    const start = performance.now();
    program.run({ symbols: { ...symbols, batch: size }, resident: data, repeat: n });
    meanwhile?.();
    await executor.finish();
    const took = performance.now() - start;
    queue = Math.max(1, Math.min(4 * queue, Math.floor((n * slice) / Math.max(took, 0.01))));
    done += n;
    await hooks.end?.(done - 1);
    await hooks.progress(done);
  };
  stream?.stage(0);
  const pieces = stream ? stream.pieces : 1;
  for (let piece = 0; piece < pieces; piece++) {
    const data = stream ? stream.at(piece) : resident;
    const samples = stream ? stream.samplesOf(piece) : count;
    session.zero([{ name: cursor, dtype: 'int32', size: 1 }]);
    let next = stream && piece + 1 < pieces ? () => stream.stage(piece + 1) : null;
    const full = Math.floor(samples / batch);
    for (let step = 0; step < full; ) {
      const n = single ? 1 : Math.min(queue, full - step);
      await run(data, batch, n, next);
      next = null;
      step += n;
    }
    if (samples > full * batch) await run(data, samples - full * batch, 1, next);
  }
}

const fitDefaults: FitOptions = {
  batchSize: undefined,
  epochs: 1,
  verbose: 'auto',
  callbacks: [],
  validationSplit: 0,
  validationData: null,
  validationBatchSize: null,
  validationFreq: 1,
  shuffle: true,
  classWeight: null,
  sampleWeight: null,
  initialEpoch: 0,
  residentBytes: null,
};

export async function fit(model: ModelBase, x: DataArgument, y: DataArgument | null, options: FitOptions): Promise<History> {
  const o = resolveOptions<Required<FitOptions>>('fit', [options], [], fitDefaults as Required<FitOptions>);
  const verbose = verbosity('fit', o.verbose);
  const epochs = positiveInteger('fit', 'epochs', o.epochs);
  const residentBytes = bytesLimit('fit', o.residentBytes);
  let train = dataSet('fit', model, x, y, o.sampleWeight, o.classWeight, 'train');
  const initialEpoch = numberBetween('fit', 'initialEpoch', o.initialEpoch, 0, Infinity);
  const validationFreq = positiveInteger('fit', 'validationFreq', o.validationFreq);
  const shuffle = truth('fit', 'shuffle', o.shuffle);
  numberBetween('fit', 'validationSplit', o.validationSplit, 0, 1, true);
  if (o.validationData !== null && !Array.isArray(o.validationData))
    throw new ValueError(`fit: 'validationData' must be [x, y] or [x, y, sampleWeight], got ${describe(o.validationData)}`);
  let validation: DataSet | null = o.validationData
    ? dataSet('fit: validationData', model, o.validationData[0], o.validationData[1], o.validationData[2] ?? null, null, 'evaluate')
    : null;
  if (!validation && o.validationSplit > 0) {
    const at = Math.floor(train.count * (1 - o.validationSplit));
    if (at === 0 || at === train.count)
      throw new ValueError(
        `fit: 'validationSplit' of ${o.validationSplit} leaves no samples for ${at === 0 ? 'training' : 'validation'} (${train.count} in all)`,
      );
    [train, validation] = [rowsOf(train, 0, at), rowsOf(train, at, train.count)];
  }
  const batch = batchFor('fit', model, o.batchSize, train.count);
  const isFirst = model.deviceDescription === null;
  const session = await model.session();
  if (isFirst && model.deviceWasChosen && verbose > 0) standardOutput().write(`device: ${session.executor.description}\n`);
  const history = new History();
  const steps = Math.ceil(train.count / batch);
  if (!Array.isArray(o.callbacks)) throw new ValueError(`fit: 'callbacks' must be a list of Callbacks, got ${describe(o.callbacks)}`);
  const callbacks = new CallbackList([...o.callbacks, history], model, { epochs, steps, verbose });
  const out = standardOutput();
  const trained = await loadData(session, model, 'train', train, batch, residentBytes);
  const tested = validation
    ? await loadData(
        session,
        model,
        'evaluate',
        validation,
        batchFor('fit', model, o.validationBatchSize ?? o.batchSize, validation.count, o.validationBatchSize === null ? 'batchSize' : 'validationBatchSize'),
        residentBytes,
      )
    : null;
  const stream = model.shuffleStream;
  const watchesBatches = callbacks.has('onTrainBatchBegin', 'onTrainBatchEnd');
  model.stopTraining = false;
  let logs: Record<string, number> = {};
  try {
    await callbacks.emit('onTrainBegin', {});
    for (let epoch = initialEpoch; epoch < epochs && !model.stopTraining; epoch++) {
      await callbacks.emit('onEpochBegin', epoch, {});
      if (verbose > 0 && epochs > 1) out.write(`Epoch ${epoch + 1}/${epochs}\n`);
      const order = shuffle ? stream.permutation(train.count) : Int32Array.from({ length: train.count }, (_, i) => i);
      if (trained.stream) trained.stream.order = order;
      else if (trained.resident.order) session.executor.rewrite(trained.resident.order, 'int32', order);
      else trained.resident.order = session.executor.upload('int32', [train.count], order);
      resetMetrics(session, model);
      session.syncLearningRate();
      session.markTrained();
      const bar = new ProgressBar(steps, verbose, out);
      await pass(session, trained, cursorSlot.train, {
        ...(watchesBatches
          ? {
              begin: (b: number) => callbacks.emit('onTrainBatchBegin', b, {}),
              end: async (b: number) => {
                await callbacks.emit('onTrainBatchEnd', b, await readLogs(session, model, 'train'));
                session.syncLearningRate();
              },
            }
          : {}),
        progress: async (done) => {
          if (bar.redraws) bar.update(done, await readLogs(session, model, 'train'));
        },
      });
      logs = await readLogs(session, model, 'train');
      if (tested && (epoch + 1) % validationFreq === 0) {
        const results = await test(session, model, tested, callbacks);
        for (const [name, value] of Object.entries(results)) logs[`val_${name}`] = value;
      }
      bar.finish(logs);
      await callbacks.emit('onEpochEnd', epoch, logs);
    }
    await session.finalizeAverage();
    await callbacks.emit('onTrainEnd', logs);
  } finally {
    release(trained);
    release(tested);
  }
  return history;
}

/** One evaluation of a loaded data set. */
async function test(
  session: ModelSession,
  model: ModelBase,
  loaded: Loaded,
  callbacks: CallbackList,
  bar: ProgressBar | null = null,
): Promise<Record<string, number>> {
  resetMetrics(session, model);
  session.markTrained();
  await callbacks.emit('onTestBegin', {});
  const watches = callbacks.has('onTestBatchBegin', 'onTestBatchEnd');
  await pass(session, loaded, cursorSlot.evaluate, {
    ...(watches
      ? {
          begin: (b: number) => callbacks.emit('onTestBatchBegin', b, {}),
          end: async (b: number) => callbacks.emit('onTestBatchEnd', b, await readLogs(session, model, 'evaluate')),
        }
      : {}),
    progress: async (done) => {
      if (bar?.redraws) bar.update(done, await readLogs(session, model, 'evaluate'));
    },
  });
  const logs = await readLogs(session, model, 'evaluate');
  await callbacks.emit('onTestEnd', logs);
  return logs;
}

export async function evaluate(model: ModelBase, x: DataArgument, y: DataArgument | null, options: EvaluateOptions): Promise<Record<string, number>> {
  const o = resolveOptions<Required<EvaluateOptions>>('evaluate', [options], [], {
    batchSize: undefined,
    verbose: 'auto',
    sampleWeight: null,
    callbacks: [],
    returnDict: false,
    residentBytes: null,
  });
  const verbose = verbosity('evaluate', o.verbose);
  const data = dataSet('evaluate', model, x, y, o.sampleWeight, null, 'evaluate');
  const batch = batchFor('evaluate', model, o.batchSize, data.count);
  const session = await model.session();
  const loaded = await loadData(session, model, 'evaluate', data, batch, bytesLimit('evaluate', o.residentBytes));
  const steps = Math.ceil(data.count / batch);
  try {
    const bar = new ProgressBar(steps, verbose, standardOutput());
    const logs = await test(session, model, loaded, new CallbackList(o.callbacks, model, { epochs: 1, steps, verbose }), bar);
    bar.finish(logs);
    return logs;
  } finally {
    release(loaded);
  }
}

/** One batch brought by the caller. */
export async function onBatch(
  model: ModelBase,
  mode: 'train' | 'evaluate',
  x: DataArgument,
  y: DataArgument | null,
  options: BatchOptions,
): Promise<number | number[] | Logs> {
  const what = mode === 'train' ? 'trainOnBatch' : 'testOnBatch';
  const o = resolveOptions<Required<BatchOptions>>(what, [options], [], { sampleWeight: null, classWeight: null, returnDict: false, resetMetrics: true });
  const data = dataSet(what, model, x, y, o.sampleWeight, o.classWeight, mode);
  batchFor(what, model, data.count, data.count);
  const session = await model.session();
  const spec = dataSpec(data);
  // memory is planned for the largest batch: rounded up, so that batches of similar sizes share a program
  const largest = 2 ** Math.ceil(Math.log2(data.count));
  const build = mode === 'train' ? trainGraph : evaluateGraph;
  const program = await session.program(`${what} ${JSON.stringify(spec)} ${largest}`, mode, () =>
    build(model, session.layout, model.compiled, spec, { batch: largest, samples: null }),
  );
  if (o.resetMetrics) resetMetrics(session, model);
  session.syncLearningRate();
  session.markTrained();
  const inputs: Record<string, Tensor> = {};
  const bring = (kind: 'x' | 'y' | 'sample_weight', list: readonly (Tensor | null)[]) => {
    list.forEach((t, i) => {
      if (t) inputs[inputName(kind, i, list.length, false)] = t;
    });
  };
  bring('x', data.x);
  bring('y', data.y);
  bring('sample_weight', data.weights);
  program.run({ symbols: { ...openSizes(model, data), batch: data.count }, inputs });
  const logs = await readLogs(session, model, mode);
  if (o.returnDict) return logs;
  return listOfLogs(model, logs);
}

/** The values in the order of `metricsNames`; the loss alone where there is nothing else. */
export function listOfLogs(model: ModelBase, logs: Logs): number | number[] {
  const names = model.metricsNames.filter((name) => name in logs);
  const values = [...names, ...Object.keys(logs).filter((n) => !names.includes(n))].map((name) => logs[name]!);
  return values.length === 1 ? values[0]! : values;
}
