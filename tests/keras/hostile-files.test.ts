/**
 * Files that may come from anywhere: mutations of good files with a fixed seed give a model or an error of ours that names the file, in time; and some bombs made by hand.
 * TENON_MUTATIONS: how many of each format (default 60; 2,000 were run when this was written).
 */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { ChunkSink } from '../../frontend/formats/sink.js';
import { openSource } from '../../frontend/formats/source.js';
import { openZip, ZipWriter } from '../../frontend/formats/zip.js';
import { Input, inMemory, layers, loadModel, Sequential, utils } from '../../frontend/keras/index.js';
import { RandomStream } from '../../frontend/keras/utils/random.js';
import { TenonError } from '../../ir/errors.js';
import { mutated } from '../support/mutate.js';

const count = Number(process.env.TENON_MUTATIONS ?? 60);

async function good(name: string): Promise<Uint8Array> {
  utils.clearSession();
  utils.setRandomSeed(3);
  const m = Sequential([Input([4]), layers.Dense(6, { activation: 'relu' }), layers.BatchNormalization(), layers.Dense(2)]);
  m.compile({ optimizer: 'adam', loss: 'mse', device: 'reference' });
  const target = inMemory(name);
  await m.save(target);
  return target.bytes();
}

for (const name of ['m.h5', 'm.keras', 'm.json', 'm.yaml', 'm.weights.h5']) {
  test(`${count} mutations of ${name}: a model or an error of ours`, async () => {
    const bytes =
      name === 'm.weights.h5' ? await good('m.keras').then(async (b) => (await openZip(await openSource(b))).read('model.weights.h5')) : await good(name);
    const r = new RandomStream(2024);
    let slowest = 0;
    for (let i = 0; i < count; i++) {
      const start = performance.now();
      try {
        const source = mutated(bytes, r);
        if (name === 'm.weights.h5') {
          utils.clearSession();
          const m = Sequential([Input([4]), layers.Dense(6, { activation: 'relu' }), layers.BatchNormalization(), layers.Dense(2)]);
          await m.loadWeights(source, { name });
        } else await loadModel(source, { name, device: 'reference' });
      } catch (e) {
        assert.ok(e instanceof TenonError, `mutation ${i}: ${e instanceof Error ? e.stack : String(e)}`);
      }
      slowest = Math.max(slowest, performance.now() - start);
    }
    assert.is(({} as { polluted?: unknown }).polluted, undefined);
    if (process.env.TENON_MUTATIONS) console.log(`${name}: slowest ${slowest.toFixed(0)} ms, ${(process.memoryUsage().rss / 1e6).toFixed(0)} MB`);
  });
}

async function zipOf(entries: readonly (readonly [string, Uint8Array])[]): Promise<Uint8Array> {
  const sink = new ChunkSink('z.keras');
  const zip = new ZipWriter(sink);
  for (const [name, bytes] of entries) await zip.add(name, bytes);
  zip.finish();
  return Uint8Array.from(sink.parts.flatMap((p) => [...p]));
}
const fails = async (source: Uint8Array, name: string, message: RegExp) => {
  let fault: unknown = null;
  await loadModel(source, { name }).catch((e: unknown) => {
    fault = e;
  });
  assert.match(String(fault), message);
};
const text = (s: string) => new TextEncoder().encode(s);

test('names in archives that lead elsewhere, twice, and damaged entries', async () => {
  for (const name of ['../x', '/etc/x', 'a/../../x', 'C:\\x', 'a\0b'])
    await fails(await zipOf([[name, text('x')]]), 'z.keras', /z\.keras: the entry .* leads out of the archive/);
  await fails(
    await zipOf([
      ['config.json', text('{}')],
      ['config.json', text('{}')],
    ]),
    'z.keras',
    /occurs twice/,
  );
  const damaged = await zipOf([['config.json', text('{"class_name": "Sequential"}')]]);
  damaged[50]! ^= 1;
  await fails(damaged, 'z.keras', /'config\.json' is damaged: its checksum/);
});

test('keys that reach for prototypes, aliases without end, tags of languages', async () => {
  for (const key of ['__proto__', 'constructor', 'prototype'])
    await fails(text(`{"class_name": "Sequential", "config": {"${key}": {"polluted": 1}}}`), 'x.json', /x\.json: the key '.*' is not allowed/);
  assert.is(({} as { polluted?: unknown }).polluted, undefined);
  const bomb = ['a: &a [x, x, x, x, x, x, x, x, x]'];
  for (let i = 0; i < 9; i++) bomb.push(`${'bcdefghij'[i]}: &${'bcdefghij'[i]} [${Array(9).fill(`*${'abcdefghi'[i]}`).join(', ')}]`);
  await fails(text(`class_name: Sequential\n${bomb.join('\n')}\n`), 'x.yaml', /x\.yaml/);
  await fails(text('class_name: !!python/object/apply:os.system ["true"]\nconfig: {}\n'), 'x.yaml', /x\.yaml: .*tag/i);
  await fails(text('['.repeat(100000)), 'x.json', /x\.json/);
});

test('unknown classes, code in files', async () => {
  const config = (layer: object) => text(JSON.stringify({ class_name: 'Sequential', config: { name: 's', layers: [layer] } }));
  await fails(
    config({ class_name: 'Own', config: { name: 'first' } }),
    'x.json',
    /unknown classes: 'first' \(Own\)\. Give the classes: \{ customObjects: \{ Own: … \} \}/,
  );
  await fails(
    config({ class_name: 'Lambda', config: { name: 'l', function: ['4wEAAAA=', null, null], function_type: 'lambda' } }),
    'x.json',
    /layer 'l': a Lambda layer of a file holds Python code, which is never run/,
  );
});

test.run();
