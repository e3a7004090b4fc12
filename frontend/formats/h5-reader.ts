/**
 * Reads HDF5 files that may come from anywhere. Files of the plain kind are read by h5-plain.ts; for others the library runs in a worker with a limit of time and memory; a worker whose file made the library trap, loop or misbehave is ended and
 * replaced, and the reader gets an error. Arrays come over without a copy.
 */
import { ModelFormatError } from '../../ir/errors.js';
import { openPlainH5 } from './h5-plain.js';
import { type H5Dataset, type H5Library, type H5Limits, type H5Reply, type H5Request, type H5Tree, type H5Value, serveH5 } from './h5-serve.js';
import { isNode, type OpenFile } from './source.js';

export interface H5Options {
  /** How long opening or reading one array may take, in milliseconds; default 4,500, and a second for every 100 MB. */
  readonly timeLimit?: number;
  /** Most bytes of arrays in all; default: the size of the file and 1 MB (arrays that are stored compressed may need more). */
  readonly maxBytes?: number;
  /** Most groups and datasets; default 100,000. */
  readonly maxObjects?: number;
}

/** A worker, as this file sees it. */
interface Thread {
  post(message: H5Request): void;
  terminate(): void;
  hold(on: boolean): void;
  onReply: (r: H5Reply) => void;
  onEnd: (why: string) => void;
  ready: Promise<void>;
}

interface NodeWorker {
  postMessage(m: object): void;
  terminate(): Promise<number>;
  ref(): void;
  unref(): void;
  on(event: 'message', f: (m: H5Reply) => void): void;
  on(event: 'error', f: (e: Error) => void): void;
  on(event: 'exit', f: (code: number) => void): void;
}

/** Where h5wasm lies: found once, so that workers need no resolution of their own. */
async function libraryUrl(): Promise<string> {
  const [{ createRequire }, { existsSync }, { pathToFileURL }] = await Promise.all([import('node:module'), import('node:fs'), import('node:url')]);
  const folders = createRequire(import.meta.url).resolve.paths('h5wasm') ?? [];
  const found = folders.map((f) => `${f}/h5wasm/dist/esm/hdf5_hl.js`).find((f) => existsSync(f));
  if (!found) throw new ModelFormatError('reading HDF5 files needs the package h5wasm, which is not installed: npm install h5wasm');
  return pathToFileURL(found).href;
}

async function spawn(): Promise<Thread> {
  let started: () => void = () => undefined;
  const thread: Thread = {
    post: () => undefined,
    terminate: () => undefined,
    hold: () => undefined,
    onReply: () => undefined,
    onEnd: () => undefined,
    ready: new Promise((resolve) => {
      started = resolve;
    }),
  };
  const reply = (m: H5Reply): void => (m.id === -1 ? started() : thread.onReply(m));
  if (isNode()) {
    const [{ Worker: NodeThread }, url] = await Promise.all([
      import('node:worker_threads') as unknown as Promise<{ Worker: new (source: string, options: object) => NodeWorker }>,
      libraryUrl(),
    ]);
    const source = `const __name = (f) => f; const { parentPort } = require('node:worker_threads');
(${serveH5.toString()})({ post: (m, t) => parentPort.postMessage(m, t), onMessage: (f) => parentPort.on('message', f) }, () => import(${JSON.stringify(url)}), require('node:fs'));`;
    // what the library prints about damaged files is in the error already
    const w = new NodeThread(source, { eval: true, execArgv: [], stdin: false, stdout: true, stderr: true });
    w.on('message', reply);
    w.on('error', (e) => thread.onEnd(e.message));
    w.on('exit', () => thread.onEnd('its worker ended'));
    thread.post = (m) => w.postMessage(m);
    thread.terminate = () => void w.terminate();
    thread.hold = (on) => (on ? w.ref() : w.unref());
  } else {
    const w = new Worker(new URL('./h5-worker.js', import.meta.url), { type: 'module' });
    w.onmessage = (e: MessageEvent<H5Reply>) => reply(e.data);
    w.onerror = (e) => thread.onEnd(e.message || 'the worker could not be started');
    thread.post = (m) => w.postMessage(m);
    thread.terminate = () => w.terminate();
  }
  return thread;
}

