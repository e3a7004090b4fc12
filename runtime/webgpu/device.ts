/**
 * The WebGPU device: owns the GPUDevice, the cache of pipelines by source, allocation in error scopes, and what is known about failures. Errors that WebGPU reports later (validation,
 * out of memory) are kept and thrown by the next finish or read; a lost device makes every later call throw DeviceLostError.
 */
import type { Device, DeviceCounters, DeviceInfo } from '../device.js';
import { DeviceError, DeviceLostError, DisposedError, LimitError, messageOf, OutOfMemoryError, RuntimeInternalError } from '../errors.js';
import type { PlanKernel } from '../plan.js';
import { type AdapterRequest, type FoundAdapter, findAdapter } from './adapter.js';
import { usage } from './memory.js';
import { WebGpuSession } from './session.js';

export interface WebGpuOptions extends AdapterRequest {
  /**
   * Limits above WebGPU's defaults, such as a plan's requiredLimits; `{}`: the defaults. Left out: the largest buffers and bindings that the adapter offers, since devices are opened before
   * the plans are known that need them; all else as by default.
   */
  readonly requiredLimits?: Readonly<Record<string, number>>;
  /** A software adapter is taken for a GPU: models get the kernels that they would get on one. For tests. Default false. */
  readonly asGpu?: boolean;
}

export interface Pipeline {
  readonly pipeline: GPUComputePipeline;
  readonly layout: GPUBindGroupLayout;
  /** Unique for a layout. */
  readonly layoutId: number;
  /** Size of the uniform binding. */
  readonly blockBytes: number;
}

/** Size of a kernel's argument block: one word an argument and a symbol, in whole vec4. */
export const blockBytesOf = (k: PlanKernel): number => Math.max(16, Math.ceil((k.args.length + k.symbols.length) / 4) * 16);

const megabytes = (n: number): string => `${(n / 1048576).toFixed(1)} MiB`;

/** Optional features that kernels use where the adapter has them. */
const wantedFeatures: readonly GPUFeatureName[] = ['shader-f16', 'subgroups'];

/**
 * Opens a WebGPU device: in browsers by navigator.gpu, in Node by the optional package `webgpu`. Throws DeviceError where there is none, LimitError where the adapter cannot
 * give the limits asked for.
 */
export async function openWebGpuDevice(options: WebGpuOptions = {}): Promise<WebGpuDevice> {
  const found = await findAdapter(options);
  const limits = found.adapter.limits as unknown as Record<string, number>;
  const requiredLimits = {
    ...(options.requiredLimits ?? { maxBufferSize: limits.maxBufferSize!, maxStorageBufferBindingSize: limits.maxStorageBufferBindingSize! }),
  };
  for (const [name, value] of Object.entries(requiredLimits)) {
    if (limits[name] === undefined) throw new LimitError(`WebGPU has no limit '${name}'`);
    if (value > limits[name])
      throw new LimitError(`this WebGPU adapter offers ${name} ${limits[name]}, ${value} is needed: compile with smaller sizes, or use the wasm device`);
  }
  const requiredFeatures = wantedFeatures.filter((f) => found.adapter.features.has(f));
  let gpu: GPUDevice;
  try {
    gpu = await found.adapter.requestDevice({ requiredFeatures, requiredLimits });
  } catch (e) {
    throw new DeviceError(`the WebGPU adapter gives no device: ${messageOf(e)}`);
  }
  return new WebGpuDevice(gpu, found, options.asGpu);
}

export class WebGpuDevice implements Device {
  readonly info: DeviceInfo;
  /** The adapter runs on the CPU. */
  readonly software: boolean;
  readonly counters: DeviceCounters = { submits: 0, dispatches: 0, uploads: 0, readbacks: 0, buffersCreated: 0, pipelinesCreated: 0 };
  private readonly pipelines = new Map<string, Promise<Pipeline>>();
  private readonly layouts = new Map<string, { layout: GPUBindGroupLayout; pipelineLayout: GPUPipelineLayout; id: number }>();
  private readonly sessions = new Set<WebGpuSession>();
  private readonly pending = new Set<Promise<void>>();
  private failure: Error | null = null;
  private lost: DeviceLostError | null = null;
  private disposed = false;

