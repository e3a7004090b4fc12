/**
 * What runs in a worker that reads one HDF5 file after another: the HDF5 library in WebAssembly, behind messages. A damaged file can make the library abort or loop, and leave it
 * unusable, so the library never sees a foreign file outside such a worker (h5-reader.ts ends it).
 *
 * `serveH5` is also sent to Node's workers as text: it must not refer to anything outside itself, nor use `?.` and `??`,
 * which the CommonJS build makes calls of helpers.
 */
import type { WorkerSource } from './source.js';

export type H5Value = string | number | readonly string[] | readonly number[];

/** An object of the file. Paths start with a slash. */
export interface H5Group {
  readonly path: string;
  readonly attributes: readonly (readonly [name: string, value: H5Value])[];
}
export interface H5Dataset {
  readonly path: string;
  readonly shape: readonly number[];
  /** float16, float32, float64, int8 … uint64, bool, or `other`, which cannot be read. */
  readonly dtype: string;
}
export interface H5Tree {
  readonly groups: readonly H5Group[];
  readonly datasets: readonly H5Dataset[];
}

export interface H5Limits {
  /** Most groups and datasets, and how deep they lie. */
  readonly maxObjects: number;
  readonly maxDepth: number;
  /** Most bytes of all arrays that are read. */
  readonly maxBytes: number;
  /** How far the library's memory may grow. */
  readonly maxHeapGrowth: number;
}

export type H5Request =
  | { readonly id: number; readonly op: 'open'; readonly source: WorkerSource; readonly limits: H5Limits }
  | { readonly id: number; readonly op: 'read'; readonly path: string }
  | { readonly id: number; readonly op: 'close' };

export interface H5Reply {
  /** -1: the worker is ready. */
  readonly id: number;
  readonly tree?: H5Tree;
  readonly data?: Float32Array | Float64Array | Int32Array | Uint8Array | Int8Array | Uint32Array;
  readonly error?: string;
  /** The library is unusable from now on. */
  readonly fatal?: boolean;
}

interface Port {
  post(message: H5Reply, transfer: ArrayBuffer[]): void;
  onMessage(f: (request: H5Request) => void): void;
}

/** The part of Node's `fs` that is used. */
interface Files {
  openSync(path: string, flags: string): number;
  readSync(fd: number, buffer: Uint8Array, offset: number, length: number, position: number): number;
  closeSync(fd: number): void;
}

/** The part of h5wasm that is used. */
export interface H5Meta {
  readonly type: number;
  readonly size: number;
  readonly signed: boolean;
  readonly littleEndian: boolean;
  readonly vlen: boolean;
  readonly shape: readonly number[] | null;
  readonly total_size: number;
  readonly virtual_sources?: readonly object[];
}
interface Stream {
  position: number;
}
interface FsNode {
  contents: unknown;
  stream_ops: Record<string, unknown>;
  node_ops: Record<string, unknown>;
  mtime?: number;
}
export interface H5Module {
  readonly FS: {
    createFile(parent: string, name: string, properties: object, canRead: boolean, canWrite: boolean): FsNode;
    unlink(path: string): void;
    ErrnoError: new (code: number) => Error;
  };
  readonly HEAPU8: Uint8Array;
  readonly H5G_GROUP: number;
  readonly H5G_DATASET: number;
  UTF8ToString(pointer: number): string;
  AsciiToString(pointer: number): string;
  _malloc(n: number): number;
  _free(p: number): void;
  activate_throwing_error_handler(): void;
  close_file(file: bigint): number;
  get_names(file: bigint, path: string, recursive: boolean): string[];
  get_type(file: bigint, path: string): number;
  get_symbolic_link(file: bigint, path: string): string | null;
  get_attribute_names(file: bigint, path: string): string[];
  get_attribute_metadata(file: bigint, path: string, name: string): H5Meta;
  get_dataset_metadata(file: bigint, path: string): H5Meta;
  get_dataset_data(file: bigint, path: string, count: bigint[] | null, offset: bigint[] | null, strides: bigint[] | null, pointer: bigint): number;
}
export interface H5Library {
  readonly ready: Promise<H5Module>;
  readonly File: new (name: string, mode: string) => { readonly file_id: bigint };
  readonly Attribute: new (file: bigint, path: string, name: string) => { readonly value: unknown };
}

