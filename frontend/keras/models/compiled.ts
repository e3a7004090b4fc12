/** What `compile` was given, resolved for the outputs of a model: a loss and metrics for each, and the trackers of the losses. */
import type { Shape } from '../../../ir/dim.js';
import { didYouMean, ValueError } from '../../../ir/errors.js';
import * as losses from '../losses/index.js';
import * as metrics from '../metrics/index.js';
import type { Optimizer, OptimizerIdentifier } from '../optimizers/index.js';
import { describe, finiteNumber, isPlainObject } from '../utils/options.js';
import { isSerialized, type Semantics } from '../utils/serialization.js';
import type { DeviceOption } from './device-option.js';

/** One thing for all outputs, a list with one for each, or an object by output names. */
export type PerOutput<T> = T | readonly (T | null)[] | Readonly<Record<string, T | null>>;

export interface CompileOptions {
  /** Default rmsprop. */
  readonly optimizer?: OptimizerIdentifier;
  readonly loss?: PerOutput<losses.LossIdentifier> | null;
  /** Weights of the outputs' losses. */
  readonly lossWeights?: readonly number[] | Readonly<Record<string, number>> | null;
  readonly metrics?:
    | readonly (metrics.MetricIdentifier | readonly metrics.MetricIdentifier[])[]
    | Readonly<Record<string, metrics.MetricIdentifier | readonly metrics.MetricIdentifier[]>>
    | null;
  /** Metrics that take sample weights. */
  readonly weightedMetrics?: CompileOptions['metrics'];
  readonly runEagerly?: boolean;
  readonly stepsPerExecution?: number;
  readonly jitCompile?: boolean | string | null;
  /** Where the model runs: 'auto' (default), 'webgpu', 'wasm', 'reference', or an open device. */
  readonly device?: DeviceOption;
}

export const compileDefaults: Required<CompileOptions> = {
  optimizer: 'rmsprop',
  loss: null,
  lossWeights: null,
  metrics: null,
  weightedMetrics: null,
  runEagerly: false,
  stepsPerExecution: 1,
  jitCompile: null,
  device: 'auto',
};

/** A metric of one output. */
export interface OutputMetric {
  readonly metric: metrics.Metric;
  readonly output: number;
  readonly weighted: boolean;
}

/** Resolved for the shapes of targets and predictions. */
export interface ResolvedMetrics {
  readonly loss: InstanceType<typeof metrics.MeanClass>;
  /** Of models with several outputs: the loss of each; null for outputs without a loss. */
  readonly outputLosses: readonly (InstanceType<typeof metrics.MeanClass> | null)[];
  readonly metrics: readonly OutputMetric[];
  /** All, in the order of Keras' logs. */
  readonly all: readonly metrics.Metric[];
}

const perOutput = (weights: unknown): unknown => {
  if (Array.isArray(weights) || isPlainObject(weights)) return weights;
  throw new ValueError(`compile: 'lossWeights' must be a list of numbers or an object by output names, got ${describe(weights)}`);
};

export class Compiled {
  readonly losses: readonly (losses.Loss | null)[];
  readonly lossWeights: readonly number[];
  private found: ResolvedMetrics | null = null;
  /** What steps of one's own show. */
  private readonly logs = new Map<'train' | 'evaluate', ReadonlyMap<string, metrics.Metric>>();
  private readonly lasts = new Map<string, InstanceType<typeof metrics.LastClass>>();

  constructor(
    readonly optimizer: Optimizer,
    /** What `compile` was given. */
    readonly given: Required<CompileOptions>,
    readonly outputNames: readonly string[],
    private readonly semantics: Semantics,
  ) {
    this.losses = this.spread('loss', given.loss, (x) => (Array.isArray(x) ? null : losses.get(x as losses.LossIdentifier, semantics)));
    const weights = given.lossWeights;
    this.lossWeights =
      weights === null
        ? outputNames.map(() => 1)
        : this.spread('lossWeights', perOutput(weights), (x) => finiteNumber('compile', 'lossWeights', x)).map((w) => w ?? 1);
    for (const what of ['metrics', 'weightedMetrics'] as const) {
      // unknown names are errors here, not at the first batch
      for (const id of this.metricLists(given[what], what).flat()) if (typeof id === 'string') metrics.get(id, [1, 2], [1, 2], semantics);
    }
  }

  /** Entries of a per-output option. A single entry stands for every output. */
  private spread<T>(what: string, value: unknown, make: (x: unknown) => T | null): (T | null)[] {
    const names = this.outputNames;
    if (value === null || value === undefined) return names.map(() => null);
    if (Array.isArray(value)) {
      if (value.length !== names.length)
        throw new ValueError(`compile: '${what}' has ${value.length} entries, the model has ${names.length} outputs (${names.join(', ')})`);
      return value.map((x) => (x === null ? null : make(x)));
    }
    if (isPlainObject(value) && !isSerialized(value)) {
      for (const key of Object.keys(value))
        if (!names.includes(key))
          throw new ValueError(
            `compile: '${what}' names the output '${key}', which the model does not have.${didYouMean(key, names)} Outputs: ${names.join(', ')}`,
          );
      return names.map((n) => (value[n] === null || value[n] === undefined ? null : make(value[n])));
    }
    return names.map(() => make(value));
  }

