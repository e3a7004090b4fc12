#!/usr/bin/env node
/** The `tenon` program. Exits by itself: Dawn keeps the event loop alive. */
import { processIo } from './io.js';
import { runCli } from './program.js';

const code = await runCli(process.argv.slice(2), processIo);
// What was printed to a pipe may still be on its way.
process.stdout.write('', () => process.exit(code));
