/** Makes runsc out of gVisor's Go module, whose content Go checks by its checksum and we by the one written down here. */
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { accessSync, constants } from 'node:fs';
import { chmod, mkdir, stat } from 'node:fs/promises';
import { isAbsolute, join } from 'node:path';
import { createInterface } from 'node:readline';
import { promisify } from 'node:util';
import { SandboxError } from '../../errors.ts';
import { hasCode } from '../../syscall/call.ts';
import { runscFlags, RUNSC_VERSION } from './runsc.ts';
import type { SetupOptions } from './setup.ts';
