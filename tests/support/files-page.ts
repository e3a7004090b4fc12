/** Loads and saves models in a page; see files-in-browser.ts. */
import { download, inMemory, loadModel, type ModelBase, opfs, tensor } from '../../frontend/keras/index.js';

/** What each way of loading predicts, and how a broken file fails. */
export interface FilesResult {
  readonly predictions: Readonly<Record<string, number[]>>;
  readonly error: string;
  readonly workers: number;
}

export default async function page(): Promise<FilesResult> {
  let workers = 0;
  const Native = globalThis.Worker;
  globalThis.Worker = class extends Native {
    constructor(url: URL | string, options?: WorkerOptions) {
      super(url, options);
      if (String(url).includes('h5-worker')) workers++;
    }
  };
  const predictions: Record<string, number[]> = {};
  const predict = async (m: ModelBase) => [...(await m.predict(tensor(Float32Array.of(1, -2, 3, 0.5), [1, 4]), { verbose: 0 })).data];
  const options = { device: 'wasm' } as const;
  const bytesOf = async (name: string) => (await fetch(`/${name}`)).arrayBuffer();
  for (const name of ['m.h5', 'm.keras']) {
    const bytes = await bytesOf(name);
    predictions[`${name} ArrayBuffer`] = await predict(await loadModel(bytes, { ...options, name }));
    predictions[`${name} Blob`] = await predict(await loadModel(new Blob([bytes]), { ...options, name }));
    predictions[`${name} File`] = await predict(await loadModel(new File([bytes], name), options));
    predictions[`${name} URL`] = await predict(await loadModel(new URL(`/${name}`, location.href), options));
    const model = await loadModel(`/${name}`, options);
    const target = inMemory(name);
    await model.save(target);
    predictions[`${name} saved`] = await predict(await loadModel(target.bytes(), { ...options, name }));
    await model.save(opfs(`models/${name}`));
    const folder = await (await navigator.storage.getDirectory()).getDirectoryHandle('models');
    predictions[`${name} OPFS`] = await predict(await loadModel(await (await folder.getFileHandle(name)).getFile(), options));
    // what a download would give: the click is caught, and its URL read
    const clicked = new Promise<string>((resolve) => {
      HTMLAnchorElement.prototype.click = function (this: HTMLAnchorElement) {
        resolve(this.download === name ? this.href : `the name is ${this.download}`);
      };
    });
    await model.save(download(name));
    predictions[`${name} download`] = await predict(await loadModel(await clicked, { ...options, name }));
  }
  const json = await loadModel(new File([await bytesOf('m.json')], 'm.json'), options);
  await json.loadWeights(new File([await bytesOf('m.h5')], 'm.h5'));
  predictions['m.json File'] = await predict(json);
  const broken = new Uint8Array(await bytesOf('m.h5')).slice(0, 900);
  const error = await loadModel(new File([broken], 'broken.h5'), options).then(
    () => 'no error',
    (e: Error) => `${e.name}: ${e.message}`,
  );
  return { predictions, error, workers };
}
