/** What stands where runs would be, and says what to do. */
import { FIRST_CONFIG } from './start-dialog.js';

export function Empty({ start }: { readonly start: () => void }) {
  return (
    <section class="panel empty">
      <h1>No runs here yet</h1>
      <p>A run is one training. Its curves and pictures appear here while it goes on.</p>
      <p>
        <button type="button" class="main" onClick={start}>
          Start a run
        </button>
      </p>
      <p>Or start one in a terminal, in the folder that this page looks at:</p>
      <pre>npx diffengine train {FIRST_CONFIG}</pre>
    </section>
  );
}

export function Locked() {
  return (
    <section class="panel empty">
      <h1>Open the link that was printed</h1>
      <p>
        This page needs the token in the link that <code>diffengine ui</code> printed in the terminal, so that nobody
        else can start runs here. Open that link once; then this address works, too.
      </p>
      <p>The token changes each time that the command starts.</p>
    </section>
  );
}
