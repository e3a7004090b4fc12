/** Runs emitted WGSL on a software WebGPU adapter, and checks it with naga and tint, where they are installed. */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { create, globals } from 'webgpu';
import type { TypedArray } from '../../../codegen/kernel/interpret.js';
import type { Kernel } from '../../../codegen/kernel/ir.js';
import { emitWgsl, type WgslLayout } from '../../../codegen/wgsl/emit.js';
import { evalSize } from '../../../runtime/plan.js';

const swiftshader = '/usr/lib/chromium/vk_swiftshader_icd.json';

/** Null, after saying so, where there is no adapter. */
export async function openGpu(): Promise<GPUDevice | null> {
  if (!process.env['VK_ICD_FILENAMES'] && existsSync(swiftshader)) process.env['VK_ICD_FILENAMES'] = swiftshader;
  Object.assign(globalThis, globals);
  const gpu = create([]);
  const adapter = await gpu.requestAdapter();
  if (!adapter) {
    console.log('no WebGPU adapter: emitted kernels are not run');
    return null;
  }
  const device = await adapter.requestDevice();
  // The entry point must outlive its devices.
  keep.push(gpu);
  return device;
}
const keep: unknown[] = [];

/** One binding for each argument. */
export const separate = (k: Kernel): WgslLayout => ({
  bindings: k.args.map((m) => ({ access: m.access === 'read' ? 'read' : 'read_write' })),
  argBinding: k.args.map((_, i) => i),
});
/** All arguments in one buffer. */
export const together = (k: Kernel): WgslLayout => ({ bindings: [{ access: 'read_write' }], argBinding: k.args.map(() => 0) });

/** Messages of naga and tint about a module; empty when both (or those that are installed) accept it. */
export function complaints(wgsl: string): string {
  const dir = mkdtempSync(join(tmpdir(), 'tenon-wgsl-'));
  const file = join(dir, 'kernel.wgsl');
  writeFileSync(file, wgsl);
  let out = '';
  for (const [tool, args] of [
    ['naga', [file]],
    ['tint', ['--format', 'wgsl', file]],
  ] as const) {
    const r = spawnSync(tool, args, { encoding: 'utf8' });
    if (r.error) missing.add(tool);
    else if (r.status !== 0) out += `${tool}: ${r.stdout}${r.stderr}`;
  }
  rmSync(dir, { recursive: true });
  return out;
}
const missing = new Set<string>();
export const missingValidators = (): string[] => [...missing];

/** Runs a kernel with copies of `args`, each at a 256-byte aligned place of its binding's buffer (the first one not at 0), and gives the arguments afterwards. */
export async function runOnGpu(
  device: GPUDevice,
  k: Kernel,
  layout: WgslLayout,
  args: readonly TypedArray[],
  symbols: Record<string, number> = {},
): Promise<TypedArray[]> {
  const code = emitWgsl(k, layout);
  device.pushErrorScope('validation');
  const sizes = layout.bindings.map(() => 256);
  const offsets = args.map((a, i) => {
    const b = layout.argBinding[i]!;
    const at = sizes[b]!;
    sizes[b] = Math.ceil((at + a.byteLength) / 256) * 256;
    return at;
  });
  const buffers = sizes.map((size) => device.createBuffer({ size, usage: GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_DST | GPUBufferUsage.COPY_SRC }));
  args.forEach((a, i) => {
    const bytes = new Uint8Array(Math.ceil(a.byteLength / 4) * 4);
    bytes.set(new Uint8Array(a.buffer, a.byteOffset, a.byteLength));
    device.queue.writeBuffer(buffers[layout.argBinding[i]!]!, offsets[i]!, bytes);
  });
  const words = new Uint32Array(Math.ceil((args.length + k.symbols.length) / 4) * 4);
  args.forEach((a, i) => (words[i] = offsets[i]! / a.BYTES_PER_ELEMENT));
  k.symbols.forEach((s, i) => (words[args.length + i] = symbols[s]!));
  const block = device.createBuffer({ size: words.byteLength, usage: GPUBufferUsage.UNIFORM | GPUBufferUsage.COPY_DST });
  device.queue.writeBuffer(block, 0, words);
  const bindings = [...layout.bindings.map((b): GPUBufferBindingType => (b.access === 'read' ? 'read-only-storage' : 'storage')), 'uniform' as const];
  const group = device.createBindGroupLayout({ entries: bindings.map((type, binding) => ({ binding, visibility: GPUShaderStage.COMPUTE, buffer: { type } })) });
  const pipeline = device.createComputePipeline({
    layout: device.createPipelineLayout({ bindGroupLayouts: [group] }),
    compute: { module: device.createShaderModule({ code }), entryPoint: 'main' },
  });
  const encoder = device.createCommandEncoder();
  const pass = encoder.beginComputePass();
  pass.setPipeline(pipeline);
  pass.setBindGroup(0, device.createBindGroup({ layout: group, entries: [...buffers, block].map((buffer, binding) => ({ binding, resource: { buffer } })) }));
  const [x, y, z] = k.grid.map((g) => evalSize(g, symbols)) as [number, number, number];
  pass.dispatchWorkgroups(x, y, z);
  pass.end();
  const reads = buffers.map((b, i) => {
    const copy = device.createBuffer({ size: sizes[i]!, usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST });
    encoder.copyBufferToBuffer(b, 0, copy, 0, sizes[i]!);
    return copy;
  });
  device.queue.submit([encoder.finish()]);
  const error = await device.popErrorScope();
  if (error) throw new Error(`${error.message}\n${code}`);
  const contents = await Promise.all(
    reads.map(async (r) => {
      await r.mapAsync(GPUMapMode.READ);
      return r.getMappedRange().slice(0);
    }),
  );
  for (const b of [...buffers, ...reads, block]) b.destroy();
  return args.map((a, i) => {
    const at = offsets[i]!;
    const raw = contents[layout.argBinding[i]!]!.slice(at, at + a.byteLength);
    return new (a.constructor as new (buffer: ArrayBuffer) => TypedArray)(raw);
  });
}
