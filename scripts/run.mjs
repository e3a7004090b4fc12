/**
 * node scripts/run.mjs [--gpu] FILE.ts [arguments]: does the set-up, then runs a TypeScript file of the project with the arguments.
 * --gpu: makes software WebGPU available, too; an argument `--device webgpu` does so as well.
 */
import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { ensureGpu, ensurePackages } from './setup.mjs';

const root = fileURLToPath(new URL('..', import.meta.url));
const argv = process.argv.slice(2);
const gpu = argv[0] === '--gpu';
const [file, ...args] = gpu ? argv.slice(1) : argv;
try {
  ensurePackages();
  if (gpu || args.includes('webgpu') || args.includes('--device=webgpu')) ensureGpu();
} catch (e) {
  console.error(e.message);
  process.exit(1);
}
const child = spawn(process.execPath, ['--import', 'tsx', file, ...args], { cwd: root, stdio: 'inherit' });
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => child.kill(signal));
child.on('close', (code, signal) => process.exit(code ?? (signal === 'SIGINT' ? 130 : 1)));
