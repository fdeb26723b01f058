// `npm test`: builds, sets up, and runs every test twice, with servers as root and as an ordinary user. Arguments go to vitest.
// The last line is the sum: `N passed, N failed`, and `, N skipped` where some were.
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';

const ROOT = join(import.meta.dirname, '..');
const isCi = ['1', 'true'].includes(process.env.CI ?? '');
const isRoot = process.getuid() === 0;

const main = () => {
  const reports = mkdtempSync(join(tmpdir(), 'cellwall-reports-'));
  try {
    if (!run('npm', ['run', '--silent', 'build'])) fail('the build');
    if (!run(process.execPath, ['dist/src/main.js', 'setup'])) fail('`cellwall setup`');
    const modes = isRoot ? ['root', 'user'] : ['user'];
    if (!isRoot) missing('root');
    const counts = modes.map((mode) => test(mode, join(reports, `${mode}.json`)));
    for (const [index, mode] of modes.entries()) {
      for (const name of counts[index].failures) console.log(`failed as ${mode}: ${name}`);
      console.log(`as ${mode}: ${sum(counts[index])}`);
    }
    if (counts.length === 2) compare(counts.map(({ passed, failed, skipped }) => passed + failed + skipped));
    const all = [...counts, ...extras].reduce((a, b) => ({ passed: a.passed + b.passed, failed: a.failed + b.failed, skipped: a.skipped + b.skipped }));
    console.log(sum(all));
    return all.failed === 0 ? 0 : 1;
  } finally {
    rmSync(reports, { recursive: true, force: true });
  }
};

/** what failed that is no test */
const extras = [{ passed: 0, failed: 0, skipped: 0 }];

const fail = (what) => {
  console.log(`${what} failed`);
  extras.push({ passed: 0, failed: 1, skipped: 0 });
};

const missing = (mode) => {
  console.log(`not run: the tests with servers as ${mode}: only root can start them, and this is uid ${process.getuid()}`);
  if (isCi) fail(`the mode "${mode}", which is required in CI,`);
};

const compare = ([root, user]) => {
  if (root === user) console.log(`both modes ran the same number of tests: ${root}`);
  else fail(`the comparison of both modes: ${root} tests as root, ${user} as an ordinary user`);
};

const run = (command, args, env = {}) =>
  spawnSync(command, args, { cwd: ROOT, env: { ...process.env, ...env }, stdio: ['ignore', 'inherit', 'inherit'] }).status === 0;

// One run of vitest, counted from its report. A file that could not be loaded, and an error outside of any test, is a failure of its own.
const test = (mode, report) => {
  console.log(`\nservers run as ${mode}`);
  const args = ['run', '--reporter=default', '--reporter=json', `--outputFile.json=${report}`, ...process.argv.slice(2)];
  const isGood = run(join(ROOT, 'node_modules/.bin/vitest'), args, { CELLWALL_TEST_AS: mode });
  const { failed, ...others } = read(report);
  return { ...others, failed: failed === 0 && !isGood ? 1 : failed };
};

const read = (report) => {
  try {
    const { numPassedTests, numFailedTests, numPendingTests, numTodoTests, testResults } = JSON.parse(readFileSync(report, 'utf8'));
    const unloaded = testResults.filter(
      ({ status, assertionResults }) => status === 'failed' && assertionResults.every((one) => one.status !== 'failed'),
    ).length;
    const failures = testResults.flatMap(({ name, status, assertionResults, message }) => {
      const file = relative(ROOT, name);
      const tests = assertionResults.filter((one) => one.status === 'failed');
      if (status === 'failed' && tests.length === 0) return [`${file}: ${firstLine(message)}`];
      return tests.map(({ fullName, failureMessages }) => `${file}: ${fullName}: ${firstLine(failureMessages[0])}`);
    });
    return { passed: numPassedTests, failed: numFailedTests + unloaded, skipped: numPendingTests + numTodoTests, failures };
  } catch {
    return { passed: 0, failed: 1, skipped: 0, failures: ['vitest left no report'] };
  }
};

const firstLine = (message = '') => message.split('\n')[0].slice(0, 300);

const sum = ({ passed, failed, skipped }) => `${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`;

process.exitCode = main();
