/** The WASM device: the CPU, through WebAssembly SIMD, with worker threads where the host allows shared memory. */
import type { Device, DeviceCounters, DeviceInfo, Session } from '../device.js';
import { DeviceError, DisposedError } from '../errors.js';
import { Engine } from './engine.js';
import { compileProblem, hasRelaxedSimd, hasSimd, importNode, isNode, threadCount } from './features.js';
import { WasmSession } from './session.js';

export interface WasmDeviceOptions {
  /** Threads that run kernels, the calling one included; default: one per core, at most 16. Always 1 where memory cannot be shared (pages that are not cross-origin isolated). */
  readonly threads?: number;
  /**
   * Relaxed SIMD (fused multiply-add). `auto` (default): if the engine has it. `enable`: in Node versions that have it behind a flag, sets the flag, which concerns the whole
   * process. `off`: never, for results that agree between machines.
   */
  readonly relaxedSimd?: 'auto' | 'enable' | 'off';
}

/** Opens the WASM device. Throws DeviceError where WebAssembly has no SIMD, or a page's policy forbids it. */
export async function openWasmDevice(options: WasmDeviceOptions = {}): Promise<WasmDevice> {
  if (typeof WebAssembly === 'undefined' || !hasSimd())
    throw new DeviceError('this host has no WebAssembly with SIMD; use a browser or Node version of the last years');
  const problem = await compileProblem();
  if (problem) throw new DeviceError(problem);
  const relaxed = options.relaxedSimd ?? 'auto';
  if (relaxed === 'enable' && !hasRelaxedSimd() && isNode())
    (await importNode<{ setFlagsFromString(flags: string): void }>('v8')).setFlagsFromString('--experimental-wasm-relaxed-simd');
  return new WasmDevice(await threadCount(options.threads), relaxed !== 'off' && hasRelaxedSimd());
}

/** Memories and workers of ended sessions that are kept for new ones. */
const keptEngines = 2;

export class WasmDevice implements Device {
  readonly info: DeviceInfo;
  readonly counters: DeviceCounters = { submits: 0, dispatches: 0, uploads: 0, readbacks: 0, buffersCreated: 0, pipelinesCreated: 0 };
  private readonly sessions = new Set<WasmSession>();
  private readonly idle: Engine[] = [];
  private disposed = false;

  constructor(
    readonly threads: number,
    readonly relaxedSimd: boolean,
  ) {
    this.info = {
      kind: 'wasm',
      description: `WebAssembly SIMD${relaxedSimd ? ' (relaxed)' : ''}, ${threads} thread${threads === 1 ? '' : 's'}`,
      threads,
      relaxedSimd,
    };
  }

  check(): void {
    if (this.disposed) throw new DisposedError('the device was disposed');
  }

  createSession(): Session {
    this.check();
    const engine = this.idle.pop() ?? new Engine(this.threads);
    const session = new WasmSession(this, engine, (idle) => {
      this.sessions.delete(session);
      if (idle) engine.reset();
      if (!idle || this.disposed || this.idle.length >= keptEngines) engine.end();
      else this.idle.push(engine);
    });
    this.sessions.add(session);
    return session;
  }

  dispose(): void {
    if (this.disposed) return;
    this.disposed = true;
    for (const s of [...this.sessions]) s.dispose();
    for (const e of this.idle) e.end();
    this.idle.length = 0;
  }
}
