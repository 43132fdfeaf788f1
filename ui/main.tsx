import { render } from 'preact';
import './parts/base.css';
import './page/page.css';
import { listen } from './page/events.js';
import { Page } from './page/page.js';
import { keepPlace } from './page/place.js';
import { locked, problem, readAll } from './page/store.js';

// A mistake of the page itself is said, too: it would look like a run that stands still.
addEventListener('error', ({ message }) => {
  // Browsers call it an error that a chart is sized again in the next frame.
  if (!message.startsWith('ResizeObserver loop')) problem.value = message;
});
addEventListener('unhandledrejection', ({ reason }) => (problem.value = String(reason)));

const root = document.getElementById('page')!;
root.replaceChildren();
render(<Page />, root);
await readAll();
if (!locked.value) {
  await keepPlace();
  listen();
}
