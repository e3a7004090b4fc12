/**
 * Runs TypeScript in a real Chromium: bundles an entry file, serves it from this machine as a cross-origin-isolated page (so that WebAssembly threads work), and gives back what the
 * entry's default export resolves to. Where there is no Chromium, tests say what is missing and check nothing.
 */
import { existsSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { build } from 'esbuild';
import { type Browser, chromium } from 'playwright-core';

const places = [process.env.TENON_CHROMIUM, '/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome', '/opt/google/chrome/chrome'];

export interface TestBrowser {
  readonly version: string;
  /** Bundles `entry` (its default export is an async function of one argument), runs it in a new page and gives its result. Both must be JSON. */
  run<T>(entry: URL, argument?: unknown, options?: PageOptions): Promise<T>;
  close(): Promise<void>;
}

export interface PageOptions {
  /** Taken in place of frontend/keras/index.ts: the built package. */
  readonly library?: string;
  /** A module that the page starts as a worker, served bundled as /h5-worker.js: what bundlers make of `new Worker(new URL('./h5-worker.js', import.meta.url))`. */
  readonly worker?: string;
  /** Contents in base64, served under these names. */
  readonly files?: Readonly<Record<string, string>>;
  /** Content-Security-Policy of the page. */
  readonly policy?: string;
}

interface SiteFile {
  readonly type: string;
  readonly body: string | Buffer;
  readonly policy?: string;
}

interface Site {
  readonly server: Server;
  readonly origin: string;
  readonly files: Map<string, SiteFile>;
}

async function openSite(): Promise<Site> {
  const files = new Map<string, SiteFile>();
  const server = createServer((request, response) => {
    const file = files.get(request.url ?? '');
    response.writeHead(file ? 200 : 404, {
      'Content-Type': file?.type ?? 'text/plain',
      'Cross-Origin-Opener-Policy': 'same-origin',
      'Cross-Origin-Embedder-Policy': 'require-corp',
      'Cross-Origin-Resource-Policy': 'same-origin',
      ...(file?.policy ? { 'Content-Security-Policy': file.policy } : {}),
    });
    response.end(file?.body ?? 'not found');
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return { server, origin: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, files };
}

/** Chromium with software WebGPU, or null (after one line that says why). */
export async function openBrowser(): Promise<TestBrowser | null> {
  const executablePath = places.find((p) => p !== undefined && existsSync(p));
  if (executablePath === undefined) {
    console.log('The browser is not tested here: no Chromium in its usual places (set TENON_CHROMIUM to its path)');
    return null;
  }
  let browser: Browser;
  try {
    // The sandbox needs a user other than root.
    const sandbox = process.getuid?.() === 0 ? ['--no-sandbox'] : [];
    browser = await chromium.launch({ executablePath, headless: true, args: [...sandbox, '--enable-unsafe-webgpu', '--use-webgpu-adapter=swiftshader'] });
  } catch (e) {
    console.log(`The browser is not tested here: ${executablePath} does not start: ${(e as Error).message.split('\n')[0]}`);
    return null;
  }
  const site = await openSite();
  return {
    version: browser.version(),
    async run<T>(entry: URL, argument: unknown = null, options: PageOptions = {}): Promise<T> {
      const { library, worker } = options;
      const bundle = await build({
        stdin: {
          contents: `import body from ${JSON.stringify(entry.pathname)}; globalThis.testResult = (argument) => body(argument);`,
          resolveDir: '/',
          loader: 'ts',
        },
        bundle: true,
        format: 'esm',
        platform: 'browser',
        target: 'es2022',
        write: false,
        logLevel: 'silent',
        // imported where the program runs in Node alone
        external: ['node:*', 'webgpu'],
        plugins: library ? [{ name: 'library', setup: (b) => b.onResolve({ filter: /frontend\/keras\/index\.js$/ }, () => ({ path: library })) }] : [],
      });
      if (worker) {
        const built = await build({
          entryPoints: [worker],
          bundle: true,
          format: 'esm',
          platform: 'browser',
          target: 'es2022',
          write: false,
          logLevel: 'silent',
        });
        site.files.set('/h5-worker.js', { type: 'text/javascript', body: built.outputFiles[0]!.text });
      }
      for (const [name, contents] of Object.entries(options.files ?? {}))
        site.files.set(`/${name}`, { type: 'application/octet-stream', body: Buffer.from(contents, 'base64') });
      site.files.set('/test.js', { type: 'text/javascript', body: bundle.outputFiles[0]!.text });
      site.files.set('/', {
        type: 'text/html',
        ...(options.policy ? { policy: options.policy } : {}),
        body: '<!doctype html><meta charset="utf-8"><title>test</title><script type="module" src="/test.js"></script>',
      });
      const page = await browser.newPage();
      const problems: string[] = [];
      page.on('pageerror', (e) => problems.push(String(e)));
      page.on('console', (m) => {
        if (m.type() === 'error') problems.push(m.text());
      });
      try {
        await page.goto(`${site.origin}/`);
        await page.waitForFunction('globalThis.testResult !== undefined', undefined, { timeout: 15000 }).catch(() => {
          throw new Error(`the page did not start: ${problems.join('; ')}`);
        });
        return (await page.evaluate(`globalThis.testResult(${JSON.stringify(argument)})`)) as T;
      } finally {
        await page.close();
      }
    },
    async close() {
      await browser.close();
      await new Promise((resolve) => site.server.close(resolve));
    },
  };
}