/** One healthy worker is kept for the next file. */
let idle: Thread | null = null;

async function acquire(): Promise<Thread> {
  if (idle) {
    const thread = idle;
    idle = null;
    return thread;
  }
  return spawn();
}

/** An open HDF5 file: its tree is known, arrays are read one by one. */
export class H5File {
  private readonly attributes = new Map<string, ReadonlyMap<string, H5Value>>();
  private readonly datasets = new Map<string, H5Dataset>();
  private readonly children = new Map<string, string[]>();

  constructor(
    readonly name: string,
    tree: H5Tree,
    private readonly arrays: { read(path: string): Promise<NonNullable<H5Reply['data']>>; readAhead?(paths: readonly string[]): void; close(): Promise<void> },
  ) {
    for (const g of tree.groups) this.attributes.set(g.path, new Map(g.attributes));
    for (const d of tree.datasets) this.datasets.set(d.path, d);
    for (const p of [...this.attributes.keys(), ...this.datasets.keys()]) {
      if (p === '/') continue;
      const parent = p.slice(0, p.lastIndexOf('/')) || '/';
      const list = this.children.get(parent);
      const own = p.slice(p.lastIndexOf('/') + 1);
      if (list) list.push(own);
      else this.children.set(parent, [own]);
    }
  }
  hasGroup(path: string): boolean {
    return this.attributes.has(path);
  }
  /** Names in a group. */
  names(path: string): readonly string[] {
    return this.children.get(path) ?? [];
  }
  dataset(path: string): H5Dataset | null {
    return this.datasets.get(path) ?? null;
  }
  get allDatasets(): Iterable<H5Dataset> {
    return this.datasets.values();
  }
  get allGroups(): Iterable<string> {
    return this.attributes.keys();
  }
  attribute(path: string, name: string): H5Value | null {
    return this.attributes.get(path)?.get(name) ?? null;
  }
  /** A text, from an attribute that is one. */
  text(path: string, name: string): string | null {
    const v = this.attribute(path, name);
    return typeof v === 'string' ? v : Array.isArray(v) && v.length === 1 && typeof v[0] === 'string' ? v[0] : null;
  }
  /** A list of texts; Keras splits lists of more than 64 KB into `name0`, `name1`, … Null when there is none. */
  texts(path: string, name: string): readonly string[] | null {
    const listOf = (v: H5Value): readonly string[] => (Array.isArray(v) ? v.map(String) : [String(v)]);
    const whole = this.attribute(path, name);
    if (whole !== null) return listOf(whole);
    const parts: string[] = [];
    for (let i = 0; ; i++) {
      const part = this.attribute(path, `${name}${i}`);
      if (part === null) return i === 0 ? null : parts;
      parts.push(...listOf(part));
    }
  }
  /** The elements of a dataset. */
  read(path: string): Promise<NonNullable<H5Reply['data']>> {
    return this.arrays.read(path);
  }
  /** Says that datasets will be asked for soon. */
  readAhead(paths: readonly string[]): void {
    this.arrays.readAhead?.(paths);
  }
  close(): Promise<void> {
    return this.arrays.close();
  }
}

/** One file on one worker. */
class Connection {
  private nextId = 0;
  private readonly waiting = new Map<number, { resolve: (r: H5Reply) => void; reject: (e: Error) => void; timer: ReturnType<typeof setTimeout> }>();
  private over: string | null = null;
  /** The library found something wrong: what state that leaves it in is anyone's guess, so that no other file meets this worker. */
  private failed = false;

