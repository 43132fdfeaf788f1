import t from 'tap';
import { GUIDES } from './documents.js';
import { runDocument, TIMEOUT } from './run-document.js';

t.setTimeout(TIMEOUT);
for (const path of GUIDES)
  void t.test(`${path}: what it says to type runs, and prints what it shows`, (t) => runDocument(t, path));
