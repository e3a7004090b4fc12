/** The module that browsers start as the worker of h5-reader.ts. */
import { type H5Library, type H5Reply, type H5Request, serveH5 } from './h5-serve.js';

const scope = globalThis as unknown as { postMessage(m: H5Reply, transfer: ArrayBuffer[]): void; onmessage: ((e: MessageEvent<H5Request>) => void) | null };
const port = {
  post: (m: H5Reply, transfer: ArrayBuffer[]) => scope.postMessage(m, transfer),
  onMessage: (f: (r: H5Request) => void) => {
    scope.onmessage = (e) => f(e.data);
  },
};
void serveH5(port, async () => (await import('h5wasm')) as unknown as H5Library, null);
