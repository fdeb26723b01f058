/** The index of a git directory, read without git.   gitformat-index(5), versions 2, 3 and 4 */
import type { ByteString } from '../names.ts';

const HEADER_BYTES = 12;
/** times, device, inode, mode, owner and size, before the object's name */
const STAT_BYTES = 40;
const MODE_AT = 24;
const FLAG_EXTENDED = 0x4000;
const NAME_LENGTH_MASK = 0xfff;
/** what an index holds: files, executables, links, submodules, and directories of a sparse one */
const MODES = new Set([0o100644, 0o100755, 0o120000, 0o160000, 0o040000]);
const OBJECT_NAME_BYTES = { sha1: 20, sha256: 32 };

/** longest path that is believed, in bytes */
const PATH_MAX = 4096;

/** The paths that an index tracks, in its order, up to the first entry that makes no sense; null for what is no index that we know. */
export const readGitIndex = (index: Buffer): Generator<ByteString> | null => {
  if (index.length < HEADER_BYTES || index.toString('latin1', 0, 4) !== 'DIRC') return null;
  const [version, count] = [index.readUInt32BE(4), index.readUInt32BE(8)];
  if (version < 2 || version > 4) return null;
  // The object format stands in the configuration, not here: the one that makes sense of the first entries is it.
  const first = Math.min(count, 8);
  const objectBytes = Object.values(OBJECT_NAME_BYTES).find((bytes) => [...entriesOf(index, version, first, bytes)].length === first);
  return objectBytes === undefined ? null : entriesOf(index, version, count, objectBytes);
};

function* entriesOf(index: Buffer, version: number, count: number, objectBytes: number): Generator<ByteString> {
  const fixedBytes = STAT_BYTES + objectBytes + 2;
  let start = HEADER_BYTES;
  let path: ByteString = '';
  for (let entry = 0; entry < count; entry++) {
    if (start + fixedBytes > index.length || !MODES.has(index.readUInt32BE(start + MODE_AT))) return;
    const flags = index.readUInt16BE(start + fixedBytes - 2);
    const nameAt = start + fixedBytes + (version >= 3 && (flags & FLAG_EXTENDED) !== 0 ? 2 : 0);
    // Version 4 tells how much of the path before is cut off its end, then what follows instead.
    const cut = version === 4 ? readNumber(index, nameAt) : { value: path.length, bytes: 0 };
    const end = index.indexOf(0, nameAt + cut.bytes);
    if (end < 0 || cut.value > path.length) return;
    path = path.slice(0, path.length - cut.value) + index.toString('latin1', nameAt + cut.bytes, end);
    const told = flags & NAME_LENGTH_MASK;
    if (path === '' || path.length > PATH_MAX || (told !== NAME_LENGTH_MASK && told !== path.length)) return;
    yield path;
    // Up to version 3 one to eight NULs make an entry a multiple of eight bytes.
    start = version === 4 ? end + 1 : start + ((end - start + 8) & ~7);
  }
}

/** A number of version 4: seven bits a byte, the highest first, one more for each further byte. */
const readNumber = (index: Buffer, start: number): { value: number; bytes: number } => {
  let bytes = 1;
  let byte = index[start] ?? 0;
  let value = byte & 0x7f;
  while ((byte & 0x80) !== 0 && bytes < 4) {
    byte = index[start + bytes++] ?? 0;
    value = (value + 1) * 128 + (byte & 0x7f);
  }
  return { value, bytes };
};
