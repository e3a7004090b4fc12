/**
 * Finds a WebGPU adapter: navigator.gpu in browsers and Deno, the optional `webgpu` package (Dawn) in Node. A software adapter (SwiftShader, lavapipe, WARP) runs the same programs
 * correctly and far slower than WASM, so callers say whether they take one.
 */
import { DeviceError, messageOf } from '../errors.js';

export interface AdapterRequest {
  /** true: a software adapter; false: none but a real GPU; undefined: a real GPU where there is one, else a software adapter. */
  readonly software?: boolean;
  readonly powerPreference?: GPUPowerPreference;
}

export interface FoundAdapter {
  /** Must stay referenced while devices live (Dawn for Node). */
  readonly gpu: GPU;
  readonly adapter: GPUAdapter;
  readonly software: boolean;
}

interface NodeProcess {
  readonly platform: string;
  readonly versions?: { readonly node?: string };
  readonly env: Record<string, string | undefined>;
}

/** Where distributions put SwiftShader's Vulkan driver description (it comes with Chromium and Chrome). */
const swiftShaderPlaces = [
  '/usr/lib/chromium/vk_swiftshader_icd.json',
  '/usr/lib64/chromium-browser/vk_swiftshader_icd.json',
  '/usr/lib/chromium-browser/vk_swiftshader_icd.json',
  '/opt/google/chrome/vk_swiftshader_icd.json',
  '/usr/share/vulkan/icd.d/vk_swiftshader_icd.json',
];

/** Device files of GPU drivers on Linux: the graphics subsystem, NVIDIA, Windows' GPU under WSL, Adreno, Mali. */
const gpuFiles = ['/dev/dri', '/dev/nvidiactl', '/dev/dxg', '/dev/kgsl-3d0', '/dev/mali0'];

const nodeProcess = (): NodeProcess | undefined => {
  const p = (globalThis as { process?: NodeProcess }).process;
  return p?.versions?.node === undefined ? undefined : p;
};

/** The specifier is not a literal, so that bundlers of web apps leave the import alone. */
const load = (specifier: string): Promise<unknown> => import(/* @vite-ignore */ /* webpackIgnore: true */ specifier);

const exists = async (path: string): Promise<boolean> => ((await load('node:fs')) as { existsSync(path: string): boolean }).existsSync(path);

async function firstThere(paths: readonly string[]): Promise<string | undefined> {
  for (const p of paths) if (await exists(p)) return p;
  return undefined;
}

/** Lets Dawn find SwiftShader, unless the user already chose a Vulkan driver. Gives whether anything changed. */
async function pointToSwiftShader(process: NodeProcess): Promise<boolean> {
  if (process.env.VK_ICD_FILENAMES !== undefined || process.env.VK_DRIVER_FILES !== undefined) return false;
  const found = await firstThere(swiftShaderPlaces);
  if (found === undefined) return false;
  process.env.VK_ICD_FILENAMES = found;
  return true;
}

export function isSoftware(adapter: GPUAdapter): boolean {
  const info = adapter.info;
  if (info.isFallbackAdapter || (adapter as { isFallbackAdapter?: boolean }).isFallbackAdapter) return true;
  return /swiftshader|llvmpipe|lavapipe|software|basic render/i.test(`${info.vendor} ${info.architecture} ${info.device} ${info.description}`);
}

const nothingFound = 'WebGPU is here, but it offers no adapter';

async function requestFrom(gpu: GPU, request: AdapterRequest): Promise<FoundAdapter | string> {
  const options: GPURequestAdapterOptions = { powerPreference: request.powerPreference };
  let adapter = request.software === true ? await gpu.requestAdapter({ ...options, forceFallbackAdapter: true }) : null;
  adapter ??= await gpu.requestAdapter(options);
  if (adapter === null) return nothingFound;
  const software = isSoftware(adapter);
  if (request.software === true && !software) return 'the only WebGPU adapter is a real GPU, and a software adapter was asked for';
  if (request.software === false && software)
    return `the only WebGPU adapter is in software (${adapter.info.description || adapter.info.architecture}), which is taken only when it is asked for`;
  return { gpu, adapter, software };
}

/** Throws DeviceError that says what is missing. */
export async function findAdapter(request: AdapterRequest): Promise<FoundAdapter> {
  const own = (globalThis as { navigator?: { gpu?: GPU } }).navigator?.gpu;
  const process = nodeProcess();
  if (own !== undefined) {
    const found = await requestFrom(own, request);
    if (typeof found !== 'string') return found;
    throw new DeviceError(`no WebGPU device: ${found}`);
  }
  if (process === undefined) throw new DeviceError('no WebGPU device: this browser has no navigator.gpu (WebGPU needs a secure context: https or localhost)');
  // Asking Dawn loads 100 MB and prints drivers' complaints, to find what a look at the device files tells.
  if (request.software === false && process.platform === 'linux' && (await firstThere(gpuFiles)) === undefined)
    throw new DeviceError('no WebGPU device: this machine has no GPU driver (no /dev/dri and the like)');
  let dawn: { create(flags: string[]): GPU };
  try {
    dawn = (await load('webgpu')) as typeof dawn;
  } catch (e) {
    throw new DeviceError(
      `no WebGPU device: in Node it comes with the optional package 'webgpu' (npm install webgpu), which could not be loaded: ${messageOf(e)}`,
    );
  }
  // The Vulkan loader prints a line on stderr for each instance without it.
  if (process.env.XDG_RUNTIME_DIR === undefined) process.env.XDG_RUNTIME_DIR = ((await load('node:os')) as { tmpdir(): string }).tmpdir();
  if (request.software === true) await pointToSwiftShader(process);
  let found = await requestFrom(dawn.create([]), request);
  // The driver is chosen when an instance is made, so a new one sees the software driver.
  if (found === nothingFound && request.software !== false && (await pointToSwiftShader(process))) found = await requestFrom(dawn.create([]), request);
  if (typeof found !== 'string') return found;
  throw new DeviceError(
    `no WebGPU device: ${found}${found === nothingFound ? ' (a Vulkan driver is needed; for software set VK_ICD_FILENAMES to the vk_swiftshader_icd.json of a Chromium)' : ''}`,
  );
}
