/** HDF5 files: the direct reader and the HDF5 library agree; links, other files, virtual datasets and arrays that are not there are refused; long lists of names. */
import { inflateSync } from 'node:zlib';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { openPlainH5 } from '../../frontend/formats/h5-plain.js';
import { type H5File, openH5, releaseH5 } from '../../frontend/formats/h5-reader.js';
import { H5Writer } from '../../frontend/formats/h5-writer.js';
import { ChunkSink } from '../../frontend/formats/sink.js';
import { type OpenFile, openSource } from '../../frontend/formats/source.js';
import { Input, inMemory, layers, loadModel, Model, modelFromConfig, Sequential, utils } from '../../frontend/keras/index.js';
import { RandomStream } from '../../frontend/keras/utils/random.js';
import { TenonError } from '../../ir/errors.js';

const limits = { maxObjects: 1000, maxDepth: 48, maxBytes: 1 << 26, maxHeapGrowth: 1 << 26 };
const whole = (f: OpenFile) => ({ offset: 0, size: f.size });
/** The same file, which cannot be read at once: the library reads it. */
const forLibrary = (f: OpenFile): OpenFile => ({
  name: f.name,
  size: f.size,
  path: f.path,
  read: (o, n) => f.read(o, n),
  beside: (name) => f.beside(name),
  forWorker: (o, n) => f.forWorker(o, n),
  close: () => f.close(),
});
const isPlain = async (bytes: Uint8Array) => {
  const f = await openSource(bytes);
  return openPlainH5(f, whole(f), limits) !== null;
};

async function contents(h5: H5File): Promise<object> {
  try {
    const groups = [...h5.allGroups].sort().map((g) => [g, [...h5.names(g)].sort()]);
    const names = ['model_config', 'training_config', 'keras_version', 'backend', 'layer_names', 'weight_names', 'name', 'state'];
    const attributes = [...h5.allGroups].sort().map((g) => names.map((n) => h5.attribute(g, n)));
    const arrays: unknown[] = [];
    for (const d of [...h5.allDatasets].sort((a, b) => (a.path < b.path ? -1 : 1))) {
      const data = await h5.read(d.path);
      arrays.push([d.path, d.shape, d.dtype === 'int64' ? 'int32' : d.dtype, Array.from(new Uint8Array(data.buffer, data.byteOffset, data.byteLength))]);
    }
    return { groups, attributes, arrays };
  } finally {
    await h5.close();
  }
}

async function saved(name: string, keras: 2 | 3): Promise<Uint8Array> {
  utils.clearSession();
  utils.setRandomSeed(3);
  const m = Sequential([Input([4]), layers.Dense(6, { activation: 'relu' }), layers.BatchNormalization(), layers.Dense(2)]);
  m.compile({ optimizer: 'adam', loss: 'mse', device: 'reference' });
  await m.trainOnBatch([[1, 2, 3, 4]], [[1, 2]]);
  const target = inMemory(name);
  if (name.endsWith('.weights.h5')) await m.saveWeights(target, { keras });
  else await m.save(target, { keras });
  return target.bytes();
}

test('the direct reader gives what the library gives', async () => {
  for (const [name, keras] of [
    ['m.h5', 2],
    ['m.h5', 3],
    ['m.weights.h5', 2],
    ['m.weights.h5', 3],
  ] as const) {
    const bytes = await saved(name, keras);
    assert.ok(await isPlain(bytes), name);
    const file = await openSource(bytes);
    assert.equal(await contents(await openH5(file)), await contents(await openH5(forLibrary(file))));
  }
});

