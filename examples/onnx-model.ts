/**
 * A model from an ONNX file: run it, train its last layer on, write it as ONNX again and, where it is made of layers, as a Keras file.
 * Run: node --import tsx examples/onnx-model.ts MODEL.onnx OUT.onnx OUT.keras
 */
import { pathToFileURL } from 'node:url';
import { type Tensor, tensor } from '../frontend/keras/index.js';
import { load } from '../frontend/onnx/index.js';

/** Loads `from`, a classifier of float32 inputs, and fine-tunes it on `x` and the classes `y`. Gives the loss of each epoch and the first prediction afterwards. */
export async function fineTune(from: string, to: string, keras: string, x: Tensor, y: Tensor): Promise<{ losses: readonly number[]; prediction: number[] }> {
  const onnx = await load(from);
  const [input] = onnx.inputs;
  const [output] = onnx.outputs;
  console.log(`${input!.name} ${input!.dtype}[${input!.shape}] -> ${output!.name}, opset ${onnx.info.opsets['']}`);
  // a plan for this shape is compiled at the first run, and kept
  const { [output!.name]: before } = await onnx.run({ [input!.name]: { shape: x.shape, data: x.data as Float32Array } });
  console.log('before:', before!.data.slice(0, before!.shape.at(-1)));

  // the initializers become weights of a Keras model
  const model = onnx.asTrainable();
  model.compile({ optimizer: 'adam', loss: 'sparse_categorical_crossentropy' });
  const history = await model.fit(x, y, { epochs: 5, verbose: 0 });
  await model.export(to);
  const tuned = await load(to);
  const result = await tuned.run({ [tuned.inputs[0]!.name]: { shape: x.shape, data: x.data as Float32Array } });
  const { data, shape } = result[tuned.outputs[0]!.name]!;
  // Conv, Gemm, LSTM and the like are layers: Keras reads this file
  const layers = tuned.asLayers();
  await layers.save(keras);
  for (const m of [onnx, tuned, model]) m.dispose();
  return { losses: history.history.loss!, prediction: Array.from(data as Float32Array).slice(0, shape.at(-1)) };
}

if (process.argv[1] && import.meta.url === pathToFileURL(process.argv[1]).href) {
  const [from, to, keras] = process.argv.slice(2);
  if (!from || !to || !keras) throw new Error('expected three files: MODEL.onnx OUT.onnx OUT.keras');
  const { inputs } = await load(from, { device: 'reference' });
  const shape = inputs[0]!.shape!.map((d, axis) => (axis === 0 ? 8 : typeof d === 'number' ? d : 16));
  const x = tensor(
    Float32Array.from({ length: shape.reduce((a, d) => a * d, 1) }, (_, i) => Math.sin(i)),
    shape,
  );
  const y = tensor(Int32Array.from({ length: 8 }, (_, i) => i % 2));
  console.log(await fineTune(from, to, keras, x, y));
}
