/** Memory of a session: one WebAssembly.Memory, and an allocator over it (first fit over a list of free ranges, which join again). The first 64 KiB hold the control block and no tensors: kernels rely on that. */
import type { DeviceMemory } from '../common/resident.js';
import { OutOfMemoryError } from '../errors.js';

const page = 65536;
/** Ranges begin at multiples of this: a cache line, so that threads do not share lines of different tensors. */
const alignment = 64;
/** Largest memories to try, in pages: some hosts cannot reserve 4 GiB. */
const maxima = [65536, 32768, 16384, 8192, 4096];

/** A range of device memory. */
export interface Block extends DeviceMemory {
  readonly address: number;
}

interface Range {
  start: number;
  end: number;
}

export class Heap {
  readonly memory: WebAssembly.Memory;
  /** Views of the whole memory; replaced when it grows. */
  bytes!: Uint8Array<ArrayBuffer>;
  words!: Uint32Array<ArrayBuffer>;
  /** Free ranges in order of address. */
  private free: Range[] = [];
  private readonly maximum: number;

  constructor(readonly shared: boolean) {
    let made: { memory: WebAssembly.Memory; maximum: number } | null = null;
    let cause: unknown;
    for (const maximum of maxima) {
      try {
        made = { memory: new WebAssembly.Memory({ initial: 2, maximum, shared }), maximum };
        break;
      } catch (e) {
        cause = e;
      }
    }
    if (!made) throw new OutOfMemoryError('the host cannot reserve 256 MiB of WebAssembly memory', { cause });
    this.memory = made.memory;
    this.maximum = made.maximum;
    this.refresh();
    this.reset();
  }

  private refresh(): void {
    // A shared buffer has the same operations; the types of views differ only in name.
    const buffer = this.memory.buffer as ArrayBuffer;
    this.bytes = new Uint8Array(buffer);
    this.words = new Uint32Array(buffer, 0, Math.floor(buffer.byteLength / 4));
  }

  /** Frees everything. */
  reset(): void {
    this.free = [{ start: page, end: this.bytes.length }];
  }

  /** A range, filled with zeros. Throws OutOfMemoryError; `what` names it in the message. */
  allocate(bytes: number, what: string): Block {
    const size = Math.max(alignment, Math.ceil(bytes / alignment) * alignment);
    let at = this.free.findIndex((r) => r.end - r.start >= size);
    if (at < 0) {
      this.grow(size, what);
      at = this.free.length - 1;
    }
    const range = this.free[at]!;
    const address = range.start;
    range.start += size;
    if (range.start === range.end) this.free.splice(at, 1);
    this.bytes.fill(0, address, address + size);
    return { address, bytes: size, version: 0 };
  }

  /** Makes the last range at least `size` long. */
  private grow(size: number, what: string): void {
    const end = this.bytes.length;
    const last = this.free.at(-1);
    const missing = size - (last?.end === end ? end - last.start : 0);
    const least = Math.ceil(missing / page);
    const now = end / page;
    // Some room to spare, so that a model's tensors do not grow the memory one by one.
    const pages = Math.min(Math.max(least, Math.ceil(now / 4)), this.maximum - now);
    try {
      if (pages < least) throw new RangeError(`the limit is ${this.maximum * page} bytes`);
      this.memory.grow(pages);
    } catch (cause) {
      throw new OutOfMemoryError(
        `${what} needs ${size} bytes; WebAssembly memory of ${end} bytes cannot grow by as much (at most ${this.maximum * page}): use a smaller batch or a smaller model`,
        { cause },
      );
    }
    this.refresh();
    this.release({ address: end, bytes: pages * page, version: 0 });
  }

  release(block: Block): void {
    const range: Range = { start: block.address, end: block.address + block.bytes };
    let i = this.free.findIndex((r) => r.start > range.start);
    if (i < 0) i = this.free.length;
    this.free.splice(i, 0, range);
    for (const j of [i, i - 1]) {
      const [a, b] = [this.free[j], this.free[j + 1]];
      if (a && b && a.end === b.start) {
        a.end = b.end;
        this.free.splice(j + 1, 1);
      }
    }
  }
}
