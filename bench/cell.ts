/** One of our cells: node --import tsx bench/cell.ts RUNTIME WORKLOAD [boxMs]. Prints one JSON line. */

import * as optimizers from '../frontend/keras/optimizers/index.js';
import { tensor } from '../frontend/keras/tensor.js';
import type { Device } from '../runtime/index.js';
import { openWasmDevice, openWebGpuDevice } from '../runtime/index.js';
import { type Cell, measure, watchOthers } from './cells.js';
import { benchmarkModel } from './models.js';
import { adam, digest, inputData, targetData, type Workload, workloads } from './workloads.js';

const [runtime, id, boxMs = '10000'] = process.argv.slice(2);

function open(name: string): Promise<Device> {
  switch (name) {
    case 'tenon-wasm':
      return openWasmDevice({ threads: 2, relaxedSimd: 'off' });
    case 'tenon-wasm-1t':
      return openWasmDevice({ threads: 1, relaxedSimd: 'off' });
    case 'tenon-wasm-relaxed':
      return openWasmDevice({ threads: 2, relaxedSimd: 'auto' });
    case 'tenon-webgpu':
      return openWebGpuDevice();
    default:
      throw new Error(`no runtime is called '${name}'`);
  }
}

/** One iteration takes its input from a host array and reads its result back. */
async function prepare(device: Device, w: Workload): Promise<() => Promise<number>> {
  const model = benchmarkModel(w.model);
  const shape = model.inputSpecs[0]!.shape.slice(1) as number[];
  const x = tensor(inputData(shape, w.batch), [w.batch, ...shape]);
  if (w.kind === 'infer') {
    model.compile({ device });
    return async () => digest((await model.predict(x, { batchSize: w.batch })).data);
  }
  model.compile({ optimizer: optimizers.Adam(adam), loss: 'categorical_crossentropy', device });
  const classes = model.outputShapes()[0]!.at(-1)!;
  const y = tensor(targetData(classes, w.batch), [w.batch, classes]);
  return async () => (await model.trainOnBatch(x, y)) as number;
}

const work = workloads.find((w) => w.id === id);
let line: Cell;
try {
  if (!work) throw new Error(`no workload is called '${id}'`);
  const device = await open(runtime!);
  const others = watchOthers();
  const result = await measure(() => prepare(device, work), Number(boxMs));
  line = { workload: work.id, runtime: runtime!, ...result, others_cores: others(), version: device.info.description };
} catch (e) {
  line = { workload: id!, runtime: runtime!, error: e instanceof Error ? `${e.name}: ${e.message}`.split('\n')[0]!.slice(0, 300) : String(e) };
}
process.stdout.write(`${JSON.stringify(line)}\n`, () => process.exit(0));
