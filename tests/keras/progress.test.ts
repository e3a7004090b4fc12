/** The progress bar and the summary's sizes, as Keras 3 prints them. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { duration, metricText, type Output, ProgressBar, timePerStep } from '../../frontend/keras/models/progress.js';
import { memoryText } from '../../frontend/keras/models/summary.js';

/** Collects what is written. */
function sink(isTTY: boolean): Output & { readonly texts: string[] } {
  const texts: string[] = [];
  return { isTTY, texts, write: (text) => void texts.push(text) };
}

test('a plain output gets one line for each epoch', () => {
  const out = sink(false);
  const bar = new ProgressBar(32, 1, out);
  bar.update(8, { loss: 0.5 });
  bar.finish({ accuracy: 0.91234, loss: 0.3012 });
  assert.is(out.texts.length, 1);
  assert.match(out.texts[0]!, /^32\/32 ━{20} 0s \d+[um]?s\/step - accuracy: 0\.9123 - loss: 0\.3012\n$/);
});

test('a terminal is redrawn: 20 cells, the done part in another colour', () => {
  const out = sink(true);
  const bar = new ProgressBar(100, 1, out);
  bar.update(50, { loss: 1 });
  bar.finish({ loss: 1 });
  assert.ok(out.texts[0]!.startsWith('\r\x1b[K\x1b[1m 50/100\x1b[0m '));
  assert.is(out.texts[0]!.match(/━/g)!.length, 20);
  assert.ok(out.texts[0]!.includes(`\x1b[32m${'━'.repeat(10)}\x1b[0m`));
  assert.ok(out.texts[1]!.endsWith(' - loss: 1.0000\n'));
});

test('verbose 2 is a line without a bar, verbose 0 nothing', () => {
  const [two, none] = [sink(true), sink(true)];
  new ProgressBar(4, 2, two).finish({ loss: 1 });
  new ProgressBar(4, 0, none).finish({ loss: 1 });
  assert.match(two.texts[0]!, /^4\/4 - 0s - \S+\/step - loss: 1\.0000\n$/);
  assert.equal(none.texts, []);
});

test('numbers as Keras prints them', () => {
  assert.equal([0.00012345, 0, 12.34567, -0.5, Number.NaN].map(metricText), ['1.2345e-04', '0.0000e+00', '12.3457', '-0.5000', 'nan']);
  assert.equal([2.4, 0.0123, 0.000045].map(timePerStep), ['2s/step', '12ms/step', '45us/step']);
  assert.equal([5.9, 65, 3725].map(duration), ['5s', '1:05', '1:02:05']);
  assert.equal([0, 1023, 2048, 5 * 1024 ** 2].map(memoryText), ['0.00 B', '1023.00 B', '2.00 KB', '5.00 MB']);
});

test.run();