/** Serves requests until the worker ends. */
export async function serveH5(port: Port, load: () => Promise<H5Library>, files: Files | null): Promise<void> {
  const fileName = 'model.h5';
  const sliceBytes = 1 << 23;
  let heapLimit = Number.POSITIVE_INFINITY;
  // a file that makes the library ask for more memory than it has data gets an error of the library
  const grow = WebAssembly.Memory.prototype.grow;
  WebAssembly.Memory.prototype.grow = function (this: WebAssembly.Memory, pages: number): number {
    if (this.buffer.byteLength + pages * 65536 > heapLimit) throw new RangeError('limit of memory');
    return grow.call(this, pages);
  };
  // h5py marks all texts as ASCII, and writes UTF-8
  const Decoder = TextDecoder;
  globalThis.TextDecoder = class extends Decoder {
    constructor(label = 'utf-8', options: TextDecoderOptions = {}) {
      super(label === 'ascii' ? 'utf-8' : label, options);
    }
  };
  const library = await load();
  const M = await library.ready;
  M.AsciiToString = M.UTF8ToString;
  M.activate_throwing_error_handler();
  let file = -1n;
  let fd = -1;
  let limits: H5Limits = { maxObjects: 0, maxDepth: 0, maxBytes: 0, maxHeapGrowth: 0 };
  let bytesRead = 0;
  let fileSize = 0;

  /** A file of the library's file system that reads from elsewhere, so that it is never in memory as a whole. */
  const mount = (size: number, readInto: (target: Uint8Array, offset: number, length: number, position: number) => number): void => {
    const node = M.FS.createFile('/', fileName, {}, true, false);
    node.contents = null;
    Object.defineProperty(node, 'usedBytes', { get: () => size, set: () => undefined, configurable: true });
    node.stream_ops = {
      ...node.stream_ops,
      read: (_stream: Stream, buffer: Uint8Array, offset: number, length: number, position: number): number => {
        const n = Math.max(0, Math.min(length, size - position));
        for (let done = 0; done < n; ) {
          // the library's memory is signed bytes
          const target = new Uint8Array(buffer.buffer, buffer.byteOffset, buffer.byteLength);
          const got = readInto(target, offset + done, n - done, position + done);
          if (got <= 0) return done;
          done += got;
        }
        return n;
      },
      llseek: (stream: Stream, offset: number, whence: number): number => {
        const at = whence === 1 ? offset + stream.position : whence === 2 ? offset + size : offset;
        if (at < 0) throw new M.FS.ErrnoError(28);
        return at;
      },
    };
  };

  const open = async (source: WorkerSource): Promise<void> => {
    fileSize = source.size;
    if ('path' in source) {
      if (!files) throw new Error('there are no paths here');
      const f = files;
      fd = f.openSync(source.path, 'r');
      mount(source.size, (target, offset, length, position) => f.readSync(fd, target, offset, length, source.offset + position));
      return;
    }
    if ('blob' in source && typeof FileReaderSync !== 'undefined') {
      // metadata is read in many small pieces: by blocks
      const block = 1 << 18;
      let at = -1;
      let cached = new Uint8Array(0);
      mount(source.size, (target, offset, length, position) => {
        if (length >= block) {
          target.set(new Uint8Array(new FileReaderSync().readAsArrayBuffer(source.blob.slice(position, position + length))), offset);
          return length;
        }
        const start = Math.floor(position / block) * block;
        if (start !== at) {
          cached = new Uint8Array(new FileReaderSync().readAsArrayBuffer(source.blob.slice(start, start + block)));
          at = start;
        }
        const n = Math.min(length, cached.byteLength - (position - start));
        target.set(cached.subarray(position - start, position - start + n), offset);
        return n;
      });
      return;
    }
    const bytes = 'bytes' in source ? source.bytes : new Uint8Array(await source.blob.arrayBuffer());
    mount(source.size, (target, offset, length, position) => {
      target.set(bytes.subarray(position, position + length), offset);
      return length;
    });
  };

  const close = (): void => {
    try {
      if (file >= 0n) M.close_file(file);
    } finally {
      file = -1n;
      try {
        M.FS.unlink(`/${fileName}`);
      } catch {
        // it was not there
      }
      if (fd >= 0 && files) files.closeSync(fd);
      fd = -1;
    }
  };

  const dtypeOf = (m: H5Meta): string => {
    if (m.vlen || !m.littleEndian) return 'other';
    // HDF5's classes: 0 integer, 1 float, 8 enumeration (h5py's bool is one of one byte)
    if (m.type === 1 && [2, 4, 8].includes(m.size)) return `float${8 * m.size}`;
    if (m.type === 0 && [1, 2, 4, 8].includes(m.size)) return `${m.signed ? '' : 'u'}int${8 * m.size}`;
    return m.type === 8 && m.size === 1 ? 'bool' : 'other';
  };

  const checkShape = (path: string, m: H5Meta): readonly number[] => {
    if (m.shape === null) return [0];
    const elements = m.shape.reduce((a, d) => a * Number(d), 1);
    if (!Number.isSafeInteger(elements)) throw new Error(`${path}: the shape [${m.shape.join(',')}] is absurd`);
    return m.shape.map(Number);
  };

  const attributesOf = (path: string): (readonly [string, H5Value])[] => {
    const out: [string, H5Value][] = [];
    for (const name of M.get_attribute_names(file, path)) {
      const m = M.get_attribute_metadata(file, path, name);
      const count = checkShape(`${path}@${name}`, m).reduce((a, d) => a * d, 1);
      if (count * Math.max(m.size, 1) > fileSize) throw new Error(`the attribute ${name} of ${path} claims ${count} elements, the file has ${fileSize} bytes`);
      if (![0, 1, 3].includes(m.type)) continue;
      const value = count === 0 ? [] : new library.Attribute(file, path, name).value;
      if (typeof value === 'string' || typeof value === 'number') out.push([name, value]);
      else if (typeof value === 'bigint') out.push([name, Number(value)]);
      else if (Array.isArray(value) && value.every((v) => typeof v === 'string')) out.push([name, value as string[]]);
      else if (ArrayBuffer.isView(value)) out.push([name, Array.from(value as unknown as ArrayLike<number | bigint>, Number)]);
      else if (Array.isArray(value) && value.length === 0) out.push([name, []]);
    }
    return out;
  };

  const walk = (): H5Tree => {
    const groups: H5Group[] = [];
    const datasets: H5Dataset[] = [];
    const queue: { path: string; depth: number }[] = [{ path: '/', depth: 0 }];
    while (queue.length > 0) {
      const { path, depth } = queue.pop()!;
      if (depth > limits.maxDepth) throw new Error(`groups lie more than ${limits.maxDepth} deep at ${path}`);
      groups.push({ path, attributes: attributesOf(path) });
      for (const name of M.get_names(file, path, false)) {
        const inner = path === '/' ? `/${name}` : `${path}/${name}`;
        if (groups.length + datasets.length + queue.length >= limits.maxObjects)
          throw new Error(`there are more than ${limits.maxObjects} groups and datasets`);
        if (M.get_symbolic_link(file, inner) !== null) throw new Error(`${inner} is a link: links are not followed`);
        const type = M.get_type(file, inner);
        if (type === M.H5G_GROUP) queue.push({ path: inner, depth: depth + 1 });
        else if (type === M.H5G_DATASET) {
          const m = M.get_dataset_metadata(file, inner);
          const virtual = m.virtual_sources !== undefined && m.virtual_sources.length > 0;
          datasets.push({ path: inner, shape: checkShape(inner, m), dtype: virtual ? 'other' : dtypeOf(m) });
        } else throw new Error(`${inner} is neither a group nor a dataset (a link to another file is not followed)`);
      }
    }
    return { groups, datasets };
  };

  /** The elements as they lie in the file, read in slices. */
  const raw = (path: string, m: H5Meta, bytes: Uint8Array): void => {
    const shape = checkShape(path, m);
    if (bytes.byteLength === 0) return;
    const pointer = M._malloc(Math.min(bytes.byteLength, sliceBytes));
    if (pointer === 0) throw new Error(`${path}: no memory for a slice`);
    try {
      if (bytes.byteLength <= sliceBytes) {
        M.get_dataset_data(file, path, null, null, null, BigInt(pointer));
        bytes.set(M.HEAPU8.subarray(pointer, pointer + bytes.byteLength));
        return;
      }
      // the first axis below which an entry fits into a slice; entries of it go in runs
      let axis = 0;
      let entry = bytes.byteLength / shape[0]!;
      while (entry > sliceBytes) entry /= shape[++axis]!;
      const run = Math.max(1, Math.floor(sliceBytes / entry));
      const outer = shape.slice(0, axis).reduce((a, d) => a * d, 1);
      const ones = shape.map(() => 1n);
      let at = 0;
      for (let o = 0; o < outer; o++) {
        const index: bigint[] = [];
        for (let a = axis - 1, rest = o; a >= 0; a--) {
          index.unshift(BigInt(rest % shape[a]!));
          rest = Math.floor(rest / shape[a]!);
        }
        for (let from = 0; from < shape[axis]!; from += run) {
          const n = Math.min(run, shape[axis]! - from);
          const count = shape.map((d, a) => (a < axis ? 1n : a === axis ? BigInt(n) : BigInt(d)));
          const offset = shape.map((_, a) => (a < axis ? index[a]! : a === axis ? BigInt(from) : 0n));
          M.get_dataset_data(file, path, count, offset, ones, BigInt(pointer));
          bytes.set(M.HEAPU8.subarray(pointer, pointer + n * entry), at);
          at += n * entry;
        }
      }
    } finally {
      M._free(pointer);
    }
  };

  const half = (bits: number): number => {
    const sign = bits & 0x8000 ? -1 : 1;
    const exponent = (bits >> 10) & 31;
    const fraction = bits & 1023;
    if (exponent === 31) return fraction ? Number.NaN : sign * Number.POSITIVE_INFINITY;
    return exponent === 0 ? sign * fraction * 2 ** -24 : sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
  };

  const read = (path: string): NonNullable<H5Reply['data']> => {
    const m = M.get_dataset_metadata(file, path);
    const dtype = dtypeOf(m);
    if (dtype === 'other') throw new Error(`${path}: its elements are not plain numbers`);
    const n = checkShape(path, m).reduce((a, d) => a * d, 1);
    bytesRead += n * m.size;
    if (bytesRead > limits.maxBytes)
      throw new Error(
        `${path} and what was read before it have ${bytesRead} bytes, the file ${fileSize}: more than the limit of ${limits.maxBytes} (option maxBytes)`,
      );
    const buffer = new ArrayBuffer(n * m.size);
    raw(path, m, new Uint8Array(buffer));
    const narrow = (wide: ArrayLike<number | bigint>): Int32Array =>
      Int32Array.from({ length: n }, (_, i) => {
        const v = Number(wide[i]!);
        if (v < -2147483648 || v > 2147483647) throw new Error(`${path}: element ${i} is ${v}, which is beyond 32 bits`);
        return v;
      });
    switch (dtype) {
      case 'float32':
        return new Float32Array(buffer);
      case 'float64':
        return new Float64Array(buffer);
      case 'float16':
        return Float32Array.from(new Uint16Array(buffer), half);
      case 'int64':
        return narrow(new BigInt64Array(buffer));
      case 'uint64':
        return narrow(new BigUint64Array(buffer));
      case 'int16':
        return narrow(new Int16Array(buffer));
      case 'uint16':
        return narrow(new Uint16Array(buffer));
      case 'int32':
        return new Int32Array(buffer);
      case 'uint32':
        return new Uint32Array(buffer);
      case 'int8':
        return new Int8Array(buffer);
      default:
        return new Uint8Array(buffer);
    }
  };

  const handle = async (request: H5Request): Promise<void> => {
    const { id } = request;
    try {
      if (request.op === 'close') {
        close();
        port.post({ id }, []);
      } else if (request.op === 'read') {
        const data = read(request.path);
        port.post({ id, data }, [data.buffer as ArrayBuffer]);
      } else {
        close();
        limits = request.limits;
        bytesRead = 0;
        heapLimit = M.HEAPU8.buffer.byteLength + limits.maxHeapGrowth;
        await open(request.source);
        file = new library.File(fileName, 'r').file_id;
        if (file < 0n) throw new Error('it is not an HDF5 file, or it is damaged');
        port.post({ id, tree: walk() }, []);
      }
    } catch (e) {
      // after a trap the library's state is anyone's guess; its own errors are ordinary ones
      const fatal = e instanceof WebAssembly.RuntimeError || !(e instanceof Error) || e instanceof RangeError || e instanceof TypeError;
      port.post({ id, error: e instanceof Error ? e.message : String(e), fatal }, []);
    }
  };
  let queue = Promise.resolve();
  port.onMessage((request) => {
    queue = queue.then(() => handle(request));
  });
  port.post({ id: -1 }, []);
}
declare const FileReaderSync: new () => { readAsArrayBuffer(blob: Blob): ArrayBuffer };
