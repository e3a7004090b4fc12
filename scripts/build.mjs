/**
 * Builds dist/: ESM and CJS by tsup, declarations by the native `tsc` (tsup's own need the JavaScript API that TypeScript 7 lacks).
 * dist/cjs has a package.json of its own that says "commonjs", so its .js and .d.ts files are CommonJS without being renamed or rewritten.
 */
import { spawnSync } from 'node:child_process';
import { cpSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { ensurePackages } from './setup.mjs';

const root = fileURLToPath(new URL('..', import.meta.url));
ensurePackages();
const run = (script, ...args) => {
  const { status } = spawnSync(process.execPath, [`node_modules/${script}`, ...args], { cwd: root, stdio: 'inherit' });
  if (status !== 0) process.exit(status ?? 1);
};
rmSync(`${root}/dist`, { recursive: true, force: true });
run('tsup/dist/cli-default.js', '--silent');
run('typescript/bin/tsc', '-p', 'tsconfig.build.json');
// h5wasm is ESM alone: what tsup made a require() of is an import() again
for (const name of readdirSync(`${root}/dist/cjs`)) {
  if (!name.endsWith('.js')) continue;
  const file = `${root}/dist/cjs/${name}`;
  const text = readFileSync(file, 'utf8');
  const fixed = text.replace(/Promise\.resolve\(\)\.then\(\(\) => _interopRequireWildcard\(require\("h5wasm"\)\)\)/g, 'import("h5wasm")');
  if (fixed !== text) writeFileSync(file, fixed);
}
cpSync(`${root}/dist/esm/types`, `${root}/dist/cjs/types`, { recursive: true });
writeFileSync(`${root}/dist/cjs/package.json`, '{ "type": "commonjs" }\n');
console.log('built dist/esm and dist/cjs');
