/**
 * The Python environment of the interoperability tests and of the native peers in the benchmark: .venv in the repository, with the real Keras. It is
 * made at first use (about a minute) and kept; PYTHON names another interpreter that has the packages already.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
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
