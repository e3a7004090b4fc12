/**
 * Where a file is read from: a path (Node), a `File` or `Blob`, a `URL`, or bytes in memory. Readers see bytes at positions; nothing is read before it is asked for, where the
 * place allows that.
 */
import { ModelFormatError, ValueError } from '../../ir/errors.js';

/** What users may give: a path in Node; elsewhere (and there too) a URL, a Blob or File, or the bytes; for formats of several files also those files by name. */
export type FileSource = string | URL | Blob | ArrayBuffer | Uint8Array | FileSet;

/** Several files that belong together, such as a model.json and its shards, where there is no folder: `new FileSet('model.json', { 'model.json': a, 'group1-shard1of1.bin': b })`. */
export class FileSet {
  private readonly files: ReadonlyMap<string, Blob | Uint8Array>;
  /** `main` is the file to start from; the others are looked up in `files` by the names that it has for them. */
  constructor(
    readonly main: string,
    files: Readonly<Record<string, Blob | Uint8Array>> | ReadonlyMap<string, Blob | Uint8Array>,
  ) {
    this.files = files instanceof Map ? files : new Map(Object.entries(files));
  }
  open(name = this.main): OpenFile {
    const found = this.files.get(name);
    if (found === undefined) throw new ModelFormatError(`${name}: is not among the given files (${[...this.files.keys()].slice(0, 20).join(', ')})`);
    const beside = async (other: string): Promise<OpenFile> => this.open(name.slice(0, name.lastIndexOf('/') + 1) + checkedName(name, other));
    return found instanceof Uint8Array ? new Bytes(name, found, beside) : new BlobFile(name, found, beside);
  }
}

/** The name of a file that another one names: it must lie in the same folder or below. */
export function checkedName(from: string, name: string): string {
  if (
    name === '' ||
    name.includes('\0') ||
    name.includes('\\') ||
    name.startsWith('/') ||
    /^[A-Za-z][A-Za-z0-9+.-]*:/.test(name) ||
    name.split('/').includes('..')
  )
    throw new ModelFormatError(`${from}: names the file ${JSON.stringify(name.slice(0, 200))}, which is not in its folder`);
  return name;
}

/** What a worker opens by itself. `offset` and `size`: the part of the place that is the file. */
export type WorkerSource =
  | { readonly path: string; readonly offset: number; readonly size: number }
  | { readonly blob: Blob; readonly size: number }
  | { readonly bytes: Uint8Array; readonly size: number };

/** An open file. */
export interface OpenFile {
  /** For messages and for the extension. */
  readonly name: string;
  readonly size: number;
  /** Bytes from `offset` on; fewer at the end of the file. */
  read(offset: number, length: number): Promise<Uint8Array>;
  /** Several parts, read beside other work, where the place allows that. */
  readonly readMany?: (parts: readonly { readonly offset: number; readonly length: number }[]) => Promise<Uint8Array[]>;
  /** The same at once, where the place allows that. */
  readonly readNow?: (offset: number, length: number) => Uint8Array;
  /** What is read is a view of the caller's bytes, which must not be changed. */
  readonly lendsBytes?: boolean;
  /** The file, or a part of it, for a worker. */
  forWorker(offset?: number, size?: number): WorkerSource;
  /** Where the file lies, for formats of several files; null when it has no place. */
  readonly path: string | null;
  /** Opens a file in the same folder or below. Names come from files: those that lead elsewhere, and links that do, are errors. */
  beside(name: string): Promise<OpenFile>;
  close(): Promise<void>;
}

const alone =
  (from: string) =>
  async (name: string): Promise<OpenFile> => {
    throw new ValueError(`${from}: needs the file ${JSON.stringify(name.slice(0, 200))} beside it: give a path, a URL or a FileSet`);
  };

export const isNode = (): boolean => typeof process !== 'undefined' && typeof process.versions?.node === 'string';

class Bytes implements OpenFile {
  readonly path = null;
  readonly lendsBytes = true;
  constructor(
    readonly name: string,
    private readonly bytes: Uint8Array,
    readonly beside = alone(name),
  ) {}
  get size(): number {
    return this.bytes.byteLength;
  }
  readonly readNow = (offset: number, length: number): Uint8Array => this.bytes.subarray(offset, offset + length);
  async read(offset: number, length: number): Promise<Uint8Array> {
    return this.readNow(offset, length);
  }
  forWorker(offset = 0, size = this.size - offset): WorkerSource {
    return { bytes: this.bytes.subarray(offset, offset + size), size };
  }
  async close(): Promise<void> {
    // the bytes belong to the caller
  }
}

class BlobFile implements OpenFile {
  readonly path = null;
  constructor(
    readonly name: string,
    private readonly blob: Blob,
    readonly beside = alone(name),
  ) {}
  get size(): number {
    return this.blob.size;
  }
  async read(offset: number, length: number): Promise<Uint8Array> {
    return new Uint8Array(await this.blob.slice(offset, offset + length).arrayBuffer());
  }
  forWorker(offset = 0, size = this.size - offset): WorkerSource {
    return { blob: this.blob.slice(offset, offset + size), size };
  }
  async close(): Promise<void> {
    // nothing is held
  }
}

/** Parts of a file that lie near each other are read in one go, of about so many bytes; what lies between two of them is read and dropped. */
const runBytes = 32 << 20;
const largestGap = 1 << 18;
const mostBuffers = 1000;

