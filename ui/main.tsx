import { render } from 'preact';
import './parts/base.css';
import './page/page.css';
import { listen } from './page/events.js';
import { Page } from './page/page.js';
import { keepPlace } from './page/place.js';
import { locked, readAll } from './page/store.js';

const root = document.getElementById('page')!;
root.replaceChildren();
render(<Page />, root);
await readAll();
if (!locked.value) {
  await keepPlace();
  listen();
}
