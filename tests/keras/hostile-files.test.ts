/** Files made by hand to do harm: archives, configurations, code. Damaged copies of good files: mutations.test.ts. */
import { deflateRawSync } from 'node:zlib';
import fc from 'fast-check';
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

/** An archive of one entry, compressed, whose directory says `size`. */
function packed(name: string, contents: Uint8Array, size = contents.length): Uint8Array {
  const data = deflateRawSync(contents);
  const file = text(name);
  const header = (signature: number, extra: number): DataView => {
    const v = new DataView(new ArrayBuffer(30 + extra));
    v.setUint32(0, signature, true);
    const at = extra > 0 ? 2 : 0;
    v.setUint16(8 + at, 8, true);
    v.setUint32(18 + at, data.length, true);
    v.setUint32(22 + at, size, true);
    v.setUint16(26 + at, file.length, true);
    return v;
  };
  const [local, central, end] = [header(0x04034b50, 0), header(0x02014b50, 16), new DataView(new ArrayBuffer(22))];
  end.setUint32(0, 0x06054b50, true);
  end.setUint16(10, 1, true);
  end.setUint32(12, 46 + file.length, true);
  end.setUint32(16, 30 + file.length + data.length, true);
  return new Uint8Array(
    Buffer.concat(
      [local, file, data, central, file, end].map((p) => new Uint8Array('buffer' in p ? p.buffer.slice(p.byteOffset, p.byteOffset + p.byteLength) : p)),
    ),
  );
}

test('archives that unpack to much more than they are', async () => {
  const zeros = new Uint8Array(40_000_000);
  const bomb = packed('model.weights.h5', zeros);
  assert.ok(bomb.length < 50_000);
  await fails(bomb, 'z.keras', /z\.keras: its entries unpack to 40000000 bytes or more, the file has \d+: more than the limit of \d+ \(option maxBytes\)/);
  await fails(packed('config.json', zeros.subarray(0, 20_000_000)), 'z.keras', /config\.json has 20000000 bytes, more than the limit/);
  await fails(packed('config.json', zeros.subarray(0, 20_000_000), 1000), 'z.keras', /unpacks to more than the 1000 bytes that the directory says/);
  await fails(packed('config.json', zeros.subarray(0, 1000), 2000), 'z.keras', /unpacks to 1000 bytes, the directory says 2000/);
});

test('any bytes and any JSON under the name of any format: refused, and the file is named', async () => {
  const heads: Readonly<Record<string, readonly number[]>> = {
    h5: [0x89, 0x48, 0x44, 0x46, 13, 10, 26, 10],
    keras: [0x50, 0x4b, 3, 4],
    json: [0x7b],
    yaml: [],
    npz: [0x50, 0x4b, 3, 4],
    safetensors: [64, 0, 0, 0, 0, 0, 0, 0, 0x7b],
  };
  await fc.assert(
    fc.asyncProperty(fc.constantFrom(...Object.keys(heads)), fc.boolean(), fc.uint8Array({ maxLength: 200 }), async (format, headed, bytes) => {
      await fails(Uint8Array.from([...(headed ? heads[format]! : []), ...bytes]), `any.${format}`, /^\w+Error: .*any\.\w+/);
    }),
    { numRuns: 150, seed: 5 },
  );
  // Keras 1 wrote lists: an empty one is a model without layers
  const anyConfig = fc.jsonValue({ maxDepth: 4 }).filter((c) => !Array.isArray(c) || c.length > 0);
  await fc.assert(
    fc.asyncProperty(anyConfig, fc.constantFrom('Sequential', 'Functional', 'Model'), async (config, kind) => {
      await fails(text(JSON.stringify({ class_name: kind, config })), 'any.json', /^\w+Error: .*any\.json/);
    }),
    { numRuns: 300, seed: 6 },
  );
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
