/**
 * npm run onnx -- DIR [--device wasm|webgpu|reference] [--only PATTERN] [--allow NAME,…] [--verbose]: runs the cases of the official ONNX backend suite in DIR (its folder, `node` or
 * `light` in it, or one case) with the official tolerances. What is refused is told from what is wrong; a case that cannot be run counts as failed. Cases named by --allow are known not to pass:
 * they are shown, and counted as skipped where they fail. Ends with `N passed, N failed, N skipped`.
 */
import { existsSync, readdirSync, statSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { openDevice } from '../../runtime/open.js';
import { type CaseFiles, type Outcome, runCase } from './cases.js';

const byNumber = (a: string, b: string): number => Number(/\d+/.exec(a)?.[0]) - Number(/\d+/.exec(b)?.[0]);

/** The cases of a folder: folders with a model.onnx and data sets, and light models beside their expected output. */
export function casesIn(dir: string): CaseFiles[] {
  if (existsSync(path.join(dir, 'model.onnx'))) {
    const sets = readdirSync(dir)
      .filter((n) => n.startsWith('test_data_set_'))
      .sort(byNumber);
    return sets.map((set): CaseFiles => {
      const all = readdirSync(path.join(dir, set));
      const files = (kind: string): string[] =>
        all
          .filter((n) => n.startsWith(`${kind}_`) && n.endsWith('.pb'))
          .sort(byNumber)
          .map((n) => path.join(dir, set, n));
      return {
        name: path.basename(dir).replace(/^test_/, ''),
        model: path.join(dir, 'model.onnx'),
        inputs: files('input'),
        outputs: files('output'),
        ramp: false,
      };
    });
  }
  const names = readdirSync(dir).sort();
  return names.flatMap((n): CaseFiles[] => {
    const at = path.join(dir, n);
    if (statSync(at).isDirectory()) return casesIn(at);
    if (!n.endsWith('.onnx')) return [];
    const stem = n.slice(0, -'.onnx'.length);
    const outputs = names
      .filter((o) => o.startsWith(`${stem}_output_`) && o.endsWith('.pb'))
      .sort(byNumber)
      .map((o) => path.join(dir, o));
    return [{ name: stem, model: at, inputs: [], outputs, ramp: true }];
  });
}

async function main(): Promise<void> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      device: { type: 'string', default: 'wasm' },
      only: { type: 'string' },
      allow: { type: 'string', default: '' },
      verbose: { type: 'boolean', default: false },
    },
  });
  const [dir] = positionals;
  if (dir === undefined || !existsSync(dir) || !statSync(dir).isDirectory() || !['wasm', 'webgpu', 'reference'].includes(values.device)) {
    console.error('usage: npm run onnx -- DIR [--device wasm|webgpu|reference] [--only PATTERN] [--allow NAME,...] [--verbose]');
    process.exit(2);
  }
  const device = values.device === 'reference' ? 'reference' : await openDevice(values.device as 'wasm' | 'webgpu');
  console.log(`ONNX backend cases on ${device === 'reference' ? 'the reference evaluation' : device.info.description}`);
  if (values.device === 'webgpu') console.log('WebGPU has no float64: it is computed in float32');
  const only = values.only ? new RegExp(values.only) : null;
  const allowed = new Set(values.allow.split(',').filter((n) => n !== ''));
  const counts: Record<Outcome['result'] | 'known', number> = { passed: 0, refused: 0, wrong: 0, error: 0, known: 0 };
  for (const c of casesIn(path.resolve(dir))) {
    if (only && !only.test(c.name)) continue;
    const o = await runCase(c, device);
    const known = o.result !== 'passed' && o.result !== 'error' && allowed.has(c.name);
    counts[known ? 'known' : o.result]++;
    if (o.result !== 'passed') console.log(`${known ? 'KNOWN ' : ''}${o.result.toUpperCase()} ${c.name}: ${o.note.split('\n').slice(0, 6).join('\n  ')}`);
    else if (values.verbose) console.log(`ok ${c.name}`);
  }
  const failed = counts.refused + counts.wrong + counts.error;
  if (failed > 0) console.log(`of the failed ones ${counts.refused} were refused, ${counts.wrong} gave wrong results, ${counts.error} met an error`);
  console.log(`${counts.passed} passed, ${failed} failed, ${counts.known} skipped`);
  if (device !== 'reference') device.dispose();
  process.exit(failed > 0 || counts.passed === 0 ? 1 : 0);
}

if (process.argv[1] && path.resolve(process.argv[1]) === fileURLToPath(import.meta.url)) await main();