test('damaged files: where both read one, they read the same', async () => {
  const bytes = await saved('m.weights.h5', 3);
  const r = new RandomStream(7);
  const count = Number(process.env.TENON_MUTATIONS ?? 60);
  let [both, plainAlone] = [0, 0];
  for (let i = 0; i < count; i++) {
    const copy = bytes.slice();
    for (let n = 1 + Math.floor(r.uniform() * 3); n > 0; n--) copy[Math.floor(r.uniform() * copy.length)]! ^= 1 << Math.floor(r.uniform() * 8);
    if (!(await isPlain(copy))) continue;
    const file = await openSource(copy);
    const direct = await contents(await openH5(file));
    const byLibrary = await openH5(forLibrary(file))
      .then(contents)
      .catch((e: unknown) => {
        assert.instance(e, TenonError);
        return null;
      });
    if (byLibrary) {
      both++;
      // an attribute of a damaged type may be left out
      assert.equal({ ...direct, attributes: [] }, { ...byLibrary, attributes: [] }, `mutation ${i}`);
    } else plainAlone++;
  }
  assert.ok(both > count / 8, `${both} were read by both, ${plainAlone} by the direct reader alone`);
});

/** A file that the library writes here, to which `change` is done. */
async function written(
  change: (file: { create_soft_link(a: string, b: string): void; create_external_link(a: string, b: string, c: string): void }) => void,
): Promise<Uint8Array> {
  const h5 = (await import('h5wasm')) as unknown as {
    ready: Promise<{ FS: { readFile(n: string): Uint8Array; unlink(n: string): void } }>;
    File: new (
      n: string,
      m: string,
    ) => Parameters<typeof change>[0] & { create_group(n: string): { create_attribute(n: string, v: string[]): void }; close(): void };
  };
  const { FS } = await h5.ready;
  const f = new h5.File('made.h5', 'w');
  f.create_group('dense').create_attribute('weight_names', ['dense/kernel:0']);
  change(f);
  f.close();
  const out = FS.readFile('made.h5').slice();
  FS.unlink('made.h5');
  return out;
}
const fails = async (bytes: Uint8Array, message: RegExp) => {
  let fault: unknown = null;
  const m = Sequential([Input([1]), layers.Dense(4, { useBias: false, name: 'dense' })]);
  await m.loadWeights(bytes, { name: 'x.h5' }).catch((e: unknown) => {
    fault = e;
  });
  assert.instance(fault, TenonError);
  assert.match(String(fault), message);
};
const inflated = (text: string) => new Uint8Array(inflateSync(Buffer.from(text, 'base64')));

test('links, within the file and to other files, are not followed', async () => {
  await fails(await written((f) => f.create_soft_link('/dense', 'other')), /x\.h5: .*link/);
  await fails(await written((f) => f.create_external_link('/etc/passwd', '/', 'other')), /x\.h5: .*link/);
});

test('virtual datasets and arrays in other files are not read', async () => {
  // h5py: layers/dense/vars/0 with a source in, or stored in, /etc/passwd
  await fails(
    inflated(
      'eNrtmL9KA0EQxmdv78wl4TCxidh4dnZJaSdiogeKCWqR0mAOBEWCJ/6ptIxdSh/AwkfxMSwt7Sxj1t3V2w1ColEEv18zNzvDLsx+fMfdTVRdC3JzORL4PrlUoDR9RW/BzHV9T0WmYlfFe0evs7farFovqv3tvt3tWk109y30OY+ejD6B/0hUW2mI2FS5VumDY/YdtS7jk+RDj9E3z/1MvxGX+YE3mn6fstAv9Dus365n9rXj4ySmyel3Z6teFQrWugu56de2jsF4PtDIyLyTHc0HngP4AHxg2Ad6WbPvrCXeYj/nA4sZ0wdsHYPxfKCZl/lFMJoPRCF8AD4w7AO3gdlXsb6vJu0Dlby5v61j8JkPTMmZMZ1LR2BMLriqT0c+qItKMZxXayGVfCpdqbo3uBFRd7jDpC9IRbg8KqRvaEbdnMhe7txDous/MY/11fomSwlZ62mDLAGX49P9cqeVJOdtahNPVQROKi+oZ/Y+QjGWZW6c25uGFgEAAAAAAAAAgN/C/q+0hO/yL/EKzTaEuA==',
    ),
    /x\.h5: .*layers\/dense\/vars\/0/,
  );
  await fails(
    inflated(
      'eNrr9HBx4+WS4mIAAQ4OBhYGAQZk8B8KTgii8mHyCVCaEUp3QOkVTDBxRrCcBFRcEGo+urqQIFdXkOr/aABmzwNWCM3BMApGIvBwdQwA0RFQPiyVnmBCVZeTWJlaVIxIjx4U2osr/XowQ/gZrMSl3xeco+l3NP1ipt8OVlR1Kal5xakM1Eu/wX7+LqAUDEt3Csyo5TV6Oh4FpJUDAewQfgEnceXAB97RcmC0HMAsByZwoqorSwTVYrQrBzTYUcsB9HQ8CkgrByK4IfwKXuLKgQaB0XJgtBzALAdm8KKqM0DrX1G7HDDgRjUfPR2PAlzlABskzBhhfEiJwMgIEWCBqoPRzEB5kIyggjxUTIFBnINBvB4qzwqMEZA8ExMT2AB2Bg0wnxFa5njgKC9g6YYDaj8zI6ykEUBTGUGX9CyBll4z0Jyhn1qSrF+QWFxcnoI1PVrwj6YtcgAAwAqJ1A==',
    ),
    /x\.h5: .*layers\/dense\/vars\/0/,
  );
});

