/** Git LFS leaves a small text file in the place of a large one until it is asked for it (git-lfs, docs/spec.md). */
import { UserError } from './errors.js';

/**
 * @param bytes the file, or its first 23 bytes and more  @param what the pointer stands for: "the picture"
 * @throws UserError when it is such a pointer
 */
export function refuseLfsPointer(bytes: Uint8Array, where: string, what: string, size = bytes.length): void {
  if (!POINTER.every((byte, i) => bytes[i] === byte)) return;
  throw new UserError(`${where}: a Git LFS pointer, not ${what} (${size} bytes); run "git lfs pull" in that folder`);
}

const POINTER = new TextEncoder().encode('version https://git-lfs');
