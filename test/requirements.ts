/** Tests that need a program of the machine's. Where it is missing they are skipped with the reason, and fail where everything is required. */
import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';
import { it } from 'vitest';

/** Whether a missing program is a failure: in CI, or with CELLWALL_REQUIRE_ALL=1. */
const isEverythingRequired = [process.env['CI'], process.env['CELLWALL_REQUIRE_ALL']].some((value) => value === '1' || value === 'true');

/** A test that runs where all `programs` are in PATH. */
export const itWith = (programs: readonly string[], title: string, run: () => unknown): void => {
  const missing = programs.filter((program) => !isInstalled(program));
  it(title, async ({ skip }) => {
    if (missing.length > 0) give(`not installed: ${missing.join(', ')}`, title, skip);
    await run();
  });
};

/** Skips a test for a reason that lies in this machine; throws where everything is required. */
export const give = (reason: string, title: string, skip: (note: string) => never): never => {
  if (isEverythingRequired) throw new Error(`${title}: ${reason}, and everything is required here`);
  console.log(`skipped: ${title}: ${reason}`);
  return skip(reason);
};

const isInstalled = (program: string): boolean =>
  (process.env['PATH'] ?? '').split(delimiter).some((directory) => {
    try {
      accessSync(join(directory, program), constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
