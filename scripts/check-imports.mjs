/**
 * Checks who imports whom: the arrows between folders (docs/architecture.md), which packages each folder may use, that a relative import names a file,
 * and that no imports run in a circle (type-only imports are erased and do not count). Prints each fault and exits with 1.
 */
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const root = process.argv[2] ?? fileURLToPath(new URL('..', import.meta.url));

/** First rule whose `from` fits is used. `to`: allowed paths of ours; `packages`: allowed packages, `lazy` ones by import() only, so that a browser never meets them. */
const rules = [
  { from: /^ir\//, to: [/^ir\//], packages: [], lazy: [] },
  { from: /^passes\//, to: [/^(ir|passes)\//], packages: [], lazy: [] },
  { from: /^codegen\//, to: [/^(ir|passes|codegen)\//, /^runtime\/plan\.ts$/], packages: [], lazy: [] },
  { from: /^runtime\//, to: [/^runtime\//], packages: [], lazy: [/^node:/, /^webgpu$/] },
  {
    from: /^frontend\/(keras\/models|onnx\/model)/,
    to: [/^frontend\//, /^ir\//, /^codegen\/(index|compile|target)\.ts$/, /^runtime\//],
    packages: [],
    lazy: [/^node:/],
  },
  // The package's entries hand on what their modules export, and the model's classes with it.
  { from: /^frontend\/keras\/index\.ts$/, to: [/^frontend\/(keras|formats)\//, /^ir\//, /^runtime\/index\.ts$/], packages: [], lazy: [] },
  // Files: containers and text, which know nothing of models. Big packages are met by import() alone.
  {
    from: /^frontend\/formats\//,
    to: [/^frontend\/formats\//, /^ir\//, /^runtime\/safetensors\.ts$/],
    packages: ['fflate'],
    lazy: [/^node:/, 'h5wasm', 'yaml'],
  },
  { from: /^frontend\/keras\/saving\/arrays-format\.ts$/, to: [/^frontend\//, /^ir\//, /^runtime\/(safetensors|errors)\.ts$/], packages: [], lazy: [] },
  { from: /^frontend\//, to: [/^frontend\//, /^ir\//], packages: [], lazy: [/^node:/] },
  { from: /^cli\//, to: [/^(cli|frontend|codegen|passes|ir|runtime)\//], packages: [/^node:/, 'commander', 'picocolors'], lazy: [] },
  { from: /^(tests|bench|examples)\//, to: [/./], packages: [/./], lazy: [] },
];

const skip = new Set(['node_modules', 'dist', '.git', '.venv', '.cache', 'coverage', 'scripts']);
function* sources(dir) {
  for (const name of readdirSync(path.join(root, dir))) {
    if (skip.has(name)) continue;
    const at = path.posix.join(dir, name);
    if (statSync(path.join(root, at)).isDirectory()) yield* sources(at);
    else if (at.endsWith('.ts') && !at.endsWith('.d.ts') && at.includes('/')) yield at;
  }
}

/** The imports of a file: what, whether erased, whether by import(). Comments are blanked first; template text that looks like an import would be taken for one. */
function importsOf(text) {
  const code = text.replace(/\/\*[\s\S]*?\*\/|(^|\s)\/\/.*$/gm, (c) => c.replace(/[^\n]/g, ' '));
  const found = [];
  for (const m of code.matchAll(/^\s*(?:import|export)\s+(type\s+)?(?:[\w*\s{},$]+?\s+from\s+)?'([^'\n]+)'/gm)) {
    const named = /\{([^}]*)\}/.exec(m[0])?.[1];
    const erased =
      Boolean(m[1]) || (named !== undefined && !/import\s+\w/.test(m[0]) && named.split(',').every((n) => n.trim() === '' || n.trim().startsWith('type ')));
    found.push({ what: m[2], erased, lazy: false });
  }
  for (const m of code.matchAll(/(typeof\s+)?\bimport\(\s*'([^'\n]+)'\s*\)(\.[A-Z])?/g)) found.push({ what: m[2], erased: Boolean(m[1] || m[3]), lazy: true });
  return found;
}

const faults = [];
const graph = new Map();
const fits = (list, x) => list.some((p) => (typeof p === 'string' ? p === x : p.test(x)));
for (const file of sources('')) {
  const rule = rules.find((r) => r.from.test(file));
  const edges = [];
  graph.set(file, edges);
  if (!rule) {
    faults.push(`${file}: no rule for its folder`);
    continue;
  }
  for (const { what, erased, lazy } of importsOf(readFileSync(path.join(root, file), 'utf8'))) {
    if (!what.startsWith('.')) {
      if (!fits(rule.packages, what) && !(fits(rule.lazy, what) && (lazy || erased))) {
        faults.push(`${file}: may not import the package '${what}'${fits(rule.lazy, what) ? ' except by import()' : ''}`);
      }
      continue;
    }
    const target = path.posix.join(path.posix.dirname(file), what).replace(/\.js$/, '.ts');
    // A generated module is JavaScript with a declaration file.
    const there = [target, target.replace(/\.ts$/, '.d.ts')].some((p) => existsSync(path.join(root, p)));
    if (!there) faults.push(`${file}: imports ${what}, which is not there`);
    else if (!fits(rule.to, target)) faults.push(`${file}: may not import ${target}`);
    if (!erased && !lazy) edges.push(target);
  }
}

// Circles: depth first; a file met again while still open closes one.
const state = new Map();
function visit(file, trail) {
  if (state.get(file) === 'done') return;
  if (state.get(file) === 'open') {
    faults.push(`circle: ${[...trail.slice(trail.indexOf(file)), file].join(' -> ')}`);
    return;
  }
  state.set(file, 'open');
  for (const to of graph.get(file) ?? []) visit(to, [...trail, file]);
  state.set(file, 'done');
}
for (const file of graph.keys()) visit(file, []);

for (const f of faults) console.log(f);
console.log(`${graph.size} files, ${faults.length} faults`);
process.exit(faults.length ? 1 : 0);