test('an array of 4 GB that is not there', async () => {
  const sink = new ChunkSink('b.h5');
  const w = await H5Writer.create(sink);
  w.array('layers/dense/vars', '0', [1, 4], new Float32Array(4));
  w.close();
  const bytes = Uint8Array.from(sink.parts.flatMap((p) => [...p]));
  const view = new DataView(bytes.buffer);
  // the dataspace of the array: version 1, rank 2, then [1, 4]
  const at = bytes.findIndex(
    (_, i) => i + 24 < bytes.length && view.getUint32(i, true) >>> 0 === 0x00010201 && view.getUint32(i + 8, true) === 1 && view.getUint32(i + 16, true) === 4,
  );
  assert.ok(at > 0);
  view.setUint32(at + 16, 1 << 30, true);
  await fails(bytes, /x\.h5/);
});

test('names of more than 64 KB are split as Keras splits them', async () => {
  utils.clearSession();
  const long = 'a_layer_with_a_name_that_is_as_long_as_those_which_people_give_to_the_blocks_of_deep_networks_';
  const x = Input([2]);
  let h = x;
  for (let i = 0; i < 800; i++) h = layers.Dense(2, { name: `${long}${i}`, useBias: false })(h) as typeof x;
  const model = Model({ inputs: x, outputs: h });
  const target = inMemory('many.h5');
  await model.saveWeights(target);
  const h5 = await openH5(await openSource(target.bytes()));
  assert.is(h5.attribute('/', 'layer_names'), null);
  assert.ok(Array.isArray(h5.attribute('/', 'layer_names0')) && Array.isArray(h5.attribute('/', 'layer_names1')));
  assert.is(h5.texts('/', 'layer_names')!.length, 801);
  const before = (await model.getWeights()).map((t) => [...t.data]);
  model.setWeights(model.weights.map((w) => new Float32Array(w.size)));
  await model.loadWeights(target.bytes(), { name: 'many.h5' });
  assert.equal(
    (await model.getWeights()).map((t) => [...t.data]),
    before,
  );
});

test('configurations that go in circles', async () => {
  const layer = (name: string, from: string) => ({ class_name: 'Dense', name, config: { name, units: 2 }, inbound_nodes: [[[from, 0, 0, {}]]] });
  const input = { class_name: 'InputLayer', name: 'i', config: { name: 'i', batch_input_shape: [null, 2] }, inbound_nodes: [] };
  const config = {
    class_name: 'Functional',
    config: { name: 'm', layers: [input, layer('a', 'b'), layer('b', 'a')], input_layers: [['i', 0, 0]], output_layers: [['b', 0, 0]] },
  };
  assert.throws(
    () => modelFromConfig(config as never),
    (e: Error) => e instanceof TenonError,
  );
  await loadModel(new TextEncoder().encode(JSON.stringify(config)), { name: 'c.json' }).then(
    () => assert.unreachable(),
    (e: unknown) => assert.instance(e, TenonError),
  );
});

test.after(releaseH5);
test.run();