  constructor(
    readonly gpu: GPUDevice,
    private readonly found: FoundAdapter,
    asGpu = false,
  ) {
    const a = found.adapter.info;
    this.software = found.software;
    const name = a.description || [a.vendor, a.architecture].filter(Boolean).join(' ') || 'unnamed adapter';
    this.info = { kind: 'webgpu', description: `WebGPU, ${name}${found.software ? ' (software)' : ''}`, software: found.software && !asGpu };
    gpu.lost.then((info) => {
      if (!this.disposed)
        this.lost = new DeviceLostError(
          `the WebGPU device was lost (${info.reason ?? 'unknown'}): ${info.message || 'no cause given'}. Open a new device, load again, and restore the state from host copies`,
        );
    });
    gpu.onuncapturederror = (event) => {
      event.preventDefault();
      this.fail(this.toError(event.error, ''));
    };
  }

  createSession(): WebGpuSession {
    this.check();
    const session = new WebGpuSession(this, () => this.sessions.delete(session));
    this.sessions.add(session);
    return session;
  }

  dispose(): void {
    if (this.disposed) return;
    for (const s of [...this.sessions]) s.dispose();
    this.disposed = true;
    this.pipelines.clear();
    this.gpu.destroy();
  }

  /** Throws when the device is disposed or lost. */
  check(): void {
    if (this.disposed) throw new DisposedError('the WebGPU device was disposed');
    if (this.lost) throw this.lost;
  }

  /** Keeps the first failure for the next finish or read. */
  fail(e: Error): void {
    this.failure ??= e;
  }

  /** Waits for the results of allocations, then throws what has failed since the last call. */
  async settle(): Promise<void> {
    await Promise.all(this.pending);
    this.check();
    const e = this.failure;
    this.failure = null;
    if (e) throw e;
  }

  /** The error behind a rejected promise of WebGPU: the loss of the device where that is the cause (it is reported a little later). */
  async explain(e: unknown): Promise<Error> {
    if (!this.lost && !this.disposed) await Promise.race([this.gpu.lost, new Promise((resolve) => setTimeout(resolve, 200))]);
    if (this.disposed) return new DisposedError('the WebGPU device was disposed while work was under way');
    return this.lost ?? this.failure ?? new DeviceError(`WebGPU: ${messageOf(e)}`);
  }

  private toError(e: GPUError, what: string): Error {
    // The classes are no globals in Node.
    const kind = (e as object).constructor.name;
    if (kind === 'GPUOutOfMemoryError')
      return new OutOfMemoryError(`WebGPU ran out of memory${what}: ${e.message || 'no details'}. Dispose other models, or use a smaller batch`);
    return new DeviceError(`WebGPU reported an error${what}: ${e.message}`);
  }

  /** A zeroed buffer that the device's failures name by `label`. Its size is rounded up so that vec4 accesses reach the last element. */
  allocate(label: string, bytes: number, flags: number = usage.storage | usage.copySource | usage.copyTarget): GPUBuffer {
    this.check();
    const size = Math.max(16, Math.ceil(bytes / 16) * 16);
    const max = this.gpu.limits.maxBufferSize;
    if (size > max)
      throw new LimitError(
        `buffer '${label}' of ${megabytes(size)} is larger than this device's maxBufferSize of ${megabytes(max)}: use a smaller batch, or open the device with a larger requiredLimits.maxBufferSize`,
      );
    this.gpu.pushErrorScope('out-of-memory');
    this.gpu.pushErrorScope('validation');
    const buffer = this.gpu.createBuffer({ label, size, usage: flags });
    const what = ` allocating '${label}' (${megabytes(size)})`;
    const done = Promise.all([this.gpu.popErrorScope(), this.gpu.popErrorScope()]).then(
      (errors) => {
        for (const e of errors) if (e) this.fail(this.toError(e, what));
      },
      () => undefined,
    );
    this.pending.add(done);
    done.then(() => this.pending.delete(done));
    this.counters.buffersCreated++;
    return buffer;
  }

