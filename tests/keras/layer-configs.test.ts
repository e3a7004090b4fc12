/** Every layer class: its configuration gives the same layer and configuration again, in both generations of Keras. tests/interop/layers.ts compares them with the real ones. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { layers } from '../../frontend/keras/index.js';
import { deserialize, layerClasses, serialize } from '../../frontend/keras/layers/serialization.js';
import { layerOf } from '../interop/layers.js';
import { configCases, withoutConfigs } from '../support/layer-configs.js';

const own = Object.entries(layerClasses).flatMap(([name, cls]) => ((cls as unknown as { className: string }).className === name ? [name] : []));

test('every class has cases with its defaults and with other arguments', () => {
  const cases = (cls: string) => configCases.filter((c) => c.cls === cls);
  assert.equal(
    own.filter((n) => !withoutConfigs.includes(n) && cases(n).length === 0),
    [],
  );
  // what has no further arguments
  const plain = ['Permute', 'RepeatVector', 'Reshape', 'StackedRNNCells', 'SpatialDropout1D', 'TimeDistributed', 'CenterCrop'];
  assert.equal(
    own.filter((n) => !withoutConfigs.includes(n) && !plain.includes(n) && cases(n).length < 2),
    [],
  );
});

for (const name of own.filter((n) => !withoutConfigs.includes(n)))
  test(`${name}: fromConfig(getConfig())`, () => {
    for (const c of configCases.filter((k) => k.cls === name))
      for (const version of c.keras) {
        const semantics = version === 2 ? 'keras2' : 'keras3';
        const layer = layerOf(c, semantics);
        const config = JSON.parse(JSON.stringify(layer.getConfig())) as ReturnType<typeof layer.getConfig>;
        assert.not.ok(
          Object.keys(config).some((k) => /[A-Z]/.test(k)),
          'names are those of Python',
        );
        // the public class, which may be called without new
        const cls = (layers as unknown as Record<string, typeof layers.Layer>)[name]!;
        const again = cls.fromConfig({ ...config, ...(semantics === 'keras2' ? { semantics } : {}) });
        assert.is(again.constructor, layer.constructor);
        assert.equal(again.getConfig(), config, `keras ${version}`);
        const written = serialize(layer);
        assert.equal(deserialize({ ...written, config }, { semantics }).getConfig(), config, `deserialize, keras ${version}`);
      }
  });

test('what has no configuration of its own in Keras', () => {
  assert.throws(() => layers.Lambda((x: never) => x).getConfig(), /the function of a Lambda layer cannot be written/);
  const sync = layers.SyncBatchNormalization({ axis: 1, name: 'sync' });
  const { class_name, config } = serialize(sync);
  assert.equal([class_name, config.synchronized], ['BatchNormalization', true]);
  assert.equal(deserialize({ class_name, config }).getConfig(), config);
});

test.run();
