/**
 * Data sets too large for the device: two pieces of them lie there at a time, of a few whole batches each. While the device works on one, the host gathers the next into the other, in the order of the
 * epoch. Programs are those for a data set that lies there whole; a piece is one to them, so the numbers are the same, bit for bit.
 */
import { storageBytes, type TypedArray } from '../../../ir/dtype.js';
import type { Tensor } from '../tensor.js';
import type { Executor, ResidentData } from './executor.js';

/** Bytes of a piece, at most, where a batch is not larger: enough to keep the device busy, small enough to be gathered meanwhile. */
const mostPiece = 32 * 2 ** 20;

/** Name of the input that gives the order of the samples. */
const orderName = 'order';

/** Samples on the device at a time: all, or some whole batches. */
export function samplesAtOnce(
  arrays: readonly (readonly [string, Tensor])[],
  count: number,
  batch: number,
  limit: Executor['residentLimit'],
  residentBytes: number | null,
): number {
  const sizes = arrays.map(([, t]) => t.data.length * Math.max(1, storageBytes[t.dtype]));
  const total = sizes.reduce((a, b) => a + b, 0);
  const most = Math.min(limit.total, residentBytes ?? Infinity);
  if (total <= most && sizes.every((s) => s <= limit.array)) return count;
  const perBatch = (bytes: number): number => (bytes / count) * batch;
  const batches = Math.floor(Math.min(Math.min(most / 2, mostPiece) / perBatch(total), limit.array / perBatch(Math.max(...sizes))));
  return Math.min(count, Math.max(1, batches) * batch);
}

export class DataStream {
  /** The samples of the epoch, in order; null: as they are. */
  order: Int32Array | null = null;
  private readonly slots: readonly [Record<string, ResidentData>, Record<string, ResidentData>];
  private readonly scratch = new Map<string, TypedArray>();

  constructor(
    private readonly executor: Executor,
    private readonly arrays: readonly (readonly [string, Tensor])[],
    private readonly count: number,
    /** Samples of a piece. */
    private readonly samples: number,
    /** The program gathers by an order: pieces are in the order of the epoch already. */
    ordered: boolean,
  ) {
    const inOrder = ordered
      ? executor.upload(
          'int32',
          [samples],
          Int32Array.from(new Array<number>(samples), (_, i) => i),
        )
      : null;
    const slot = (): Record<string, ResidentData> => {
      const made: Record<string, ResidentData> = inOrder ? { [orderName]: inOrder } : {};
      for (const [name, t] of arrays) made[name] = executor.upload(t.dtype, [samples, ...t.shape.slice(1)], this.room(name, t));
      return made;
    };
    this.slots = [slot(), slot()];
  }

  get pieces(): number {
    return Math.ceil(this.count / this.samples);
  }

  samplesOf(piece: number): number {
    return Math.min(this.samples, this.count - piece * this.samples);
  }

  /** The piece as data of the programs; it must be staged. */
  at(piece: number): Record<string, ResidentData> {
    return this.slots[piece % 2]!;
  }

  /** Brings a piece to the device, over the one before the last. */
  stage(piece: number): void {
    const first = piece * this.samples;
    const n = this.samplesOf(piece);
    for (const [name, t] of this.arrays) {
      const room = this.room(name, t);
      const row = t.data.length / this.count;
      for (let i = 0; i < n; i++) {
        const from = this.order ? this.order[first + i]! : first + i;
        room.set(t.data.subarray(from * row, (from + 1) * row), i * row);
      }
      this.executor.rewrite(this.slots[piece % 2]![name]!, t.dtype, room);
    }
  }

  /** Host memory for a piece of an array. */
  private room(name: string, t: Tensor): TypedArray {
    let room = this.scratch.get(name);
    if (!room) {
      room = new (t.data.constructor as new (n: number) => TypedArray)((t.data.length / this.count) * this.samples);
      this.scratch.set(name, room);
    }
    return room;
  }

  dispose(): void {
    const all = new Set(this.slots.flatMap((s) => Object.values(s)));
    for (const r of all) r.dispose();
  }
}
