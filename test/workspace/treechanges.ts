/** Random trees of files, and random changes to them. */
import { chmodSync, lstatSync, mkdirSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import fc from 'fast-check';
import { linkTo, readTree, stamp, type Link, type Tree } from './trees.ts';

/** A change to a tree; numbers choose among what is there. */
export type Change =
  | { readonly kind: 'create' | 'modify' | 'replace' | 'link'; readonly at: number; readonly name: string; readonly text: string }
  | { readonly kind: 'touch'; readonly at: number; readonly time: bigint }
  | { readonly kind: 'chmod'; readonly at: number; readonly mode: number }
  | { readonly kind: 'delete'; readonly at: number }
  | { readonly kind: 'rename'; readonly at: number; readonly name: string };

const bytes = (maxLength: number) => fc.uint8Array({ maxLength, minLength: 1 }).map((array) => Buffer.from(array).toString('latin1'));
// A few names that come again and again, and any others that are no secret.
const name = fc.oneof(
  fc.constantFrom('a', 'b', 'c', 'd'),
  bytes(6).filter((some) => !/[/\0.]|id_/i.test(some)),
);
const at = fc.nat(1000);

export const trees: fc.Arbitrary<Tree> = fc.letrec<{ tree: Tree; node: Tree | string | Link }>((tie) => ({
  tree: fc.array(fc.tuple(name, tie('node')), { maxLength: 5 }).map((entries) => Object.fromEntries(entries)),
  node: fc.oneof({ maxDepth: 3 }, bytes(40), fc.constant(linkTo('x/y')), tie('tree')),
})).tree;

export const changes: fc.Arbitrary<Change> = fc.oneof(
  fc.record({ kind: fc.constantFrom('create' as const, 'modify' as const, 'replace' as const, 'link' as const), at, name, text: bytes(20) }),
  fc.record({ kind: fc.constant('touch' as const), at, time: fc.bigInt(-(10n ** 17n), 10n ** 18n) }),
  fc.record({ kind: fc.constant('chmod' as const), at, mode: fc.constantFrom(0o644, 0o600, 0o755, 0o711, 0o1777) }),
  fc.record({ kind: fc.constant('delete' as const), at }),
  fc.record({ kind: fc.constant('rename' as const), at, name }),
);

/** Makes a change where it makes sense. */
export const applyChange = (top: string, change: Change): void => {
  const paths = Object.keys(readTree(top));
  const place = (path: string): Buffer => Buffer.from(`${top}/${path}`, 'latin1');
  const pick = <T>(some: readonly T[]): T | undefined => some[change.at % Math.max(1, some.length)];
  const folder = pick(['', ...paths.filter((path) => lstatSync(place(path)).isDirectory())])!;
  const target = 'name' in change ? (folder === '' ? change.name : `${folder}/${change.name}`) : '';
  const isFree = !paths.includes(target);
  const path = pick(paths);
  if (change.kind === 'create' && isFree) writeFileSync(place(target), change.text);
  if (path === undefined) return;
  const stats = lstatSync(place(path));
  if (change.kind === 'delete') rmSync(place(path), { recursive: true });
  if (change.kind === 'touch') stamp(`${top}/${path}`, null, change.time);
  if (change.kind === 'chmod' && !stats.isSymbolicLink()) chmodSync(place(path), change.mode);
  if (change.kind === 'rename' && isFree && !`${target}/`.startsWith(`${path}/`)) renameSync(place(path), place(target));
  // As long as it was, so that only times can tell.
  if (change.kind === 'modify' && stats.isFile()) writeFileSync(place(path), change.text.padEnd(stats.size, 'x').slice(0, Math.max(stats.size, 1)), 'latin1');
  if (change.kind === 'replace' || change.kind === 'link') {
    rmSync(place(path), { recursive: true });
    if (change.kind === 'link') symlinkSync('x/y', place(path));
    else if (stats.isDirectory()) writeFileSync(place(path), change.text);
    else {
      mkdirSync(place(path));
      writeFileSync(place(`${path}/${change.name}`), change.text);
    }
  }
};
