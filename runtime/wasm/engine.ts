/** A memory with its worker threads. A session owns one while it lives; then the device keeps it for the next session, since threads and address space are dear. */
import { ModelFormatError } from '../errors.js';
import { controlAddress } from './control.js';
import { type Block, Heap } from './heap.js';
import { WorkerPool } from './pool.js';

/** An instance of a plan's module on the main thread. */
export interface LoadedModule {
  /** Number that workers know the module by. */
  readonly index: number;
  /** Runs `entries` dispatches of the list at `table`, `repeat` times. */
  readonly run: (table: number, entries: number, repeat: number) => void;
  readonly scratch: Block;
  /** Whether workers hold it too. */
  readonly threads: boolean;
}

export class Engine {
  readonly heap: Heap;
  readonly pool: WorkerPool | null;
  private nextModule = 0;
  private loaded = new Set<LoadedModule>();

  constructor(readonly threads: number) {
    this.heap = new Heap(threads > 1);
    this.pool = threads > 1 ? new WorkerPool(this.heap, threads - 1) : null;
  }

  /** Compiles and instantiates a module, on the workers too when `parallel`. */
  async load(bytes: Uint8Array, scratchBytes: number, parallel: boolean): Promise<LoadedModule> {
    const module = await WebAssembly.compile(withSharing(bytes, this.heap.shared) as BufferSource);
    const threads = parallel && this.pool !== null;
    const each = Math.ceil(Math.max(1, scratchBytes) / 64) * 64;
    const scratch = this.heap.allocate(each * (threads ? this.threads : 1), 'scratch memory');
    const { exports } = await WebAssembly.instantiate(module, { env: { memory: this.heap.memory, scratch: scratch.address, control: controlAddress } });
    const loaded: LoadedModule = { index: this.nextModule++, run: exports.run as LoadedModule['run'], scratch, threads };
    if (threads) await this.pool!.add(loaded.index, module, (worker) => scratch.address + (worker + 1) * each);
    this.loaded.add(loaded);
    return loaded;
  }

  unload(m: LoadedModule): void {
    if (!this.loaded.delete(m)) return;
    if (m.threads) this.pool!.remove(m.index);
    this.heap.release(m.scratch);
  }

  /** Forgets everything, for the next session. */
  reset(): void {
    for (const m of [...this.loaded]) this.unload(m);
    this.heap.reset();
  }

  end(): void {
    this.pool?.end();
  }
}

/**
 * A module built for threads imports a shared memory, and one built without an unshared one; the code is otherwise the same, and atomic operations work on either. So one bit in the import
 * says which memory it takes, and it is set to what there is here.
 */
export function withSharing(bytes: Uint8Array, shared: boolean): Uint8Array {
  const bad = (): never => {
    throw new ModelFormatError('the WebAssembly module is not one that Tenon made');
  };
  let at = 8;
  const number = (): number => {
    let v = 0;
    for (let shift = 0; shift < 35; shift += 7) {
      const b = bytes[at++] ?? bad();
      v += (b & 0x7f) * 2 ** shift;
      if (b < 0x80) return v;
    }
    return bad();
  };
  while (at < bytes.length) {
    const id = bytes[at++];
    const size = number();
    if (id !== 2) {
      at += size;
      continue;
    }
    number();
    // The memory is the first import: env, memory, kind, limits.
    for (let i = 0; i < 2; i++) {
      const length = number();
      at += length;
    }
    if (bytes[at++] !== 2 || (bytes[at]! & 1) === 0) bad();
    const out = bytes.slice();
    out[at] = shared ? 3 : 1;
    return out;
  }
  return bad();
}
