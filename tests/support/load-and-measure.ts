/** Loads a file in a process of its own after a small one that warms everything up, and prints by how many bytes the process grew: `load-and-measure.ts SMALL FILE`. */
import { loadModel, type ModelBase } from '../../frontend/keras/index.js';
import { TenonError } from '../../ir/errors.js';

const [small, file] = process.argv.slice(2) as [string, string];
const load = async (f: string): Promise<ModelBase | null> => {
  try {
    return await loadModel(f, { device: 'reference' });
  } catch (e) {
    if (e instanceof TenonError) return null;
    throw e;
  }
};
await load(small);
const before = process.resourceUsage().maxRSS;
const model = await load(file);
console.log(JSON.stringify({ grown: (process.resourceUsage().maxRSS - before) * 1024, loaded: model !== null }));
process.exit(0);
