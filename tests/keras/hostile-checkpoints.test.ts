/**
 * Checkpoints, SavedModels, models of TensorFlow.js, safetensors and npz made by hand to do harm: sizes lie, places lie outside, blocks unpack to too much, names lead elsewhere. Damaged
 * copies of good files: mutations.test.ts.
 */
import fc from 'fast-check';
import SnappyJS from 'snappyjs';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { crc32c, masked } from '../../frontend/formats/crc32.js';
import { writeNpz } from '../../frontend/formats/npz.js';
import { ChunkSink } from '../../frontend/formats/sink.js';
import { encodeEntry, encodeGraph, encodeHeader } from '../../frontend/formats/tensorflow/messages.js';
import { unsnappy } from '../../frontend/formats/tensorflow/snappy.js';
import { readTable, writeTable } from '../../frontend/formats/tensorflow/table.js';
import { ZipWriter } from '../../frontend/formats/zip.js';
import { FileSet, Input, layers, type ModelBase, Sequential, utils } from '../../frontend/keras/index.js';

const small = (): ModelBase => {
  utils.clearSession();
  return Sequential({
    semantics: 'keras2',
    layers: [
      Input([4], { semantics: 'keras2' }),
      layers.Dense(6, { activation: 'relu', semantics: 'keras2' }),
      layers.BatchNormalization({ semantics: 'keras2' }),
      layers.Dense(2, { semantics: 'keras2' }),
    ],
  });
};
const text = (s: string) => new TextEncoder().encode(s);
const joined = (parts: readonly Uint8Array[]): Uint8Array => Uint8Array.from(parts.flatMap((p) => [...p]));
const fails = async (main: string, files: Record<string, Uint8Array>, message: RegExp) => {
  let fault: unknown = null;
  const start = process.memoryUsage().rss;
  await small()
    .loadWeights(new FileSet(main, files))
    .catch((e: unknown) => {
      fault = e;
    });
  assert.match(String(fault), message);
  assert.ok(process.memoryUsage().rss - start < 64e6);
};

/** An index with one tensor beside the object graph, which lies at the start of the shard. */
function checkpoint(entry: Parameters<typeof encodeEntry>[0], graph: Uint8Array, shards = 1): Record<string, Uint8Array> {
  const header = encodeHeader({ num_shards: shards, version: { producer: 1 } });
  const length = Uint8Array.of(graph.length);
  const sums = new Uint8Array(4);
  const lengths = new Uint8Array(4);
  new DataView(lengths.buffer).setUint32(0, graph.length, true);
  new DataView(sums.buffer).setUint32(0, masked(crc32c(lengths)), true);
  const data = joined([length, sums, graph, new Uint8Array(256)]);
  const place = encodeEntry({ dtype: 7, shape: {}, size: 5 + graph.length, crc32c: masked(crc32c(graph, crc32c(sums, crc32c(lengths)))) });
  const entries = [
    [new Uint8Array(0), header],
    [text('_CHECKPOINTABLE_OBJECT_GRAPH'), place],
    [text('v'), encodeEntry(entry)],
  ] as const;
  return { 'c.index': joined(writeTable(entries)), 'c.data-00000-of-00001': data };
}
const oneVariable = encodeGraph({
  nodes: [{ children: [{ node_id: 1, local_name: 'layer_with_weights-0' }] }, { attributes: [{ name: 'VARIABLE_VALUE', checkpoint_key: 'v' }] }],
});
const float = (dims: number[], size: number, offset = 0) => ({ dtype: 1, shape: { dim: dims.map((d) => ({ size: d })) }, size, offset });

test('checkpoints: sizes that lie, places outside, shards and objects that do not exist, circles', async () => {
  const c = (entry: Parameters<typeof encodeEntry>[0], graph = oneVariable) => checkpoint(entry, graph);
  await fails('c.index', c(float([4, 6], 90)), /c\.index: "v": float32\[4,6\] has 96 bytes, its place has 90/);
  await fails('c.index', c(float([2 ** 40, 2 ** 40], 96)), /is larger than any file/);
  await fails('c.index', c({ ...float([4, 6], 96), shard_id: 3 }), /is in shard 3 of 1/);
  await fails('c.index', c({ ...float([4, 6], 96), dtype: 20 }), /has the type 20, which is not read/);
  await fails('c.index', c({ ...float([4, 6], 96), slices: [new Uint8Array(1)] }), /partitioned variable/);
  const shown = encodeGraph({ nodes: [{ children: [{ node_id: 7, local_name: 'x' }] }] });
  await fails('c.index', c(float([4, 6], 96), shown), /points to object 7 of 1/);
  const missing = encodeGraph({ nodes: [{ attributes: [{ name: 'VARIABLE_VALUE', checkpoint_key: 'w' }] }] });
  await fails('c.index', c(float([4, 6], 96), missing), /names the tensor "w", which is not in the index/);
  const circle = encodeGraph({
    nodes: [{ children: [{ node_id: 1, local_name: 'layer_with_weights-0' }] }, { children: [{ node_id: 0, local_name: 'kernel' }] }],
  });
  await fails('c.index', c(float([4, 6], 96), circle), /is not in the checkpoint/);
  await fails('c.index', { 'c.index': c(float([4, 6], 96))['c.index']! }, /is not among the given files/);
  // an object takes two bytes in the file and many in memory
  const many = new Uint8Array(1_000_000).map((_, i) => (i % 2 === 0 ? 10 : 0));
  await fails('saved_model.pb', { 'saved_model.pb': new Uint8Array(1), 'keras_metadata.pb': many }, /has more than 400000 objects/);
});

