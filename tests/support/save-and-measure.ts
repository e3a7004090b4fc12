/** Saves a small model, then one with 96 MB of weights, and prints by how many bytes the process grew at the second: `save-and-measure.ts SMALL FILE`. */
import { Input, layers, type ModelBase, Sequential } from '../../frontend/keras/index.js';

const [small, file] = process.argv.slice(2) as [string, string];
const model = (units: number): ModelBase => {
  const m = Sequential([Input([2000]), ...Array.from({ length: 6 }, () => layers.Dense(units, { kernelInitializer: 'ones' })), layers.Dense(2000)]);
  // what initializers leave behind is not what saving takes
  for (const w of m.weights) w.adopt(new Float32Array(w.size).fill(1));
  return m;
};
await model(4).save(small);
const large = model(2000);
const before = process.resourceUsage().maxRSS;
await large.save(file);
console.log(JSON.stringify({ grown: (process.resourceUsage().maxRSS - before) * 1024 }));
process.exit(0);
