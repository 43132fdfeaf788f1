/** A picture at a size that one can read; small ones keep their pixels. A click shows it large. */
import type { Picture } from '../../src/runs/run-view.js';
import { showLarge } from './lightbox.js';
import './pictures.css';

/** Pictures up to this side are scaled by whole pixels, not blurred. */
const SMALL = 256;

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

export function Pixels({ picture, alt }: { readonly picture: Picture; readonly alt: string }) {
  const { src, width, height } = picture;
  return (
    <img
      src={src}
      alt={alt}
      width={width}
      height={height}
      class={Math.max(width, height) <= SMALL ? 'sharp' : undefined}
      draggable={false}
    />
  );
}
