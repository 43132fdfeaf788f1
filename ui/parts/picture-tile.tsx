/** A picture at a size that one can read. A click shows it large. */
import type { Picture } from '../../src/runs/run-view.js';
import { showLarge } from './lightbox.js';
import { Pixels } from './pixels.js';
import './pictures.css';

interface Props {
  readonly picture: Picture;
  /** what it is, for those who do not see it and for the large view */
  readonly what: string;
  /** below it */
  readonly caption?: string;
}

export function PictureTile({ picture, what, caption }: Props) {
  return (
    <figure class="tile">
      <button type="button" aria-label={`Show large: ${what}`} onClick={() => showLarge(picture, what)}>
        <Pixels picture={picture} alt={what} />
      </button>
      {caption !== undefined && <figcaption title={caption}>{caption}</figcaption>}
    </figure>
  );
}
