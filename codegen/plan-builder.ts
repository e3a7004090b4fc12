/** Collects what programs need (buffers, kernels, constants, state) into one plan, and emits the code of each distinct kernel once. */
import { type DType, isBigArray, storageBytes } from '../ir/dtype.js';
import { InternalError } from '../ir/errors.js';
import { type Graph, maxBindings, type StateSlot, type Value } from '../ir/graph.js';
import type { TensorData } from '../ir/tensor-data.js';
import type { PortTypes } from '../passes/element-types.js';
import type {
  CompiledPlan,
  MemoryFigures,
  Plan,
  PlanArg,
  PlanBuffer,
  PlanDispatch,
  PlanKernel,
  PlanProgram,
  PlanState,
  PlanStep,
  PlanSymbol,
  PlanTensor,
} from '../runtime/plan.js';
import { finishKernel } from './finish.js';
import type { Kernel, Memory } from './kernel/ir.js';
import { kernelKey } from './kernel/key.js';
import type { LoweredKernel } from './lower/frame.js';
import type { LoweredStep } from './lower/region.js';
import { collectSize, dimSize } from './lower/space.js';
import { type BufferKey, bytesOf, type Location, type Placement } from './place.js';
import type { TargetInfo } from './target.js';
import { buildModule } from './wasm/module.js';
import { emitWgsl } from './wgsl/emit.js';

const align = (n: number, to: number): number => Math.ceil(n / to) * to;

/** Contents of a tensor as it is stored on devices. */
function encode(t: TensorData): Uint8Array {
  const n = t.data.length;
  const bytes = new Uint8Array(align(n * storageBytes[t.dtype], 4));
  const view = new DataView(bytes.buffer);
  if (isBigArray(t.data)) {
    for (const [i, x] of t.data.entries()) view.setBigInt64(8 * i, x, true);
    return bytes;
  }
  const { data } = t;
  for (let i = 0; i < n; i++) {
    const v = data[i]!;
    switch (t.dtype) {
      case 'float32':
        view.setFloat32(4 * i, v, true);
        break;
      case 'float64':
        view.setFloat64(8 * i, v, true);
        break;
      case 'int32':
        view.setInt32(4 * i, v, true);
        break;
      case 'uint32':
        view.setUint32(4 * i, v, true);
        break;
      case 'bool':
        view.setUint32(4 * i, v ? 1 : 0, true);
        break;
      case 'int8':
        view.setInt8(i, v);
        break;
      case 'uint8':
        view.setUint8(i, v);
        break;
      case 'int16':
        view.setInt16(2 * i, v, true);
        break;
      case 'uint16':
        view.setUint16(2 * i, v, true);
        break;
      default:
        throw new InternalError(`${t.dtype} constant in a plan; expected another type to carry it`);
    }
  }
  return bytes;
}

/** What a kernel computed of 8- and 16-bit integers lies in 32 bits. */
const storedDtype = (m: Memory, t: DType): DType => {
  if (m.storage !== 'same') return t;
  return t === 'int8' || t === 'int16' ? 'int32' : t === 'uint8' || t === 'uint16' ? 'uint32' : t;
};

/** A tensor's type for the host and in memory: `dtype` of the graph is what lies in memory. */
function hostType(ports: PortTypes, port: string, dtype: DType): { dtype: DType; stored?: DType } {
  const host = ports.get(port);
  if (!host || host === dtype) return { dtype };
  // The bits of a short float.
  return dtype === 'uint16' ? { dtype: host } : { dtype: host, stored: dtype };
}

export class PlanBuilder {
  private readonly buffers: PlanBuffer[] = [];
  private readonly bufferIndex = new Map<string, number>();
  private readonly kernels: PlanKernel[] = [];
  private readonly code: Kernel[] = [];
  private readonly wgsl: string[] = [];
  private readonly kernelIndex = new Map<string, number>();
  private readonly names = new Map<string, number>();
  private readonly blob: Uint8Array[] = [];
  private blobBytes = 0;
  private readonly symbols = new Map<string, number>();
  private readonly state = new Map<string, PlanState>();
  private readonly programs: PlanProgram[] = [];
  private readonly memory: Record<string, MemoryFigures> = {};
  private arena = 0;
  private readonly statePorts = new Map<string, DType>();

