/** One picture over the page, as large as it fits. Escape or a click closes it. */
import { signal } from '@preact/signals';
import { useEffect, useRef } from 'preact/hooks';
import type { Picture } from '../../src/runs/run-view.js';
import { Pixels } from './pixels.js';

const shown = signal<{ readonly picture: Picture; readonly what: string } | undefined>(undefined);

export const showLarge = (picture: Picture, what: string): void => {
  shown.value = { picture, what };
};

/** Stands once in a page. */
export function Lightbox() {
  const dialog = useRef<HTMLDialogElement>(null),
    now = shown.value;
  useEffect(() => {
    if (now && !dialog.current?.open) dialog.current?.showModal();
  }, [now]);
  return (
    <dialog
      ref={dialog}
      class="lightbox"
      aria-label="Picture"
      onClose={() => (shown.value = undefined)}
      onClick={() => dialog.current?.close()}
    >
      {now && (
        <figure>
          <Pixels picture={now.picture} alt={now.what} />
          <figcaption>
            {now.what} · {now.picture.width} × {now.picture.height} px
          </figcaption>
          <button type="button" class="small" autoFocus>
            Close
          </button>
        </figure>
      )}
    </dialog>
  );
}
