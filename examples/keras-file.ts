/**
 * A model from a Keras file: load it, predict, go on training, save it for Keras again. Run: node --import tsx examples/keras-file.ts MODEL.h5 OUT.keras
 */
import { pathToFileURL } from 'node:url';
import { loadModel, tensor } from '../frontend/keras/index.js';

/** Loads `from`, predicts one sample of zeros, and writes the model to `to`. Gives the prediction. */
export async function convertAndPredict(from: string, to: string): Promise<number[]> {
  // the format is found by the content; custom layers are given by { customObjects: { MyLayer } }
  const model = await loadModel(from);
  model.summary();
  const shape = model.inputSpecs[0]!.shape.map((d) => d ?? 1);
  const x = tensor(new Float32Array(shape.reduce((a, d) => a * d, 1)), shape);
  const y = await model.predict(x, { verbose: 0 });
  // architecture, weights, what compile was given and the optimizer's state: Keras 3 loads it, and fit goes on where it was
  await model.save(to, { keras: 3 });
  model.dispose();
  return [...y.data];
}

if (process.argv[1] && import.meta.url === pathToFileURL(process.argv[1]).href) {
  const [from, to] = process.argv.slice(2);
  if (!from || !to) throw new Error('expected two files: MODEL.h5 OUT.keras');
  console.log('prediction for zeros:', await convertAndPredict(from, to));
}
