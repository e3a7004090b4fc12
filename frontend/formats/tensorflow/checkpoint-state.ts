/** The file `checkpoint` of a folder, which says which checkpoint there is the newest: a text message of two kinds of lines. */
import { ModelFormatError, ValueError } from '../../../ir/errors.js';
import { isNode } from '../source.js';

export const stateFile = 'checkpoint';
const largest = 1 << 24;

export const stateText = (prefix: string): string =>
  `model_checkpoint_path: ${JSON.stringify(prefix)}\nall_model_checkpoint_paths: ${JSON.stringify(prefix)}\n`;

/** The newest checkpoint that the text names, relative to its folder; null when it names none. */
export function newestIn(what: string, text: string): string | null {
  const found = /^\s*model_checkpoint_path:\s*"((?:[^"\\\n]|\\.)*)"/m.exec(text)?.[1];
  if (found === undefined) {
    if (/^\s*model_checkpoint_path/m.test(text)) throw new ModelFormatError(`${what}: model_checkpoint_path is damaged`);
    return null;
  }
  // C escapes; paths that TensorFlow writes have no others
  return found.replace(/\\(["'\\])/g, '$1');
}

/**
 * The prefix of the newest checkpoint in a folder (Node), as `tf.train.latest_checkpoint` finds it: the file `checkpoint` there names it. Null when there is no such file, or no index
 * of the checkpoint that it names. A name that leads out of the folder is an error.
 */
export async function latestCheckpoint(folder: string, latestFilename = stateFile): Promise<string | null> {
  if (!isNode()) throw new ValueError('latestCheckpoint: there are no folders here: name the checkpoint');
  const { existsSync, readFileSync, statSync } = await import('node:fs');
  const path = await import('node:path');
  const state = path.join(folder, latestFilename);
  if (!existsSync(state) || !statSync(state).isFile()) return null;
  if (statSync(state).size > largest) throw new ModelFormatError(`${state}: is too large for a file that names checkpoints`);
  const name = newestIn(state, readFileSync(state, 'utf8'));
  if (name === null) return null;
  const prefix = path.isAbsolute(name) ? name : path.join(folder, name);
  const inside = path.relative(path.resolve(folder), path.resolve(prefix));
  if (name.includes('\0') || inside === '' || inside.startsWith('..') || path.isAbsolute(inside))
    throw new ModelFormatError(`${state}: names the checkpoint ${JSON.stringify(name.slice(0, 200))}, which is not in its folder`);
  return existsSync(`${prefix}.index`) ? prefix : null;
}