  constructor(private readonly target: TargetInfo) {}

  private addBlob(bytes: Uint8Array): number {
    const at = this.blobBytes;
    const padded = align(bytes.length, 16);
    this.blob.push(bytes, new Uint8Array(padded - bytes.length));
    this.blobBytes += padded;
    return at;
  }

  private buffer(key: string, make: () => Omit<PlanBuffer, 'name'>): number {
    let i = this.bufferIndex.get(key);
    if (i === undefined) {
      i = this.buffers.length;
      this.bufferIndex.set(key, i);
      this.buffers.push({ name: key, ...make() });
    }
    return i;
  }

  private declareSymbols(graph: Graph): void {
    for (const s of graph.symbols) this.symbols.set(s.name, Math.max(s.max, this.symbols.get(s.name) ?? 0));
  }

  private addState(s: StateSlot): number {
    const bytes = bytesOf(s.value, {});
    const buffer = this.buffer(`state:${s.name}`, () => ({ kind: 'state', bytes: align(bytes, 16) }));
    if (!this.state.has(s.name)) {
      this.state.set(s.name, {
        name: s.name,
        ...hostType(this.statePorts, `state:${s.name}`, s.value.dtype),
        shape: s.value.shape as readonly number[],
        buffer,
        offset: 0,
        trainable: s.trainable,
        views: s.views,
        initial: s.initial ? this.addBlob(encode(s.initial)) : null,
      });
    }
    return buffer;
  }

  /** Adds a program; `prepare` is its prepare part, which shares buffers by name. */
  addProgram(
    name: string,
    main: { graph: Graph; placement: Placement; steps: readonly LoweredStep[] },
    prepare: { graph: Graph; placement: Placement; steps: readonly LoweredStep[] } | null,
    ports: PortTypes = new Map(),
  ): void {
    const tensors = (kind: 'in' | 'out', values: readonly { name: string; value: Value }[], part: typeof main): PlanTensor[] =>
      values.map((p) => {
        const at = part.placement.location(p.value);
        return {
          name: p.name,
          ...hostType(ports, `${kind}:${p.name}`, p.value.dtype),
          shape: p.value.shape.map(dimSize),
          ...this.locate(name, at, part.graph),
        };
      });
    for (const [port, dtype] of ports) this.statePorts.set(port, dtype);
    for (const part of prepare ? [prepare, main] : [main]) {
      this.declareSymbols(part.graph);
      for (const s of part.graph.state) this.addState(s);
      this.arena = Math.max(this.arena, part.placement.memory.arena);
    }
    const inputs = main.graph.inputs.filter((i) => !i.name.startsWith('prepared:')).map((i) => ({ ...tensors('in', [i], main)[0]!, resident: i.resident }));
    const outputs = tensors('out', main.graph.outputs, main);
    this.programs.push({
      name,
      inputs,
      outputs,
      prepare: prepare ? this.steps(name, prepare.steps, prepare.placement, prepare.graph) : [],
      steps: this.steps(name, main.steps, main.placement, main.graph),
    });
    this.memory[name] = main.placement.memory;
  }

  /** Plan buffer and byte offset of a location. */
  private locate(program: string, at: Location, graph: Graph): { buffer: number; offset: number } {
    if (!at.buffer.startsWith('constant:')) return { buffer: this.bufferOf(program, at.buffer, graph), offset: at.offset };
    const id = at.buffer.slice('constant:'.length);
    const node = graph.nodes.find((n) => n.op === 'constant' && String(n.outputs[0]!.id) === id);
    if (node?.op !== 'constant') throw new InternalError(`no constant ${id}`);
    return { buffer: this.buffer('constants', () => ({ kind: 'constant', bytes: 0 })), offset: this.constant(node.attrs.value) + at.offset };
  }

