/** The command line: commands, options, and what errors exit with (0 done, 1 failed, 2 called wrongly). */
import { Command, CommanderError } from 'commander';
import { messageOf } from '../runtime/errors.js';
import { compileCommand } from './commands/compile.js';
import { convertCommand, summaryCommand } from './commands/convert.js';
import { devicesCommand } from './commands/devices.js';
import { inspectCommand } from './commands/inspect.js';
import { type CliIo, red, UsageError } from './io.js';
import { version } from './version.js';

function build(io: CliIo): Command {
  const program = new Command('tenon').description('Compiles Keras models to static plans for WebGPU and WebAssembly.').version(version);
  program.exitOverride().configureOutput({ writeOut: (t) => io.out(t), writeErr: (t) => io.err(t) });
  const command = (name: string, description: string) =>
    program
      .command(name)
      .description(description)
      .exitOverride()
      .configureOutput({ writeOut: (t) => io.out(t), writeErr: (t) => io.err(t) });
  command('compile <model>', 'compile the model that a module exports into a folder that runs without the compiler')
    .option('-o, --output <folder>', 'folder to write')
    .option('--weights <file>', 'safetensors file with the weights (default: those of the model)')
    .option('--target <list>', 'webgpu, wasm or both', 'webgpu,wasm')
    .option('--programs <list>', 'programs to compile, such as predict,train (default: all)')
    .option('--batch-size <n>', 'largest batch that memory is planned for')
    .option('--verify', 'check the graph after every pass')
    .option('--tune', 'measure other schedules on this machine and keep the best in the plan')
    .option('--tune-seconds <n>', 'time for --tune, for each target', '30')
    .option('--bisect', 'write nothing: name the first pass or rewrite that changes what the model computes')
    .option('--json', 'print JSON')
    .action((file: string, flags) => compileCommand(file, flags, io));
  command('inspect <model>', 'print graph, kernels, memory and step figures of the model that a module exports; of an .onnx file its ops and kernels')
    .option('--program <list>', 'programs to show (default: all)')
    .option('--target <target>', 'webgpu or wasm', 'webgpu')
    .option('--batch-size <n>', 'batch that figures are for')
    .option('--shape <name=sizes...>', 'of an .onnx file: the shape of an input with open sizes, as x=1,3,224,224')
    .option('--value <name=numbers...>', 'of an .onnx file: contents of an input that decide shapes, as length=16')
    .option('--print-ir-after <pass>', 'print the graph after a pass, or after all')
    .option('--verify', 'check the graph after every pass')
    .option('--json', 'print JSON')
    .action((file: string, flags) => inspectCommand(file, flags, io));
  command(
    'convert <from> <to>',
    'write a Keras model, or an ONNX model that is made of layers, in another format: .h5, .keras, .weights.h5, .json, .yaml, .onnx',
  )
    .option('--keras <version>', 'which Keras the file is for, 2 or 3 (default: 2; .keras and .weights.h5: that of the model)')
    .option('--weights <file>', 'file with the weights, where the model is an architecture alone')
    .option('--custom <module>', 'module that exports the classes which the file names and Keras does not have')
    .option('--opset <n>', 'opset of an .onnx file, 13 to 28 (default: 17)')
    .option('--json', 'print JSON')
    .action((from: string, to: string, flags) => convertCommand(from, to, flags, io));
  command('summary <file>', 'print the layers of a Keras model in a file')
    .option('--weights <file>', 'file with the weights, where the model is an architecture alone')
    .option('--custom <module>', 'module that exports the classes which the file names and Keras does not have')
    .option('--json', 'print JSON')
    .action((file: string, flags) => summaryCommand(file, flags, io));
  command('devices', 'list what this machine can run on')
    .option('--json', 'print JSON')
    .action((flags) => devicesCommand(flags, io));
  return program;
}

/** Runs a command line (without node and script) and gives the exit code. Never throws. */
export async function runCli(argv: readonly string[], io: CliIo): Promise<number> {
  try {
    await build(io).parseAsync(argv, { from: 'user' });
    return 0;
  } catch (e) {
    // Commander has printed its message, with a suggestion where a name was close.
    if (e instanceof CommanderError) return e.exitCode === 0 ? 0 : 2;
    io.err(`${red('error')}: ${messageOf(e)}\n`);
    if (process.env.TENON_DEBUG !== undefined && e instanceof Error) io.err(`${e.stack ?? ''}\n`);
    return e instanceof UsageError ? 2 : 1;
  }
}
