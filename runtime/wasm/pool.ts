/**
 * Worker threads of one memory. A worker holds an instance of every loaded module; it spends its life inside a module's `worker` function, asleep or running chunks of kernels, and
 * comes back to its event loop only to take or drop a module. While it is there (or if workers cannot be had at all) the main thread runs everything alone, so nothing waits.
 */
import { DeviceError, messageOf } from '../errors.js';
import { control, controlAddress, spins } from './control.js';
import { importNode, isNode, mustNotBlock } from './features.js';
import type { Heap } from './heap.js';

/** What runs in a worker: a classic script for Node's worker_threads and for browsers. */
const workerSource = `
const node = typeof require === 'function';
const port = node ? require('node:worker_threads').parentPort : self;
const instances = [];
let memory, control, thread;
const reply = (m) => port.postMessage(m);
const receive = (m) => {
  try {
    if (m.memory) { memory = m.memory; control = m.control; thread = m.thread; }
    for (const i of m.drop || []) delete instances[i];
    if (m.module) instances[m.index] = new WebAssembly.Instance(m.module, { env: { memory, scratch: m.scratch, control } });
    if (!m.serve) { reply({ done: m.id }); return; }
    let i = m.index;
    while (i >= 0) i = instances[i] ? instances[i].exports.worker(i, thread) : -1;
  } catch (e) {
    if (m.serve) {
      const words = new Int32Array(memory.buffer);
      Atomics.store(words, (control + ${control.failed}) / 4, 1);
      Atomics.add(words, (control + ${control.done}) / 4, 1);
      Atomics.notify(words, (control + ${control.done}) / 4);
    }
    reply({ done: m.id, error: String(e && e.message || e) });
  }
};
if (node) port.on('message', receive); else port.onmessage = (e) => receive(e.data);
`;

interface Reply {
  readonly done: number;
  readonly error?: string;
}

/** The part of Node's and the browser's workers that is used. */
interface Thread {
  post(message: object): void;
  terminate(): void;
  /** Whether the process waits for it. */
  hold(on: boolean): void;
  onReply: (r: Reply) => void;
}

interface NodeWorker {
  postMessage(m: object): void;
  terminate(): Promise<number>;
  ref(): void;
  unref(): void;
  on(event: 'message', f: (m: Reply) => void): void;
  on(event: 'error', f: (e: Error) => void): void;
}

async function spawn(): Promise<Thread> {
  if (isNode()) {
    const { Worker: NodeThread } = await importNode<{ Worker: new (source: string, options: object) => NodeWorker }>('worker_threads');
    // No loaders or flags of the parent: the worker runs plain JavaScript, and starts ten times faster without them.
    const w = new NodeThread(workerSource, { eval: true, execArgv: [], stdin: false });
    w.unref();
    const thread: Thread = {
      post: (m) => w.postMessage(m),
      terminate: () => void w.terminate(),
      hold: (on) => (on ? w.ref() : w.unref()),
      onReply: () => undefined,
    };
    w.on('message', (r) => thread.onReply(r));
    w.on('error', (e) => thread.onReply({ done: -1, error: e.message }));
    return thread;
  }
  const url = URL.createObjectURL(new Blob([workerSource], { type: 'text/javascript' }));
  const w = new Worker(url);
  URL.revokeObjectURL(url);
  const thread: Thread = { post: (m) => w.postMessage(m), terminate: () => w.terminate(), hold: () => undefined, onReply: () => undefined };
  w.onmessage = (e: MessageEvent<Reply>) => thread.onReply(e.data);
  // Where the page's policy forbids workers from blobs, the event comes without a message.
  w.onerror = (e) => thread.onReply({ done: -1, error: e.message || 'it did not start; a Content-Security-Policy must allow it with worker-src blob:' });
  return thread;
}

export class WorkerPool {
  private threads: Thread[] = [];
  private started = false;
  private nextId = 0;
  private dropped: number[] = [];
  /** Modules that the workers hold. */
  private readonly held = new Set<number>();
  private queue: Promise<void> = Promise.resolve();
  private ended = false;

  constructor(
    private readonly heap: Heap,
    private readonly count: number,
  ) {
    this.word(control.spins, spins);
    this.word(control.threads, count + 1);
    this.word(control.spinOnly, mustNotBlock() ? 1 : 0);
  }

  private word(offset: number, value: number): void {
    Atomics.store(this.heap.words, (controlAddress + offset) / 4, value);
  }

  /** Gives the workers an instance of a module. `scratch(i)` is the scratch address of worker i. */
  add(index: number, module: WebAssembly.Module, scratch: (worker: number) => number): Promise<void> {
    return this.enqueue(async () => {
      await this.start();
      await this.leave();
      await this.ask((i) => ({ module, index, scratch: scratch(i), drop: this.dropped }));
      this.dropped = [];
      this.held.add(index);
      this.serve();
    });
  }

  /** The module is not run any more; workers drop it when they next come by. */
  remove(index: number): void {
    if (this.held.delete(index)) this.dropped.push(index);
  }

  /** Names the module that runs next, and whether its run is long enough to wake workers that sleep. */
  select(index: number, wake: boolean): void {
    this.word(control.module, index);
    this.word(control.letSleep, wake ? 0 : 0xffffffff);
  }

  /** Throws when a worker failed since the last check. */
  check(): void {
    if (Atomics.exchange(this.heap.words, (controlAddress + control.failed) / 4, 0) === 0) return;
    throw new DeviceError('a kernel failed on a worker thread; the results of this run are wrong');
  }

  private enqueue(job: () => Promise<void>): Promise<void> {
    const run = this.queue.then(() => (this.ended ? undefined : job()));
    this.queue = run.catch(() => undefined);
    return run;
  }

  private async start(): Promise<void> {
    if (this.started) return;
    this.started = true;
    try {
      this.threads = await Promise.all(Array.from({ length: this.count }, spawn));
      await this.ask((i) => ({ memory: this.heap.memory, control: controlAddress, thread: i + 1 }));
    } catch (e) {
      console.warn(`Tenon: worker threads could not be started (${messageOf(e)}); kernels run on one thread`);
      this.end();
    }
    if (this.ended) this.end();
  }

  /** Calls the workers back to their event loops. */
  private leave(): void {
    this.word(control.leave, 1);
    const high = (controlAddress + control.ticket) / 4 + 1;
    Atomics.add(this.heap.words, high, 1);
    Atomics.notify(new Int32Array(this.heap.memory.buffer), high);
  }

  private serve(): void {
    this.word(control.leave, 0);
    const [index] = this.held;
    if (index === undefined) return;
    this.select(index, true);
    for (const t of this.threads) t.post({ serve: true, index, id: -1 });
  }

  /** Sends a message to every worker and waits for the answers. */
  private async ask(message: (worker: number) => object): Promise<void> {
    await Promise.all(
      this.threads.map(
        (t, i) =>
          new Promise<void>((resolve, reject) => {
            const id = this.nextId++;
            t.hold(true);
            t.onReply = (r) => {
              t.hold(false);
              if (r.error !== undefined) reject(new DeviceError(`a worker thread failed: ${r.error}`));
              else if (r.done === id) resolve();
            };
            t.post({ ...message(i), id });
          }),
      ),
    );
  }

  end(): void {
    this.ended = true;
    const { threads } = this;
    this.threads = [];
    for (const t of threads) {
      t.onReply({ done: -1, error: 'the device was disposed' });
      t.terminate();
    }
  }
}