  /** Writes host bytes; sizes that are no multiple of 4 are padded with zeros. */
  write(buffer: GPUBuffer, offset: number, data: Uint8Array): void {
    if (data.byteLength === 0) return;
    let bytes = data;
    if (data.byteLength % 4 !== 0) {
      bytes = new Uint8Array(Math.ceil(data.byteLength / 4) * 4);
      bytes.set(data);
    }
    this.gpu.queue.writeBuffer(buffer, offset, bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.counters.uploads++;
  }

  /** The pipeline of a kernel, made once for each source. */
  pipeline(kernel: PlanKernel, source: string): Promise<Pipeline> {
    const blockBytes = blockBytesOf(kernel);
    const signature = `${kernel.bindings.map((b) => (b.access === 'read' ? 'r' : 'w')).join('')} ${blockBytes}`;
    const key = `${signature}\n${source}`;
    let made = this.pipelines.get(key);
    if (!made) {
      made = this.build(kernel, source, signature, blockBytes);
      this.pipelines.set(key, made);
      // A failed build may be tried again; the failure itself goes to whoever awaits the pipeline.
      made.catch(() => this.pipelines.delete(key));
    }
    return made;
  }

  private async build(kernel: PlanKernel, source: string, signature: string, blockBytes: number): Promise<Pipeline> {
    this.checkKernel(kernel);
    const { layout, pipelineLayout, id } = this.layout(kernel, signature, blockBytes);
    this.gpu.pushErrorScope('validation');
    const module = this.gpu.createShaderModule({ label: kernel.name, code: source });
    const problem = this.gpu.popErrorScope();
    const descriptor = { label: kernel.name, layout: pipelineLayout, compute: { module } };
    const result = this.gpu.createComputePipelineAsync(descriptor).catch((e: unknown) => (e instanceof Error ? e : new Error(messageOf(e))));
    const [error, pipeline] = await Promise.all([problem.catch(() => null), result]);
    if (!(pipeline instanceof Error) && !error) {
      this.counters.pipelinesCreated++;
      return { pipeline, layout, layoutId: id, blockBytes };
    }
    if (this.lost) throw this.lost;
    const info = await module.getCompilationInfo().catch(() => null);
    const lines = info?.messages.filter((m) => m.type === 'error').map((m) => `line ${m.lineNum}:${m.linePos}: ${m.message}`) ?? [];
    const cause = lines.length > 0 ? lines.join('; ') : error ? error.message : pipeline instanceof Error ? pipeline.message : '';
    if (!error && pipeline instanceof Error) {
      const why = await this.explain(pipeline);
      if (why instanceof DeviceLostError || why instanceof DisposedError) throw why;
    }
    throw new RuntimeInternalError(`WebGPU refuses kernel '${kernel.name}': ${cause}`);
  }

  private checkKernel(kernel: PlanKernel): void {
    const l = this.gpu.limits;
    const [x, y, z] = kernel.workgroupSize;
    const over = (name: string, has: number, needs: number) => {
      if (needs > has)
        throw new LimitError(
          `kernel '${kernel.name}' needs ${name} ${needs}, this device has ${has}: open it with the plan's requiredLimits, or compile for the default limits`,
        );
    };
    over('maxStorageBuffersPerShaderStage', l.maxStorageBuffersPerShaderStage, kernel.bindings.length);
    over('maxComputeInvocationsPerWorkgroup', l.maxComputeInvocationsPerWorkgroup, x * y * z);
    over('maxComputeWorkgroupSizeX', l.maxComputeWorkgroupSizeX, x);
    over('maxComputeWorkgroupSizeY', l.maxComputeWorkgroupSizeY, y);
    over('maxComputeWorkgroupSizeZ', l.maxComputeWorkgroupSizeZ, z);
    if (kernel.args.some((a) => a.dtype === 'float16') && !this.gpu.features.has('shader-f16'))
      throw new LimitError(`kernel '${kernel.name}' computes with float16, which this device does not offer (shader-f16): compile with float32`);
  }

  private layout(kernel: PlanKernel, signature: string, blockBytes: number) {
    let made = this.layouts.get(signature);
    if (!made) {
      const compute = 4;
      const entries: GPUBindGroupLayoutEntry[] = kernel.bindings.map((b, binding) => ({
        binding,
        visibility: compute,
        buffer: { type: b.access === 'read' ? 'read-only-storage' : 'storage' },
      }));
      entries.push({ binding: entries.length, visibility: compute, buffer: { type: 'uniform', hasDynamicOffset: true, minBindingSize: blockBytes } });
      const layout = this.gpu.createBindGroupLayout({ entries });
      made = { layout, pipelineLayout: this.gpu.createPipelineLayout({ bindGroupLayouts: [layout] }), id: this.layouts.size };
      this.layouts.set(signature, made);
    }
    return made;
  }

  /** The adapter's facts that a compile target needs. */
  get limits(): GPUSupportedLimits {
    return this.gpu.limits;
  }

  /** Keeps the adapter's instance alive as long as the device is. */
  get adapter(): GPUAdapter {
    return this.found.adapter;
  }
}
