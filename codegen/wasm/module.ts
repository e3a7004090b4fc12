/**
 * The WASM module of a plan: all kernels, in a function table, and the driver that runs lists of them, so that a step is one call.
 *
 * Imports from `env`: `memory`; `scratch` (i32, address of the running thread's scratch memory); `control` (i32, address of the control block, shared by all threads).
 * Exports: `run(table, entries, repeat)` runs a list of dispatches `repeat` times; with threads also `worker(module, thread) -> i32`, which serves forks until the control block names
 * another module, and then returns that module's number (-1: back to the event loop).
 *
 * A list is data in memory, 16 bytes a dispatch: kernel (index in the table), address of its argument block, number of workgroups, workgroups per chunk (0: all on this thread; -p: phases of p
 * workgroups, each a chunk).
 * Loops of a plan are laid out flat by the host, an argument block for every iteration.
 *
 * Fork and join. The control block holds a ticket, (generation << 32) + a bit for each chunk that nobody has taken. A fork closes the ticket, writes the job, then a ticket of a new generation, and wakes
 * sleepers. Whoever wants a chunk reads the ticket, then the job, and takes the chunk by compare-and-swap of the ticket: this fails when the ticket is of another job by now, so a late worker does
 * no harm, and the fork need not wait for workers that never woke. Finished chunks are counted; the main thread works too, then spins a little and sleeps until the count is full.
 *
 * Every thread begins with a part of the chunks of its own, the same in every run, and then helps the thread after it: weights that its part reads stay in its core's cache from run to run.
 *
 * Phases (a loop whose steps are shared by threads). The ticket then holds the phases left after this one (16 bits) and a bit for each free chunk of this one (16 bits). Who takes the last chunk of a phase
 * opens the ticket for the next, whose chunks are taken only when all before are done: a thread that waits holds nothing, so one that the system puts off in between stops nobody, and whoever
 * is there does all the chunks. A step costs 0.2 to 0.3 µs beside its work.
 */
import type { Kernel } from '../kernel/ir.js';
import { emitKernel, kernelParameters } from './emit.js';
import { Code, ModuleBuilder } from './encoder.js';
import { atomic, op } from './opcodes.js';

/** The most chunks of a kernel: a ticket has a bit for each. */
export const mostChunks = 32;
/** How long a thread sleeps at most until it looks again whether its phase is open, or gone, in nanoseconds. */
const longestNap = 10_000_000n;

/** Byte offsets in the control block (256 bytes, zeroed, then set up by the host). Words that different threads spin on and write lie in lines of their own. */
export const control = {
  ticket: 0,
  kernel: 8,
  block: 12,
  groups: 16,
  chunk: 20,
  module: 24,
  /** 1: workers go back to their event loops. */
  leave: 28,
  /** Set by the host when a kernel failed on a worker. */
  failed: 32,
  /** Chunks finished. */
  done: 64,
  /** Threads asleep on `done`. */
  joining: 68,
  /** Workers asleep on the ticket. */
  sleepers: 128,
  /** Loads before a worker or the main thread goes to sleep. */
  spins: 192,
  /** 1 where the main thread must not sleep (browsers): it only spins. */
  spinOnly: 196,
  /** All bits set: the run is too short to wake sleepers for. Workers that are awake take part; while one sleeps, kernels run whole on the main thread. */
  letSleep: 200,
  /** Threads, the main one included. */
  threads: 204,
  bytes: 256,
} as const;

export interface ModuleOptions {
  /** The most memory there may be, in 64 KiB pages, and whether kernels may be split over threads. */
  readonly threads: boolean;
  readonly relaxedSimd: boolean;
}

export interface BuiltModule {
  readonly bytes: Uint8Array;
  /** Scratch memory that a thread needs. */
  readonly scratchBytes: number;
}

/** Pages that the memory import allows; shared memories need a maximum, which the host may lower. */
const maximumPages = 65536;