test('snappy blocks of another packer', () => {
  fc.assert(
    fc.property(fc.array(fc.constantFrom('a', 'bcd', 'key/kernel/.ATTRIBUTES', '\0\0\0\0'), { maxLength: 300 }), (words) => {
      const plain = text(words.join(''));
      assert.equal(unsnappy('x', SnappyJS.compress(plain), 1 << 20), plain);
    }),
    { numRuns: 50, seed: 7 },
  );
});

test('tables: snappy blocks that lie or never end, blocks listed twice, keys out of order', async () => {
  const block = (...bytes: number[]) => Uint8Array.from(bytes);
  assert.equal([...unsnappy('x', block(6, 4, 97, 98, 1, 2), 100)], [97, 98, 97, 98, 97, 98]);
  for (const [bytes, message] of [
    [block(255, 255, 255, 255, 15), /cannot unpack/],
    [block(40, 0, 97), /cannot unpack|it has 1 bytes/],
    // a length of 2^32 - 5, which is negative where 32 bits are taken with a sign
    [block(4, 252, 251, 255, 255, 255, 1, 2, 3, 4), /run past the end/],
    [block(4, 0, 97, 2, 9, 0), /begins before the data/],
    [block(2, 0, 97, 254, 1, 0), /runs past the end/],
    [block(255, 255, 255, 255, 255, 255), /its size is none/],
  ] as const)
    assert.throws(() => unsnappy('x', bytes, 1 << 20), message);
  assert.throws(
    () =>
      readTable(
        't',
        joined(
          writeTable([
            [text('b'), text('1')],
            [text('a'), text('2')],
          ]),
        ),
      ),
    /not in order/,
  );
  const entries = Array.from({ length: 9000 }, (_, i) => [text(`key-${String(i).padStart(6, '0')}`), text('v'.repeat(50))] as const);
  assert.is(readTable('t', joined(writeTable(entries))).length, 9000);
});

test('model.json: names of shards that lead elsewhere, sizes that lie, types and keys that are not read', async () => {
  const json = (paths: string[], weights: object[]) => ({
    'model.json': text(
      JSON.stringify({ format: 'layers-model', modelTopology: { class_name: 'Sequential', config: {} }, weightsManifest: [{ paths, weights }] }),
    ),
    's.bin': new Uint8Array(96),
  });
  const weight = { name: 'dense/kernel', shape: [4, 6], dtype: 'float32' };
  for (const name of ['../s.bin', '/etc/passwd', 'a/../../s.bin', 'file:///etc/passwd', 'http://x/s.bin', 'a\\b', 'a\0b', 'C:\\s.bin', ''])
    await fails('model.json', json([name], [weight]), /model\.json: names the file .*, which is not in its folder/);
  await fails('model.json', json(['s.bin'], [{ ...weight, shape: [1e9, 1e9] }]), /larger than any file/);
  await fails('model.json', json(['s.bin'], [{ ...weight, shape: [1e8] }]), /lists 400000000 bytes of weights, the shards have 96/);
  await fails('model.json', json(['s.bin'], [{ ...weight, shape: [-4, 6] }]), /is none/);
  await fails('model.json', json(['s.bin'], [{ ...weight, dtype: 'string' }]), /which is not read/);
  await fails('model.json', json(['s.bin'], [{ ...weight, quantization: { dtype: 'uint8' } }]), /its quantization is not/);
  await fails('model.json', { 'model.json': text('{"format": "graph-model", "modelTopology": {"__proto__": {}}}') }, /'__proto__' is not allowed/);
  await fails('model.json', { 'model.json': text('{"format": "graph-model", "modelTopology": {}}') }, /is a graph model/);
});

test('npz: objects of Python, headers that lie, names that lead elsewhere, too much in little', async () => {
  const zip = async (name: string, body: Uint8Array) => {
    const sink = new ChunkSink('x.npz');
    const z = new ZipWriter(sink);
    await z.add(name, body);
    z.finish();
    return { 'x.npz': joined(sink.parts) };
  };
  const npy = (header: string, data = 96) => {
    const h = header.padEnd(117);
    return joined([text('\x93NUMPY').slice(1), Uint8Array.of(1, 0, 118, 0), text(`${h}\n`), new Uint8Array(data)]);
  };
  const magic = (b: Uint8Array) => joined([Uint8Array.of(0x93), b.subarray(b.indexOf(0x4e))]);
  const whole = (header: string, data = 96) => magic(npy(header, data));
  await fails('x.npz', await zip('a.npy', whole("{'descr': '|O', 'fortran_order': False, 'shape': (4, 6), }")), /has elements of the type '\|O'/);
  await fails('x.npz', await zip('a.npy', whole("{'descr': '<f4', 'fortran_order': False, 'shape': (400, 6), }")), /has 9600 bytes, the entry 96/);
  await fails('x.npz', await zip('a.npy', whole("{'descr': '<f4', 'fortran_order': False, 'shape': (__import__('os'),), }")), /not that of a plain array/);
  await fails('x.npz', await zip('../a.npy', whole("{'descr': '<f4', 'fortran_order': False, 'shape': (4, 6), }")), /leads out of the archive/);
  await fails('x.npz', await zip('a.txt', new Uint8Array(4)), /x\.npz/);
  const sink = new ChunkSink('x.npz');
  await writeNpz(sink, [{ name: 'dense/kernel', shape: [4, 6], data: new Float32Array(24) }]);
  const bytes = joined(sink.parts);
  bytes[200]! ^= 1;
  await fails('x.npz', { 'x.npz': bytes }, /has no array|is damaged/);
});

test.run();
