/** Runs one kernel as WASM, for tests: arguments are typed arrays in storage form (bool as Uint32Array), changed in place. */

import type { TypedArray } from '../../../codegen/kernel/interpret.js';
import type { Kernel } from '../../../codegen/kernel/ir.js';
import { buildModule, control } from '../../../codegen/wasm/module.js';
import { evalSize } from '../../../runtime/plan.js';

export function moduleBytes(kernels: readonly Kernel[], relaxedSimd = false, threads = false): Uint8Array {
  return buildModule(kernels, { threads, relaxedSimd }).bytes;
}

/** Arrays over one ArrayBuffer alias on the device too. */
export function runKernel(kernel: Kernel, args: readonly TypedArray[], symbols: Readonly<Record<string, number>> = {}): void {
  const [controlAddress, block, table, scratch, first] = [1024, 2048, 8192, 65536, 131072];
  const buffers = new Map<ArrayBufferLike, number>();
  let next = first;
  for (const a of args) {
    if (buffers.has(a.buffer)) continue;
    buffers.set(a.buffer, next);
    next += Math.ceil(a.buffer.byteLength / 64 + 1) * 64;
  }
  const memory = new WebAssembly.Memory({ initial: Math.ceil(next / 65536) + 1, maximum: 65536 });
  const { exports } = new WebAssembly.Instance(new WebAssembly.Module(moduleBytes([kernel]) as BufferSource), {
    env: { memory, scratch, control: controlAddress },
  });
  const bytes = new Uint8Array(memory.buffer);
  const words = new Uint32Array(memory.buffer);
  words[(controlAddress + control.spins) / 4] = 1;
  for (const [buffer, address] of buffers) bytes.set(new Uint8Array(buffer as ArrayBuffer), address);
  const groups = kernel.grid.map((g) => evalSize(g, symbols));
  words.set([...args.map((a) => buffers.get(a.buffer)! + a.byteOffset), ...kernel.symbols.map((s) => symbols[s]!), ...groups], block / 4);
  words.set([0, block, groups.reduce((a, g) => a * g, 1), 0], table / 4);
  (exports.run as (table: number, entries: number, repeat: number) => void)(table, 1, 1);
  for (const [buffer, address] of buffers) new Uint8Array(buffer as ArrayBuffer).set(bytes.subarray(address, address + buffer.byteLength));
}