/** A file of the disk, from a path. */
async function openPath(path: string): Promise<OpenFile> {
  const [fs, { readSync }] = await Promise.all([import('node:fs/promises'), import('node:fs')]);
  let handle: Awaited<ReturnType<typeof fs.open>>;
  try {
    handle = await fs.open(path, 'r');
  } catch (e) {
    const { code } = e as { code?: string };
    throw new ValueError(code === 'ENOENT' ? `${path}: there is no such file` : `${path}: cannot be opened (${code ?? String(e)})`);
  }
  const stat = await handle.stat();
  if (!stat.isFile()) {
    await handle.close();
    throw new ValueError(`${path}: expected a file, found ${stat.isDirectory() ? 'a folder' : 'something else'}`);
  }
  const cut = (at: number) => new ModelFormatError(`${path}: ends at byte ${at}, ${stat.size} were expected (was it changed meanwhile?)`);
  const fill = async (out: Uint8Array, offset: number): Promise<void> => {
    for (let done = 0; done < out.byteLength; ) {
      const { bytesRead } = await handle.read(out, done, out.byteLength - done, offset + done);
      if (bytesRead === 0) throw cut(offset + done);
      done += bytesRead;
    }
  };
  return {
    name: path,
    path,
    size: stat.size,
    async read(offset, length) {
      const out = new Uint8Array(Math.max(0, Math.min(length, stat.size - offset)));
      await fill(out, offset);
      return out;
    },
    async readMany(parts) {
      // all memory first: where one thread maps memory and another fills it, each waits for the other
      const pieces = parts.map(({ offset, length }) => ({ offset, bytes: new Uint8Array(length) }));
      const dropped = new Uint8Array(largestGap);
      const waiting = [...pieces].sort((a, b) => a.offset - b.offset);
      const runs: Promise<void>[] = [];
      while (waiting.length > 0) {
        const run = [waiting.shift()!];
        const from = run[0]!.offset;
        const buffers = [run[0]!.bytes];
        let at = from + run[0]!.bytes.byteLength;
        while (waiting.length > 0 && at - from < runBytes && buffers.length < mostBuffers) {
          const { offset, bytes } = waiting[0]!;
          if (offset < at || offset - at > largestGap) break;
          if (offset > at) buffers.push(dropped.subarray(0, offset - at));
          buffers.push(bytes);
          at = offset + bytes.byteLength;
          run.push(waiting.shift()!);
        }
        const done = handle.readv(buffers, from).then(async ({ bytesRead }) => {
          // the system may read less than it was asked for
          if (bytesRead < at - from) for (const p of run) await fill(p.bytes, p.offset);
        });
        runs.push(done);
      }
      await Promise.all(runs);
      return pieces.map((p) => p.bytes);
    },
    readNow(offset, length) {
      const out = new Uint8Array(Math.max(0, Math.min(length, stat.size - offset)));
      for (let done = 0; done < out.byteLength; ) {
        const n = readSync(handle.fd, out, done, out.byteLength - done, offset + done);
        if (n === 0) throw cut(offset + done);
        done += n;
      }
      return out;
    },
    forWorker: (offset = 0, size = stat.size - offset) => ({ path, offset, size }),
    async beside(name) {
      const { dirname, join, sep } = await import('node:path');
      const { realpath } = await import('node:fs/promises');
      const other = join(dirname(path), checkedName(path, name));
      // a file that is not there is reported by openPath; one that is a link out of the folder is refused
      const [folder, real] = await Promise.all([realpath(dirname(path)), realpath(other).catch(() => null)]);
      if (real !== null && !real.startsWith(folder.endsWith(sep) ? folder : folder + sep))
        throw new ModelFormatError(`${path}: the file ${JSON.stringify(name)} is a link that leads out of its folder`);
      return openPath(other);
    },
    close: () => handle.close(),
  };
}

/** Opens a source. `name`: for messages where the source has none, and for its extension. */
export async function openSource(source: FileSource, name?: string): Promise<OpenFile> {
  if (source instanceof FileSet) return source.open();
  if (source instanceof Uint8Array) return new Bytes(name ?? 'file in memory', source);
  if (source instanceof ArrayBuffer) return new Bytes(name ?? 'file in memory', new Uint8Array(source));
  if (typeof Blob !== 'undefined' && source instanceof Blob) return new BlobFile(name ?? (source as Blob & { name?: string }).name ?? 'blob', source);
  if (source instanceof URL || (typeof source === 'string' && (!isNode() || /^(https?|blob|data|file):/.test(source)))) return openUrl(String(source), name);
  if (typeof source !== 'string') throw new ValueError('a file must be given as a path, a URL, a Blob or File, an ArrayBuffer or a Uint8Array');
  return openPath(source);
}

async function openUrl(url: string, name?: string): Promise<OpenFile> {
  if (url.startsWith('file:') && isNode()) {
    const { fileURLToPath } = await import('node:url');
    return openPath(fileURLToPath(url));
  }
  const response = await fetch(url);
  if (!response.ok) throw new ValueError(`${url}: the server answered ${response.status} ${response.statusText}`);
  const place = new URL(response.url || url, 'http://localhost');
  const own = name ?? place.pathname.split('/').at(-1) ?? url;
  return new BlobFile(own, await response.blob(), (other) =>
    openUrl(String(new URL(checkedName(own, other).split('/').map(encodeURIComponent).join('/'), place))),
  );
}

/** The whole file; refuses more than `limit` bytes. */
export async function readAll(file: OpenFile, limit: number): Promise<Uint8Array> {
  if (file.size > limit) throw new ModelFormatError(`${file.name}: ${file.size} bytes are more than the limit of ${limit} for this kind of file`);
  return file.read(0, file.size);
}
