/**
 * Connectionist temporal classification (Graves et al., 2006), of `tf.keras.backend`: the loss as a scan over the steps with logarithms of probabilities, decoding along the best path,
 * and by prefix beam search on the host. The blank is the last class.
 */
import { ShapeError, UnsupportedError } from '../../../../ir/errors.js';
import * as ops from '../../ops/index.js';
import { type Result, run, type TensorLike } from '../../ops/lift.js';
import { type ArrayLikeInput, Tensor, toTensor } from '../../tensor.js';
import { epsilon } from '../fuzz.js';
import * as nn from '../nn.js';
import * as base from '../ops.js';
import { scan } from '../scan.js';
import { SymbolicTensor } from '../trace.js';

type S = SymbolicTensor;
/** Stands for log(0): sums of it stay finite, and gradients through it are 0. */
const never = -1e30;

function logSumExp(parts: readonly S[]): S {
  const top = base.stopGradient(parts.reduce((a, b) => base.maximum(a, b)));
  const total = parts.map((p) => base.exp(base.subtract(p, top))).reduce((a, b) => base.add(a, b));
  return base.add(base.log(total), top);
}
/** (samples, 1) or (samples) to (samples), int32. */
const lengths = (x: S): S => base.reshape(base.cast(x, 'int32'), [x.shape[0]!]);

/**
 * The loss of each sample, (samples, 1). yTrue (samples, labels): classes below the blank, of which the first `labelLength` count; yPred (samples, steps, classes): probabilities, as
 * softmax gives them; inputLength and labelLength (samples, 1).
 */
export const ctcBatchCost = <T extends TensorLike, P extends TensorLike>(yTrue: T, yPred: P, inputLength: TensorLike, labelLength: TensorLike): Result<T | P> =>
  run('ctcBatchCost', [yPred, yTrue, inputLength, labelLength], ([p, t, steps, count], trace) => {
    const [batch, time, classes] = p!.shape;
    const n = t!.shape[1];
    if (p!.rank !== 3 || t!.rank !== 2 || typeof classes !== 'number' || typeof n !== 'number')
      throw new ShapeError(
        `backend.ctcBatchCost: expected yTrue (samples, labels) and yPred (samples, steps, classes) with known labels and classes, got [${t!.shape.map(String).join(', ')}] and [${p!.shape.map(String).join(', ')}]`,
      );
    const logs = nn.logSoftmax(base.log(base.add(p!, epsilon())), 2);
    const places = 2 * n + 1;
    // blank, label, blank, label, …, blank
    const labels = base.expandDims(base.clip(base.cast(t!, 'float32'), 0, classes - 1), 2);
    const blank = base.full(p!, [batch!, n, 1], classes - 1);
    const row = base.concatenate([base.reshape(base.concatenate([blank, labels], 2), [batch!, 2 * n]), base.full(p!, [batch!, 1], classes - 1)], 1);
    const chosen = base.cast(base.equal(base.expandDims(row, 2), base.iota(p!, [batch!, places, classes], 2, 'float32')), 'float32');
    const emitted = base.transpose(base.dot(logs, chosen, { batchLeft: [0], batchRight: [0], contractLeft: [2], contractRight: [2] }), [1, 0, 2]);
    // a label may follow the one before it without a blank where they differ
    const before = base.pad(base.sliceAxis(row, 1, 0, places - 2), [0, 2], [0, 0], -1);
    const index = base.iota(p!, [batch!, places], 1, 'int32');
    const skips = n > 0 ? base.logicalAnd(base.notEqual(row, before), base.notEqual(row, classes - 1)) : base.less(index, 0);
    const shifted = (a: S, by: number) => base.pad(base.sliceAxis(a, 1, 0, places - by), [0, by], [0, 0], never);
    const ends = lengths(steps!);
    const start = base.where(base.lessEqual(index, 0), base.zeros(p!, [batch!, places]), never);
    const r = scan(trace, {
      name: 'ctc',
      carries: [start],
      xs: [emitted, base.iota(p!, [time!], 0, 'int32')],
      constants: [],
      length: time!,
      reverse: false,
      step: ([alpha], [log, now]) => {
        const skip = base.where(skips, places > 2 ? shifted(alpha!, 2) : alpha!, never);
        const moved = base.add(logSumExp([alpha!, places > 1 ? shifted(alpha!, 1) : base.full(alpha!, alpha!.shape, never), skip]), log!);
        const inside = base.broadcastTo(base.expandDims(base.less(base.broadcastTo(now!, ends.shape), ends), 1), alpha!.shape);
        return { carries: [base.where(inside, moved, alpha!)], ys: [] };
      },
    });
    const last = base.expandDims(base.multiply(lengths(count!), 2), 1);
    const at = (place: S) => base.max(base.where(base.equal(index, base.broadcastTo(place, index.shape)), r.carries[0]!, never), [1], true);
    return base.negative(logSumExp([at(last), at(base.subtract(last, 1))]));
  }) as Result<T | P>;