/** Builds the module; kernel i has index i in the table. Kernels must be lowered (see lower.ts). */
export function buildModule(kernels: readonly Kernel[], options: ModuleOptions): BuiltModule {
  const m = new ModuleBuilder();
  m.importMemory('env', 'memory', { initial: 1, maximum: maximumPages, shared: options.threads });
  m.importGlobal('env', 'scratch', 'i32');
  const controlGlobal = m.importGlobal('env', 'control', 'i32');
  const kernelType = m.type(kernelParameters, []);
  let scratchBytes = 0;
  const table = kernels.map((k) => {
    const f = emitKernel(k, options);
    scratchBytes = Math.max(scratchBytes, f.scratchBytes);
    return m.function(kernelType, f);
  });
  m.setTable(table);
  let fork: number | null = null;
  if (options.threads) {
    const drain = m.function(m.type(['i32', 'i32'], []), drainBody(kernelType, controlGlobal));
    fork = m.function(m.type(['i32', 'i32', 'i32', 'i32'], []), forkBody(drain, kernelType, controlGlobal));
    m.exportFunction('worker', m.function(m.type(['i32', 'i32'], ['i32']), workerBody(drain, controlGlobal)));
  }
  m.exportFunction('run', m.function(m.type(['i32', 'i32', 'i32'], []), runBody(kernelType, fork)));
  return { bytes: m.finish(), scratchBytes };
}

type Body = { readonly locals: readonly ('i32' | 'i64')[]; readonly code: Code };

/** run(table, entries, repeat) */
function runBody(kernelType: number, fork: number | null): Body {
  const [table, entries, repeat, e, end] = [0, 1, 2, 3, 4];
  const c = new Code();
  c.get(table).get(entries).i32(4).op(op.i32Shl, op.i32Add).set(end);
  c.get(entries).op(op.i32Eqz).if().op(op.return).end();
  c.block().loop();
  c.get(repeat).op(op.i32Eqz).brIf(1);
  c.get(table).set(e);
  c.loop();
  const serial = (): void =>
    void c.get(e).memory(op.i32Load, 2, 4).i32(0).get(e).memory(op.i32Load, 2, 8).get(e).memory(op.i32Load, 2, 0).callIndirect(kernelType);
  if (fork === null) serial();
  else {
    c.get(e).memory(op.i32Load, 2, 12).op(op.i32Eqz).if();
    serial();
    c.else();
    for (const word of [0, 4, 8, 12]) c.get(e).memory(op.i32Load, 2, word);
    c.call(fork).end();
  }
  c.get(e).i32(16).op(op.i32Add).tee(e).get(end).op(op.i32Ne).brIf(0);
  c.end();
  c.get(repeat).i32(1).op(op.i32Sub).set(repeat).br(0);
  c.end().end();
  return { locals: ['i32', 'i32'], code: c };
}

/**
 * drain(generation, thread): takes and runs chunks of a job until none is left or another job has begun. A ticket without chunks is used up, or closed: the words of the next job are being written.
 */
