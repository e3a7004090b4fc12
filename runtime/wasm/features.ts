/** What the WebAssembly engine here can do. */
import { ArgumentError, messageOf } from '../errors.js';

/** A module of one function () -> v128 (or nothing) with the given body, to see whether it validates. */
const probe = (result: number, ...body: number[]): boolean =>
  WebAssembly.validate(
    new Uint8Array([0, 0x61, 0x73, 0x6d, 1, 0, 0, 0, 1, 5, 1, 0x60, 0, 1, result, 3, 2, 1, 0, 10, body.length + 4, 1, body.length + 2, 0, ...body, 0x0b]),
  );

const zero = [0xfd, 0x0c, ...new Array<number>(16).fill(0)];

export const hasSimd = (): boolean => probe(0x7b, ...zero);
/** Fused multiply-add and friends. */
export const hasRelaxedSimd = (): boolean => probe(0x7b, ...zero, ...zero, ...zero, 0xfd, 0x85, 0x02);

/** Why modules cannot be compiled here; null: they can. Pages under a Content-Security-Policy need 'wasm-unsafe-eval'. */
export async function compileProblem(): Promise<string | null> {
  try {
    await WebAssembly.compile(new Uint8Array([0, 0x61, 0x73, 0x6d, 1, 0, 0, 0]));
    return null;
  } catch (e) {
    const policy = /content.security.policy|\bcsp\b|unsafe-eval/i.test(messageOf(e));
    return policy
      ? "the page's Content-Security-Policy does not allow WebAssembly: add 'wasm-unsafe-eval' to its script-src, or use the webgpu device"
      : `this host does not compile WebAssembly: ${messageOf(e)}`;
  }
}

interface NodeProcess {
  readonly versions?: { readonly node?: string };
}
export const isNode = (): boolean => (globalThis as { process?: NodeProcess }).process?.versions?.node !== undefined;

/** Whether memory can be shared with workers: everywhere in Node, in browsers on cross-origin-isolated pages. */
export function canShareMemory(): boolean {
  if (typeof SharedArrayBuffer === 'undefined' || typeof Atomics === 'undefined') return false;
  return isNode() || (globalThis as { crossOriginIsolated?: boolean }).crossOriginIsolated === true;
}

/** The main thread of a page must not sleep. */
export const mustNotBlock = (): boolean => !isNode() && typeof document !== 'undefined';

/** Imports a module of Node. The specifier is not a literal, so that bundlers of web apps leave it alone. */
export async function importNode<T>(name: 'os' | 'v8' | 'worker_threads'): Promise<T> {
  const specifier = `node:${name}`;
  return (await import(/* @vite-ignore */ /* webpackIgnore: true */ specifier)) as T;
}

/** More threads gain nothing: kernels of one model are not that large. */
const mostThreads = 16;

/** Threads to use: as asked, or one per core; 1 where memory cannot be shared. */
export async function threadCount(asked: number | undefined): Promise<number> {
  if (asked !== undefined && (!Number.isInteger(asked) || asked < 1 || asked > 64))
    throw new ArgumentError(`threads must be an integer from 1 to 64, found ${asked}`);
  if (!canShareMemory()) return 1;
  if (asked !== undefined) return asked;
  const cores = isNode()
    ? (await importNode<{ availableParallelism(): number }>('os')).availableParallelism()
    : (globalThis.navigator?.hardwareConcurrency ?? 1);
  return Math.max(1, Math.min(cores, mostThreads));
}
