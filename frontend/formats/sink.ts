/**
 * Where a file is written to. On a disk saving is atomic: a temporary file in the same folder, flushed to the device, then renamed over the target, so that whenever the
 * process dies the old file or the new one is there, whole. Elsewhere bytes collect in pieces and go to a download, a file of the origin's private file system, or the caller.
 */
import { ValueError } from '../../ir/errors.js';
import { isNode } from './source.js';

/** A file being written; any position may be written, in any order, and read again. */
export interface Sink {
  /** For messages and for the extension. */
  readonly name: string;
  readonly size: number;
  write(bytes: Uint8Array, position: number): void;
  read(bytes: Uint8Array, position: number): number;
  truncate(size: number): void;
  /** The file is whole: it takes its place. */
  finish(): Promise<void>;
  /** What was written is dropped. */
  abort(): Promise<void>;
}

/** Where a model may be saved: a path (Node), or a target of `download`, `opfs` or `inMemory`. */
export type FileTarget = string | Target;
export interface Target {
  readonly name: string;
  open(): Promise<Sink>;
  /** A file of this name in the same place, for formats of several files. */
  beside(name: string): Target;
}

const chunkBytes = 1 << 22;

/** Bytes in memory, in pieces, so that growing copies nothing. */
export class ChunkSink implements Sink {
  private readonly chunks: Uint8Array<ArrayBuffer>[] = [];
  size = 0;
  constructor(
    readonly name: string,
    private readonly done: (parts: Uint8Array<ArrayBuffer>[]) => Promise<void> = async () => undefined,
  ) {}
  private each(position: number, length: number, f: (chunk: Uint8Array, at: number, from: number, n: number) => void): void {
    for (let done = 0; done < length; ) {
      const at = (position + done) % chunkBytes;
      const n = Math.min(chunkBytes - at, length - done);
      const index = Math.floor((position + done) / chunkBytes);
      while (this.chunks.length <= index) this.chunks.push(new Uint8Array(chunkBytes));
      f(this.chunks[index]!, at, done, n);
      done += n;
    }
  }
  write(bytes: Uint8Array, position: number): void {
    this.each(position, bytes.byteLength, (chunk, at, from, n) => chunk.set(bytes.subarray(from, from + n), at));
    this.size = Math.max(this.size, position + bytes.byteLength);
  }
  read(bytes: Uint8Array, position: number): number {
    const length = Math.max(0, Math.min(bytes.byteLength, this.size - position));
    this.each(position, length, (chunk, at, from, n) => bytes.set(chunk.subarray(at, at + n), from));
    return length;
  }
  truncate(size: number): void {
    this.size = size;
  }
  /** The pieces, the last one cut. */
  get parts(): Uint8Array<ArrayBuffer>[] {
    const out: Uint8Array<ArrayBuffer>[] = [];
    for (let at = 0, i = 0; at < this.size; at += chunkBytes, i++)
      out.push((this.chunks[i] ?? new Uint8Array(chunkBytes)).subarray(0, Math.min(chunkBytes, this.size - at)));
    return out;
  }
  async finish(): Promise<void> {
    await this.done(this.parts);
  }
  async abort(): Promise<void> {
    this.chunks.length = 0;
    this.size = 0;
  }
}

/** A target whose bytes the caller gets. */
export interface MemoryTarget extends Target {
  /** The whole file, once it is saved. */
  bytes(): Uint8Array;
  /** All files that were saved, by name: several for checkpoints and for models of TensorFlow.js. */
  readonly files: ReadonlyMap<string, Uint8Array>;
}

/** Saves into memory: `const t = inMemory('m.keras'); await model.save(t); t.bytes()`. The extension gives the format. */
export function inMemory(name: string): MemoryTarget {
  const files = new Map<string, Uint8Array>();
  const target = (own: string): MemoryTarget => ({
    name: own,
    open: async () =>
      new ChunkSink(own, async (parts) => {
        files.set(own, joined(parts));
      }),
    beside: (other) => target(own.slice(0, own.lastIndexOf('/') + 1) + other),
    files,
    bytes() {
      const found = files.get(own);
      if (!found) throw new ValueError(`${own}: nothing was saved here yet`);
      return found;
    },
  });
  return target(name);
}

function joined(parts: readonly Uint8Array[]): Uint8Array {
  const out = new Uint8Array(parts.reduce((n, p) => n + p.byteLength, 0));
  let at = 0;
  for (const p of parts) {
    out.set(p, at);
    at += p.byteLength;
  }
  return out;
}