/** Labels of sparse form: of each sample the first `labelLengths` elements. Of arrays of the host. */
export function ctcLabelDenseToSparse(
  labels: ArrayLikeInput,
  labelLengths: ArrayLikeInput,
): { readonly indices: readonly (readonly [number, number])[]; readonly values: number[]; readonly denseShape: readonly number[] } {
  const t = toTensor("backend.ctcLabelDenseToSparse: 'labels'", labels);
  const counts = toTensor("backend.ctcLabelDenseToSparse: 'labelLengths'", labelLengths).data;
  const width = t.shape[1]!;
  if (t.shape.length !== 2 || counts.length !== t.shape[0])
    throw new ShapeError(
      `backend.ctcLabelDenseToSparse: expected labels (samples, labels) and one length for each sample, got [${t.shape.join(', ')}] and ${counts.length} lengths`,
    );
  const indices = Array.from(counts, (n, i) => Array.from({ length: Math.min(n, width) }, (_, j): [number, number] => [i, j])).flat();
  return { indices, values: indices.map(([i, j]) => t.data[i * width + j]!), denseShape: t.shape };
}

export interface Decoded<P> {
  /** For each path, the best first: classes (samples, steps), -1 behind their end. */
  readonly decoded: readonly Result<P>[];
  /** Greedy: minus the sum of the steps' largest logarithms, (samples, 1); else the logarithm of each path's probability, (samples, topPaths). */
  readonly logProbability: Result<P>;
}

/** Labels from probabilities (samples, steps, classes). `greedy`: the best class of each step. Else the `topPaths` best of a search of `beamWidth` prefixes, of arrays of the host. */
export function ctcDecode<P extends TensorLike>(yPred: P, inputLength: TensorLike, greedy = true, beamWidth = 100, topPaths = 1): Decoded<P> {
  if (!greedy) return searched(yPred, inputLength, beamWidth, topPaths) as Decoded<P>;
  const [decoded, logProbability] = run('ctcDecode', [yPred, inputLength], ([p, steps]) => {
    const [batch, time, classes] = p!.shape;
    if (p!.rank !== 3 || typeof classes !== 'number')
      throw new ShapeError(`backend.ctcDecode: expected (samples, steps, classes), got [${p!.shape.map(String).join(', ')}]`);
    const logs = base.log(base.add(p!, epsilon()));
    const index = base.iota(p!, [batch!, time!], 1, 'int32');
    const inside = base.less(index, base.broadcastTo(base.expandDims(lengths(steps!), 1), index.shape));
    const best = base.argmax(logs, 2);
    const before = base.pad(base.sliceAxis(best, 1, 0, (time as number) - 1), [0, 1], [0, 0], -1);
    const kept = base.logicalAnd(inside, base.logicalAnd(base.notEqual(best, before), base.notEqual(best, classes - 1)));
    const place = base.subtract(ops.cumsum(base.cast(kept, 'int32'), 1), 1);
    const wide = [batch!, time!, time!];
    const there = base.equal(base.broadcastTo(base.expandDims(place, 2), wide), base.iota(p!, wide, 2, 'int32'));
    const taken = base.logicalAnd(there, base.broadcastTo(base.expandDims(kept, 2), wide));
    const values = base.sum(base.where(taken, base.broadcastTo(base.expandDims(base.add(best, 1), 2), wide), 0), [1]);
    return [base.subtract(values, 1), base.negative(base.sum(base.where(inside, base.max(logs, [2]), 0), [1], true))];
  }) as Result<P>[];
  return { decoded: [decoded!], logProbability: logProbability! };
}

