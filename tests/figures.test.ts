/** Limits on what a step of each benchmark model may cost: read off plans, so that no machine's noise can touch them. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { figuresOf, type WorkloadFigures } from '../bench/figures.js';
import { workloads } from '../bench/workloads.js';

/** At most so many kernels: a training step (forward, loss, backward, Adam, metrics), or a prediction. */
const maxKernels: Record<string, number> = {
  'i1-mlp-b1': 3,
  'i1-mlp-b256': 3,
  'i2-cnn-b1': 5,
  'i2-cnn-b64': 5,
  'i3-mobilenet-b1': 29,
  'i4-resnet50-b1': 56,
  'i5-lstm-b1': 67,
  'i5-lstm-b32': 67,
  'i6-encoder-b1': 12,
  'i6-encoder-b8': 12,
  't1-mlp-b128': 12,
  't2-cnn-b64': 24,
  't3-lstm-b32': 24 + 3 * 64,
  't4-resnet8-b32': 110,
};
/** An arena may be so much larger than the largest set of values that are alive at once. */
const maxArena = 1.15;

for (const w of workloads) {
  let figures: WorkloadFigures | undefined;
  const get = () => {
    figures ??= figuresOf(w);
    return figures;
  };

  test(`${w.id}: at most ${maxKernels[w.id]} kernels`, () => {
    const { kernels } = get();
    assert.ok(kernels <= maxKernels[w.id]!, `${kernels} kernels`);
  });

  test(`${w.id}: the arena is at most ${maxArena} times the lower bound`, () => {
    const { arena, lowerBound } = get();
    assert.ok(arena <= maxArena * lowerBound, `${arena} bytes, lower bound ${lowerBound}`);
  });

  test(`${w.id}: a second batch size needs no new pipeline`, () => {
    assert.is(get().pipelinesOfSecondBatch, 0);
  });

  if (w.kind === 'train') {
    test(`${w.id}: the optimizer's update is one kernel`, () => {
      assert.is(get().optimizerKernels, 1);
    });

    test(`${w.id}: a step uploads the batch's indices at most and reads nothing back`, () => {
      const { uploads, readbacks } = get();
      assert.ok(uploads <= 1, `${uploads} uploads`);
      assert.is(readbacks, 0);
    });
  }

  test(`${w.id}: operations are at least those of its products, and bytes are counted`, () => {
    const f = get();
    assert.ok(f.flops >= minFlops(w.model) * w.batch * (w.kind === 'train' ? 2 : 1), `${f.flops} operations`);
    assert.ok(f.bytesRead > 0 && f.bytesWritten > 0);
  });
}

/** Multiply-adds of one sample's products and convolutions, counted as two; computed by hand from the definition of the models. */
function minFlops(model: (typeof workloads)[number]['model']): number {
  return { mlp: 1.33e6, cnn: 23.5e6, mobilenet: 26.5e6, resnet50: 7.6e9, lstm: 10.4e6, encoder: 217e6, resnet8: 24.8e6 }[model];
}

test.run();
