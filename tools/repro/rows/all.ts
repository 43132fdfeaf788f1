/** Every run behind docs/results.md, as commands of diffengine. */
import type { Row } from '../row.js';
import { DREAMBOOTH, SETTINGS_SEARCH } from './dreambooth.js';
import { STUDENTS } from './students.js';
import { WEIGHTS } from './weights.js';

/** What is run by default: from the shipped weights, with the settings of the configs. */
export const EXPERIMENTS: readonly Row[] = [...STUDENTS, ...DREAMBOOTH];
export const ALL_ROWS: readonly Row[] = [...WEIGHTS, ...SETTINGS_SEARCH, ...EXPERIMENTS];