  private bufferOf(program: string, key: BufferKey, graph: Graph): number {
    const max = maxBindings(graph);
    if (key === 'arena') return this.buffer('arena', () => ({ kind: 'arena', bytes: 0 }));
    const [kind, rest] = [key.slice(0, key.indexOf(':')), key.slice(key.indexOf(':') + 1)];
    switch (kind) {
      case 'state':
        return this.addState(graph.state.find((s) => s.name === rest)!);
      case 'in': {
        const i = graph.inputs.find((x) => x.name === rest)!;
        return this.buffer(`${program}/in/${rest}`, () => ({ kind: i.resident ? 'input' : 'io', bytes: align(bytesOf(i.value, max), 16) }));
      }
      case 'out': {
        const o = graph.outputs.find((x) => x.name === rest)!;
        return this.buffer(`${program}/out/${rest}`, () => ({ kind: 'io', bytes: align(bytesOf(o.value, max), 16) }));
      }
      case 'prepared': {
        const v = graph.inputs.find((x) => x.name === key)?.value ?? graph.outputs.find((x) => x.name === key)!.value;
        return this.buffer(`${program}/${key}`, () => ({ kind: 'prepared', bytes: align(bytesOf(v, max), 16) }));
      }
      default:
        throw new InternalError(`buffer ${key}`);
    }
  }

  /** All constants lie in one buffer, so that a kernel binds it once. */
  private readonly constants = new Map<TensorData, number>();
  private readonly constantParts: Uint8Array[] = [];
  private constantBytes = 0;

  /** Byte offset of a constant in the buffer of constants. */
  private constant(t: TensorData): number {
    let at = this.constants.get(t);
    if (at === undefined) {
      at = this.constantBytes;
      const bytes = encode(t);
      const padded = align(bytes.length, 64);
      this.constantParts.push(bytes, new Uint8Array(padded - bytes.length));
      this.constantBytes += padded;
      this.constants.set(t, at);
    }
    return at;
  }

  private steps(program: string, steps: readonly LoweredStep[], placement: Placement, graph: Graph): PlanStep[] {
    return steps.map((s): PlanStep => {
      // A loop's symbol is known in its body only: it is none of the plan's.
      if (s.kind === 'loop')
        return { kind: 'loop', symbol: s.symbol, count: dimSize(s.count), reverse: s.reverse, body: this.steps(program, s.body, placement, graph) };
      return this.dispatch(program, s.kernel, placement, graph);
    });
  }

  private dispatch(program: string, k: LoweredKernel, placement: Placement, graph: Graph): PlanDispatch {
    const places = k.args.map((a) => {
      const at = placement.location(a.value);
      return this.locate(program, at, graph);
    });
    // arguments in one buffer that is written share a binding; read-only buffers too, for fewer bindings
    const bindings: { buffer: number; access: 'read' | 'read_write' }[] = [];
    const argBinding = places.map((p, i) => {
      const access = k.args[i]!.access === 'read' ? 'read' : 'read_write';
      // WASM addresses every argument on its own, so that its kernels are shared whatever buffers they meet
      const at = this.target.kind === 'wasm' ? -1 : bindings.findIndex((b) => b.buffer === p.buffer);
      if (at >= 0) {
        if (access === 'read_write') bindings[at]!.access = access;
        return at;
      }
      bindings.push({ buffer: p.buffer, access });
      return bindings.length - 1;
    });
    if (this.target.kind === 'webgpu' && bindings.length > this.target.maxStorageBuffers)
      throw new InternalError(`kernel ${k.kernel.name} touches ${bindings.length} buffers, the device allows ${this.target.maxStorageBuffers}`);
    const kernel = this.kernel(
      k,
      argBinding,
      bindings.map((b) => ({ access: b.access })),
    );
    return {
      kind: 'dispatch',
      kernel,
      label: k.kernel.notes[0]!.replace(/^fuses /, ''),
      groups: k.kernel.grid,
      buffers: bindings.map((b) => b.buffer),
      offsets: places.map((p) => p.offset),
      figures: { flops: collectSize(k.figures.flops), bytesRead: collectSize(k.figures.bytesRead), bytesWritten: collectSize(k.figures.bytesWritten) },
      parallel: k.parallel && this.target.threads > 1 && k.kernel.phase === undefined,
      ...(k.kernel.phase !== undefined && k.kernel.phase > 1 && this.target.threads > 1 ? { phase: k.kernel.phase } : {}),
    };
  }

