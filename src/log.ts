/** The log: pino, one JSON line an entry, to descriptor 2 and nowhere else (descriptor 1 is the protocol's). */
import { pino } from 'pino';

/** Names of fields whose values never reach the log. */
const SECRET_FIELDS = ['env', 'stdin', 'content', 'command', 'argv'].flatMap((name) => [name, `*.${name}`]);

/**
 * Written synchronously, so that the last line before an exit is not lost. `log.level` is set by the configuration. By `dest` and not by `fd`, for which pino
 * looks at process.stdout: a pipe there is non-blocking from then on, for everyone who shares it.
 */
export const log = pino(
  { level: 'info', base: null, timestamp: pino.stdTimeFunctions.isoTime, redact: { paths: SECRET_FIELDS, censor: '[redacted]' } },
  pino.destination({ dest: 2, sync: true }),
);
