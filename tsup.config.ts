/** JavaScript builds; types come from `tsc` (see scripts/build.mjs). Two folders, so that each may have its own module type. */
import { defineConfig, type Options } from 'tsup';

const entry = {
  index: 'frontend/keras/index.ts',
  runtime: 'runtime/index.ts',
  ir: 'ir/index.ts',
  compiler: 'codegen/index.ts',
  // what browsers start as the worker that reads HDF5 files
  'h5-worker': 'frontend/formats/h5-worker.ts',
  onnx: 'frontend/onnx/index.ts',
};
const common: Options = {
  target: 'es2022',
  platform: 'neutral',
  splitting: true,
  sourcemap: true,
  clean: false,
  dts: false,
  removeNodeProtocol: false,
  external: ['webgpu', /^node:/],
};

export default defineConfig([
  {
    ...common,
    entry: { ...entry, cli: 'cli/main.ts' },
    format: 'esm',
    outDir: 'dist/esm',
    external: ['webgpu', 'commander', 'picocolors', /^node:/],
    outExtension: () => ({ js: '.js' }),
  },
  { ...common, entry, format: 'cjs', outDir: 'dist/cjs', shims: true, outExtension: () => ({ js: '.js' }) },
]);
