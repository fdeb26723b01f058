#!/usr/bin/env node
/** The entry. From its first line on nobody of the same user may look into this process or write to it; commands that need it go one namespace down. */
import { closeSync } from 'node:fs';
import { isatty } from 'node:tty';
import { runCli } from './cli/index.ts';
import { cameBack, enclose, proveEnclosed } from './syscall/enclose.ts';
import { forbidDumping } from './syscall/process.ts';

const isLinux = process.platform === 'linux';
if (isLinux) forbidDumping();
const back = isLinux ? cameBack(process.env) : null;
const terminals = [0, 1, 2].filter((fd) => isatty(fd));

// In MB: what is young and dies soon is collected more often, and the server stays 13 MB smaller. What the user says comes later and wins.
const SMALL = '--max-semi-space-size=1';

const exitCode = await runCli(process.argv.slice(2), {
  env: process.env,
  cwd: process.cwd(),
  platform: process.platform,
  enclosure: {
    isInside: back !== null,
    enter: (variables) =>
      enclose([SMALL, ...process.execArgv, ...process.argv.slice(1)], { ...process.env, ...variables }, { uid: process.getuid!(), gid: process.getgid!() }),
    prove: () => back && proveEnclosed(back),
  },
});
// Node brings terminals back to how they were, and aborts where one is gone.
for (const fd of terminals) if (!isatty(fd)) closeSync(fd);
// At once: a client that has stopped reading would keep the process alive.
process.exit(exitCode);