  private kernel(k: LoweredKernel, argBinding: readonly number[], bindings: readonly { access: 'read' | 'read_write' }[]): number {
    const layout = this.target.kind === 'webgpu' ? JSON.stringify([argBinding, bindings, k.kernel.args.map((m) => m.unaligned === true)]) : '';
    const key = `${kernelKey(k.kernel)}\n${layout}`;
    const old = this.kernelIndex.get(key);
    if (old !== undefined) return old;
    const index = this.kernels.length;
    this.kernelIndex.set(key, index);
    const used = this.names.get(k.kernel.name) ?? 0;
    this.names.set(k.kernel.name, used + 1);
    const named: Kernel = { ...k.kernel, name: used === 0 ? k.kernel.name : `${k.kernel.name}_${used + 1}` };
    const finished = finishKernel(named, this.target);
    let code: number;
    if (this.target.kind === 'wasm') {
      code = this.code.length;
      this.code.push(finished);
    } else {
      code = this.wgsl.length;
      this.wgsl.push(emitWgsl(finished, { bindings, argBinding: [...argBinding] }));
    }
    const args = finished.args.map(
      (m: Memory, i): PlanArg => ({ name: m.name, dtype: storedDtype(m, k.args[i]!.value.dtype), access: m.access, binding: argBinding[i]! }),
    );
    this.kernels.push({ name: named.name, args, bindings, symbols: finished.symbols, schedule: k.schedule, workgroupSize: finished.workgroupSize, code });
    return index;
  }

  /** `schedules`: of all regions, by key. */
  finish(name: string, schedules: Readonly<Record<string, string>>): CompiledPlan {
    const arenaBytes = align(this.arena, 256);
    const constantsAt = this.blobBytes;
    this.blob.push(...this.constantParts);
    this.blobBytes += this.constantBytes;
    const buffers = this.buffers.map((b): PlanBuffer => {
      if (b.kind === 'arena') return { ...b, bytes: Math.max(256, arenaBytes) };
      return b.kind === 'constant' ? { ...b, bytes: this.constantBytes, blobOffset: constantsAt } : b;
    });
    const largest = Math.max(0, ...buffers.map((b) => b.bytes));
    const requiredLimits: Record<string, number> = {};
    if (this.target.kind === 'webgpu') {
      if (largest > 134217728) requiredLimits.maxStorageBufferBindingSize = largest;
      if (largest > 268435456) requiredLimits.maxBufferSize = largest;
    }
    const symbols: PlanSymbol[] = [...this.symbols].map(([n, max]) => ({ name: n, max }));
    const built = this.target.kind === 'wasm' ? buildModule(this.code, { threads: this.target.threads > 1, relaxedSimd: this.target.relaxedSimd }) : null;
    const plan: Plan = {
      format: 'tenon-plan',
      version: 2,
      name,
      target: this.target.kind,
      symbols,
      buffers,
      state: [...this.state.values()],
      kernels: this.kernels,
      schedules,
      programs: this.programs,
      memory: this.memory,
      requiredLimits,
      ...(built ? { wasm: { threads: this.target.threads > 1, relaxedSimd: this.target.relaxedSimd, scratchBytes: built.scratchBytes } } : {}),
    };
    const blob = new Uint8Array(this.blobBytes);
    let at = 0;
    for (const b of this.blob) {
      blob.set(b, at);
      at += b.length;
    }
    return { plan, wgsl: this.wgsl, wasm: built?.bytes ?? null, blob };
  }
}
