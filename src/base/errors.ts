/**
 * An error the user can act on. The command line prints its message without a stack and exits 1.
 * Message form: `<where>: <what, with the actual value>; <fix or nearest valid>`.
 */
export class UserError extends Error {
  override readonly name: string = 'UserError';
}

/** The run was asked to stop (Ctrl-C, SIGTERM) and has saved what it had. */
export class Interrupted extends UserError {
  override readonly name = 'Interrupted';
}