  /** Identifiers of metrics for each output. */
  private metricLists(value: CompileOptions['metrics'], what: string): readonly (readonly metrics.MetricIdentifier[])[] {
    const names = this.outputNames;
    if (value === null || value === undefined) return names.map(() => []);
    const list = (x: unknown): metrics.MetricIdentifier[] => (Array.isArray(x) ? x : [x]) as metrics.MetricIdentifier[];
    if (isPlainObject(value)) return this.spread(what, value, list).map((x) => x ?? []);
    if (!Array.isArray(value)) throw new ValueError(`compile: '${what}' must be a list of metrics, or an object by output names, got ${describe(value)}`);
    if (value.some(Array.isArray)) return this.spread(what, value, list).map((x) => x ?? []);
    return names.map(() => value as metrics.MetricIdentifier[]);
  }

  /** The metrics for these shapes; made once, as Keras does at the first batch. */
  resolve(targets: readonly (Shape | null)[], predictions: readonly Shape[], ofLayers: readonly metrics.Metric[] = []): ResolvedMetrics {
    if (this.found) return this.found;
    const several = this.outputNames.length > 1;
    const used = new Set<string>(['loss']);
    const tracker = (name: string) => new metrics.MeanClass({ name, semantics: this.semantics });
    const loss = tracker('loss');
    const outputLosses = this.outputNames.map((name, i) => {
      if (!several || !this.losses[i]) return null;
      used.add(`${name}_loss`);
      return tracker(`${name}_loss`);
    });
    const made: OutputMetric[] = [];
    for (const weighted of [false, true]) {
      const lists = this.metricLists(weighted ? this.given.weightedMetrics : this.given.metrics, 'metrics');
      lists.forEach((ids, output) => {
        for (const id of ids) {
          const target = targets[output];
          if (!target) continue;
          const metric = metrics.get(id, target, predictions[output]!, this.semantics);
          // Keras 2 does not touch the names of instances
          const prefix = several && !(id instanceof metrics.Metric && this.semantics === 'keras2') ? `${this.outputNames[output]}_` : '';
          let name = `${prefix}${metric.name}`;
          if (used.has(name) && weighted) name = `${prefix}weighted_${metric.name}`;
          for (let n = 1; used.has(name); n++) name = `${prefix}${metric.name}_${n}`;
          used.add(name);
          made.push({ metric: metrics.named(metric, name), output, weighted });
        }
      });
    }
    // Keras 2 lists all metrics of one output before those of the next
    if (this.semantics === 'keras2') made.sort((a, b) => a.output - b.output);
    const trackers = outputLosses.filter((m) => m !== null);
    const all: metrics.Metric[] = [loss, ...trackers, ...made.map((m) => m.metric), ...ofLayers];
    if (this.semantics === 'keras3') all.sort((a, b) => (a.name < b.name ? -1 : 1));
    this.found = { loss, outputLosses, metrics: made, all };
    return this.found;
  }

  /**
   * Names of the values in lists, as `evaluate` and `trainOnBatch` return them: in Keras 2 the order of the logs; in Keras 3 the loss, the metrics of models with one output,
   * the losses of the outputs, then what is left in alphabetical order.
   */
  get listed(): readonly string[] {
    const own = this.logs.get('train') ?? this.logs.get('evaluate');
    if (own) return [...own.keys()];
    if (!this.found) return ['loss'];
    const names = this.found.all.map((m) => m.name);
    if (this.semantics === 'keras2') return names;
    const single = this.outputNames.length === 1 ? this.found.metrics.map((m) => m.metric.name) : [];
    const first = ['loss', ...single, ...this.found.outputLosses.flatMap((m) => (m ? [m.name] : []))];
    return [...first, ...names.filter((n) => !first.includes(n))];
  }

  /** What is shown of a step, by name, in order; null before the first one. */
  shown(mode: 'train' | 'evaluate'): ReadonlyMap<string, metrics.Metric> | null {
    return this.logs.get(mode) ?? (this.found && new Map(this.found.all.map((m) => [m.name, m])));
  }
  setLogs(mode: 'train' | 'evaluate', shown: ReadonlyMap<string, metrics.Metric>): void {
    this.logs.set(mode, shown);
  }
  /** The keeper of a scalar that a step shows; one for each name. */
  lastOf(mode: 'train' | 'evaluate', name: string, make: () => InstanceType<typeof metrics.LastClass>): InstanceType<typeof metrics.LastClass> {
    const key = `${mode} ${name}`;
    const last = this.lasts.get(key) ?? make();
    this.lasts.set(key, last);
    return last;
  }
  /** Everything that counts, of the model and of steps. */
  get counting(): readonly metrics.Metric[] {
    return [...new Set([...(this.found?.all ?? []), ...[...this.logs.values()].flatMap((m) => [...m.values()])])];
  }

  /** Metrics are resolved anew at the next batch. */
  forget(): void {
    this.found = null;
  }

  get resolved(): ResolvedMetrics | null {
    return this.found;
  }
}