/** In a page: the file is offered as a download of this name. */
export const download = (name: string): Target => ({
  name,
  open: async () =>
    new ChunkSink(name, async (parts) => {
      const url = URL.createObjectURL(new Blob(parts, { type: 'application/octet-stream' }));
      const a = document.createElement('a');
      a.href = url;
      a.download = name;
      a.click();
      setTimeout(() => URL.revokeObjectURL(url), 60_000);
    }),
  beside: download,
});

/** In a page or worker: a file of the origin's private file system; `path` may have folders, which are made. The browser swaps it in when it is whole. */
export const opfs = (path: string): Target => ({
  name: path,
  open: async () =>
    new ChunkSink(path, async (parts) => {
      const names = path.split('/').filter((p) => p !== '');
      let folder = await navigator.storage.getDirectory();
      for (const n of names.slice(0, -1)) folder = await folder.getDirectoryHandle(n, { create: true });
      const handle = await folder.getFileHandle(names.at(-1) ?? path, { create: true });
      const out = await handle.createWritable();
      try {
        for (const p of parts) await out.write(p);
      } catch (e) {
        await out.abort();
        throw e;
      }
      await out.close();
    }),
  beside: (name) => opfs([...path.split('/').slice(0, -1), name].join('/')),
});

/** Opens a target for writing. */
export async function openSink(target: FileTarget): Promise<Sink> {
  if (typeof target !== 'string') return target.open();
  if (!isNode()) throw new ValueError(`'${target}': there are no paths here: save to download('${target}'), opfs('${target}') or inMemory('${target}')`);
  return atomicFile(target);
}

/** A file of the disk that takes its place whole. */
async function atomicFile(target: string): Promise<Sink> {
  const fs = await import('node:fs');
  const path = await import('node:path');
  // a link is followed: the file behind it is replaced, not the link
  const full = fs.existsSync(target) ? fs.realpathSync(target) : path.resolve(target);
  if (fs.existsSync(full) && !fs.statSync(full).isFile()) throw new ValueError(`${target}: is not a file`);
  const folder = path.dirname(full);
  if (!fs.existsSync(folder)) throw new ValueError(`${target}: the folder ${folder} does not exist`);
  const mode = fs.existsSync(full) ? fs.statSync(full).mode & 0o777 : 0o666;
  const random = Math.random().toString(36).slice(2, 10);
  const temporary = path.join(folder, `.${path.basename(full)}.${process.pid}.${random}.tmp`);
  const fd = fs.openSync(temporary, 'wx+', mode);
  let size = 0;
  let open = true;
  const close = () => {
    if (open) fs.closeSync(fd);
    open = false;
  };
  return {
    name: target,
    get size() {
      return size;
    },
    write(bytes, position) {
      for (let done = 0; done < bytes.byteLength; ) done += fs.writeSync(fd, bytes, done, bytes.byteLength - done, position + done);
      size = Math.max(size, position + bytes.byteLength);
    },
    read: (bytes, position) => fs.readSync(fd, bytes, 0, bytes.byteLength, position),
    truncate(n) {
      fs.ftruncateSync(fd, n);
      size = n;
    },
    async finish() {
      fs.fsyncSync(fd);
      close();
      fs.renameSync(temporary, full);
      // so that the new name is on the device, too; not every system lets a folder be opened
      let dir: number | null = null;
      try {
        dir = fs.openSync(folder, 'r');
        fs.fsyncSync(dir);
      } catch {
        // the rename stands all the same
      } finally {
        if (dir !== null) fs.closeSync(dir);
      }
    },
    async abort() {
      close();
      fs.rmSync(temporary, { force: true });
    },
  };
}

/** Writes a file: `body` fills the sink; when it throws, the target stays as it was. */
export async function writeFile(target: FileTarget, body: (sink: Sink) => Promise<void>): Promise<void> {
  const sink = await openSink(target);
  try {
    await body(sink);
    await sink.finish();
  } catch (e) {
    await sink.abort();
    throw e;
  }
}

/** A file of several. */
export interface FilePart {
  readonly target: FileTarget;
  readonly body: (sink: Sink) => Promise<void>;
}

/** Writes files that belong together: all are written before the first takes its place; they do so in this order, so that the one that names the others comes last. */
export async function writeFiles(parts: readonly FilePart[]): Promise<void> {
  const sinks: Sink[] = [];
  let finished = 0;
  try {
    for (const { target, body } of parts) {
      const sink = await openSink(target);
      sinks.push(sink);
      await body(sink);
    }
    for (; finished < sinks.length; finished++) await sinks[finished]!.finish();
  } catch (e) {
    for (const sink of sinks.slice(finished)) await sink.abort();
    throw e;
  }
}

/** A file beside a target. */
export async function besideTarget(target: FileTarget, name: string): Promise<FileTarget> {
  if (typeof target !== 'string') return target.beside(name);
  const { dirname, join } = await import('node:path');
  return join(dirname(target), name);
}
