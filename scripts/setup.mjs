/**
 * Sets up what the npm scripts need, on a bare clone with nothing but Node and npm: packages (npm ci) and, for WebGPU without a GPU, Debian's
 * chromium (for its software Vulkan driver) and libvulkan1. Plain JavaScript without dependencies, since it runs before any are installed.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const readJson = (path) => JSON.parse(readFileSync(path, 'utf8'));

/** Whether node_modules holds what package-lock.json names. npm keeps its own list of what it installed; packages for other platforms are absent there. */
export function packagesAreCurrent() {
  const installed = `${root}/node_modules/.package-lock.json`;
  if (!existsSync(installed)) return false;
  const have = readJson(installed).packages;
  const want = readJson(`${root}/package-lock.json`).packages;
  return Object.entries(want).every(
    ([path, p]) => path === '' || (have[path] ? have[path].version === p.version && existsSync(`${root}/${path}`) : p.optional === true),
  );
}

/** Runs `npm ci` when packages are missing or stale. */
export function ensurePackages() {
  if (packagesAreCurrent()) return;
  if (process.env.TENON_SETUP) throw new Error('node_modules does not match package-lock.json although npm ci has just run: are they of the same npm?');
  console.log('Installing packages (npm ci) ...');
  // npm's own variables describe the script that called us (npm test); npm ci must not take them for its settings.
  const env = Object.fromEntries(Object.entries(process.env).filter(([k]) => !/^npm_(lifecycle|package|command)/.test(k)));
  const npm = process.env.npm_execpath;
  const args = ['ci', '--ignore-scripts', '--include=dev', '--no-audit', '--no-fund'];
  const [command, argv] = npm?.endsWith('.js') ? [process.execPath, [npm, ...args]] : ['npm', args];
  const { status, error } = spawnSync(command, argv, {
    cwd: root,
    stdio: 'inherit',
    env: { ...env, TENON_SETUP: '1' },
    shell: process.platform === 'win32' && command === 'npm',
  });
  if (status !== 0) throw new Error(`npm ci failed${error ? `: ${error.message}` : ''}`);
}

/** Where a Debian machine has what software WebGPU needs. */
const debian = {
  icd: '/usr/lib/chromium/vk_swiftshader_icd.json',
  loaders: ['/usr/lib/x86_64-linux-gnu/libvulkan.so.1', '/usr/lib/aarch64-linux-gnu/libvulkan.so.1'],
  apt: '/usr/bin/apt-get',
  isRoot: () => process.getuid?.() === 0,
};

/** What software WebGPU lacks here: names of Debian packages. */
export function missingGpuPackages(system = debian) {
  if (process.platform !== 'linux' || process.env.VK_ICD_FILENAMES) return [];
  return [...(existsSync(system.icd) ? [] : ['chromium']), ...(system.loaders.some((f) => existsSync(f)) ? [] : ['libvulkan1'])];
}

/** Makes software WebGPU available: installs Debian packages when root, else says what is missing. */
export function ensureGpu(system = debian) {
  const missing = missingGpuPackages(system);
  if (missing.length) {
    const advice = `WebGPU has no software driver here. Missing: ${missing.join(', ')} (Debian: apt-get install ${missing.join(' ')}).`;
    if (!system.isRoot() || !existsSync(system.apt)) {
      console.warn(`${advice} WebGPU works only if this machine has a GPU and a Vulkan driver.`);
    } else {
      console.log(`Installing ${missing.join(' ')} (for software WebGPU) ...`);
      const apt = (...args) =>
        spawnSync(system.apt, args, { stdio: ['ignore', 'ignore', 'inherit'], env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' } }).status === 0;
      if (!apt('update', '-q') || !apt('install', '-q', '-y', '--no-install-recommends', ...missing)) console.warn(`apt-get failed. ${advice}`);
    }
  }
  // Dawn looks for a Vulkan driver by this variable; a real one that the user named stays.
  if (!process.env.VK_ICD_FILENAMES && existsSync(system.icd)) process.env.VK_ICD_FILENAMES = system.icd;
  process.env.XDG_RUNTIME_DIR ??= '/tmp';
}
