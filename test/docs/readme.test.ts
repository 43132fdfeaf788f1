import t from 'tap';
import { runDocument, TIMEOUT } from './run-document.js';

t.setTimeout(TIMEOUT);
void t.test('README.md: what it says to type runs, and prints what it shows', (t) => runDocument(t, 'README.md'));