function drainBody(kernelType: number, controlGlobal: number): Body {
  const [generation, thread, c0, groups, chunk, mine, old, kernel, block, gate, spins, low] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11];
  const c = new Code();
  /** Pushes the first free chunk from `mine` on, of those whose bits are in a word on the stack. */
  const firstFree = (): Code => c.get(mine).op(op.i32Rotr, op.i32Ctz).get(mine).op(op.i32Add).i32(31).op(op.i32And);
  /** Pushes this thread's share of the number on the stack. */
  const share = (): Code => c.get(thread).op(op.i32Mul).get(c0).atomic(atomic.i32Load, control.threads).op(op.i32DivU);
  const finished = (): void => {
    c.get(c0).i32(1).atomic(atomic.i32RmwAdd, control.done).op(op.drop);
    c.get(c0).atomic(atomic.i32Load, control.joining).if();
    c.get(c0).i32(0x7fffffff).atomic(atomic.notify, control.done).op(op.drop).end();
  };
  c.global(controlGlobal).set(c0);
  c.get(c0).atomic(atomic.i32Load, control.spins).set(spins);
  c.loop();
  c.get(c0).atomic(atomic.i64Load, control.ticket).tee(old);
  c.i64(32).op(op.i64ShrU, op.i32WrapI64).get(generation).op(op.i32Ne).if().op(op.return).end();
  c.get(old).op(op.i32WrapI64, op.i32Eqz).if().op(op.return).end();
  c.get(c0).atomic(atomic.i32Load, control.groups).set(groups);
  c.get(c0).atomic(atomic.i32Load, control.kernel).set(kernel);
  c.get(c0).atomic(atomic.i32Load, control.block).set(block);
  c.get(c0).atomic(atomic.i32Load, control.chunk).set(chunk);
  c.get(chunk).i32(0).op(op.i32LtS).if();
  // From here on `chunk` is the number of chunks of a phase, and `gate` that of all the phases before.
  c.i32(0).get(chunk).op(op.i32Sub).set(chunk);
  c.get(old).op(op.i32WrapI64).set(low);
  c.get(groups).get(low).i32(16).op(op.i32ShrU).i32(1).op(op.i32Add).get(chunk).op(op.i32Mul, op.i32Sub).set(gate);
  c.get(c0).atomic(atomic.i32Load, control.done).get(gate).op(op.i32LtU).if();
  c.get(spins).i32(1).op(op.i32Sub).tee(spins).brIf(2);
  c.i32(1).set(spins);
  c.get(thread).op(op.i32Eqz).get(c0).atomic(atomic.i32Load, control.spinOnly).op(op.i32And).brIf(2);
  c.get(c0).i32(1).atomic(atomic.i32RmwAdd, control.joining).op(op.drop);
  c.get(c0).atomic(atomic.i32Load, control.done).tee(mine).get(gate).op(op.i32LtU).if();
  c.get(c0).get(mine).i64(longestNap).atomic(atomic.wait32, control.done).op(op.drop).end();
  c.get(c0).i32(1).atomic(atomic.i32RmwSub, control.joining).op(op.drop);
  c.br(2).end();
  c.get(c0).atomic(atomic.i32Load, control.spins).set(spins);
  c.get(chunk);
  share().set(mine);
  c.get(low).i32(0xffff).op(op.i32And);
  firstFree().set(mine);
  // Without this chunk; with all chunks of the next phase where it was the last of this one; 0 after the last phase.
  c.get(low).i32(1).get(mine).op(op.i32Shl, op.i32Sub).set(low);
  c.get(low).i32(0xffff).op(op.i32And, op.i32Eqz).get(low).i32(0).op(op.i32Ne, op.i32And).if();
  c.get(low).i32(0x10000).op(op.i32Sub).i32(1).get(chunk).op(op.i32Shl).i32(1).op(op.i32Sub, op.i32Or).set(low).end();
  c.get(c0).get(old).get(old).i64(32).op(op.i64ShrU).i64(32).op(op.i64Shl).get(low).op(op.i64ExtendI32U, op.i64Or).atomic(atomic.i64RmwCmpxchg, control.ticket);
  c.get(old).op(op.i64Ne).brIf(1);
  c.get(block).get(gate).get(mine).op(op.i32Add).tee(mine).get(mine).i32(1).op(op.i32Add).get(kernel).callIndirect(kernelType);
  finished();
  c.br(1).end();
  // The first chunk of this thread's part, and from there on the first that is free.
  chunksOf(c, groups, chunk);
  share().set(mine);
  c.get(old).op(op.i32WrapI64);
  firstFree().set(mine);
  // Lost to another thread (or the job is over): look again.
  c.get(c0).get(old).get(old).i64(1).get(mine).op(op.i64ExtendI32U, op.i64Shl, op.i64Sub).atomic(atomic.i64RmwCmpxchg, control.ticket);
  c.get(old).op(op.i64Ne).brIf(0);
  c.get(block).get(mine).get(chunk).op(op.i32Mul).tee(mine);
  c.get(mine).get(chunk).op(op.i32Add).tee(mine).get(groups).get(mine).get(groups).op(op.i32LtU, op.select);
  c.get(kernel).callIndirect(kernelType);
  finished();
  c.br(0).end();
  return { locals: ['i32', 'i32', 'i32', 'i32', 'i64', 'i32', 'i32', 'i32', 'i32', 'i32'], code: c };
}

/** Pushes the number of chunks of a job. */
const chunksOf = (c: Code, groups: number, chunk: number): Code => c.get(groups).get(chunk).op(op.i32Add).i32(1).op(op.i32Sub).get(chunk).op(op.i32DivU);

