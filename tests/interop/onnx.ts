/**
 * ONNX both ways: a model of every family of layers, and whole architectures, are written, pass onnx.checker with full shape inference, give the same outputs in
 * onnxruntime and when they are read back here.
 */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { uniform } from '../../bench/workloads.js';
import { type ModelBase, tensor, utils } from '../../frontend/keras/index.js';
import { load } from '../../frontend/onnx/index.js';
import { openDevice } from '../../runtime/open.js';
import { type ArchitectureCase, architectureModel } from '../golden/architectures.js';
import { readNpz } from '../golden/npz.js';
import { type Family, families, familyModel, noLayers } from './onnx-families.js';
import { difference, type NamedArray, writeArrays } from './safetensors.js';

type Check = (name: string, fault: string | null) => void;
const tolerance = 1e-5;
const here = path.dirname(fileURLToPath(import.meta.url));

interface Case {
  readonly name: string;
  readonly opsets: readonly number[];
  readonly model: () => ModelBase;
  /** Data for each input: ids below this, else numbers in ±1. */
  readonly ids: number | null;
  readonly batch: number;
  /** Of keras.applications: the input and what Keras gives for it. */
  readonly golden?: { readonly input: NamedArray; readonly output: NamedArray };
}

/** Every family in the lowest, the usual and the newest opset, and in one of those between. */
const always = [13, 17, 28] as const;
const between = [15, 18, 20, 21, 23, 26] as const;
const opsetsFor = (f: Family, at: number): number[] => [...always, between[at % between.length]!].filter((o) => o >= (f.since ?? 13)).sort((a, b) => a - b);

/** Whole networks of keras.applications with the weights and inputs of the golden cases, where they are. */
function architectures(): Case[] {
  const folder = path.join(process.env.TENON_SHARED ?? path.join(here, '../../../shared'), 'golden/architectures');
  if (!existsSync(folder)) {
    console.log(`skip whole networks: ${folder} is not there`);
    return [];
  }
  return ['mobilenet', 'mobilenet_v2', 'resnet50', 'inception_v3'].map((name): Case => {
    const c = JSON.parse(readFileSync(path.join(folder, `${name}.json`), 'utf8')) as ArchitectureCase;
    const { model, assign, input } = architectureModel(c, folder);
    assign();
    const output = readNpz(path.join(folder, `${name}.npz`)).get(c.output.key)!;
    return {
      name,
      opsets: [17],
      ids: null,
      batch: c.input.shape[0]!,
      model: () => model,
      golden: {
        input: { shape: input.shape, data: input.data as Float32Array },
        output: { shape: c.output.shape, data: Float32Array.from(output.data as ArrayLike<number>) },
      },
    };
  });
}

const cases = (): readonly Case[] => [
  ...families.map((f, i): Case => ({ name: f.name, opsets: opsetsFor(f, i), model: () => familyModel(f), ids: f.ids ?? null, batch: f.batch ?? 3 })),
  ...architectures(),
];

/** Weights that do something everywhere: biases and moving statistics do not stay 0 and 1. */
function stir(model: ModelBase): void {
  model.weights.forEach((v, i) => {
    if (/(bias|beta|moving_mean)$/.test(v.path)) v.assign(uniform(v.size, i + 11).map((x) => 0.2 * x));
    if (/(gamma|moving_variance)$/.test(v.path)) v.assign(uniform(v.size, i + 11).map((x) => 1 + 0.3 * x));
  });
}

/** Writes all cases to `dir` and reads them back; onnx.py does the rest. */
export async function writeOnnx(dir: string, check: Check, only?: string): Promise<void> {
  const device = await openDevice('wasm');
  const jobs: string[] = [];
  for (const c of cases().filter((x) => !only || x.name.includes(only))) {
    for (const opset of c.opsets) {
      const name = `${c.name}@${opset}`;
      try {
        utils.clearSession();
        utils.setRandomSeed(5);
        const model = c.model();
        if (!c.golden) stir(model);
        const file = path.join(dir, `${name}.onnx`);
        // one of them with its weights in a second file
        await model.export(file, { opset, externalData: c.name === 'conv2d' ? 'beside' : 'auto' });
        const inputs = model.inputSpecs.map((s, i): NamedArray => {
          if (c.golden) return c.golden.input;
          const shape = s.shape.map((d) => d ?? c.batch);
          const numbers = uniform(
            shape.reduce((a, b) => a * b, 1),
            i + 1,
          );
          return { shape, data: c.ids === null ? numbers : Int32Array.from(numbers, (x) => Math.floor(((x + 1) / 2) * c.ids!)) };
        });
        model.compile({ device, loss: 'mse' });
        const expected = (await model.predictAll(inputs.map((a) => tensor(a.data, a.shape)))).map((t) => ({ shape: t.shape, data: Float32Array.from(t.data) }));
        model.dispose();
        const given = Object.fromEntries(model.inputSpecs.map((s, i) => [s.name, inputs[i]!]));
        writeArrays(`${file}.safetensors`, {
          ...Object.fromEntries(Object.entries(given).map(([n, a]) => [`in:${n}`, a])),
          ...Object.fromEntries(model.outputNames.map((n, i) => [`out:${n}`, expected[i]!])),
          ...(c.golden ? { [`golden:${model.outputNames[0]}`]: c.golden.output } : {}),
        });
        jobs.push(name);
        if (opset !== c.opsets.at(-1) && opset !== 17) continue;
        const imported = await load(file, { device });
        const results = await imported.run(given);
        // Keras takes an input as a list by its order
        if (opset === 17 && !Object.hasOwn(noLayers, c.name)) await imported.asLayers().save(path.join(dir, `${name}.layers.keras`), { keras: 3 });
        imported.dispose();
        const names = imported.outputs.map((o) => o.name);
        check(
          `${name}: read back`,
          model.outputNames
            .map((n, i) => (names.includes(n) ? difference(results[n]!.data as Float32Array, expected[i]!.data, tolerance) : `no output ${n}`))
            .find((d) => d !== null) ?? null,
        );
      } catch (e) {
        check(`${name}: written and read back`, e instanceof Error ? `${e.name}: ${e.message}` : String(e));
      }
    }
  }
  device.dispose();
  writeFileSync(path.join(dir, 'onnx.json'), JSON.stringify(jobs));
}

interface Found {
  /** The newest opset that onnxruntime loads. */
  readonly newest: number;
  readonly runners: Readonly<Record<string, number>>;
  readonly models: Readonly<Record<string, string | null>>;
}
/** What onnx.py found, by model: null where all is well. */
export function onnxResults(dir: string): [string, string | null][] {
  const { newest, runners, models } = JSON.parse(readFileSync(path.join(dir, 'onnx-results.json'), 'utf8')) as Found;
  const counts = Object.entries(runners).map(([who, n]) => `${n} by ${who}`);
  console.log(`${Object.keys(models).length} models: ${counts.join(', ')}; onnxruntime loads opsets to ${newest}`);
  return Object.entries(models);
}
/** What onnx_layers.py found, by model. */
export const layerResults = (dir: string): [string, string | null][] =>
  Object.entries(JSON.parse(readFileSync(path.join(dir, 'onnx-layers.json'), 'utf8')) as Record<string, string | null>);
