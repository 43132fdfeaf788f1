/** Why a request is refused, in words for whoever made it. */
import { UserError } from '../../src/base/errors.js';

export type ProblemStatus = 400 | 403 | 404 | 409;

export class Problem extends UserError {
  constructor(
    readonly status: ProblemStatus,
    message: string,
  ) {
    super(message);
  }
}
