/** The time, for "5 min ago"; turns twice a minute. */
import { signal } from '@preact/signals';

/** seconds since 1970 */
export const now = signal(Date.now() / 1000);

setInterval(() => (now.value = Date.now() / 1000), 30_000);