/** fork(kernel, block, groups, chunk): runs a kernel on all threads and waits for its end. */
function forkBody(drain: number, kernelType: number, controlGlobal: number): Body {
  const [kernel, block, groups, chunk, c0, generation, chunks, i, done, free] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9];
  const c = new Code();
  c.global(controlGlobal).set(c0);
  c.get(c0).atomic(atomic.i32Load, control.letSleep).get(c0).atomic(atomic.i32Load, control.sleepers).op(op.i32And).if();
  c.get(block).i32(0).get(groups).get(kernel).callIndirect(kernelType).op(op.return).end();
  c.get(c0)
    .atomic(atomic.i32Load, control.ticket + 4)
    .i32(1)
    .op(op.i32Add)
    .set(generation);
  // Close the old ticket before the job's words change: a worker that still holds it must not take a chunk of the next job with it.
  c.get(c0).i32(0).atomic(atomic.i32Store, control.ticket);
  for (const [local, offset] of [
    [kernel, control.kernel],
    [block, control.block],
    [groups, control.groups],
    [chunk, control.chunk],
  ] as const)
    c.get(c0).get(local).atomic(atomic.i32Store, offset);
  c.get(c0).i32(0).atomic(atomic.i32Store, control.done);
  c.get(chunk).i32(0).op(op.i32LtS).if();
  c.get(groups).set(chunks);
  // phases left, and all chunks of the first
  c.get(groups).i32(0).get(chunk).op(op.i32Sub, op.i32DivU).i32(1).op(op.i32Sub).i32(16).op(op.i32Shl);
  c.i32(1).i32(0).get(chunk).op(op.i32Sub, op.i32Shl).i32(1).op(op.i32Sub, op.i32Or).set(free);
  c.else();
  chunksOf(c, groups, chunk).set(chunks);
  c.i32(-1).i32(mostChunks).get(chunks).op(op.i32Sub, op.i32ShrU).set(free).end();
  c.get(c0).get(generation).op(op.i64ExtendI32U).i64(32).op(op.i64Shl).get(free).op(op.i64ExtendI32U, op.i64Or).atomic(atomic.i64Store, control.ticket);
  c.get(c0).atomic(atomic.i32Load, control.sleepers).if();
  c.get(c0)
    .i32(0x7fffffff)
    .atomic(atomic.notify, control.ticket + 4)
    .op(op.drop)
    .end();
  c.get(generation).i32(0).call(drain);
  c.get(c0).atomic(atomic.i32Load, control.spins).set(i);
  c.block().loop();
  c.get(c0).atomic(atomic.i32Load, control.done).tee(done).get(chunks).op(op.i32Eq).if().op(op.return).end();
  c.get(i).i32(1).op(op.i32Sub).tee(i).brIf(0);
  c.get(c0).atomic(atomic.i32Load, control.spinOnly).if().i32(1).set(i).br(1).end();
  c.end().end();
  c.get(c0).i32(1).atomic(atomic.i32RmwAdd, control.joining).op(op.drop);
  c.block().loop();
  c.get(c0).atomic(atomic.i32Load, control.done).tee(done).get(chunks).op(op.i32Eq).brIf(1);
  c.get(c0).get(done).i64(-1).atomic(atomic.wait32, control.done).op(op.drop).br(0);
  c.end().end();
  c.get(c0).i32(1).atomic(atomic.i32RmwSub, control.joining).op(op.drop);
  return { locals: ['i32', 'i32', 'i32', 'i32', 'i32', 'i32'], code: c };
}

/** worker(module, thread) -> the module that the control block asks for instead. */
function workerBody(drain: number, controlGlobal: number): Body {
  const [module, thread, c0, generation, wanted, i] = [0, 1, 2, 3, 4, 5];
  const c = new Code();
  c.global(controlGlobal).set(c0);
  c.loop();
  c.get(c0)
    .atomic(atomic.i32Load, control.ticket + 4)
    .set(generation);
  c.get(c0).atomic(atomic.i32Load, control.leave).if().i32(-1).op(op.return).end();
  c.get(c0).atomic(atomic.i32Load, control.module).tee(wanted).get(module).op(op.i32Ne).if().get(wanted).op(op.return).end();
  c.get(generation).get(thread).call(drain);
  c.get(c0).atomic(atomic.i32Load, control.spins).set(i);
  c.loop();
  c.get(c0)
    .atomic(atomic.i32Load, control.ticket + 4)
    .get(generation)
    .op(op.i32Ne)
    .brIf(1);
  c.get(i).i32(1).op(op.i32Sub).tee(i).brIf(0);
  c.end();
  c.get(c0).i32(1).atomic(atomic.i32RmwAdd, control.sleepers).op(op.drop);
  c.get(c0)
    .get(generation)
    .i64(-1)
    .atomic(atomic.wait32, control.ticket + 4)
    .op(op.drop);
  c.get(c0).i32(1).atomic(atomic.i32RmwSub, control.sleepers).op(op.drop);
  c.br(0).end();
  c.op(op.unreachable);
  return { locals: ['i32', 'i32', 'i32', 'i32'], code: c };
}
