/** Files made by hand to do harm: archives, configurations, code. Damaged copies of good files: mutations.test.ts. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { ChunkSink } from '../../frontend/formats/sink.js';
import { ZipWriter } from '../../frontend/formats/zip.js';
import { loadModel } from '../../frontend/keras/index.js';

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