interface Beam {
  readonly labels: readonly number[];
  /** Logarithms of the probability of all paths to this prefix that end with a blank, and with its last label. */
  blank: number;
  label: number;
}
const logAdd = (a: number, b: number): number => {
  const top = Math.max(a, b);
  return top === -Infinity ? top : top + Math.log(Math.exp(a - top) + Math.exp(b - top));
};

/** The best prefixes of one sample. `logs` gives the normalized logarithm of a class at a step. */
function prefixes(logs: (step: number, c: number) => number, steps: number, classes: number, width: number): Beam[] {
  const blank = classes - 1;
  let beams: Beam[] = [{ labels: [], blank: 0, label: -Infinity }];
  for (let t = 0; t < steps; t++) {
    const next = new Map<string, Beam>();
    const entry = (labels: readonly number[]): Beam => {
      const key = labels.join();
      const found = next.get(key) ?? { labels, blank: -Infinity, label: -Infinity };
      next.set(key, found);
      return found;
    };
    for (const beam of beams) {
      const total = logAdd(beam.blank, beam.label);
      const last = beam.labels.at(-1);
      const same = entry(beam.labels);
      same.blank = logAdd(same.blank, total + logs(t, blank));
      if (last !== undefined) same.label = logAdd(same.label, beam.label + logs(t, last));
      for (let c = 0; c < blank; c++) {
        const longer = entry([...beam.labels, c]);
        longer.label = logAdd(longer.label, (c === last ? beam.blank : total) + logs(t, c));
      }
    }
    beams = [...next.values()].sort((a, b) => logAdd(b.blank, b.label) - logAdd(a.blank, a.label)).slice(0, width);
  }
  return beams;
}

function searched(yPred: TensorLike, inputLength: TensorLike, beamWidth: number, topPaths: number): Decoded<ArrayLikeInput> {
  if (yPred instanceof SymbolicTensor || (typeof yPred === 'object' && yPred !== null && 'history' in yPred))
    throw new UnsupportedError('backend.ctcDecode: the search of prefixes works on arrays of the host, such as predictions; in a call or a model use greedy');
  const p = toTensor("backend.ctcDecode: 'yPred'", yPred as ArrayLikeInput);
  const steps = toTensor("backend.ctcDecode: 'inputLength'", inputLength as ArrayLikeInput).data;
  const [samples, time, classes] = p.shape as [number, number, number];
  if (p.shape.length !== 3 || steps.length !== samples)
    throw new ShapeError(
      `backend.ctcDecode: expected (samples, steps, classes) and one length for each sample, got [${p.shape.join(', ')}] and ${steps.length}`,
    );
  if (!(Number.isInteger(topPaths) && topPaths > 0 && beamWidth >= topPaths))
    throw new ShapeError(`backend.ctcDecode: 'topPaths' must be a positive number up to 'beamWidth', got ${topPaths} and ${beamWidth}`);
  const paths = Array.from({ length: topPaths }, () => new Int32Array(samples * time).fill(-1));
  const scores = new Float32Array(samples * topPaths);
  for (let s = 0; s < samples; s++) {
    const raw = (t: number, c: number) => Math.log(p.data[(s * time + t) * classes + c]! + epsilon());
    const norms = Array.from({ length: time }, (_, t) => Array.from({ length: classes }, (__, c) => raw(t, c)).reduce(logAdd));
    const beams = prefixes((t, c) => raw(t, c) - norms[t]!, steps[s]!, classes, beamWidth);
    for (let k = 0; k < topPaths; k++) {
      const beam = beams[k];
      if (!beam) throw new ShapeError(`backend.ctcDecode: sample ${s} has ${beams.length} paths, ${topPaths} were asked for`);
      // as in TensorFlow's search, equal neighbours of the result become one
      const merged = beam.labels.filter((c, i) => c !== beam.labels[i - 1]);
      paths[k]!.set(merged, s * time);
      scores[s * topPaths + k] = logAdd(beam.blank, beam.label);
    }
  }
  return { decoded: paths.map((d) => new Tensor(d, [samples, time], 'int32')), logProbability: new Tensor(scores, [samples, topPaths]) };
}
