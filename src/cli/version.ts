/** The package that this is part of, found from its package.json above: two folders up in the sources, three in what is built. */
import { existsSync, readFileSync } from 'node:fs';
import { z } from 'zod';

const FOUND = ['../../', '../../../'].map((place) => new URL(place, import.meta.url)).find((place) => existsSync(new URL('package.json', place)));

/** Where package.json and the shipped policies lie. */
export const PACKAGE_DIRECTORY: URL = FOUND ?? new URL('../../../', import.meta.url);

/** `0.1.0` */
export const VERSION = z.object({ version: z.string() }).parse(JSON.parse(readFileSync(new URL('package.json', PACKAGE_DIRECTORY), 'utf8'))).version;