  constructor(
    private readonly thread: Thread,
    private readonly name: string,
    private readonly timeLimit: number,
  ) {
    thread.onReply = (r) => this.answered(r);
    thread.onEnd = (why) => this.end(why);
  }
  private answered(r: H5Reply): void {
    const w = this.waiting.get(r.id);
    if (!w) return;
    this.waiting.delete(r.id);
    clearTimeout(w.timer);
    if (this.waiting.size === 0) this.thread.hold(false);
    if (r.error === undefined) w.resolve(r);
    else {
      this.failed = true;
      w.reject(new ModelFormatError(`${this.name}: ${r.fatal ? 'the HDF5 library failed: ' : ''}${r.error}`));
      if (r.fatal) this.end(r.error);
    }
  }
  /** The worker is lost, with all that was asked of it. */
  private end(why: string): void {
    if (this.over !== null) return;
    this.over = why;
    this.thread.terminate();
    for (const w of this.waiting.values()) {
      clearTimeout(w.timer);
      w.reject(new ModelFormatError(`${this.name}: ${why}`));
    }
    this.waiting.clear();
  }
  request(
    body: { op: 'open'; source: ReturnType<OpenFile['forWorker']>; limits: H5Limits } | { op: 'read'; path: string } | { op: 'close' },
  ): Promise<H5Reply> {
    return new Promise((resolve, reject) => {
      if (this.over !== null) {
        reject(new ModelFormatError(`${this.name}: ${this.over}`));
        return;
      }
      const id = this.nextId++;
      const timer = setTimeout(
        () => this.end(`reading took more than ${this.timeLimit} ms: the file is damaged, or the option timeLimit is too low`),
        this.timeLimit,
      );
      this.waiting.set(id, { resolve, reject, timer });
      this.thread.hold(true);
      this.thread.post({ id, ...body });
    });
  }
  async read(path: string): Promise<NonNullable<H5Reply['data']>> {
    const reply = await this.request({ op: 'read', path });
    if (!reply.data) throw new ModelFormatError(`${this.name}: ${path} could not be read`);
    return reply.data;
  }
  async close(): Promise<void> {
    if (this.over !== null) return;
    if (this.failed) {
      this.end('the file was closed');
      return;
    }
    try {
      await this.request({ op: 'close' });
    } catch {
      this.end('closed');
    }
    if (this.over !== null) return;
    this.over = 'the file was closed';
    if (idle) this.thread.terminate();
    else idle = this.thread;
    this.thread.onEnd = () => {
      if (idle === this.thread) idle = null;
    };
  }
}

/** Opens an HDF5 file, or the part of a file at `offset` of `size` bytes. Throws ModelFormatError. */
export async function openH5(
  file: OpenFile,
  options: H5Options = {},
  part: { readonly offset: number; readonly size: number } = { offset: 0, size: file.size },
): Promise<H5File> {
  const head = await file.read(part.offset, 8);
  const signature = [0x89, 0x48, 0x44, 0x46, 0x0d, 0x0a, 0x1a, 0x0a];
  if (!signature.every((b, i) => head[i] === b)) throw new ModelFormatError(`${file.name}: is not an HDF5 file`);
  const limits: H5Limits = {
    maxObjects: options.maxObjects ?? 100_000,
    maxDepth: 48,
    maxBytes: options.maxBytes ?? part.size + (1 << 20),
    maxHeapGrowth: part.size + (48 << 20),
  };
  const plain = openPlainH5(file, part, limits);
  if (plain) return new H5File(file.name, plain.tree, { ...plain, close: async () => undefined });
  const thread = await acquire();
  thread.hold(true);
  const failed = new Promise<never>((_, reject) => {
    thread.onEnd = (why) => reject(new ModelFormatError(`${file.name}: the worker for HDF5 files did not start: ${why}`));
  });
  await Promise.race([thread.ready, failed]);
  const connection = new Connection(thread, file.name, options.timeLimit ?? 4500 + part.size / 1e5);
  try {
    const { tree } = await connection.request({ op: 'open', source: file.forWorker(part.offset, part.size), limits });
    if (!tree) throw new ModelFormatError(`${file.name}: the HDF5 library gave no contents`);
    return new H5File(file.name, tree, connection);
  } catch (e) {
    await connection.close();
    throw e;
  }
}

/** Ends the worker that waits for the next file. */
export function releaseH5(): void {
  idle?.terminate();
  idle = null;
}

export type { H5Library };
